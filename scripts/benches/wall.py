"""What --wall takes from a program that does nothing but switch, beside perf."""

import json
import os
import signal
import subprocess
import time

from benches.measure import cell, median, print_table, progress

SUMMARY = "what --wall takes from a program of context switches alone"
FREQUENCY = "999"


def modes(bench):
    """Name -> the command that attaches to the PID put behind it; None: nothing attaches."""
    ours = [bench.memprof, "record", "-q", "-F", FREQUENCY, "-o",
            str(bench.scratch / "wall.cpuprofile")]
    perf = ["perf", "record", "-q", "-F", FREQUENCY, "-o", str(bench.scratch / "wall.data")]
    return {
        "plain": None,
        "memprof": [*ours, "-p"],
        "memprof --wall": [*ours, "--wall", "-p"],
        "perf cpu-clock": [*perf, "-g", "-e", "cpu-clock", "-p"],
        "perf context-switches,cpu-clock":
            [*perf, "--switch-events", "-g", "-e", "cpu-clock", "-e",
             "context-switches/period=1/", "-p"],
    }


def microseconds_a_round(command, target_argv):
    """CPU time of the target for each round, from its own account."""
    with subprocess.Popen(target_argv, stdout=subprocess.PIPE, text=True) as target:
        time.sleep(0.05)
        profiler = None
        if command:
            profiler = subprocess.Popen([*command, str(target.pid)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        truth = json.loads(target.stdout.read())
        if profiler:
            try:
                profiler.wait(60)
            except subprocess.TimeoutExpired:
                os.kill(profiler.pid, signal.SIGKILL)
                profiler.wait()
    return 1e6 * truth["cpu_s"] / truth["rounds"]


def run(bench):
    seconds = 2 if bench.quick else 6
    target = [str(bench.build / "tests/programs/pingpong"), str(seconds)]
    figures = {}
    for turn in range(bench.runs):
        for name, command in modes(bench).items():
            progress(f"wall: {name}, {turn + 1} of {bench.runs}")
            figures.setdefault(name, []).append(microseconds_a_round(command, target))
    plain = median(figures["plain"])
    beside = median(figures["memprof"])
    rows = [[name, f"{median(values):.2f} us", cell(median(values) / plain),
             cell(median(values) / beside)] for name, values in figures.items()]
    print_table("CPU time of a program for one round of a byte between two threads, attached to",
                ["", "a round", "/ plain", "/ memprof"], rows)
