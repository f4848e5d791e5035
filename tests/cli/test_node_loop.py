#!/usr/bin/env python3
"""The event loop and the heap of a stock Node.js, against what it says of itself at that moment."""

import bisect
import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case

BLOCK_MS = 600
BLOCK_AT_MS = 2500
RECORDED_S = 4
# Of getActiveResourcesInfo(), those that are handles whenever they are told.
RESOURCES = {"TCPServerWrap": "tcp", "TCPSocketWrap": "tcp", "UDPWrap": "udp",
             "FSEventWrap": "fs_event"}


class Truth:
    """What the program told, by time."""

    def __init__(self, path):
        lines = path.read_text(encoding="utf-8").splitlines()
        self.told = [json.loads(line) for line in lines if line.endswith("}")]
        self.times = [one["us"] for one in self.told]

    def around(self, time_us, count=3):
        """The next ones told before and after a moment."""
        place = bisect.bisect(self.times, time_us)
        return self.told[max(0, place - count):place + count]

    def at(self, time_us, figure):
        """A figure that grows evenly, at a moment."""
        place = min(max(bisect.bisect(self.times, time_us), 1), len(self.told) - 1)
        before, after = self.told[place - 1], self.told[place]
        share = (time_us - before["us"]) / (after["us"] - before["us"])
        return figure(before) + share * (figure(after) - figure(before))

    def utilization(self, start_us, end_us, of):
        active, idle = (self.at(end_us, lambda told: of(told)[key]) -
                        self.at(start_us, lambda told: of(told)[key]) for key in ("active", "idle"))
        return active / (active + idle)


class OfNode(Case):
    def prepare(self, node):
        """A node that runs, and has told of itself for a while."""
        self.truth_path = pathlib.Path(self.folder) / "truth"
        script = shutil.copy(harness.SOURCES / "loop_truth.js", self.folder)
        command = [*self.prefix(), node, script, "30", str(BLOCK_AT_MS), str(BLOCK_MS)]
        with open(self.truth_path, "w", encoding="utf-8") as output:
            process = self.start(command, stdout=output)
        deadline = time.monotonic() + harness.TIMEOUT_S
        while self.truth_path.stat().st_size < 10000:
            self.assertIsNone(process.poll())
            self.assertLess(time.monotonic(), deadline, "it does not start")
            time.sleep(0.02)
        return process

    def prefix(self):
        return []

    def record(self, process):
        result = self.memprof("record", "-q", "-p", process.pid, "-d", RECORDED_S,
                              "--memory-interval", "0.2", "-o", self.output, prefix=self.prefix())
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assert_alive(process)
        time.sleep(0.3)
        return self.load(), Truth(self.truth_path)

    @staticmethod
    def points(profile, name):
        start_us = profile.json["startTime"]
        return [(start_us + at_s * 1e6, value) for at_s, value in profile.series(name)]

    def check_utilization(self, profile, truth, prefix, of):
        idle = self.points(profile, prefix + "eventloop.idle")
        (start_us, start_s), (end_us, end_s) = idle[0], idle[-1]
        found = 1 - (end_s - start_s) / ((end_us - start_us) / 1e6)
        self.assertAlmostEqual(found, truth.utilization(start_us, end_us, of), delta=0.02)
        return found

    def check_memory(self, profile, truth, name, series=None, of=lambda told: told["memory"]):
        """Each reading within 5 % of what was told just before and after it."""
        points = self.points(profile, series or name)
        self.assertGreater(len(points), 8, name)
        for time_us, value in points:
            told = [of(one)[name] for one in truth.around(time_us) if of(one)]
            self.assertGreater(value, 0.95 * min(told), (name, value, told))
            self.assertLess(value, 1.05 * max(told), (name, value, told))

    def check_handles(self, profile, truth):
        """The last count of each type, which is the same all the time."""
        told = [RESOURCES[name] for name in truth.told[-1]["resources"] if name in RESOURCES]
        self.assertEqual(told.count("tcp"), 7)
        for kind in ("tcp", "udp", "fs_event"):
            counts = [value for _, value in profile.series("handles." + kind)]
            self.assertEqual(set(counts), {told.count(kind)}, kind)
        self.assertIn(1, {value for _, value in profile.series("handles.timer")})

    def check_block(self, profile):
        blocks = [event for event in profile.extension["events"] if event[2] == "event loop block"]
        longest = max(blocks, key=lambda event: event[1])
        self.assertAlmostEqual(longest[1] / 1000, BLOCK_MS, delta=0.2 * BLOCK_MS)
        self.assertIn("blockTheLoop", profile.chain(longest[3]))
        lag = max(value for _, value in profile.series("eventloop.lag"))
        self.assertAlmostEqual(lag, BLOCK_MS, delta=0.2 * BLOCK_MS)

    def check_report(self, utilization):
        text = self.memprof("report", self.output).stdout
        section = text[text.index("[Event loop]"):]
        self.assertIn(f"{100 * utilization:.1f}%  utilization", section)
        self.assertIn("spin ", section)
        self.assertIn("handles.tcp", section)
        report = json.loads(self.memprof("report", "--json", self.output).stdout)["event_loop"]
        self.assertAlmostEqual(report["utilization"], utilization, places=4)
        self.assertAlmostEqual(report["longest"]["duration_ms"], BLOCK_MS, delta=0.2 * BLOCK_MS)
        self.assertEqual(report["handles"]["tcp"], 7)

    def check_all(self, node):
        process = self.prepare(node)
        profile, truth = self.record(process)
        self.end(process)
        utilization = self.check_utilization(profile, truth, "", lambda told: told)
        self.check_utilization(profile, truth, "worker1.", lambda told: told["worker"])
        for name in ("heapTotal", "heapUsed", "external", "arrayBuffers"):
            self.check_memory(profile, truth, name)
        self.check_memory(profile, truth, "heapUsed", "worker1.heapUsed",
                          lambda told: told["ofWorker"] and told["ofWorker"]["memory"])
        self.check_handles(profile, truth)
        self.check_block(profile)
        self.check_report(utilization)
        self.assertEqual([note for note in profile.quality["note"].split("; ")
                          if note.startswith(("no event loop", "no heapUsed"))], [])


class Loop(OfNode):
    def test_attached(self):
        harness.for_each_node(self, harness.steady(self.check_all))

    def test_other_programs_have_none(self):
        profile = self.record_program("burn", 1)
        names = {series["name"] for series in profile.extension["series"]}
        self.assertFalse(names & {"v8.mapped", "heapTotal", "handles", "eventloop.idle"})

    def record_program(self, *command):
        result = self.memprof("record", "-q", "-o", self.output, "--", *harness.program(*command))
        self.assertEqual(result.returncode, 0, result.stderr)
        return self.load()

    def test_launched(self):
        """A process that becomes node only by its exec."""
        def check(node):
            script = harness.SOURCES / "loop_truth.js"
            result = self.memprof("record", "-q", "--memory-interval", "0.2", "-o", self.output,
                                  "--", node, script, "3", "800", "300")
            self.assertEqual(result.returncode, 0, result.stderr)
            profile = self.load()
            for name in ("heapUsed", "eventloop.utilization", "handles.tcp"):
                self.assertGreater(len(profile.series(name)), 5, name)
        harness.for_each_node(self, check)


@unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
class OrdinaryUser(OfNode):
    def prefix(self):
        return harness.as_nobody()

    def test_attached(self):
        paranoid = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")
        if int(paranoid.read_text(encoding="ascii")) > 2:
            self.skipTest("perf_event_paranoid forbids perf_event_open to users")
        os.chmod(self.folder, 0o755)
        out = os.path.join(self.folder, "out")
        os.mkdir(out)
        os.chown(out, harness.NOBODY, harness.NOBODY)
        self.output = os.path.join(out, "out.cpuprofile")
        harness.MEMPROF = shutil.copy(harness.MEMPROF, self.folder)
        harness.for_each_node(self, harness.steady(
            lambda node: self.check_as_user(shutil.copy(node, out))))

    def check_as_user(self, node):
        ran = subprocess.run([*self.prefix(), node, "--version"], capture_output=True, check=False)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.check_all(node)


if __name__ == "__main__":
    harness.main()
