#!/usr/bin/env python3
"""JavaScript stacks from outside against what V8 says of them itself, frame by frame.

The programs stop themselves and take the same stack with new Error() (tests/programs/v8_truth.js);
or they run with a perf map, and each frame's name is looked up there, too. js_stack (tests/oracle)
takes the stacks from outside. ORACLES names the folder of it, MEMPROF_NODES the versions of Node.js,
separated by colons.
"""

import collections
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import Case, program

JS_STACK = os.path.join(os.path.abspath(os.environ["ORACLES"]), "js_stack")
JAVASCRIPT = "javascript"

Site = collections.namedtuple("Site", "function file line column definition is_async")


def of_v8_itself(site):
    """A builtin ("Array.map") is the runtime's outside, as WebAssembly is; what waits for an
    asynchronous function ("at async main") is not on the stack."""
    return not site.is_async and site.line is not None and not (site.file or "").startswith("wasm:")


def is_named_so(found, site):
    """Whether a name from outside is the function's of V8's call site.

    V8 reads the function's own "name" there, outside the name that its code was given is read.
    They differ for keys computed at run time, which only the function knows; a function without
    a name has one outside that V8 inferred for it from where it is assigned ("holder.assigned").
    """
    name = site.function
    if found == (name or ""):
        return True
    is_inferred = all(re.fullmatch(r"[\w$#<>]+", part) for part in found.split("."))
    if name is None or name == "eval" or name == "computed1":
        return found == "" or is_inferred
    return name.startswith(("[", "get [", "set [")) and (found == "" or is_inferred)


class Truth(Case):
    """Stacks at which a program stopped itself."""

    def stacks(self, node, flags, calls):
        """[(what V8 says, what is seen from outside)] of each stop."""
        command = [JS_STACK, "-o", os.path.join(self.folder, "stacks"), "--", node, *flags,
                   *program("v8_truth.js", *calls)[1:]]
        result = subprocess.run(command, capture_output=True, text=True,
                                timeout=harness.TIMEOUT_S, check=False)
        if result.returncode == 77:
            self.skipTest(result.stderr)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        inside = json.loads(result.stdout)
        with open(command[2], encoding="utf-8") as file:
            outside = [json.loads(line) for line in file]
        self.assertEqual(len(inside), len(outside))
        return list(zip(inside, outside))

    def problems_of(self, inside, outside):
        """What is wrong with one stack, in words."""
        truth = [site for site in map(Site._make, inside["frames"]) if of_v8_itself(site)]
        threads = [[frame for frame in thread["frames"] if frame["kind"] == JAVASCRIPT]
                   for thread in outside["threads"]]
        threads = [frames for frames in threads if any(frame["function"] == "stop"
                                                       for frame in frames)]
        if len(threads) != 1:
            yield f"{len(threads)} threads are in stop"
            return
        frames = threads[0]
        if len(frames) != len(truth):
            yield f"{len(frames)} frames, not {len(truth)}"
        for frame, site in zip(frames, truth):
            if not is_named_so(frame["function"], site):
                yield f"{frame['function']!r} for {site.function!r} {site}"
            if frame["file"] != (site.file or ""):
                yield f"file {frame['file']!r} for {site}"
            if frame["call_line"] != site.line:
                yield f"line {frame['call_line']} for {site}"
            if frame["line"] != site.definition:
                yield f"defined at {frame['line']}, for {site}"

    def check(self, node, flags, tiers, *calls):
        """No wrong depth, name, file or line, and code of all these tiers was met."""
        stacks = self.stacks(node, flags, calls)
        self.assertGreater(len(stacks), 100)
        wrong, frames, marks = [], 0, collections.Counter()
        for inside, outside in stacks:
            where = f"{inside['point']} after {inside['warm']} calls" + (
                " in a Worker" if inside.get("worker") else "")
            wrong += [f"{where}: {problem}" for problem in self.problems_of(inside, outside)]
            for thread in outside["threads"]:
                for frame in thread["frames"]:
                    if frame["kind"] == JAVASCRIPT:
                        frames += 1
                        marks[frame["tier"]] += 1
                        marks["inlined"] += frame["inlined"]
        print(f"{node} {' '.join(flags)}: {len(stacks)} stacks, {frames} frames {dict(marks)}, "
              f"{len(wrong)} wrong")
        self.assertFalse(wrong, f"{len(wrong)} are wrong:\n" + "\n".join(wrong[:40]))
        for tier in tiers:
            self.assertGreater(marks[tier], 20, f"{tier} was not met: {marks}")

    def test_as_it_is(self):
        harness.for_each_node(self, lambda node: self.check(
            node, [], ["~", "^", "*", "inlined"] + ["+"] * (harness.node_major(node) >= 24)))

    def test_flags(self):
        def check(node):
            self.check(node, ["--no-opt"], ["~", "^"], "0,400")
            self.check(node, ["--always-sparkplug"], ["^"], "0,4000")
        harness.for_each_node(self, check)


# "LazyCompile:*fib /srv/app.js:3:13"; V8 10.2 has no column. A mark with ' is code entered in a loop.
MAP_NAME = re.compile(r"(?:JS|LazyCompile|Function|Eval|Script):([~^+*]?)'?(.*?):(\d+)(?::(\d+))?")


class PerfMap(Case):
    """Frames at any moment against the perf map that V8 writes of the same process."""

    FLAGS = ["--perf-basic-prof", "--interpreted-frames-native-stack"]

    def frames(self, node, stops, *command):
        """Each frame whose address is a function's in the map: what it is to us, and there.

        Not those in the interpreter's own code, of which V8 copies the entry alone, and not for
        functions of its snapshot; nor code that V8 has not told of.
        """
        stacks = os.path.join(self.folder, "stacks")
        result = subprocess.run(
            [JS_STACK, "-n", str(stops), "-o", stacks, "--", node, *self.FLAGS, *command],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, cwd=self.folder,
            timeout=harness.TIMEOUT_S, check=False)
        if result.returncode == 77:
            self.skipTest(result.stderr)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(stacks, encoding="utf-8") as file:
            for line in file:
                for thread in json.loads(line)["threads"]:
                    for frame in thread["frames"]:
                        in_map = MAP_NAME.fullmatch(frame.get("map", ""))
                        if in_map and not frame.get("inlined"):
                            yield frame, in_map

    @staticmethod
    def differences(frame, in_map):
        mark, name, line, column = in_map.groups()
        if frame["kind"] != JAVASCRIPT or frame["function"] == "(unknown JavaScript)":
            return "unknown"
        if f"{frame['function']} {frame['file']}" != name or frame["line"] != int(line) or (
                column and frame["column"] != int(column)):
            return "another function"
        return "" if frame["tier"] == mark else "another tier"

    def check(self, node, unknown, stops, *command):
        found, examples = collections.Counter(), {}
        for frame, in_map in self.frames(node, stops, *command):
            difference = self.differences(frame, in_map)
            found[difference or "equal"] += 1
            examples.setdefault(difference, []).append(frame)
        total = sum(found.values())
        print(f"{command[0]}, {node}: {total} frames, {100 * found['equal'] / total:.2f} % equal, "
              f"{dict(found)}")
        for difference, frames in examples.items():
            for frame in frames[:5] if difference else []:
                print(f"  {difference}: {frame}")
        self.assertGreater(total, 5000)
        # The map may be stale where code has gone; what the collector moves just now is unknown,
        # and churn.js leaves it little time.
        self.assertGreaterEqual(found["equal"], 0.995 * (total - found["unknown"]))
        self.assertLess(found["unknown"], unknown * total)

    def test_mixed(self):
        harness.for_each_node(self, lambda node: self.check(
            node, 0.005, 1500, *program("mixed.js", 100000)[1:]))

    def test_churn(self):
        harness.for_each_node(self, lambda node: self.check(
            node, 0.2, 1000, *program("churn.js", 0)[1:]))


if __name__ == "__main__":
    harness.main()
