#!/usr/bin/env python3
"""Node.js recorded as it is, without a flag: its functions named, and given their share of time."""

import collections
import os
import pathlib
import re
import subprocess
import time

import harness
from harness import Case, steady, program

KIND_JAVASCRIPT = 1  # enum frame_kind of core/profile.h
UNKNOWN = "(unknown JavaScript)"
GENERATED = re.compile(r"g(\d+)_(\d+)_(\d+)")


def with_node(node, name, *args, flags=()):
    return [node, *flags, *program(name, *args)[1:]]


class Node(Case):
    def javascript(self, profile):
        """Frames of JavaScript on the stacks of all ticks, and how many of those have a name."""
        frames, named = collections.Counter(), 0
        for node, hits in profile.hits.items():
            while node in profile.parents and hits:
                if profile.kinds[node] == KIND_JAVASCRIPT:
                    frames[profile.names[node]] += hits
                    named += hits * (profile.names[node] != UNKNOWN)
                node = profile.parents[node]
        return frames, named

    def check_named(self, profile, what, least=0.98):
        frames, named = self.javascript(profile)
        total = sum(frames.values())
        print(f"{what}: {profile.ticks} ticks, {total} frames of JavaScript, "
              f"{100 * named / total:.3f} % named")
        self.assertGreater(total, 2000, frames.most_common(9))
        self.assertGreater(named, least * total, frames.most_common(9))
        # Its own account is of samples, some of which stand for more than one tick.
        quality = profile.quality
        self.assertAlmostEqual(quality["jsFrames"] / total, 1, delta=0.2)
        self.assertAlmostEqual(quality["jsNamed"] / quality["jsFrames"], named / total, delta=0.05)

    def test_http_server(self):
        """Under the load of ten connections."""
        def check(node):
            server = self.start(with_node(node, "orders_server.js"), stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE)
            port = server.stdout.readline().strip()
            load = self.start(with_node(node, "orders_load.js", port, 4), stdout=subprocess.PIPE)
            time.sleep(0.5)
            profile = self.attach(server, "-d", "3")
            self.assertIn("requests", load.communicate(timeout=harness.TIMEOUT_S)[0])
            self.assert_alive(server)
            self.check_named(profile, f"HTTP server, {node}")
            totals = profile.total_ticks()
            for name in ("answer", "readBody", "totals", "parserOnIncoming"):
                self.assertGreater(totals[name], 5, totals.most_common(20))
        harness.for_each_node(self, steady(check))

    def test_typescript(self):
        """A compiler of 100,000 lines at work: on its own declarations and those of browsers."""
        compiler = pathlib.Path(os.environ.get("NODE_PROGRAMS", ".")) / "typescript/node_modules"
        if not compiler.exists():
            self.skipTest("scripts/setup --test has not fetched typescript")
        source = pathlib.Path(self.folder) / "names.ts"
        source.write_text('import * as ts from "typescript";\n'
                          "export const nameOf = (n: ts.Node): string => ts.SyntaxKind[n.kind];\n",
                          "utf-8")
        os.symlink(compiler, source.parent / "node_modules")
        def check(node):
            command = [node, str(compiler / "typescript/lib/tsc.js"), "--strict", "--noEmit",
                       "--target", "es2022", "--module", "nodenext", str(source)]
            result = self.memprof("record", "-q", "-o", self.output, "--", *command)
            self.assertEqual((result.returncode, result.stderr, result.stdout), (0, "", ""))
            profile = self.load()
            self.check_named(profile, f"TypeScript, {node}")
            totals = profile.total_ticks()
            for name in ("executeCommandLine", "checkSourceFile", "bindSourceFile"):
                self.assertGreater(totals[name], 20, totals.most_common(20))
        harness.for_each_node(self, steady(check))

    def caller_in(self, profile, node, index):
        """The next function outwards that has a name; odd ones call by a function without one."""
        while (node := profile.parents[node]) in profile.parents:
            if profile.kinds[node] == KIND_JAVASCRIPT and (index % 2 or profile.names[node]):
                return profile.names[node]
        return ""

    def check_generations(self, profile):
        """churn.js: each function's caller, file and line are in its name. Returns how many
        frames were right, and how many innermost ones lack their caller."""
        items = {item["id"]: item for item in profile.nodes}
        checked, without_caller, wrong = 0, 0, []
        for leaf, hits in profile.hits.items():
            node, innermost = leaf, True
            while node in profile.parents:
                match = GENERATED.fullmatch(profile.names[node])
                if match:
                    generation, index, line = map(int, match.groups())
                    frame = items[node]["callFrame"]
                    lines = [row["line"] for row in items[node].get("positionTicks", [])]
                    caller = self.caller_in(profile, node, index)
                    expected = (f"g{generation}_{index - 1}_{3 * index - 2}" if index else
                                "runGeneration")
                    checked += hits
                    if frame["lineNumber"] + 1 != line or (
                            frame["url"] != f"generation-{generation}.js") or (
                            not all(line <= at <= line + 2 for at in lines)):
                        wrong.append((frame, lines))
                    elif caller not in (expected, UNKNOWN) and innermost:
                        without_caller += hits
                    elif caller not in (expected, UNKNOWN):
                        wrong.append((profile.names[node], caller))
                innermost &= profile.kinds[node] != KIND_JAVASCRIPT
                node = profile.parents[node]
        if wrong:  # no matter of luck: not tried again
            raise ValueError(f"{len(wrong)} are wrong: {wrong[:20]}")
        return checked, without_caller

    def test_fast_allocation(self):
        """The collector moves what is read all the time, and new code takes the place of old.

        Code that lives for 10 ms is gone when a busy machine lets memprof look: then it has no
        name, but never another's. How much that is, is a matter of the machine's load alone.
        """
        def check(node):
            for rounds, flags, least in ((400, [], 0.98), (20, ["--max-semi-space-size=1"], 0)):
                target = self.start(with_node(node, "churn.js", 0, rounds, flags=flags))
                time.sleep(0.3)
                profile = self.attach(target, "-d", "2.5", "-F", "1999")
                self.assert_alive(target)
                self.end(target)
                checked, without_caller = self.check_generations(profile)
                self.assertLessEqual(without_caller, 0.002 * checked)
                self.check_named(profile, f"fast allocation, {node}, {rounds} rounds "
                                          f"{' '.join(flags)}: {checked} checked", least)
                self.assertGreater(checked, 10000 if least else 500)
        harness.for_each_node(self, steady(check))

    def test_shares(self):
        """Each function's share of time against the program's own clock, within 3 points."""
        def check(node):
            profile, truth = self.record(with_node(node, "phases.js", 2.5))
            totals = profile.total_ticks()
            whole = sum(truth["wall"].values())
            ticks = sum(totals[name] for name in truth["wall"])
            self.assertGreater(ticks, 0.75 * profile.ticks)
            for name, seconds in truth["wall"].items():
                self.assertAlmostEqual(100 * totals[name] / ticks, 100 * seconds / whole, delta=3,
                                       msg=f"{node}: {name}, {totals.most_common(20)}")
        harness.for_each_node(self, steady(check))

    def test_attached(self):
        def check(node):
            target = self.start(with_node(node, "busy.js", 0))
            time.sleep(0.3)
            profile = self.attach(target, "-d", "2")
            self.assert_alive(target)
            self.end(target)
            self.check_named(profile, f"busy.js, {node}", 0.99)
            ticks = profile.self_ticks()
            both = ticks["hotLoop"] + ticks["warmLoop"]
            self.assertGreater(both, 0.95 * profile.ticks, ticks.most_common(9))
            self.assertAlmostEqual(100 * ticks["hotLoop"] / both, 70, delta=3)
        harness.for_each_node(self, steady(check))


if __name__ == "__main__":
    harness.main()
