"""The journal: what a long recording costs in memory and on the disk, beside perf record.

At a high rate, because what grows with the length of a recording grows with its samples.
"""

import os
import pathlib
import signal
import time

from benches.measure import Process, print_table, progress, stopped_target

SUMMARY = "memory and disk of a long recording, what the journal costs, recovery"

FREQUENCY = 20000
QUICK_S, LONG_S = 10, 300
EARLY_SHARE = 5  # memory is looked at after a fifth of the time, and at its end


class Recording:
    """One profiler on an endless target, watched from outside."""

    def __init__(self, bench, argv, target, output, seconds):
        self.journal = self.cpu_s = None
        with stopped_target(target) as process:
            profiler = Process([*argv, "-p", str(process.pid)], watch_memory=True)
            time.sleep(0.7)
            os.kill(process.pid, signal.SIGCONT)
            time.sleep(seconds / EARLY_SHARE)
            self.early_mb = profiler.rss_kb / 1024
            time.sleep(seconds - seconds / EARLY_SHARE)
            self.late_mb = profiler.rss_kb / 1024
            part = pathlib.Path(f"{output}.part")
            if part.exists():
                self.journal = part.stat().st_size
            self.stop_s = profiler.stop(expect=(0, -signal.SIGINT))
            self.peak_mb, self.cpu_s = profiler.peak_kb / 1024, profiler.cpu
        self.bytes = os.path.getsize(output)


def samples_of(path):
    """From the end of the file: the whole of it may be large."""
    with open(path, "rb") as file:
        file.seek(-min(os.path.getsize(path), 4096), os.SEEK_END)
        quality = file.read().rpartition(b'"quality":')[2]
    return int(quality.partition(b'"samples":')[2].partition(b",")[0])


def measure_killed(bench, target, seconds):
    """What SIGKILL costs, and how long recovering takes."""
    output = bench.scratch / "killed.cpuprofile"
    with stopped_target(target) as process:
        profiler = Process([bench.memprof, "record", "-q", "-F", str(FREQUENCY), "-o",
                            str(output), "-p", str(process.pid)])
        time.sleep(0.7)
        os.kill(process.pid, signal.SIGCONT)
        time.sleep(seconds)
        killed = time.monotonic()
        os.kill(profiler.pid, signal.SIGKILL)
        profiler.wait(expect=(-signal.SIGKILL,))
    recovering = Process([bench.memprof, "recover", "-q", f"{output}.part"]).wait()
    with open(output, encoding="utf-8") as file:
        end_us = next(int(line.partition('"endTime":')[2].rstrip(",\n")) for line in file
                      if '"endTime":' in line)
    return killed - end_us / 1e6, recovering.wall, samples_of(output)


def run(bench):
    seconds = QUICK_S if bench.quick else LONG_S
    target = bench.targets(0)["C++, 1 thread"]
    output, data = str(bench.scratch / "long.cpuprofile"), str(bench.scratch / "long.data")
    ours_argv = [bench.memprof, "record", "-q", "-F", str(FREQUENCY), "-o", output]
    perf_argv = ["perf", "record", "-q", "-F", str(FREQUENCY), "-e", "cpu-clock", "-g", "-o", data]
    progress(f"journal: memprof for {seconds} s at {FREQUENCY} Hz")
    ours = Recording(bench, ours_argv, target, output, seconds)
    samples = samples_of(output)
    progress(f"journal: perf for {seconds} s at {FREQUENCY} Hz")
    perf = Recording(bench, perf_argv, target, data, seconds)
    print_table(f"A recording of {seconds} s at {FREQUENCY} Hz, {samples} samples of memprof",
                ["", f"memory after {seconds / EARLY_SHARE:.0f} s", f"after {seconds} s", "peak",
                 "journal", "file", "CPU time", "to the end"],
                [[name, f"{one.early_mb:.1f} MB", f"{one.late_mb:.1f} MB", f"{one.peak_mb:.1f} MB",
                  f"{one.journal / samples:.1f} B/sample" if one.journal else "-",
                  f"{one.bytes / 1e6:.1f} MB", f"{one.cpu_s:.2f} s", f"{one.stop_s:.2f} s"]
                 for name, one in (("memprof", ours), ("perf record -g", perf))])
    os.unlink(data)
    progress("journal: memprof killed")
    missing, recover_s, recovered = measure_killed(bench, target, 5 if bench.quick else 30)
    print_table("Killed by SIGKILL, and recovered",
                ["samples", "missing before the kill", "memprof recover"],
                [[recovered, f"{missing:.2f} s", f"{recover_s:.2f} s"]])
