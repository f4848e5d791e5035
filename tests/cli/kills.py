"""memprof killed in the midst of recording, and what became of the target.

What test_kill.py and the section soak of scripts/bench share; it knows nothing of either.
Every second kill strikes at any time after memprof's start, so that the attach is hit as well;
the others strike a recording, and freeze memprof first, which tells whether it had a thread
of the target stopped at that instant. A tracer that is frozen can't let its thread go, so what
the kernel does at its death is seen for sure.
"""

import contextlib
import os
import pathlib
import random
import signal
import subprocess
import time

LONGEST_S = 0.060   # until a kill, from memprof's start or from the start of its sampling
MOMENT_S = 10       # for what is due at once: only what never comes takes as long
HANG_S = 120        # no step takes as long, on a loaded machine either
SAMPLING = {"perf": "anon_inode:[perf_event]", "ptrace": "anon_inode:[signalfd]"}
SAMPLERS = tuple(SAMPLING)


class Failure(Exception):
    """memprof or the target did what makes the kill say nothing."""


def threads(pid):
    """{TID: (state, TID of the tracer or 0)} of the threads that are there."""
    result = {}
    with contextlib.suppress(OSError):
        for tid in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                text = pathlib.Path(f"/proc/{pid}/task/{tid}/status").read_text(encoding="utf-8")
                fields = dict(line.split(":\t", 1) for line in text.splitlines())
                result[int(tid)] = (fields["State"][0], int(fields["TracerPid"]))
    return result


def held_threads(pid):
    """The TIDs that are stopped, by a tracer or by a signal, or that are traced."""
    return [tid for tid, (state, tracer) in threads(pid).items() if state in "tT" or tracer]


def comes_true(holds):
    """Whether it does within a moment."""
    until = time.monotonic() + MOMENT_S
    while not (held := holds()) and time.monotonic() < until:
        time.sleep(0.005)
    return held


def left_stopped(pid):
    """Those that are still held a moment later; the killed memprof must have been reaped."""
    return [] if comes_true(lambda: not held_threads(pid)) else held_threads(pid)


def wait_until(holds, memprof, what):
    """False if memprof has ended before."""
    until = time.monotonic() + HANG_S
    while not holds():
        if memprof.poll() is not None:
            return False
        if time.monotonic() > until:
            raise Failure(f"{what}: waited for {HANG_S} s")
        time.sleep(0.001)
    return True


def is_sampling(pid, sampler):
    with contextlib.suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}") == SAMPLING[sampler]:
                    return True
    return False


def has_stopped(pid):
    """Whether SIGSTOP has reached all of its threads."""
    states = {state for state, _ in threads(pid).values()}
    return states == {"T"}


class Killer:
    """Kills recordings of one target after another, and counts."""

    def __init__(self, memprof, sampler, folder):
        self.argv = [memprof, "record", "-q", "--sampler", sampler]
        self.sampler = sampler
        self.folder = folder
        self.kills = self.while_sampling = self.in_stop = self.left = 0
        self.started = 0

    def kill_one(self, target):
        """One recording of it, begun and killed; the TIDs that were left stopped.

        None and not counted: the target ended by itself meanwhile.
        """
        self.started += 1
        late = self.started % 2 == 0
        # A name of its own: what a kill leaves beside the output may stand in the next one's way.
        output = os.path.join(self.folder, f"{self.started}.cpuprofile")
        with subprocess.Popen([*self.argv, "-o", output, "-p", str(target.pid)],
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as memprof:
            try:
                alive = self._strike(memprof, target, late)
            finally:
                memprof.kill()
            errors = memprof.stderr.read()
        self._remove_files()
        # One that is about to end may turn memprof away before it can be reaped.
        if target.poll() is not None or (
                not alive and comes_true(lambda: target.poll() is not None)):
            return None
        if not alive:
            raise Failure(f"memprof ended by itself, {memprof.returncode}: {errors}")
        held = left_stopped(target.pid)
        self.kills += 1
        self.left += bool(held)
        return held

    def _strike(self, memprof, target, late):
        """Sends SIGKILL; False if memprof had ended already."""
        if late and not wait_until(lambda: is_sampling(memprof.pid, self.sampler), memprof,
                                   "for the first sample"):
            return False
        time.sleep(random.uniform(0, LONGEST_S))
        sampling = late or is_sampling(memprof.pid, self.sampler)
        if late:
            memprof.send_signal(signal.SIGSTOP)
            if not wait_until(lambda: has_stopped(memprof.pid), memprof, "for SIGSTOP"):
                return False
            self.in_stop += any(tracer == memprof.pid for _, tracer in
                                threads(target.pid).values())
        elif memprof.poll() is not None:
            return False
        memprof.kill()
        memprof.wait()
        self.while_sampling += sampling
        return True

    def _remove_files(self):
        for name in os.listdir(self.folder):
            os.unlink(os.path.join(self.folder, name))
