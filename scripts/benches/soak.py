"""The soak: a thousand SIGKILLs of memprof for each sampler and target.

A target runs for some seconds of its own and is recorded and killed at all the while; when it
has ended, and what it says of itself is right, the next one follows. The first run of each is
without memprof: a check that fails there says nothing of memprof.
"""

import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from benches.measure import print_table, progress

PROGRAMS = pathlib.Path(__file__).resolve().parent.parent.parent / "tests/programs"
sys.path.insert(0, str(PROGRAMS.parent / "cli"))
import kills  # noqa: E402

SUMMARY = "1,000 SIGKILLs of memprof for each sampler and target; the targets must not notice"
BY_NAME_ONLY = True
KILLS = 1000
QUICK_KILLS = 50
SECONDS = 10  # of CPU time
END_S = 600   # for those: only a target that hangs takes as long


def check_torture(said):
    return said["ok"]


def check_busy(said):
    """It has done what was asked, and its functions' times add up to no more than its own."""
    spent = sum(said["functions"].values())
    return SECONDS <= spent <= said["cpu_s"] * 1.01


def targets(bench):
    """Name -> (command line, check of what it says at its end)."""
    seconds = str(SECONDS)
    return {"torture": ([str(bench.build / "tests/programs/torture"), seconds], check_torture),
            "python3": ([os.path.realpath(sys.executable), str(PROGRAMS / "busy.py"), seconds],
                        check_busy),
            "node": (["node", str(PROGRAMS / "busy.js"), seconds], check_busy)}


class Target:
    """One run of a target; `failure` says at its end what was not right.

    `interrupted`: the calls that failed with EINTR, which can't be had better if memprof is
    killed in a stop; only torture counts them.
    """

    def __init__(self, argv, check):
        self.check = check
        self.failure = None
        self.interrupted = 0
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True)
        self.pid = self.process.pid
        self.poll = self.process.poll

    def finish(self):
        try:
            said, _ = self.process.communicate(timeout=END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            said, _ = self.process.communicate()
            self.failure = f"it did not end: {said}"
            return
        status = self.process.returncode
        try:
            held = not status and self.check(json.loads(said))
            self.interrupted = json.loads(said).get("interrupted", 0)
        except (ValueError, KeyError):
            held = False
        if not held:
            self.failure = f"exit {status}: {said}"


def run_alone(name, argv, check):
    target = Target(argv, check)
    target.finish()
    if target.failure or target.interrupted:
        sys.exit(f"bench: {name} fails without memprof: {target.failure}")


def kill_while_it_runs(killer, argv, check, wanted):
    """One run of the target, recorded and killed at until it or `wanted` is reached."""
    target = Target(argv, check)
    try:
        held = []
        while killer.kills < wanted and held == []:
            held = killer.kill_one(target)
        if held:
            progress(f"soak: left stopped: threads {held} of {target.pid}")
            with contextlib.suppress(ProcessLookupError):
                os.kill(target.pid, signal.SIGCONT)
        target.finish()
    finally:
        target.process.kill()
    return target


def soak(bench, sampler, name, argv, check):
    """The row of a table."""
    wanted = QUICK_KILLS if bench.quick else KILLS
    runs = failed = interrupted = 0
    with tempfile.TemporaryDirectory(dir=bench.scratch) as folder:
        killer = kills.Killer(bench.memprof, sampler, folder)
        while killer.kills < wanted:
            progress(f"soak: {name}, {sampler}: {killer.kills} of {wanted} kills")
            target = kill_while_it_runs(killer, argv, check, wanted)
            runs += 1
            interrupted += target.interrupted
            if target.failure:
                failed += 1
                progress(f"soak: {name}, {sampler}: {target.failure}")
    return [f"{name}, {sampler}", killer.kills, killer.while_sampling, killer.in_stop,
            interrupted, killer.left, runs, failed]


def run(bench):
    rows = []
    for name, (argv, check) in targets(bench).items():
        progress(f"soak: {name} alone")
        run_alone(name, argv, check)
        try:
            rows += [soak(bench, sampler, name, argv, check) for sampler in kills.SAMPLERS]
        except kills.Failure as failure:
            sys.exit(f"bench: soak: {name}: {failure}")
    print_table("SIGKILL of memprof record at random instants",
                ["target, sampler", "kills", "while sampling", "in a stop of a thread",
                 "EINTR seen", "left stopped", "runs of the target", "its check failed"], rows)
    if any(row[5] or row[7] for row in rows):
        sys.exit("bench: soak: a target noticed")
