"""What the sections of scripts/bench share: processes that are measured, and tables."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time


def progress(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def median(values):
    values = [value for value in values if value is not None]
    return statistics.median(values) if values else None


def cell(value, pattern="{:.2f}"):
    return "-" if value is None else pattern.format(value)


def print_table(title, header, rows):
    rows = [header] + [[str(value) for value in row] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    print(f"\n{title}")
    for row in rows:
        first = row[0].ljust(widths[0])
        print("  " + "  ".join([first] + [v.rjust(w) for v, w in zip(row[1:], widths[1:])]))
    sys.stdout.flush()


# ---- processes ---------------------------------------------------------------------------

class Process:
    """A child with its CPU time, its wall time and its peak memory.

    VmHWM is read while it runs: ru_maxrss also counts what this interpreter had at the fork.
    """

    def __init__(self, argv, watch_memory=False, stdout=subprocess.DEVNULL):
        self.argv = argv
        self.child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout,
                                      stderr=subprocess.PIPE)
        self.pid = self.child.pid
        self.started = time.monotonic()
        self.peak_kb = self.rss_kb = 0
        self.errors = b""
        self.threads = [threading.Thread(target=self._drain, daemon=True)]
        if watch_memory:
            self.threads.append(threading.Thread(target=self._watch_memory, daemon=True))
        for thread in self.threads:
            thread.start()

    def _drain(self):
        for line in self.child.stderr:
            self.errors = (self.errors + line)[-4000:]

    def _watch_memory(self):
        while self.child.returncode is None:
            try:
                status = pathlib.Path(f"/proc/{self.pid}/status").read_text()
            except OSError:
                return
            for name, value in re.findall(r"^(VmHWM|VmRSS):\s+(\d+)", status, re.M):
                if name == "VmHWM":
                    self.peak_kb = max(self.peak_kb, int(value))
                else:
                    self.rss_kb = int(value)
            time.sleep(0.004)

    def wait(self, expect=(0,)):
        _, status, usage = os.wait4(self.pid, 0)
        self.wall = time.monotonic() - self.started
        self.child.returncode = os.waitstatus_to_exitcode(status)
        self.cpu = usage.ru_utime + usage.ru_stime
        for thread in self.threads:
            thread.join()
        if self.child.returncode not in expect:
            sys.exit(f"bench: {' '.join(map(str, self.argv))}: exit {self.child.returncode}\n"
                     + self.errors.decode(errors="replace"))
        return self

    def stop(self, expect=(0,)):
        """SIGINT; returns the seconds until it is gone."""
        asked = time.monotonic()
        os.kill(self.pid, signal.SIGINT)
        self.wait(expect)
        return time.monotonic() - asked


def run(argv, **options):
    return Process(argv, **options).wait()


def run_limited(argv, limit_s):
    """The wall time, or None if it took longer than limit_s and was ended."""
    started = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, start_new_session=True) as child:
        try:
            child.wait(limit_s)
        except subprocess.TimeoutExpired:
            # With the addr2line that it started.
            os.killpg(child.pid, signal.SIGKILL)
            return None
    return time.monotonic() - started


@contextlib.contextmanager
def stopped_target(argv, stdout=subprocess.DEVNULL):
    """A target that was stopped right after its exec, so that a profiler can attach in time."""
    target = Process(argv, stdout=stdout)
    wanted = os.path.realpath(shutil.which(argv[0]) or argv[0])
    while os.path.realpath(f"/proc/{target.pid}/exe") != wanted:
        time.sleep(0.0005)
    os.kill(target.pid, signal.SIGSTOP)
    try:
        yield target
    finally:
        if target.child.returncode is None:
            os.kill(target.pid, signal.SIGKILL)
            target.wait(expect=(0, -signal.SIGKILL))


def drop_caches():
    """Makes the next reads come from the disk, as far as we may; says whether it could."""
    os.sync()
    try:
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    except OSError:
        pass
    for path in ("/usr/bin/node", "/lib/x86_64-linux-gnu/libc.so.6"):
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            continue
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
    return False
