#!/usr/bin/env python3
"""Sampling by ptrace: the same truth as by perf, and a target that is left as it was."""

import ctypes
import json
import os
import re
import shutil
import signal
import subprocess
import time
import unittest

import harness
from harness import Case, program, steady

PTRACE = ("--sampler", "ptrace")


PTRACE_SEIZE = 0x4206  # linux/ptrace.h
STOPPED = re.compile(r"no thread was stopped more than (\d+\.\d) % of the time")


class Truth(Case):
    @steady
    def test_70_30(self):
        profile, truth = self.record(program("burn", 3), *PTRACE)
        self.assertEqual(profile.quality["sampler"], "ptrace")
        self.check_shares(profile.self_ticks(), profile.ticks, truth,
                          tolerance=self.tolerance(profile))
        self.check_coverage(profile)
        self.assertLessEqual(float(STOPPED.search(profile.quality["note"])[1]), 5)

    @steady
    def test_agrees_with_perf(self):
        shares, tolerances = [], []
        for sampler in ("perf", "ptrace"):
            profile, truth = self.record(program("orders", 2), "--sampler", sampler)
            ticks = profile.total_ticks()
            tolerances.append(self.tolerance(profile))
            shares.append({name: 100 * sum(count for function, count in ticks.items()
                                           if function.startswith(name)) / profile.ticks
                           for name in truth["functions"]})
        for name, share in shares[0].items():
            self.assertAlmostEqual(share, shares[1][name], delta=max(tolerances), msg=shares)


class Safety(Case):
    def test_threads_that_end_while_they_are_stopped(self):
        """One whose end is not taken would keep its process from ending."""
        profile, truth = self.record(program("threads_short", 2), *PTRACE)
        self.assertGreater(truth["threads"], 50)
        self.assertGreater(profile.ticks, 0)

    def test_a_stopped_target_stays_stopped(self):
        target = self.start(program("burn", 60), stdout=subprocess.PIPE)
        target.send_signal(signal.SIGSTOP)
        while self.state(target.pid) != "T":
            time.sleep(0.01)
        self.attach(target, *PTRACE, "-d", "0.5")
        self.assertEqual(self.state(target.pid), "T")
        target.send_signal(signal.SIGCONT)
        while self.state(target.pid) == "T":
            time.sleep(0.01)
        self.assert_alive(target)

    def test_no_call_of_the_target_is_interrupted(self):
        """Its waits are stopped for their stacks; torture checks each call's result and time."""
        target = self.start(program("torture", 4), stdout=subprocess.PIPE)
        self.attach(target, *PTRACE, "--wall", "-d", "2")
        out, _ = target.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(target.returncode, 0, out)
        self.assertEqual(json.loads(out)["interrupted"], 0)

    def test_one_that_is_traced_already(self):
        target = self.start(program("burn", 60), stdout=subprocess.PIPE)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        self.assertEqual(libc.ptrace(PTRACE_SEIZE, target.pid, None, None), 0)
        result = self.memprof("record", *PTRACE, "-o", self.output, "-p", target.pid)
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr,
                         rf"\Amemprof: [^\n]*traced by {os.getpid()} \(\w+[^\n]*\n\Z")
        self.assert_no_output()


@unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
class Fallback(Case):
    def test_where_perf_is_forbidden(self):
        """An ordinary user under the filter of a container."""
        os.chmod(self.folder, 0o777)
        for path in (harness.MEMPROF, harness.PROGRAMS / "burn", harness.PROGRAMS / "no_perf"):
            os.chmod(shutil.copy(path, self.folder), 0o755)
        result = subprocess.run(
            [*harness.as_nobody(), f"{self.folder}/no_perf", f"{self.folder}/memprof", "record",
             "-o", self.output, "--", f"{self.folder}/burn", "2"],
            text=True, capture_output=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr,
                         r"\Amemprof: sampling by ptrace instead of perf: [^\n]*\nmemprof: [^\n]*\n\Z")
        profile = self.load()
        self.assertEqual(profile.quality["sampler"], "ptrace")
        self.assertIn("instead of perf", profile.quality["note"])
        self.check_shares(profile.self_ticks(), profile.ticks, json.loads(result.stdout),
                          tolerance=self.tolerance(profile))
        self.check_coverage(profile)


if __name__ == "__main__":
    harness.main()
