"""What it costs to name the JavaScript frames of a stack, beyond unwinding it."""

import json
import pathlib
import subprocess

from benches.measure import cell, median, print_table

SUMMARY = "naming the JavaScript frames of a stack beside unwinding it, and reads of memory for it"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(bench):
    """Stacks of a stopped mixed.js: what their names cost once they are known."""
    path = bench.scratch / "stacks"
    subprocess.run([bench.build / "tests/oracle/js_stack", "-t", "-n",
                    "300" if bench.quick else "1500", "-o", path, "--", "node",
                    ROOT / "tests/programs/mixed.js", "100000"],
                   stdout=subprocess.DEVNULL, check=True)
    columns = {"unwind_ns": [], "name_ns": [], "again_ns": [], "reads": [], "again_reads": []}
    with open(path, encoding="utf-8") as file:
        for line in list(file)[100:]:  # once most functions were met
            for thread in json.loads(line)["threads"]:
                for name, values in columns.items():
                    values.append(thread[name])
    rows = [["native unwinding", f"{median(columns['unwind_ns']) / 1e3:.1f} us", "-", "-"]]
    for title, key, reads in (("naming, as it comes", "name_ns", "reads"),
                              ("naming, all known", "again_ns", "again_reads")):
        rows.append([title, f"{median(columns[key]) / 1e3:.1f} us",
                     cell(median(columns[key]) / median(columns["unwind_ns"])),
                     f"{sum(columns[reads]) / len(columns[reads]):.2f}"])
    print_table("a stack of JavaScript and C++", ["", "time", "/ unwinding", "reads of memory"],
                rows)
