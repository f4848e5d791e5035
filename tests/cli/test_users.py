#!/usr/bin/env python3
"""memprof as an ordinary user, on processes of that user, within the limits a user has."""

import json
import os
import pathlib
import resource
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case

PARANOID = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")


@unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
class OrdinaryUser(Case):
    def setUp(self):
        super().setUp()
        if int(PARANOID.read_text(encoding="ascii")) > 2:
            self.skipTest("perf_event_paranoid forbids perf_event_open to users")
        # The user need not be able to reach where memprof was built.
        os.chmod(self.folder, 0o755)
        for path in (harness.MEMPROF, harness.PROGRAMS / "burn", harness.PROGRAMS / "orders",
                     harness.PROGRAMS / "threads_many"):
            copy = shutil.copy(path, self.folder)
            os.chmod(copy, 0o755)
        self.out = os.path.join(self.folder, "out")
        os.mkdir(self.out)
        os.chown(self.out, harness.NOBODY, harness.NOBODY)
        self.output = os.path.join(self.out, "out.cpuprofile")

    def command(self, name, *args):
        return [os.path.join(self.folder, name), *map(str, args)]

    def run_as_user(self, *args, locked_bytes=8 << 20):
        """Runs memprof with so much memory to lock (8 MB is the kernel's default)."""
        def limit():
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (locked_bytes, locked_bytes))
        return subprocess.run(
            [*harness.as_nobody(), *self.command("memprof", *args)], text=True, cwd=self.out,
            capture_output=True, timeout=harness.TIMEOUT_S, check=False, preexec_fn=limit)

    def start_as_user(self, *command):
        """Starts it and waits until it is no longer root's setpriv."""
        process = self.start([*harness.as_nobody(), *command], stdout=subprocess.PIPE,
                             cwd=self.out)
        deadline = time.monotonic() + harness.TIMEOUT_S
        name = os.path.basename(command[0])
        while time.monotonic() < deadline:
            if pathlib.Path(f"/proc/{process.pid}/comm").read_text("utf-8").strip() == name:
                return process
            time.sleep(0.01)
        self.fail(f"{name} does not start")

    def check(self, result, functions=("burn_hot", "burn_warm")):
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.check_coverage(profile)
        ticks = profile.self_ticks()
        self.assertGreater(sum(ticks[name] for name in functions), 0.95 * profile.ticks)
        self.assertEqual(os.stat(self.output).st_uid, harness.NOBODY)
        return profile

    def test_launch(self):
        result = self.run_as_user("record", "-q", "-o", self.output, "--",
                                  *self.command("burn", 2))
        profile = self.check(result)
        self.check_shares(profile.self_ticks(), profile.ticks, json.loads(result.stdout))
        if int(PARANOID.read_text(encoding="ascii")) == 2:
            self.assertFalse(profile.extension["kernel"] if "kernel" in profile.extension
                             else profile.extension["target"].get("kernel"))
            self.assertNotIn(harness.KIND_KERNEL, profile.kinds.values())
        self.assertTrue(profile.series("pss"))
        self.assertTrue(profile.series("fds"))
        self.assertTrue(profile.series("smaps.stacks"))

    def test_attach(self):
        target = self.start_as_user(*self.command("burn", 0, 4))
        result = self.run_as_user("record", "-q", "-d", "1.5", "-o", self.output, "-p",
                                  str(target.pid))
        self.check(result)
        self.assert_alive(target)

    def test_little_memory_to_lock(self):
        """64 KB was the kernel's default until 5.16: rings shrink rather than fail."""
        for locked in (64 << 10, 0):
            result = self.run_as_user("record", "-q", "-o", self.output, "--",
                                      *self.command("burn", 1), locked_bytes=locked)
            self.check(result)

    def test_two_at_once(self):
        """The budget for locked memory is the user's, not the process's."""
        target = self.start_as_user(*self.command("burn", 0))
        first = self.start_as_user(
            *self.command("memprof", "record", "-q", "-o",
                          os.path.join(self.out, "first.cpuprofile"), "-p", target.pid))
        self.wait_for_recording(target, first)
        result = self.run_as_user("record", "-q", "-d", "1", "-o", self.output, "-p",
                                  str(target.pid))
        self.check(result)
        os.unlink(self.output)
        # With nothing left to lock it says so, and what the remedy is.
        result = self.run_as_user("record", "-q", "-d", "1", "-o", self.output, "-p",
                                  str(target.pid), locked_bytes=0)
        if result.returncode:
            self.assertEqual(result.returncode, 2)
            self.assertRegex(result.stderr, r"\Amemprof: [^\n]*ulimit -l[^\n]*\n\Z")
            self.assertNotIn("out.cpuprofile", os.listdir(self.out))
        harness.send(first)
        first.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(first.returncode, 0)
        self.check_coverage(self.load(os.path.join(self.out, "first.cpuprofile")))

    def test_a_thousand_threads(self):
        target = self.start_as_user(*self.command("threads_many", 1.5, 1000, 4))
        self.assertEqual(target.stdout.readline(), "ready\n")
        result = self.run_as_user("record", "-q", "-o", self.output, "-p", str(target.pid))
        self.check(result, ["many_burn"])


if __name__ == "__main__":
    harness.main()
