#!/usr/bin/env python3
"""Time off the CPU (--wall), against what programs say of their own waits."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case, program, steady

WAITING, RUNNABLE = "(off-CPU)", "(runnable)"
PARANOID = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")
THREADS = 3


def may_sample_kernel():
    return os.geteuid() == 0 or int(PARANOID.read_text(encoding="ascii")) < 2


@unittest.skipUnless(may_sample_kernel(), "perf tells of waits only to who may sample the kernel")
class Waits(Case):
    def check_waits(self, profile, truth, tolerance=4.0, coverage=0.9):
        """Each function's share of the wall time of all threads, waits in it included."""
        self.check_shares(profile.total_ticks(), profile.ticks, truth, truth["wall_s"], tolerance)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["wall_s"],
                               delta=0.03 * truth["wall_s"])
        self.assertEqual(profile.quality["lost"], 0)
        # What waits is no part of what was sampled of the CPU time.
        self.check_coverage(profile, coverage, 1.1)
        self.assertAlmostEqual(profile.quality["sampledCpuS"], profile.on_cpu * profile.period_s,
                               delta=0.001)

    def waits_in(self, profile, function, leaf=WAITING):
        return sum(hits for node, hits in profile.hits.items()
                   if profile.names[node] == leaf and function in profile.chain(node))

    @steady
    def test_shares(self):
        profile, truth = self.record(program("waiter", 4, THREADS, 100000), "--wall")
        self.check_waits(profile, truth)
        for function in ("waiter_sleep", "waiter_condition", "waiter_lock", "waiter_hold",
                         "waiter_join"):
            total = profile.total_ticks()[function]
            self.assertGreater(self.waits_in(profile, function), 0.9 * total - 20, function)
        # Short of CPUs the burning is runnable, but it never waits.
        self.assertLess(self.waits_in(profile, "waiter_burn"), 0.01 * profile.ticks)

    @steady
    def test_waits_by_ptrace(self):
        """Seconds, not shares: ptrace does not see how long a thread lacked a CPU."""
        profile, truth = self.record(program("waiter", 4, THREADS, 100000), "--wall",
                                     "--sampler", "ptrace")
        for function in ("waiter_sleep", "waiter_condition", "waiter_join"):
            waited = self.waits_in(profile, function) * profile.period_s
            seconds = truth["functions"][function]
            self.assertAlmostEqual(waited, seconds, delta=0.2 * seconds + 0.1, msg=function)
            total = profile.total_ticks()[function]
            self.assertGreater(self.waits_in(profile, function), 0.9 * total - 20, function)

    @steady
    def test_short_waits(self):
        """Too many switches for a stack at each: most waits are charged to others' stacks."""
        profile, truth = self.record(program("waiter", 4, THREADS, 1000), "--wall")
        # The kernel's work at the switches themselves is accounted, but no sample falls into it.
        self.check_waits(profile, truth, coverage=0.75)

    def test_attached_to_sleepers(self):
        """Threads that slept before, and sleep on, are read where they sleep."""
        target = self.start(program("waiter", 60, THREADS, 100000), stdout=subprocess.PIPE)
        time.sleep(0.5)
        profile = self.attach(target, "--wall", "-d", 3)
        self.assert_alive(target)
        threads = {thread["tid"]: thread for thread in profile.extension["threads"]}
        asleep = threads[target.pid]
        self.assertEqual(asleep["runnable"], 0)
        # What one thread slept the others spent, too, each in its own way.
        self.assertEqual(len(threads), THREADS + 3)
        for thread in threads.values():
            self.assertAlmostEqual(thread["ticks"] + thread["waiting"] + thread["runnable"],
                                   asleep["waiting"], delta=0.05 * asleep["waiting"])
        # pthread_join of this thread, up to main.
        self.assertGreater(self.waits_in(profile, "waiter_join"), 0.95 * asleep["waiting"])
        self.assertAlmostEqual(
            self.waits_in(profile, "waiter_sleep") / self.waits_in(profile, "waiter_condition"), 2,
            delta=0.5)

    @steady
    def test_a_lack_of_cpus_is_no_wait(self):
        count = 2 * len(os.sched_getaffinity(0))
        profile, truth = self.record(program("burn", 1, count), "--wall")
        self.assertAlmostEqual(profile.on_cpu * profile.period_s, truth["cpu_s"],
                               delta=0.05 * truth["cpu_s"])
        runnable = self.waits_in(profile, "burn_both", RUNNABLE)
        self.assertGreater(runnable, 0.3 * profile.on_cpu)
        self.assertLess(self.waits_in(profile, "burn_both"), 0.02 * profile.ticks)

    @steady
    def test_the_chart_of_a_thread_shows_its_waits(self):
        profile, truth = self.record(program("sleeper", 3), "--wall")
        seconds = sum(delta for node, delta in zip(profile.samples, profile.deltas[1:])
                      if profile.names[node] == WAITING and "usleep" in profile.chain(node)) / 1e6
        by_time = profile.seconds_by_readers()
        # Before its first instruction alone.
        self.assertLess(by_time[harness.IDLE], 0.1)
        self.assertAlmostEqual(seconds, profile.waiting * profile.period_s,
                               delta=0.03 * truth["wall_s"])
        self.assertAlmostEqual(sum(by_time.values()), truth["wall_s"],
                               delta=0.06 * truth["wall_s"])

    def test_report(self):
        profile, _ = self.record(program("waiter", 2, THREADS, 100000), "--wall")
        report = json.loads(self.memprof("report", "--json", self.output).stdout)
        summary = report["summary"]
        self.assertEqual((report["ticks"], report["on_cpu_ticks"]),
                         (profile.ticks, profile.on_cpu))
        self.assertEqual((summary["off_cpu"], summary["runnable"]),
                         (profile.waiting, profile.runnable))
        self.assertEqual(sum(row["waiting"] for row in report["functions"]), profile.waiting)
        for row in report["functions"]:
            self.assertTrue(not row["waiting"] or row["kind"] != "kernel", row)
        # One thread by its samples agrees with what is told of it.
        thread = max(report["threads"], key=lambda row: row["waiting"])
        alone = json.loads(
            self.memprof("report", "--json", "--thread", thread["tid"], self.output).stdout)
        self.assertAlmostEqual(alone["summary"]["off_cpu"], thread["waiting"],
                               delta=0.05 * thread["waiting"])
        text = self.memprof("report", self.output).stdout
        self.assertIn(f"{profile.waiting + profile.runnable} of them off CPU", text)
        self.assertIn("\n [Off-CPU]:\n", text)

    def test_without_wall_nothing_waits(self):
        profile, _ = self.record(program("sleeper", 1))
        self.assertEqual(profile.waiting + profile.runnable, 0)
        self.assertNotIn(WAITING, profile.names.values())


@unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
class OrdinaryUser(Case):
    def test_the_remedy_is_told(self):
        if not 1 < int(PARANOID.read_text(encoding="ascii")) < 3:
            self.skipTest("needs perf_event_paranoid 2")
        os.chmod(self.folder, 0o777)
        for path in (harness.MEMPROF, harness.PROGRAMS / "burn"):
            os.chmod(shutil.copy(path, self.folder), 0o755)
        result = subprocess.run(
            [*harness.as_nobody(), f"{self.folder}/memprof", "record", "--wall",
             "--sampler", "perf", "-o", f"{self.folder}/x.cpuprofile", "--", f"{self.folder}/burn", "1"],
            text=True, capture_output=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual(result.returncode, 2)
        self.assertIn("kernel.perf_event_paranoid=1", result.stderr)
        self.assertEqual(sorted(os.listdir(self.folder)), ["burn", "memprof"])


if __name__ == "__main__":
    harness.main()
