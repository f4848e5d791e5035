#!/usr/bin/env python3
"""Logs that others wrote: of node --prof against node --prof-process, and of perf script."""

import collections
import functools
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import Case, TIMEOUT_S, program

ROW = re.compile(r"\s+(\d+)\s+\d+\.\d%\s+(?:\d+\.\d%)?\s+(\S.*)")
TIER = re.compile(r"\w+: ([~^+*]?\S.* \S*:\d+:\d+)$")  # "JS: *fib /srv/app.js:3:13"


def sections(text):
    """Of a report: ticks by row, by section."""
    result, rows = collections.defaultdict(collections.Counter), None
    for line in text.splitlines():
        heading = re.match(r" \[(.+)\]:$", line)
        if heading:
            rows = result[heading[1]]
        elif rows is not None and (row := ROW.match(line)):
            rows[row[2]] += int(row[1])
    return result


def javascript_functions(rows):
    """JavaScript functions by what stands behind the kind of code, which differs by version."""
    return {match[1]: ticks for name, ticks in rows.items() if (match := TIER.match(name))}


@functools.cache
def node_names_itself():
    """Whether node is one executable with symbols; Debian's is a library without them."""
    symbols = subprocess.run(["nm", "--defined-only", shutil.which("node")], capture_output=True,
                             text=True, check=False).stdout
    return "JsonParser" in symbols


@unittest.skipUnless(shutil.which("node"), "node is not installed")
class NodeLog(Case):
    def log_of(self, *command):
        subprocess.run(["node", "--prof", *command], cwd=self.folder, check=True,
                       stdout=subprocess.PIPE, timeout=TIMEOUT_S)
        logs = sorted(pathlib.Path(self.folder).glob("isolate-*-v8.log"))
        self.assertTrue(logs, "node --prof has written no log")
        return logs

    def report(self, path, *options):
        result = self.memprof("report", *options, path)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def peer(self, path):
        return subprocess.run(["node", "--prof-process", path], check=True, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=TIMEOUT_S).stdout

    def test_against_prof_process(self):
        path, = self.log_of(*program("mixed.js", 250)[1:])
        peer = self.peer(path)
        ours, theirs = sections(self.report(path)), sections(peer)
        report = json.loads(self.report(path, "--json"))
        ticks = int(re.search(r"\((\d+) ticks", peer)[1])
        self.assertEqual(report["ticks"] + report["idle_ticks"], ticks)
        self.assertEqual(report["target"]["pid"], int(path.name.split("-")[2]))
        self.assertEqual(report["period_us"], 1000)
        # No function has fewer ticks. An interpreted one has more where V8's script does not know
        # the interpreter's own code; a compiled one hardly ever runs that.
        mine, other = (javascript_functions(rows["JavaScript"]) for rows in (ours, theirs))
        self.assertGreater(sum(other.values()), 10)
        for name, count in other.items():
            self.assertGreaterEqual(mine.get(name, 0), count, name)
        more = sum(count - other.get(name, 0) for name, count in mine.items() if name[0] != "~")
        self.assertLessEqual(more, 0.005 * ticks)
        # JSON has the same rows, with bare names.
        marks = {"interpreted": "~", "baseline": "^", "maglev": "+", "optimized": "*"}
        rows = collections.Counter()
        for row in report["functions"]:
            if row["kind"] == "javascript" and row["self"]:
                name = marks[row["tier"]] + (row["name"] or "<anonymous>")
                rows[f"{name} {row['file']}:{row['line']}:{row['column']}"] += row["self"]
        self.assertEqual(rows, mine)
        self.assertEqual(ours["Summary"]["GC"], theirs["Summary"]["GC"])
        self.assertLessEqual(ours["Summary"]["Unaccounted"], theirs["Summary"]["Unaccounted"])
        self.assertLessEqual(ours["Summary"]["Shared libraries"],
                             theirs["Summary"]["Shared libraries"])
        # All that is left without a name is little: V8's code, node's and libc's are all named.
        if node_names_itself():
            nameless = ours["Summary"]["Unaccounted"] + ours["Summary"]["Shared libraries"]
            self.assertLess(nameless, 0.03 * ticks)

    def test_native_functions_have_their_names(self):
        """What the program spends its time in, by JavaScript that called it."""
        if not node_names_itself():
            self.skipTest("the installed node has no symbols of its own functions")
        path, = self.log_of("-e", """
            const zlib = require('zlib'), text = JSON.stringify(process.versions).repeat(2000);
            function squeeze() { return zlib.deflateSync(text).length; }
            function parse() { return JSON.parse(JSON.stringify(process.versions)); }
            const end = process.cpuUsage().user + 1e6;
            while (process.cpuUsage().user < end) {
              squeeze();
              for (let i = 0; i < 300; i++) parse();
            }""")
        text = self.report(path)
        rows = sections(text)
        native = rows["C++"]
        self.assertTrue(any(name.startswith("v8::internal::JsonParser") for name in native), native)
        self.assertTrue(any(name.startswith(("deflate", "longest_match")) for name in native),
                        native)
        callers = text.partition("[Bottom up (heavy) profile]")[2]
        self.assertRegex(callers, r"node::.*CompressionStream<.*>::Write")

    def test_workers_and_waiting(self):
        logs = self.log_of("-e", """
            const {Worker} = require('worker_threads');
            new Worker(`function inWorker() {
              const end = Date.now() + 300;
              let x = 0;
              while (Date.now() < end) x += JSON.stringify({x}).length;
              return x;
            }
            inWorker();`, {eval: true}).on('exit', () => {});""")
        self.assertEqual(len(logs), 2)
        found = [json.loads(self.report(path, "--json")) for path in logs]
        names = [{function["name"].lstrip("~^+*") for function in report["functions"]}
                 for report in found]
        self.assertEqual(sum("inWorker" in of_one for of_one in names), 1)

    def test_a_torn_log(self):
        path, = self.log_of("-e", "for (let i = 0; i < 1e8; i++);")
        whole = path.read_bytes()
        ticks = json.loads(self.report(path, "--json"))["ticks"]
        for cut in (1, 100, len(whole) // 2, len(whole) - 100):
            path.write_bytes(whole[:-cut])
            self.assertLessEqual(json.loads(self.report(path, "--json"))["ticks"], ticks)
        with subprocess.Popen(["cat", path], stdout=subprocess.PIPE) as cat:
            piped = self.memprof("report", "--json", "-", stdin=cat.stdout)
        of_file, of_pipe = json.loads(self.report(path, "--json")), json.loads(piped.stdout)
        self.assertEqual(of_file["functions"], of_pipe["functions"])


class PerfScript(Case):
    def setUp(self):
        super().setUp()
        if not shutil.which("perf"):
            self.skipTest("perf is not installed")
        self.data = os.path.join(self.folder, "perf.data")
        self.text = os.path.join(self.folder, "perf.script.txt")

    def perf(self, *args):
        result = subprocess.run(["perf", *args], capture_output=True, text=True,
                                timeout=TIMEOUT_S, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def record(self, *options):
        result = subprocess.run(["perf", "record", "-q", "-e", "cpu-clock:u", "-F", "499",
                                 "-o", self.data, *options, "--", *program("orders", 1, 2)],
                                capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
        if result.returncode and "ermission" in result.stderr:
            self.skipTest(f"perf may not record: {result.stderr.splitlines()[0]}")
        self.assertEqual(result.returncode, 0, result.stderr)

    def script(self, *options):
        pathlib.Path(self.text).write_text(self.perf("script", "-i", self.data, *options),
                                           encoding="utf-8")
        result = self.memprof("report", "--json", self.text)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return json.loads(result.stdout)

    def peer(self):
        """Percentages by function, of perf report."""
        text = self.perf("report", "-i", self.data, "--stdio", "--no-children", "-g", "none",
                         "--no-inline", "-F", "overhead,sym")
        rows = re.findall(r"^\s+(\d+\.\d+)%\s+\[[.k]\] (.+?)\s*$", text, re.M)
        return {name: float(share) for share, name in rows}

    def check_shares(self, report, theirs):
        self.assertGreater(report["ticks"], 500)
        ours = {row["name"]: 100 * row["self"] / report["ticks"] for row in report["functions"]}
        hot = {name: share for name, share in theirs.items() if share >= 2}
        self.assertGreater(len(hot), 3)
        for name, share in hot.items():
            self.assertAlmostEqual(ours.get(name, 0), share, delta=0.5, msg=name)

    def test_call_chains(self):
        self.record("-g", "--sample-cpu")
        theirs = self.peer()
        samples = self.perf("script", "-i", self.data, "-F", "tid", "-G").count("\n")
        for options in ((), ("-F", "comm,pid,tid,cpu,time,period,event,ip,sym,symoff,dso"),
                        ("-F", "comm,tid,time,ip,sym"), ("-F", "comm,tid,ip,sym,dso"),
                        ("--ns", "--header", "--show-task-events", "--show-mmap-events"),
                        ("-G",)):
            report = self.script("--no-inline", *options)
            self.assertEqual(report["ticks"], samples, options)
            self.check_shares(report, theirs)
            self.assertEqual(sum(thread["ticks"] for thread in report["threads"]), samples)
            self.assertEqual(len([thread for thread in report["threads"] if thread["ticks"]]), 2)

    def test_inlined_functions(self):
        self.record("--call-graph", "dwarf,8192")
        report = self.script()
        serialise, = [row for row in report["functions"]
                      if row["name"].startswith("orders::serialise_batch")]
        self.assertGreater(serialise["total"], 0.2 * report["ticks"])
        self.assertEqual(os.path.basename(serialise["module"]), "orders")


class Errors(Case):
    def test_no_profile(self):
        path = os.path.join(self.folder, "notes.txt")
        for text, reason in (("hello\n", "is not a profile"), ("", "is empty"),
                             ("# ========\n# captured on: now\n", "has no samples")):
            pathlib.Path(path).write_text(text, encoding="utf-8")
            result = self.memprof("report", path)
            self.assertEqual(result.returncode, 2)
            self.assertIn(reason, result.stderr)
            self.assertEqual(result.stderr.count("\n"), 1)


if __name__ == "__main__":
    harness.main()
