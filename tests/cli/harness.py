"""What the end-to-end tests share: running memprof on real programs, and reading its files.

MEMPROF names the binary under test, PROGRAMS the folder of tests/programs as built, and
MEMPROF_NODES the versions of Node.js that scripts/setup --test fetches, with colons between them;
NODE_PROGRAMS the folder of what else it fetches. The files
are read here with Python's own json and nothing of memprof, so that they are checked against
the format and not against our own reader.
"""

import collections
import contextlib
import functools
import functools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

MEMPROF = os.path.abspath(os.environ["MEMPROF"])
PROGRAMS = pathlib.Path(os.path.abspath(os.environ["PROGRAMS"]))
SOURCES = pathlib.Path(__file__).resolve().parent.parent / "programs"
TIMEOUT_S = 120  # far past what a loaded machine takes: only a hang reaches it
NOBODY = 65534
KIND_KERNEL = 3  # enum frame_kind of core/profile.h, as in the extension's "classes"
IDLE = "(idle)"


def program(name, *args):
    """The command line of one of our programs."""
    if name.endswith(".js"):
        return ["node", str(SOURCES / name), *map(str, args)]
    if name.endswith(".py"):
        return [real_python(), str(SOURCES / name), *map(str, args)]
    return [str(PROGRAMS / name), *map(str, args)]


def nodes():
    """Each version of Node.js to test with: those that were fetched, else the one in PATH."""
    fetched = [path for path in os.environ.get("MEMPROF_NODES", "").split(":")
               if os.access(path, os.X_OK)]
    return fetched or [path for path in [shutil.which("node")] if path]


@functools.lru_cache
def node_major(node):
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True)
    return int(version.stdout.lstrip("v").split(".")[0])


def steady(test):
    """
    For a test of shares where single ticks count: three attempts, of which one has to hold. A
    virtual machine that stands still for a moment has ticks that are nobody's to find; what is
    wrong in memprof is wrong each time. Attempts that missed are told.
    """
    @functools.wraps(test)
    def attempt(*args):
        for left in (2, 1, 0):
            try:
                return test(*args)
            except AssertionError as error:
                if not left:
                    raise
                print(f"once more, {left} left: {error}", file=sys.stderr)
        return None
    return attempt


def for_each_node(test, check):
    """check(node) with each as a subtest; those that are absent are told of, and skipped."""
    found = nodes()
    if not found:
        test.skipTest("no node here")
    for node in found:
        with test.subTest(node=node):
            check(node)
    wanted = os.environ.get("MEMPROF_NODES", "").split(":")
    if absent := [path for path in wanted if path and path not in found]:
        test.skipTest(f"scripts/setup --test has not fetched {', '.join(absent)}")


def real_python():
    """The interpreter itself: a wrapper script would be the target instead."""
    return os.path.realpath(sys.executable)


class Profile:
    """A .cpuprofile, with its call tree made easy to ask."""

    def __init__(self, text):
        self.json = json.loads(text)
        self.nodes = self.json["nodes"]
        self.samples = self.json["samples"]
        self.deltas = self.json["timeDeltas"]
        self.extension = self.json["memprof"]
        self.period_s = self.extension["period"] / 1e6
        self.quality = self.extension["quality"]
        self.parents = {child: node["id"] for node in self.nodes
                        for child in node.get("children", [])}
        self.names = {node["id"]: node["callFrame"]["functionName"] for node in self.nodes}
        # Ticks by node: the standard samples, those of the threads left out of them, and the
        # running time of ended threads that no sample covered.
        self.others = self.extension.get("others") or {"samples": [], "timeDeltas": []}
        self.hits = collections.Counter(self.samples)
        self.hits.update(self.others["samples"])
        for node, ticks in self.extension.get("self", []):
            self.hits[node] += ticks
        self.ticks = sum(hits for node, hits in self.hits.items() if self.names[node] != IDLE)
        self.on_cpu, self.waiting, self.runnable = (
            sum(thread.get(key, 0) for thread in self.extension["threads"])
            for key in ("ticks", "waiting", "runnable"))
        classes, of_nodes = self.extension["classes"], self.extension["nodeClasses"]
        self.kinds = {node["id"]: classes[index][0] for node, index in zip(self.nodes, of_nodes)}

    def chain(self, node):
        """The functions of a stack, innermost first, without the root."""
        names = []
        while node in self.parents:
            names.append(self.names[node])
            node = self.parents[node]
        return names

    def self_ticks(self):
        """Ticks by function, kernel frames charged to the function that called the kernel."""
        result = collections.Counter()
        for node, hits in self.hits.items():
            while self.kinds.get(node) == KIND_KERNEL and node in self.parents:
                node = self.parents[node]
            result[self.names[node]] += hits
        del result[IDLE]
        return result

    def total_ticks(self):
        """Ticks by function on the stack, each stack counted once."""
        result = collections.Counter()
        for node, hits in self.hits.items():
            if hits:
                for name in set(self.chain(node)):
                    result[name] += hits
        return result

    def stacks(self, function):
        """(chain from the function outwards, ticks) of each stack with the function in it."""
        for node, hits in self.hits.items():
            chain = self.chain(node) if hits else []
            if function in chain:
                yield chain[chain.index(function):], hits

    def seconds_by_readers(self):
        """CPU time by function as DevTools and speedscope charge it: until the next sample."""
        result = collections.Counter()
        for i, node in enumerate(self.samples):
            if i + 1 < len(self.samples):
                result[self.names[node]] += self.deltas[i + 1] / 1e6
        return result

    def series(self, name):
        """[(seconds since the start, value)] of one series."""
        for series in self.extension["series"]:
            if series["name"] == name:
                at = series["start"] - self.json["startTime"]
                times = [at := at + delta for delta in series["times"]]
                return [(time / 1e6, value) for time, value in zip(times, series["values"])]
        return []


class Case(unittest.TestCase):
    """A test with a folder of its own for outputs, and every process it started ended."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="memprof-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.output = os.path.join(self.folder, "out.cpuprofile")

    def start(self, command, **options):
        process = subprocess.Popen(command, text=True, **options)
        self.addCleanup(self.end, process)
        return process

    @staticmethod
    def end(process):
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                stream.close()
        process.wait()

    def memprof(self, *args, prefix=(), **options):
        """Runs memprof to its end."""
        options.setdefault("stdout", subprocess.PIPE)
        return subprocess.run([*prefix, MEMPROF, *map(str, args)], text=True,
                              stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False, **options)

    def start_memprof(self, *args, **options):
        return self.start([MEMPROF, *map(str, args)], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, **options)

    def wait_for_recording(self, target, memprof):
        """Until memprof samples: its events are open and its temporary file is there."""
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline and memprof.poll() is None:
            links = []
            with contextlib.suppress(OSError):
                links = [os.readlink(entry.path) for entry in
                         os.scandir(f"/proc/{memprof.pid}/fd")]
            if sum("perf_event" in link for link in links) >= 2:
                return
            time.sleep(0.02)
        self.fail(f"memprof does not record {target.pid}: {memprof.communicate()}")

    def record(self, command, *options):
        """Launches a program of ours under memprof; the profile and the program's own truth."""
        result = self.memprof("record", "-q", "-o", self.output, *options, "--", *command)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stderr, "")
        return self.load(), json.loads(result.stdout.splitlines()[-1])

    def attach(self, process, *options):
        result = self.memprof("record", "-q", "-o", self.output, "-p", process.pid, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.load()

    def load(self, path=None):
        """Reads a .cpuprofile and checks all that must hold for any."""
        with open(path or self.output, encoding="utf-8") as file:
            profile = Profile(file.read())
        self.check_invariants(profile)
        return profile

    def check_invariants(self, profile):
        nodes, samples, deltas = profile.nodes, profile.samples, profile.deltas
        self.assertEqual([node["id"] for node in nodes], list(range(1, len(nodes) + 1)))
        children = [child for node in nodes for child in node.get("children", [])]
        self.assertEqual(children, list(range(2, len(nodes) + 1)), "ids are not breadth first")
        self.assertEqual(profile.names[1], "(root)")
        for node in nodes:
            frame = node["callFrame"]
            self.assertIsInstance(frame["scriptId"], str)
            self.assertIsInstance(frame["url"], str)
            self.assertGreaterEqual(frame["lineNumber"], -1)
            self.assertGreaterEqual(frame["columnNumber"], -1)
            self.assertGreaterEqual(node["hitCount"], 0)
        # The lines of a function that several threads ran may stand at the node of one of them.
        lines, hits = collections.Counter(), collections.Counter()
        for node in nodes:
            function = tuple(sorted(node["callFrame"].items()))
            hits[function] += profile.hits[node["id"]]
            lines[function] += sum(row["ticks"] for row in node.get("positionTicks", []))
        for function, ticks in lines.items():
            self.assertLessEqual(ticks, hits[function], function)

        self.assertEqual(len(samples), len(deltas))
        self.assertTrue(all(isinstance(delta, int) and delta >= 0 for delta in deltas))
        self.assertTrue(all(1 <= node <= len(nodes) for node in samples))
        start, end = profile.json["startTime"], profile.json["endTime"]
        self.assertLessEqual(start, end)
        self.assertLessEqual(start + sum(deltas), end)
        self.assertEqual(len(profile.others["samples"]), len(profile.others["timeDeltas"]))
        standard = collections.Counter(samples)
        for node in nodes:
            self.assertIn(node["hitCount"], (standard[node["id"]], profile.hits[node["id"]]))
        self.assertEqual(profile.on_cpu + profile.waiting + profile.runnable, profile.ticks)
        self.assertEqual(len(profile.extension["nodeClasses"]), len(nodes))

        for series in profile.extension["series"]:
            self.assertEqual(len(series["times"]), len(series["values"]), series["name"])
        for name in ("rss", "threads"):
            self.assertTrue(profile.series(name), f"no reading of {name}")

    def check_shares(self, ticks, all_ticks, truth, whole=None, tolerance=3.0):
        """Each function's percentage of the CPU time against the program's own clock."""
        whole = whole or truth["cpu_s"]
        for name, seconds in truth["functions"].items():
            # A C++ name goes on with its arguments, or with the tag of an ABI.
            found = sum(count for function, count in ticks.items()
                        if function == name or function.startswith((name + "(", name + "[")))
            self.assertAlmostEqual(100 * found / all_ticks, 100 * seconds / whole,
                                   delta=tolerance, msg=f"{name}: {dict(ticks)}")

    @staticmethod
    def tolerance(profile, least=4.0):
        """Points by which a share may be off: on a loaded machine ptrace takes few samples, and
        four standard deviations of those are no fault of theirs. They weigh unequally: as if
        there were half as many."""
        return max(least, 4 * 50 / (profile.quality["samples"] / 2) ** 0.5)

    def check_coverage(self, profile, least=0.95, most=1.05):
        """Sampled against accounted time, whose clock ticks in hundredths of a second."""
        quality = profile.quality
        accounted, grain = quality["targetCpuS"], 0.025
        self.assertGreaterEqual(quality["sampledCpuS"], least * accounted - grain, quality)
        self.assertLessEqual(quality["sampledCpuS"], most * accounted + grain, quality)
        self.assertAlmostEqual(quality["coverage"], quality["sampledCpuS"] / accounted,
                               delta=0.01 + grain / accounted)

    def assert_alive(self, process):
        self.assertIsNone(process.poll())
        state = self.state(process.pid)
        self.assertIn(state, "RSD", "the target was left stopped")

    @staticmethod
    def state(pid):
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        return text.rpartition(") ")[2][0]

    def assert_no_output(self, folder=None):
        self.assertEqual(os.listdir(folder or self.folder), [])


def as_nobody():
    """The prefix that runs a command as an ordinary user; None where that can't be."""
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return None
    return ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
            "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]


def send(process, number=signal.SIGINT):
    process.send_signal(number)


def main():
    if not os.path.exists(MEMPROF):
        sys.exit(f"{MEMPROF}: no such program; MEMPROF names the binary under test")
    unittest.main(verbosity=2)
