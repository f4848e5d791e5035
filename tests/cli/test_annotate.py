#!/usr/bin/env python3
"""annotate on real recordings: against the report, against perf annotate, and what it refuses."""

import collections
import json
import os
import re
import shutil
import subprocess

import harness
from harness import Case, program

PERF_LINE = re.compile(r"^\s+(\d+\.\d+)\s+:\s+([0-9a-f]+):")


def build_id(path):
    notes = subprocess.run(["readelf", "-n", path], capture_output=True, text=True, check=True)
    return notes.stdout.partition("Build ID: ")[2].split()[0]


class Annotate(Case):
    def annotate(self, *arguments, file=None):
        result = self.memprof("annotate", *arguments[:-1], file or self.output, arguments[-1])
        self.assertEqual((result.returncode, result.stderr), (0, ""), arguments)
        return result.stdout

    def annotate_json(self, function):
        return json.loads(self.annotate("--json", function))

    def refuse(self, *arguments):
        result = self.memprof("annotate", *arguments)
        self.assertEqual((result.returncode, result.stdout), (2, ""), arguments)
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr

    def check_shares(self, annotated, ticks_of):
        """Every tick is at one instruction, and those of the function itself are the report's."""
        rows = [row for code in annotated["code"] for row in code["instructions"]]
        name = annotated["function"]
        own = sum(row["ticks"] for row in rows if row["frames"][0]["function"] == name)
        self.assertEqual(annotated["notes"], [])
        self.assertEqual(sum(row["ticks"] for row in rows), annotated["ticks"], name)
        self.assertEqual((own, annotated["self"]), (ticks_of[name], ticks_of[name]), name)
        if annotated["lines"]:  # the linker's stubs have none
            self.assertEqual(sum(line["ticks"] for line in annotated["lines"]),
                             annotated["ticks"], name)
        for code in annotated["code"]:
            end = code["address"] + code["size"]
            for row in code["instructions"]:
                self.assertTrue(code["address"] <= row["address"] < end)

    def test_agrees_with_the_report(self):
        profile, _ = self.record(program("orders", 1.5))
        report = json.loads(self.memprof("report", "--json", self.output).stdout)
        binary = program("orders")[0]
        ticks_of = collections.Counter()
        for function in report["functions"]:
            if function["module"] == binary:
                ticks_of[function["name"]] += function["self"]
        # A function of the standard library's headers can be in several modules.
        others = {function["name"] for function in report["functions"]
                  if function["module"] != binary}
        checked = inlined = 0
        for name, ticks in ticks_of.most_common(40):
            if not name or not ticks or name in others:
                continue
            annotated = self.annotate_json(name)
            self.assertEqual(annotated["total_ticks"], profile.ticks)
            self.check_shares(annotated, ticks_of)
            self.assertEqual({code["build_id"] for code in annotated["code"]}, {build_id(binary)})
            checked += 1
            inlined += any(code["inlined"] for code in annotated["code"])
        self.assertGreater(checked, 20)
        self.assertGreater(inlined, 10)

    def test_source_and_instructions(self):
        self.record(program("burn", 1))
        text = self.annotate("burn_hot")
        lines = (harness.SOURCES / "burn.c").read_text(encoding="utf-8").splitlines()
        number = next(i for i, line in enumerate(lines, 1) if "(burn_hot," in line)
        self.assertRegex(text, rf"(?m)^ +\d+ +100\.0% +{number}  {re.escape(lines[number - 1])}$")
        self.assertRegex(text, r"(?m)^ +\d+ +\d+\.\d% +[0-9a-f]+:  \w+ .*%r")
        self.assertRegex(text, r"^burn_hot: \d+ ticks, \d+\.\d% of the \d+ in ")
        self.assertIn(build_id(program("burn")[0]), text)
        source = self.annotate("--source", "burn_hot")
        self.assertIn(lines[number - 1], source)
        self.assertNotRegex(source, r"(?m)[0-9a-f]+:  \w+ ")
        code = self.annotate("--asm", "burn_hot")
        self.assertNotIn(lines[number - 1], code)
        self.assertIn(f" burn.c:{number}\n", code)
        intel = self.annotate("--asm", "--intel", "burn_hot")
        self.assertNotIn("%r", intel)
        self.assertEqual(code.count("\n"), intel.count("\n"))
        self.assertIn("\033[31m", self.annotate("--color=always", "burn_hot"))
        self.assertNotIn("\033", self.annotate("burn_hot"))

    def test_a_changed_binary_is_refused(self):
        binary = os.path.join(self.folder, "program")
        shutil.copy(program("burn")[0], binary)
        recorded = build_id(binary)
        self.record([binary, "0.3"])
        self.annotate("burn_hot")
        os.unlink(binary)
        shutil.copy(program("deep")[0], binary)
        message = self.refuse(self.output, "burn_hot")
        self.assertIn(recorded, message)
        self.assertIn(build_id(binary), message)
        os.unlink(binary)
        self.assertIn("No such file", self.refuse(self.output, "burn_hot"))

    def test_errors(self):
        profile, _ = self.record(program("burn", 0.5))
        self.assertIn("did you mean 'burn_hot'", self.refuse(self.output, "burn_hto"))
        self.assertIn("burn_hot", self.refuse(self.output, "burn_"))
        self.assertIn("burn_warm", self.refuse(self.output, "burn_"))
        self.assertIn("only in what it calls", self.refuse(self.output, "_start"))
        self.assertIn("give one of --source and --asm",
                      self.refuse("--source", "--asm", self.output, "burn_hot"))
        self.assertIn("give a file and a function", self.refuse(self.output))
        self.assertIn("too much", self.refuse(self.output, "burn_hot", "burn_warm"))
        kernel = [profile.names[node] for node, kind in profile.kinds.items()
                  if kind == harness.KIND_KERNEL and profile.names[node]]
        if kernel:
            self.assertIn("kernel code", self.refuse(self.output, kernel[0]))

    def test_lines_of_javascript(self):
        if not shutil.which("node"):
            self.skipTest("node is not installed")
        subprocess.run(["node", "--cpu-prof", f"--cpu-prof-dir={self.folder}",
                        "--cpu-prof-name=node.cpuprofile", *program("busy.js", 0.5)[1:]],
                       check=True, stdout=subprocess.DEVNULL)
        path = os.path.join(self.folder, "node.cpuprofile")
        text = self.annotate("hotLoop", file=path)
        self.assertRegex(text, r"(?m)^ +\d+ +\d+\.\d% +\d+ +for \(let i = 0; i < rounds; i\+\+\)")
        self.assertIn("JavaScript", self.refuse("--asm", path, "hotLoop"))

    def test_calls_of_javascript(self):
        """What each of two lines called, against the program's own clock; all tiers together."""
        if not shutil.which("node"):
            self.skipTest("node is not installed")
        command = program("calls.js", 2.5)
        _, truth = self.record(["node", *command[1:]])
        report = json.loads(self.memprof("report", "--json", self.output).stdout)
        if not report["quality"]["v8"]:
            self.skipTest(f"the installed node can't be read: {report['quality']['note']}")
        annotated = self.annotate_json("caller")
        lines = {line["source"].strip(): line for line in annotated["lines"]}
        totals = [lines[f"sink ^= work({rounds});"]["total"] for rounds in ("6e6", "2e6")]
        first, second = (truth["lines"][name] for name in ("first", "second"))
        self.assertAlmostEqual(100 * totals[0] / sum(totals), 100 * first / (first + second),
                               delta=4)
        rows = [row for row in report["functions"] if row["name"] == "caller"]
        self.assertTrue(all(row["tier"] for row in rows), rows)
        self.assertEqual(annotated["self"], sum(row["self"] for row in rows))
        self.assertEqual(annotated["with_calls"], sum(row["total"] for row in rows))
        self.assertGreater(sum(totals), 0.95 * annotated["with_calls"])
        self.assertLessEqual(sum(line["total"] for line in annotated["lines"]),
                             annotated["with_calls"])
        text = self.annotate("--source", "caller")
        self.assertRegex(text, rf"(?m)^ .* {totals[0]} +\d+ +sink \^= work\(6e6\);$")

    def record_with_perf(self, name):
        """The same seconds of a program, recorded by perf and by memprof."""
        if not shutil.which("perf"):
            self.skipTest("perf is not installed")
        target = self.start(program(name, 0), stdout=subprocess.DEVNULL)
        data = os.path.join(self.folder, "perf.data")
        perf = self.start(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", "997", "-o", data,
                           "-p", str(target.pid), "--", "sleep", "3"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.attach(target, "-d", 3)
        output = perf.communicate(timeout=harness.TIMEOUT_S)
        if perf.returncode:
            self.skipTest(f"perf record failed: {output}")
        return data

    def perf_shares(self, data, function):
        """Percent of the function's ticks by address, as perf annotate has them."""
        result = subprocess.run(["perf", "annotate", "-i", data, "--stdio", function],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                check=True, timeout=harness.TIMEOUT_S)
        found = (PERF_LINE.match(line) for line in result.stdout.splitlines())
        shares = {int(match[2], 16): float(match[1]) for match in found if match}
        self.assertTrue(shares, result)
        return shares

    def our_shares(self, function):
        annotated = self.annotate_json(function)
        return {row["address"]: 100 * row["ticks"] / annotated["ticks"]
                for code in annotated["code"] for row in code["instructions"]}

    def test_agrees_with_perf_annotate(self):
        theirs = self.perf_shares(self.record_with_perf("burn"), "burn_hot")
        ours = self.our_shares("burn_hot")
        self.assertEqual(sorted(ours), sorted(theirs), "not the same instructions")
        self.assertEqual(max(ours, key=ours.get), max(theirs, key=theirs.get))
        for address, share in theirs.items():
            self.assertAlmostEqual(ours[address], share, delta=8, msg=hex(address))

    def test_agrees_with_perf_annotate_on_inlined_code(self):
        function = "orders::JsonWriter::write"
        theirs = self.perf_shares(self.record_with_perf("orders"), function)
        ours = self.our_shares(function)
        self.assertEqual(sorted(ours), sorted(theirs), "not the same instructions")
        hottest = sorted(theirs, key=theirs.get)[-3:]
        self.assertIn(max(ours, key=ours.get), hottest)


if __name__ == "__main__":
    harness.main()
