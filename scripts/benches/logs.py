"""Section logs of scripts/bench: a log of node --prof, ours against node --prof-process.

The log is a real one of tests/programs/mixed.js, made long by repeating what follows its start
with later times: the same code is compiled again at the same addresses, and sampled again.
"""

import pathlib
import subprocess

from benches.measure import median, print_table, progress
from benches.measure import run as run_process

SUMMARY = "memprof report on a log of node --prof of 200 MB, against --prof-process"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ROUNDS = 400
PEER = "node --prof-process"
TIMES = {b"tick": 2, b"code-creation": 3}  # the field that holds microseconds


def shifted(line, by_us):
    fields = line.split(b",")
    place = TIMES.get(fields[0])
    if place is not None:
        fields[place] = b"%d" % (int(fields[place]) + by_us)
    return b",".join(fields)


def write_log(path, megabytes, scratch):
    subprocess.run(["node", "--prof", "--logfile=" + str(scratch / "v8.log"),
                    "--no-logfile-per-isolate", str(ROOT / "tests/programs/mixed.js"),
                    str(ROUNDS)], check=True, stdout=subprocess.DEVNULL)
    lines = (scratch / "v8.log").read_bytes().splitlines()
    once = [line for line in lines if not line.startswith((b"tick", b"code-creation"))]
    repeated = [line for line in lines if line.startswith((b"tick", b"code-creation"))]
    span_us = max(int(line.split(b",")[2]) for line in repeated if line.startswith(b"tick")) + 1000
    with open(path, "wb") as log:
        log.write(b"\n".join(once) + b"\n")
        times = 0
        while log.tell() < megabytes * 1e6:
            log.write(b"".join(shifted(line, times * span_us) + b"\n" for line in repeated))
            times += 1


def measure(bench, path):
    kinds = {"memprof report": [bench.memprof, "report", str(path)],
             PEER: ["node", "--prof-process", str(path)]}
    walls, peaks = {}, {}
    for kind, argv in kinds.items():
        # The peer takes more than a minute: once is enough for a ratio of tens.
        for number in range(1 if kind == PEER else bench.runs):
            progress(f"logs: {kind}, run {number + 1}")
            process = run_process(argv, watch_memory=True)
            walls.setdefault(kind, []).append(process.wall)
            peaks.setdefault(kind, []).append(process.peak_kb * 1024 / 1e6)
    return ({kind: median(values) for kind, values in walls.items()},
            {kind: median(values) for kind, values in peaks.items()})


def run(bench):
    path = bench.scratch / "large-v8.log"
    megabytes = 20 if bench.quick else 200
    progress(f"logs: writing a log of {megabytes} MB")
    write_log(path, megabytes, bench.scratch)
    size_mb = path.stat().st_size / 1e6
    times, memory = measure(bench, path)
    path.unlink()
    print_table(f"A log of node --prof of {size_mb:.0f} MB",
                ["", "time", "speed", "peak memory", "time : peer's", "memory : peer's"],
                [[kind, f"{times[kind]:.2f} s", f"{size_mb / times[kind]:.1f} MB/s",
                  f"{memory[kind]:.1f} MB", f"1 : {times[PEER] / times[kind]:.1f}",
                  f"1 : {memory[PEER] / memory[kind]:.1f}"] for kind in times])
