"""What sampling by ptrace takes from a target, beside perf's sampling in the same run.

The target watches the clock and tells what share of the time it did not run; its one thread is
sampled at 999 Hz by either sampler.
"""

import json
import os
import re
import signal
import tempfile
import time

from benches.measure import Process, cell, median, print_table, progress, stopped_target

SUMMARY = "what is taken from a target by ptrace at 999 Hz, and the rate that it reaches"
MODES = ("plain", "perf", "ptrace")
SECONDS = 4
RATE = re.compile(r"(\d+) samples/s achieved; no thread was stopped more than (\d+\.\d) % of the "
                  r"time, longest stop (\d+\.\d+) ms")


def measure(bench, mode):
    """Percent of the time that was taken, memprof's CPU seconds, and the sampler's own figures."""
    output = str(bench.scratch / "ptrace.cpuprofile")
    with tempfile.TemporaryFile("w+") as said, \
            stopped_target([str(bench.build / "tests/programs/stolen"), str(SECONDS)],
                           said) as target:
        profiler = None
        if mode != "plain":
            profiler = Process([bench.memprof, "record", "-q", "--sampler", mode, "-o", output,
                                "-p", str(target.pid)])
            time.sleep(0.7)
        os.kill(target.pid, signal.SIGCONT)
        target.wait()
        if profiler:
            profiler.wait()
        said.seek(0)
        taken = json.load(said)["stolen_percent"]
    if not profiler:
        return taken, None, (None, None, None)
    with open(output, encoding="utf-8") as file:
        quality = json.load(file)["memprof"]["quality"]
    found = RATE.search(quality["note"])
    told = tuple(map(float, found.groups())) if found else (quality["samples"] / SECONDS, 0, 0)
    return taken, profiler.cpu, told


def run(bench):
    results = {mode: [] for mode in MODES}
    for number in range(bench.runs):
        for mode in MODES:
            progress(f"ptrace: {mode}, run {number + 1} of {bench.runs}")
            results[mode].append(measure(bench, mode))
    rows = []
    for mode, runs in results.items():
        told = [median([run[2][i] for run in runs]) for i in range(3)]
        rows.append((mode, cell(median([run[0] for run in runs])),
                     cell(median([run[1] for run in runs])), cell(told[0], "{:.0f}"),
                     cell(told[1], "{:.1f}"), cell(told[2])))
    print_table("One busy thread at 999 Hz",
                ("sampler", "time taken %", "own CPU s", "samples/s", "stopped % at most",
                 "longest stop ms"), rows)
