#!/usr/bin/env python3
"""SIGKILL of memprof at any instant leaves the target as if nothing had been."""

import json
import random
import signal
import subprocess
import time
import unittest

import harness
import kills
from harness import Case, program

KILLS = 50
LAUNCHES = 20
ALL_THREADS = 9  # of torture, without the short ones


class Torture(Case):
    def start_torture(self, *seconds):
        target = self.start(program("torture", *(seconds or (3600,))), stdout=subprocess.PIPE)
        while not seconds and len(kills.threads(target.pid)) < ALL_THREADS:
            self.assert_alive(target)
        return target

    def finish(self, target):
        """All has held; returns how many of its calls were interrupted."""
        output, _ = target.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual((target.returncode, json.loads(output)["ok"]), (0, True), output)
        return json.loads(output)["interrupted"]


class Kill(Torture):
    def kill_many(self, sampler):
        target = self.start_torture()
        killer = kills.Killer(harness.MEMPROF, sampler, self.folder)
        for number in range(KILLS):
            held = killer.kill_one(target)
            self.assertIsNotNone(held, f"kill {number}: the target has ended")
            self.assertEqual(held, [], f"kill {number}: threads of the target were left stopped")
        # The kills struck what they were meant to strike.
        self.assertGreaterEqual(killer.while_sampling, KILLS // 2)
        target.send_signal(signal.SIGTERM)
        return killer, self.finish(target)

    def test_perf(self):
        _, interrupted = self.kill_many("perf")
        self.assertEqual(interrupted, 0)

    def test_ptrace(self):
        """Only a kill during a stop interrupts a call, and few stops are of a thread that waits."""
        killer, interrupted = self.kill_many("ptrace")
        self.assertGreater(killer.in_stop, 0)
        self.assertLessEqual(interrupted, killer.while_sampling)

    def test_nothing_is_interrupted_without_a_kill(self):
        for sampler in kills.SAMPLERS:
            with self.subTest(sampler=sampler):
                target = self.start_torture()
                result = self.memprof("record", "-q", "--sampler", sampler, "-d", "1.5",
                                      "-o", self.output, "-p", target.pid)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                target.send_signal(signal.SIGTERM)
                self.assertEqual(self.finish(target), 0)

    def test_launched(self):
        """The command runs on to its own end, or it has not begun; it waits for no dead memprof."""
        for number in range(LAUNCHES):
            sampler = kills.SAMPLERS[number % len(kills.SAMPLERS)]
            with self.subTest(number=number, sampler=sampler):
                memprof = self.start_memprof("record", "-q", "--sampler", sampler,
                                             "-o", f"{self.folder}/{number}.cpuprofile", "--",
                                             *program("torture", 0.05))
                time.sleep(random.uniform(0, kills.LONGEST_S))
                memprof.kill()
                # The output ends when all that hold it have ended, the command as well.
                output, errors = memprof.communicate(timeout=harness.TIMEOUT_S)
                self.assertEqual(errors, "")
                if output:
                    self.assertTrue(json.loads(output)["ok"], output)


class Check(Torture):
    """What the tests above rest on, without memprof: it holds, and it can fail."""

    def test_torture_holds_alone(self):
        self.assertEqual(self.finish(self.start_torture(1)), 0)

    def test_torture_notices_interrupted_waits(self):
        """A stop signal makes some waits fail with EINTR, without a handler (signal(7))."""
        target = self.start_torture()
        for _ in range(20):
            target.send_signal(signal.SIGSTOP)
            self.wait_until_stopped(target)
            target.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        target.send_signal(signal.SIGTERM)
        self.assertGreater(self.finish(target), 0)

    def test_stopped_threads_are_seen(self):
        target = self.start_torture()
        target.send_signal(signal.SIGSTOP)
        self.wait_until_stopped(target)
        self.assertEqual(kills.held_threads(target.pid), list(kills.threads(target.pid)))
        target.send_signal(signal.SIGCONT)
        self.assertEqual(kills.left_stopped(target.pid), [])

    def wait_until_stopped(self, target):
        while not kills.has_stopped(target.pid):
            self.assertIsNone(target.poll())


if __name__ == "__main__":
    harness.main()
