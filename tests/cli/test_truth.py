#!/usr/bin/env python3
"""What memprof says of a program, against what the program says of itself by its own clock."""

import json
import os
import shutil
import pathlib
import subprocess
import time
import unittest

import harness
from harness import Case, program, steady


class Burners(Case):
    def test_70_30(self):
        profile, truth = self.record(program("burn", 3))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        self.check_coverage(profile)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"],
                               delta=0.03 * truth["cpu_s"])
        self.assertEqual(profile.quality["lost"], 0)
        # The same again as readers charge it, by time: nothing but the two functions ran.
        by_time = profile.seconds_by_readers()
        both = by_time["burn_hot"] + by_time["burn_warm"]
        self.assertAlmostEqual(by_time["burn_hot"] / both, 0.7, delta=0.03)

    def test_every_stack_leads_to_main(self):
        profile, _ = self.record(program("burn", 1))
        whole = sum(hits for chain, hits in profile.stacks("burn_hot") if "main" in chain)
        self.assertGreaterEqual(whole, 0.995 * profile.total_ticks()["burn_hot"])
        for chain, _ in profile.stacks("burn_hot"):
            self.assertIn(chain[1], ("burn_slice", "burn_both"), "called by another function")

    def test_lines(self):
        """Functions are told with their file and line (0-based in this format)."""
        profile, _ = self.record(program("burn", 1))
        source = (harness.SOURCES / "burn.c").read_text(encoding="utf-8").splitlines()
        frames = [node["callFrame"] for node in profile.nodes
                  if node["callFrame"]["functionName"] == "burn_hot"]
        self.assertTrue(frames)
        for frame in frames:
            self.assertTrue(frame["url"].endswith("burn.c"), frame)
            self.assertIn("burn_hot", source[frame["lineNumber"]])

    def test_threads(self):
        profile, truth = self.record(program("burn", 1.5, 3))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        self.check_coverage(profile)
        threads = [thread["ticks"] for thread in profile.extension["threads"] if thread["ticks"]]
        self.assertEqual(len(threads), 3)
        for ticks in threads:
            self.assertAlmostEqual(ticks / profile.ticks, 1 / 3, delta=0.03)

    def test_threads_main_keeps_the_others_in_the_extension(self):
        profile, _ = self.record(program("burn", 1, 2), "--threads", "main")
        main = [thread for thread in profile.extension["threads"]
                if thread["tid"] == thread["pid"]]
        self.assertEqual(len(main), 1)
        standard = sum(profile.names[node] != harness.IDLE for node in profile.samples)
        self.assertEqual(standard, main[0]["ticks"])
        self.assertAlmostEqual(len(profile.extension["others"]["samples"]) / profile.ticks, 0.5,
                               delta=0.05)

    def test_frequency(self):
        profile, truth = self.record(program("burn", 2), "-F", 199)
        self.assertAlmostEqual(profile.period_s, 1 / 199, delta=1e-4)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"], delta=0.08)

    def test_report_agrees_with_the_file(self):
        profile, truth = self.record(program("burn", 2))
        result = self.memprof("report", "--json", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        report = json.loads(result.stdout)
        self.assertEqual(report["schema"], 1)
        self.assertEqual(report["ticks"], profile.ticks)
        functions = {row["name"]: row for row in report["functions"]}
        for name, seconds in truth["functions"].items():
            share = 100 * functions[name]["self"] / report["ticks"]
            whole = sum(truth["functions"].values())
            self.assertAlmostEqual(share, 100 * seconds / whole, delta=3)
            self.assertTrue(functions[name]["file"].endswith("burn.c"))
        self.assertEqual(functions["main"]["total"], profile.total_ticks()["main"])
        self.assertGreaterEqual(report["quality"]["coverage"], 0.95)
        self.assertIn("rss", [row["metric"] for row in report["memory"]])


class Languages(Case):
    def check_orders(self, profile, truth):
        self.check_shares(profile.total_ticks(), profile.ticks, truth)
        whole = sum(hits for node, hits in profile.hits.items()
                    if any(name.startswith("orders::serve(") for name in profile.chain(node)))
        self.assertGreaterEqual(whole, 0.98 * profile.ticks, "stacks that do not reach serve")
        self.check_coverage(profile)

    def test_cpp(self):
        self.check_orders(*self.record(program("orders", 3)))

    def test_cpp_threads(self):
        self.check_orders(*self.record(program("orders", 1.5, 4)))

    @unittest.skipUnless(shutil.which("node"), "node is not installed")
    def test_node(self):
        profile, truth = self.record(program("busy.js", 2))
        self.check_coverage(profile)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"],
                               delta=0.05 * truth["cpu_s"])
        modules = {os.path.basename(module["path"]) for module in profile.extension["modules"]}
        self.assertIn("node", modules)

    def test_python(self):
        profile, truth = self.record(program("busy.py", 2))
        self.check_coverage(profile)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"],
                               delta=0.05 * truth["cpu_s"])
        # The interpreter's own loop is on nearly every stack.
        loop = sum(hits for node, hits in profile.hits.items()
                   if any("EvalFrame" in name or "Py" in name for name in profile.chain(node)))
        self.assertGreaterEqual(loop, 0.9 * profile.ticks)


class Threads(Case):
    @steady
    def test_short_threads_lose_nothing(self):
        """Of threads that last 1.5 periods a third was lost before what they owe was made up for."""
        profile, truth = self.record(program("threads_short", 4))
        self.assertGreater(truth["threads"], 100)
        self.check_coverage(profile, 0.99, 1.03)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"],
                               delta=0.01 * truth["cpu_s"])
        # What is made up for stands at a stack of their kin's, or at none.
        self.check_shares(profile.self_ticks(), profile.ticks, truth, tolerance=8.0)

    def test_a_process_whose_main_thread_has_ended(self):
        target = self.start(program("leaderless", 2), stdout=subprocess.PIPE)
        while self.state(target.pid) != "Z":
            time.sleep(0.01)
        profile = self.attach(target, "-d", "1")
        self.assertGreater(profile.self_ticks()["leaderless_burn"], 0.9 * profile.ticks)
        self.assertIsNone(target.poll())

    @steady
    def test_a_thousand_threads(self):
        profile, truth = self.record(program("threads_many", 0.7, 1000, 4))
        self.check_coverage(profile)
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        self.assertEqual(max(value for _, value in profile.series("threads")), 1001)

    @steady
    def test_a_thousand_threads_attached(self):
        target = self.start(program("threads_many", 1.5, 1000, 4), stdout=subprocess.PIPE)
        self.assertEqual(target.stdout.readline(), "ready\n")
        profile = self.attach(target)
        self.check_coverage(profile)
        self.assertGreater(profile.self_ticks()["many_burn"], 0.9 * profile.ticks)
        busy = sorted((thread["ticks"] for thread in profile.extension["threads"]), reverse=True)
        self.assertGreater(sum(busy[:4]), 0.95 * profile.ticks)


class Changes(Case):
    """What changes in a target while it is recorded."""

    def test_exec(self):
        profile, truth = self.record(program("execer", 0.8))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        self.check_coverage(profile)

    def test_exec_attached(self):
        target = self.start(program("execer", 1), stdout=subprocess.PIPE)
        profile = self.attach(target)
        ticks = profile.self_ticks()
        self.assertGreater(ticks["before_exec"], 0)
        self.assertGreater(ticks["after_exec"], ticks["before_exec"])
        self.assertGreater(ticks["after_exec"] + ticks["before_exec"], 0.95 * profile.ticks)

    def test_dlopen(self):
        profile, truth = self.record(program("dlopener", 0.8))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        whole = sum(hits for chain, hits in profile.stacks("plugin_burn") if "main" in chain)
        self.assertGreaterEqual(whole, 0.99 * profile.total_ticks()["plugin_burn"])
        modules = {os.path.basename(module["path"]) for module in profile.extension["modules"]}
        self.assertIn("plugin.so", modules)

    def test_fork_without_children(self):
        profile, truth = self.record(program("forker", 0.8))
        ticks = profile.self_ticks()
        self.assertEqual(ticks["child_burn"], 0)
        del truth["functions"]["child_burn"]
        self.check_shares(ticks, profile.ticks, truth)
        self.check_coverage(profile)

    def test_fork_with_children(self):
        profile, truth = self.record(program("forker", 0.8), "--children")
        whole = truth["cpu_s"] + truth["functions"]["child_burn"]
        self.check_shares(profile.self_ticks(), profile.ticks, truth, whole)
        self.check_coverage(profile)
        self.assertAlmostEqual(profile.ticks * profile.period_s, whole, delta=0.04 * whole)
        processes = {thread["pid"] for thread in profile.extension["threads"] if thread["ticks"]}
        self.assertEqual(len(processes), 3)


    def test_children_that_run_already(self):
        burn = program("burn", 2)
        shell = self.start(["sh", "-c", f"{burn[0]} {burn[1]} & wait"], stdout=subprocess.PIPE)
        while not pathlib.Path(f"/proc/{shell.pid}/task/{shell.pid}/children").read_text("utf-8"):
            time.sleep(0.01)
        profile = self.attach(shell, "-d", "1")
        self.assertNotIn("burn_hot", profile.self_ticks())
        profile = self.attach(shell, "-d", "1", "--children")
        self.assertGreater(profile.self_ticks()["burn_hot"], 0.5 * profile.ticks)


class Stacks(Case):
    def test_deep(self):
        """300 KB of stack: past any copy, yet never charged to a wrong caller."""
        profile, truth = self.record(program("deep", 1.5))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        known = {"deep_burn", "deep_recurse", "burn_slice", "burn_for", "main"}
        above_main = {"__libc_start_main", "__libc_start_call_main", "_start",
                      "__libc_start_main_impl"}
        for chain, _ in profile.stacks("deep_burn"):
            self.assertLessEqual(set(chain), known | above_main | {"(truncated)"})
        depths = [chain.count("deep_recurse") for chain, _ in profile.stacks("deep_burn")]
        self.assertGreater(max(depths), 5)
        # A stack of which the copy was too short is counted, or made whole: never neither.
        short = sum(hits for chain, hits in profile.stacks("deep_burn") if "main" not in chain)
        self.assertLessEqual(short, profile.quality["truncated"] + profile.quality["broken"])

    def test_signal_frames(self):
        profile, truth = self.record(program("signal_frames", 1.5))
        self.check_shares(profile.self_ticks(), profile.ticks, truth)
        through = whole = 0
        for chain, hits in profile.stacks("handler_burn"):
            through += hits * ("interrupted_burn" in chain)
            whole += hits * ("main" in chain)
        total = profile.total_ticks()["handler_burn"]
        self.assertGreaterEqual(whole, 0.99 * total)
        self.assertGreaterEqual(through, 0.9 * total)

    def test_kernel(self):
        if os.geteuid():
            self.skipTest("only root may see the kernel's part")
        profile, truth = self.record(program("kernel_busy", 1.5), "--kernel")
        self.check_shares(profile.total_ticks(), profile.ticks, truth)
        self.check_coverage(profile)
        kernel = sum(hits for node, hits in profile.hits.items()
                     if profile.kinds.get(node) == harness.KIND_KERNEL)
        self.assertAlmostEqual(100 * kernel / profile.ticks,
                               100 * truth["functions"]["kernel_read"] / truth["cpu_s"], delta=5)
        through = sum(hits for chain, hits in profile.stacks("kernel_read") if "main" in chain)
        self.assertGreaterEqual(through, 0.98 * profile.total_ticks()["kernel_read"])

    def test_no_kernel(self):
        profile, truth = self.record(program("kernel_busy", 1), "--no-kernel")
        self.assertNotIn(harness.KIND_KERNEL, profile.kinds.values())
        self.assertGreater(profile.self_ticks()["user_burn"] * profile.period_s,
                           0.9 * truth["functions"]["user_burn"])


class Memory(Case):
    def test_sleeping_is_charged_to_nobody(self):
        profile, truth = self.record(program("sleeper", 3))
        self.check_coverage(profile, 0.9, 1.1)
        self.assertAlmostEqual(profile.ticks * profile.period_s, truth["cpu_s"], delta=0.05)
        by_time = profile.seconds_by_readers()
        wall = sum(by_time.values())
        self.assertAlmostEqual(100 * by_time["sleeper_burn"] / wall,
                               100 * truth["functions"]["sleeper_burn"] / truth["wall_s"], delta=3)
        self.assertGreater(by_time[harness.IDLE], 0.5 * wall)

    def test_growth(self):
        profile, truth = self.record(program("grower", 3, 40), "--memory-interval", 0.25)
        rss = profile.series("rss")
        self.assertGreaterEqual(len(rss), 6)
        seconds, grown = rss[-1][0] - rss[0][0], rss[-1][1] - rss[0][1]
        self.assertAlmostEqual(grown / seconds, 40 * 2**20, delta=4 * 2**20)
        # The first reading may come before the loader's: a program's own pages are up to 3 MB.
        self.assertLessEqual(rss[-1][1] - rss[0][1], truth["allocated"] + 4 * 2**20)
        times = [at for at, _ in rss]
        self.assertEqual(times, sorted(times))
        # The breakdown followed the peaks, and its parts are the whole.
        last = {}
        for series in profile.extension["series"]:
            if series["name"].startswith("smaps.") and series["name"] != "smaps.swap":
                points = profile.series(series["name"])
                last[points[-1][0]] = last.get(points[-1][0], 0) + points[-1][1]
        whole = last[max(last)]
        at_that_time = min(rss, key=lambda point: abs(point[0] - max(last)))[1]
        self.assertAlmostEqual(whole, at_that_time, delta=4 * 2**20)
        report = json.loads(self.memprof("report", "--json", self.output).stdout)
        row = next(row for row in report["memory"] if row["metric"] == "rss")
        self.assertEqual((row["first"], row["last"]), (rss[0][1], rss[-1][1]))
        self.assertEqual(row["peak"], max(value for _, value in rss))
        self.assertAlmostEqual(row["slope_per_minute"], 40 * 60 * 2**20, delta=5 * 60 * 2**20)

    def test_many_mappings(self):
        target = self.start(program("maps_many", 2.5), stdout=subprocess.PIPE)
        self.assertEqual(target.stdout.readline(), "ready\n")
        profile = self.attach(target, "--memory-interval", 0.1)
        self.check_coverage(profile)
        self.assertGreater(profile.self_ticks()["maps_burn"], 0.95 * profile.ticks)
        self.assertGreaterEqual(len(profile.series("rss")), 10)
        self.assertLess(len(profile.series("pss")), len(profile.series("rss")),
                        "smaps_rollup was read at each interval, whatever it cost")


if __name__ == "__main__":
    harness.main()
