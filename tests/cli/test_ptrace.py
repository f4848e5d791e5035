#!/usr/bin/env python3
"""Sampling by ptrace: the same truth as by perf, and a target that is left as it was."""

import signal
import subprocess
import time

import harness
from harness import Case, program

PTRACE = ("--sampler", "ptrace")


class Truth(Case):
    def test_70_30(self):
        profile, truth = self.record(program("burn", 3), *PTRACE)
        self.assertEqual(profile.quality["sampler"], "ptrace")
        self.check_shares(profile.self_ticks(), profile.ticks, truth, tolerance=4)
        self.check_coverage(profile)

    def test_agrees_with_perf(self):
        shares = []
        for sampler in ("perf", "ptrace"):
            profile, truth = self.record(program("orders", 2), "--sampler", sampler)
            ticks = profile.total_ticks()
            shares.append({name: 100 * sum(count for function, count in ticks.items()
                                           if function.startswith(name)) / profile.ticks
                           for name in truth["functions"]})
        for name, share in shares[0].items():
            self.assertAlmostEqual(share, shares[1][name], delta=4, msg=shares)


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


if __name__ == "__main__":
    harness.main()
