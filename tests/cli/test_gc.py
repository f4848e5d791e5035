#!/usr/bin/env python3
"""Pauses of V8's garbage collector, against what --trace-gc tells of the same run.

MEMPROF_NODES names the node binaries to test with, colon-separated; without it the one in PATH is.
"""

import collections
import functools
import json
import math
import os
import re
import shutil
import signal
import statistics
import subprocess
import time
import unittest

import harness
from harness import Case, program, steady

NODES = [node for node in (os.environ.get("MEMPROF_NODES") or shutil.which("node") or "").split(":")
         if node]
# [PID:ISOLATE] 123 ms: Scavenge 12.3 (45.6) -> 7.8 (45.6) MB, [pooled: …,] 0.9 / 0.0 ms … reason;
LINE = re.compile(r"\[\d+:(0x[0-9a-f]+)\]\s+(\d+) ms: (Scavenge|Mark-\w+)[^>]*? ([\d.]+) \([\d.]+\)"
                  r" -> ([\d.]+) \([\d.]+\) MB,.*? ([\d.]+) / [\d.]+ ms.*?\)? ?([a-zA-Z][^;()]*);")
STEP = "incremental step"
MEBIBYTE = 1 << 20

Traced = collections.namedtuple("Traced", "end_ms kind ms before after reason")
Pause = collections.namedtuple("Pause", "start_us us kind reason before after tid estimated node")


def traced(text):
    """The collections that V8 tells of, by isolate."""
    isolates = collections.defaultdict(list)
    for line in text.splitlines():
        if " ms: Scavenge" in line or " ms: Mark-" in line:
            match = LINE.match(line)
            assert match, line
            kind = "scavenge" if match[3] == "Scavenge" else "mark-compact"
            isolates[match[1]].append(Traced(int(match[2]), kind, float(match[6]), float(match[4]),
                                             float(match[5]), match[7]))
    return isolates


def pauses(profile):
    return [Pause(start, duration, *rest, node) for start, duration, kind, node, *rest
            in profile.extension.get("events", []) if kind == "gc"]


def collections_of(profile):
    return [pause for pause in pauses(profile) if pause.kind != STEP]


def tolerance_ms(ms):
    return max(0.2, 0.05 * ms)


def align(found, told):
    """The first of `told` that `found` begins with: where the durations differ least."""
    def difference(first):
        return sum(abs(one.us / 1000 - two.ms) for one, two in zip(found, told[first:]))
    return min(range(len(told) - len(found) + 1), key=difference)


def on_each_node(test):
    """A test of durations for each node, as a subtest that has three attempts: see steady."""
    @functools.wraps(test)
    def each(case):
        for node in NODES:
            with case.subTest(node):
                steady(test)(case, node)
    return each


class OfNode(Case):
    """Each test on each node."""

    def setUp(self):
        super().setUp()
        if not NODES:
            self.skipTest("no node here")

    def check_same(self, found, told):
        """
        One after the other, the same. Up to 11.3 V8 does not tell its own times, and a thread may
        lose its CPU between its look at the clock and ours: of ten durations one may differ.
        """
        self.assertEqual(len(found), len(told), (found, told))
        off = [(one, two) for one, two in zip(found, told)
               if abs(one.us / 1000 - two.ms) > tolerance_ms(two.ms)]
        self.assertLessEqual(len(off), math.ceil(len(found) / 10), off)
        for one, two in zip(found, told):
            self.assertEqual((one.kind, one.reason), (two.kind, two.reason), (one, two))
            if one.before:
                self.assertAlmostEqual(one.before / MEBIBYTE, two.before, delta=0.06)
                self.assertAlmostEqual(one.after / MEBIBYTE, two.after, delta=0.06)

    def check_window(self, profile, found, told, slack_ms):
        """What was told and not found was not wholly inside the recording."""
        first = align(found, told)
        self.check_same(found, told[first:first + len(found)])
        ahead_ms = statistics.median((one.start_us + one.us) / 1000 - two.end_ms
                                     for one, two in zip(found, told[first:]))
        for two in told[:first]:
            self.assertLess(two.end_ms - two.ms + ahead_ms,
                            profile.json["startTime"] / 1000 + slack_ms, (two, found[0]))
        for two in told[first + len(found):]:
            self.assertGreater(two.end_ms + ahead_ms, profile.json["endTime"] / 1000 - 50,
                               (two, found[-1]))

    def need_hooks(self, profile):
        """Skips where pauses can't be seen here, with memprof's reason."""
        note = profile.quality["note"]
        if "GC pauses estimated" in note:
            self.skipTest(note)


class Exact(OfNode):
    @on_each_node
    def test_from_start_to_end(self, node):
        """A launched program: none is missed, not the first one nor the last."""
        result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                              *program("collect.js", 2)[1:])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.need_hooks(profile)
        (told,) = traced(result.stdout).values()
        self.assertGreater(len(told), 5)
        self.check_same(collections_of(profile), told)
        self.assertGreater(sum(one.before > 0 for one in collections_of(profile)), 0)
        self.assertFalse(any(one.estimated for one in pauses(profile)))

    @on_each_node
    def test_steps(self, node):
        """Of each marking that came to its end V8 tells how many there were."""
        result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                              *program("collect.js", 3, "old")[1:])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.need_hooks(profile)
        told = sum(map(int, re.findall(r" ms in (\d+) steps since", result.stdout)))
        if not told:
            self.skipTest("no marking came to its end: this machine is too busy")
        last_us = max(one.start_us for one in collections_of(profile)
                      if one.kind == "mark-compact")
        found = [one for one in pauses(profile)
                 if one.kind == STEP and one.start_us < last_us]
        self.assertAlmostEqual(len(found), told, delta=max(2, told / 20))

    @on_each_node
    def test_attached(self, node):
        target = self.start([node, "--trace-gc", *program("collect.js", 6)[1:]],
                            stdout=subprocess.PIPE)
        time.sleep(0.7)
        profile = self.attach(target, "-d", "2")
        self.assert_alive(target)
        (told,) = traced(target.communicate(timeout=harness.TIMEOUT_S)[0]).values()
        self.need_hooks(profile)
        found = collections_of(profile)
        self.assertGreater(len(found), 1)
        # It takes a moment until the first is watched, more on a machine that is busy.
        self.check_window(profile, found, told, 1000)

    def check_worker(self, node):
        result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                              *program("collect.js", 3, "worker")[1:])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.need_hooks(profile)
        told = max(traced(result.stdout).values(), key=len)
        tids = collections.Counter(one.tid for one in collections_of(profile))
        worker = [one for one in collections_of(profile)
                  if one.tid == tids.most_common(1)[0][0]]
        self.assertNotEqual(worker[0].tid, profile.extension["threads"][0]["pid"])
        first = align(worker, told)
        self.check_same(worker, told[first:])
        self.assertLess(first, len(told) / 2, (worker, told))

    @on_each_node
    def test_a_worker(self, node):
        """Known by its first sample of JavaScript, so from a moment after its start."""
        self.check_worker(node)

    @on_each_node
    def test_who_set_it_off(self, node):
        result = self.memprof("record", "-q", "-o", self.output, "--", node,
                              *program("collect.js", 2)[1:])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.need_hooks(profile)
        found = [one for one in collections_of(profile)
                 if one.reason == "allocation failure"]
        chains = [profile.chain(one.node) for one in found]
        self.assertFalse(any("(garbage collector)" in chain for chain in chains))
        # Node's own start collects, too.
        mine = [chain for chain in chains if "makeGarbage" in chain]
        self.assertGreaterEqual(len(mine), len(chains) / 2, chains)

    def test_debug_registers(self):
        """An ordinary user, and a process of its own."""
        prefix = harness.as_nobody()
        if not prefix:
            self.skipTest("needs root and setpriv")
        os.chmod(self.folder, 0o777)
        for node in NODES:
            with self.subTest(node):
                result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                                      *program("collect.js", 2)[1:], prefix=prefix)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                profile = self.load()
                self.need_hooks(profile)
                (told,) = traced(result.stdout).values()
                self.check_same(collections_of(profile), told)
                os.unlink(self.output)


class Told(OfNode):
    def test_long_pauses_and_the_report(self):
        result = self.memprof("record", "-o", self.output, "--", NODES[0], "--trace-gc",
                              *program("collect.js", 2)[1:])
        profile = self.load()
        self.need_hooks(profile)
        found = pauses(profile)
        long_ones = [one for one in found if one.us > 50000]
        lines = re.findall(r"^Long GC pause: ([\d.]+) ms \(([a-z -]+)\)$", result.stderr, re.M)
        self.assertEqual([kind for _, kind in lines], [one.kind for one in long_ones])
        for (ms, _), one in zip(lines, long_ones):
            self.assertAlmostEqual(float(ms), one.us / 1000, delta=0.01)
        events = json.loads(self.memprof("report", "--json", self.output).stdout)["events"]["gc"]
        self.assertEqual(events["count"], len(found))
        self.assertAlmostEqual(events["total_ms"], sum(one.us for one in found) / 1000, delta=0.01)
        self.assertEqual(events["max_ms"], max(one.us for one in found) / 1000)
        self.assertEqual(events["longest"]["duration_ms"], events["max_ms"])
        kinds = {kind["kind"]: kind["count"] for kind in events["kinds"]}
        self.assertEqual(kinds, collections.Counter(one.kind for one in found))
        text = self.memprof("report", self.output).stdout
        self.assertIn("\n [GC]:\n", text)
        self.assertNotIn("estimated", text)

    def test_ticks_of_the_collector(self):
        """Of the JavaScript thread as much as the pauses took, and little more: it also sweeps."""
        result = self.memprof("record", "-q", "-o", self.output, "--", NODES[0],
                              *program("collect.js", 3)[1:])
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        names = collections.Counter()
        for node, hits in profile.hits.items():
            names[profile.names[node]] += hits
        self.assertGreater(names["(garbage collector)"], 20)
        inside = [name for name in names if names[name] and re.match(
            r"v8::internal::(Scavenger|ScavengerCollector|MarkCompactCollector|Sweeper)::", name)]
        self.assertEqual(inside, [])

    def test_a_target_that_is_killed(self):
        target = self.start([NODES[0], *program("collect.js", 60)[1:]], stdout=subprocess.DEVNULL)
        memprof = self.start_memprof("record", "-q", "-o", self.output, "-p", target.pid)
        self.wait_for_recording(target, memprof)
        time.sleep(3)  # time enough for some, on a machine that is busy, too
        target.send_signal(signal.SIGKILL)
        self.assertEqual(memprof.communicate(timeout=harness.TIMEOUT_S), ("", ""))
        self.assertEqual(memprof.returncode, 0)
        self.assertGreater(len(pauses(self.load())), 0)


class Estimated(OfNode):
    def check_estimates(self, profile, text):
        """
        All marked, and no more of them than there was: a pause that waits for a CPU has fewer
        samples than it is long.
        """
        found = pauses(profile)
        told = [one for isolate in traced(text).values() for one in isolate]
        self.assertGreater(len(found), 0)
        self.assertTrue(all(one.estimated for one in found))
        self.assertIn("GC pauses estimated from samples: ", profile.quality["note"])
        estimated_ms = sum(one.us for one in found if one.kind != STEP) / 1000
        truth_ms = sum(one.ms for one in told)
        self.assertLess(estimated_ms, 1.3 * truth_ms + 20)
        self.assertGreater(estimated_ms, 0)
        report = self.memprof("report", self.output).stdout
        self.assertIn(f"{len(found)}  of these estimated from samples", report)
        events = json.loads(self.memprof("report", "--json", self.output).stdout)["events"]["gc"]
        self.assertEqual(events["estimated"], len(found))

    @on_each_node
    def test_where_perf_is_refused(self, node):
        result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                              *program("collect.js", 2)[1:], prefix=program("no_perf"))
        self.assertEqual(result.returncode, 0, result.stderr)
        profile = self.load()
        self.assertEqual(profile.quality["sampler"], "ptrace")
        self.check_estimates(profile, result.stdout)

    def test_where_only_sampling_is_permitted(self):
        prefix = harness.as_nobody()
        if not prefix:
            self.skipTest("needs root and setpriv")
        os.chmod(self.folder, 0o777)
        for node in NODES:
            with self.subTest(node):
                result = self.memprof("record", "-q", "-o", self.output, "--", node, "--trace-gc",
                                      *program("collect.js", 2)[1:], prefix=prefix)
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                profile = self.load()
                if "GC pauses estimated" not in profile.quality["note"]:
                    self.skipTest("debug registers work here: nothing is estimated")
                self.check_estimates(profile, result.stdout)
                os.unlink(self.output)


if __name__ == "__main__":
    harness.main()
