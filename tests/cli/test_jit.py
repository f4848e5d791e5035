#!/usr/bin/env python3
"""Generated code, named by what real runtimes tell of it: perf maps and jitdumps."""

import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case, program, send

PERF_MAP = ["--perf-basic-prof", "--interpreted-frames-native-stack"]
KIND_JAVASCRIPT, KIND_RUNTIME = 1, 5  # enum frame_kind of core/profile.h


def node(options, name, *args):
    command = program(name, *args)
    return [command[0], *options, *command[1:]]


def pythons_with_perf():
    """Python's perf support came with 3.12."""
    versions = pathlib.Path.home() / ".pyenv" / "versions"
    for path in ["python3.12", "python3.13", *versions.glob("3.1[2-9]*/bin/python3")]:
        check = "import sys; sys.exit(not hasattr(sys, 'activate_stack_trampoline'))"
        with_perf = shutil.which(path) and not subprocess.run(
            [path, "-c", check], capture_output=True, check=False).returncode
        if with_perf:
            return path
    return None


class Jit(Case):
    def setUp(self):
        super().setUp()
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.folder)  # node leaves a log where it runs

    def load(self, path=None):
        """And no map is left of the processes that were recorded."""
        profile = super().load(path)
        for pid in {thread["pid"] for thread in profile.extension["threads"]}:
            self.addCleanup(pathlib.Path(f"/tmp/perf-{pid}.map").unlink, missing_ok=True)
        return profile

    def start_and_await_map(self, command, function, pid=None, folder="/tmp", **options):
        """Starts a program and waits until its map has a function."""
        target = self.start(command, stdout=subprocess.PIPE, **options)
        path = pathlib.Path(folder) / f"perf-{pid or target.pid}.map"
        self.addCleanup(path.unlink, missing_ok=True)
        deadline = time.monotonic() + harness.TIMEOUT_S
        while time.monotonic() < deadline and target.poll() is None:
            if path.exists() and function in path.read_text("utf-8", "replace"):
                return target, path
            time.sleep(0.02)
        return self.fail(f"{path} does not tell of {function}")

    def check_busy(self, profile, least=0.9):
        """hotLoop and warmLoop by their names, at their places, 70 to 30."""
        source = (harness.SOURCES / "busy.js").read_text("utf-8").splitlines()
        ticks = profile.self_ticks()
        both = ticks["hotLoop"] + ticks["warmLoop"]
        self.assertGreater(both, least * profile.ticks, ticks.most_common(9))
        self.assertAlmostEqual(100 * ticks["hotLoop"] / both, 70, delta=4)
        for frame in self.frames_of(profile, "hotLoop"):
            self.assertTrue(frame["url"].startswith("file:///"), frame)
            self.assertTrue(frame["url"].endswith("/busy.js"), frame)
            line = source[frame["lineNumber"]]
            self.assertEqual(line[:frame["columnNumber"]], "function hotLoop")

    def frames_of(self, profile, function):
        frames = [(profile.kinds[item["id"]], item["callFrame"]) for item in profile.nodes
                  if item["callFrame"]["functionName"] == function]
        self.assertTrue(frames, function)
        for kind, _ in frames:
            self.assertEqual(kind, KIND_JAVASCRIPT)
        return [frame for _, frame in frames]

    def check_unnamed(self, profile):
        ticks = profile.self_ticks()
        self.assertEqual(ticks["hotLoop"], 0)
        anonymous = sum(count for name, count in ticks.items() if name.startswith("[anon"))
        self.assertGreater(anonymous, 0.8 * profile.ticks, ticks.most_common(9))


@unittest.skipUnless(shutil.which("node"), "node is not installed")
class Node(Jit):
    def test_shares_of_functions(self):
        """All functions of a program against its own clock, from its start."""
        command = node(["--single-threaded", *PERF_MAP], "phases.js", 3)
        profile, truth = self.record(command)
        self.check_shares(profile.total_ticks(), profile.ticks, truth, tolerance=4)
        self.check_coverage(profile)
        for name in truth["functions"]:
            for frame in self.frames_of(profile, name):
                self.assertTrue(frame["url"].endswith("/phases.js"), frame)
        # Interpreted, baseline and optimised code is one function: its marks are not in the name.
        self.assertFalse([name for name in profile.names.values() if name[:1] in "~^*+" and name])
        unnamed = sum(hits for node, hits in profile.hits.items()
                      if any(name.startswith("[anon") for name in profile.chain(node)))
        self.assertLess(unnamed, 0.02 * profile.ticks)
        whole = sum(hits for chain, hits in profile.stacks("findContacts")
                    if "Module._compile" in chain)
        self.assertGreater(whole, 0.97 * profile.total_ticks()["findContacts"])
        self.assertIn(KIND_RUNTIME, {profile.kinds[node] for node in profile.hits})

    def test_attached(self):
        target, _ = self.start_and_await_map(node(PERF_MAP, "busy.js", 0), "*warmLoop")
        profile = self.attach(target, "-d", "1.5")
        self.check_busy(profile)
        self.assertLess(profile.quality["unknownFrames"], 10)
        report = json.loads(self.memprof("report", "--json", self.output).stdout)
        rows = {row["name"]: row for row in report["functions"]}
        self.assertEqual(rows["hotLoop"]["kind"], "javascript")
        self.assertEqual(rows["hotLoop"]["file"], str(harness.SOURCES / "busy.js"))
        self.assertGreater(rows["hotLoop"]["line"], 1)

    def test_jitdump(self):
        """What V8 still has in its buffer comes at its end; the lines within functions, too."""
        result = self.memprof("record", "-q", "-o", self.output, "--",
                              *node(["--perf-prof"], "busy.js", 1.5))
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.check_busy(profile, 0.8)  # from its start, which takes a tenth of a second
        source = (harness.SOURCES / "busy.js").read_text("utf-8").splitlines()
        first = next(i for i, line in enumerate(source) if "function hotLoop" in line) + 1
        lines = [row for item in profile.nodes for row in item.get("positionTicks", [])
                 if item["callFrame"]["functionName"] == "hotLoop"]
        self.assertGreater(sum(row["ticks"] for row in lines),
                           0.9 * profile.self_ticks()["hotLoop"])
        for row in lines:
            self.assertTrue(first <= row["line"] < first + 5, row)

    def test_children(self):
        """Two processes with other code at the same addresses, and maps of their own."""
        commands = [" ".join(node(PERF_MAP, name, 1)) for name in ("busy.js", "phases.js")]
        result = self.memprof("record", "-q", "--children", "-o", self.output, "--", "sh", "-c",
                              f"{commands[0]} & {commands[1]} & wait")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        truths = [json.loads(line) for line in result.stdout.splitlines()]
        totals = profile.total_ticks()
        for truth in truths:
            for name, seconds in truth["functions"].items():
                self.assertAlmostEqual(totals[name] * profile.period_s, seconds,
                                       delta=0.1 + 0.1 * seconds, msg=name)

    def start_jit(self):
        """A program whose generated code no one can name but by its map; and the map's path."""
        target = self.start(program("jit", 60), stdout=subprocess.PIPE)
        self.assertEqual(target.stdout.readline(), "ready\n")
        path = pathlib.Path(f"/tmp/perf-{target.pid}.map")
        self.addCleanup(lambda: path.unlink(missing_ok=True))
        return target, path

    def check_generated(self, target, named):
        profile = self.attach(target, "-d", "0.5")
        ticks = profile.self_ticks()
        self.assertGreater(ticks["generated_loop" if named else "[anon]"], 0.9 * profile.ticks,
                           ticks)

    def test_a_map_of_another_user_is_refused(self):
        if os.geteuid():
            self.skipTest("only root can give a file to another user")
        target, path = self.start_jit()
        os.chown(path, harness.NOBODY, harness.NOBODY)
        self.check_generated(target, False)
        os.chown(path, 0, 0)
        self.check_generated(target, True)

    def test_a_symbolic_link_is_refused(self):
        target, path = self.start_jit()
        self.check_generated(target, True)
        real = pathlib.Path(self.folder) / "real.map"
        shutil.move(path, real)
        path.symlink_to(real)
        self.check_generated(target, False)

    @unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
    def test_a_process_of_an_ordinary_user(self):
        """Recorded by its user, and by root: the map is neither of them the other's."""
        os.chmod(self.folder, 0o755)
        for path in (harness.MEMPROF, harness.SOURCES / "busy.js"):
            os.chmod(shutil.copy(path, self.folder), 0o755)
        out = os.path.join(self.folder, "out")
        os.mkdir(out)
        os.chown(out, harness.NOBODY, harness.NOBODY)
        target, path = self.start_and_await_map(
            [*harness.as_nobody(), "node", *PERF_MAP, os.path.join(self.folder, "busy.js"), "0"],
            "*warmLoop", cwd=out)
        self.assertEqual(path.stat().st_uid, harness.NOBODY)
        self.check_busy(self.attach(target, "-d", "1"))
        self.output = os.path.join(out, "out.cpuprofile")
        result = subprocess.run(
            [*harness.as_nobody(), os.path.join(self.folder, "memprof"), "record", "-q", "-d", "1",
             "-o", self.output, "-p", str(target.pid)],
            capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_busy(self.load())

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("unshare"), "needs root, to mount")
    def test_namespaces(self):
        """The map is in the container's /tmp, and named after the PID that node has there."""
        script = "mount -t tmpfs none /tmp; mount -t proc none /proc; exec \"$@\""
        # A map for the PID outside, in the /tmp outside, is nobody's.
        container = self.start(["unshare", "--pid", "--mount", "--fork", "--kill-child", "sh", "-c",
                                script, "sh", *self.reachable(node(PERF_MAP, "busy.js", 0))])
        children = pathlib.Path(f"/proc/{container.pid}/task/{container.pid}/children")
        deadline = time.monotonic() + harness.TIMEOUT_S
        pid = None
        while time.monotonic() < deadline and container.poll() is None:
            pid = children.read_text("ascii").strip()
            path = pathlib.Path(f"/proc/{pid}/root/tmp/perf-1.map")
            if pid and path.exists() and "*warmLoop" in path.read_text("utf-8", "replace"):
                break
            time.sleep(0.02)
        self.assertFalse(os.path.exists(f"/tmp/perf-{pid}.map"))
        decoy = pathlib.Path(f"/tmp/perf-{pid}.map")
        decoy.write_text("1 3fffffff decoy\n" + "".join(
            f"{base:x} 3fffffff decoy\n" for base in range(0x7f0000000000, 0x800000000000,
                                                          0x3fffffff)), "utf-8")
        self.addCleanup(decoy.unlink, missing_ok=True)
        result = self.memprof("record", "-q", "-d", "1", "-o", self.output, "-p", pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        self.check_busy(profile)
        self.assertNotIn("decoy", profile.names.values())

    @staticmethod
    def reachable(command):
        """Not by way of /tmp, which is another one there."""
        if any(part.startswith("/tmp/") for part in command):
            raise unittest.SkipTest("the sources lie in /tmp")
        return command


@unittest.skipUnless(shutil.which("java"), "no JDK is installed")
class Java(Jit):
    FLAGS = ["-XX:+PreserveFramePointer", "-XX:+UnlockDiagnosticVMOptions", "-Xshare:auto"]

    def check_java(self, profile):
        ticks = profile.self_ticks()
        hot, warm = ticks["int Busy.hotLoop(int)"], ticks["int Busy.warmLoop(int)"]
        self.assertGreater(hot + warm, 100, ticks.most_common(9))
        self.assertAlmostEqual(100 * hot / (hot + warm), 70, delta=4)
        unnamed = sum(count for name, count in ticks.items() if name.startswith("[anon"))
        self.assertLess(unnamed, 0.05 * profile.ticks, ticks.most_common(9))
        # The interpreter runs main, and the C++ of the JVM has called it.
        whole = sum(hits for chain, hits in profile.stacks("int Busy.hotLoop(int)")
                    if any("JavaCalls::call_helper" in name for name in chain))
        self.assertGreater(whole, 0.9 * hot)

    def test_a_map_written_at_the_end(self):
        flags = [*self.FLAGS, "-XX:+DumpPerfMapAtExit"]
        version = self.start(["java", *flags, "-version"], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
        self.addCleanup(pathlib.Path(f"/tmp/perf-{version.pid}.map").unlink, missing_ok=True)
        if version.wait(harness.TIMEOUT_S):
            self.skipTest("this JDK has no DumpPerfMapAtExit, which came with 17")
        profile, truth = self.record(["java", *flags, str(harness.SOURCES / "Busy.java"), "2"])
        self.check_java(profile)
        ticks = profile.self_ticks()
        for name, seconds in truth["functions"].items():
            self.assertAlmostEqual(ticks[f"int Busy.{name}(int)"] * profile.period_s, seconds,
                                   delta=0.05 + 0.05 * seconds)

    @unittest.skipUnless(shutil.which("jcmd"), "no jcmd is installed")
    def test_a_map_written_on_demand(self):
        """Twice: the second one replaces the first."""
        target = self.start(["java", *self.FLAGS, str(harness.SOURCES / "Busy.java"), "0"],
                            stdout=subprocess.PIPE)
        self.assertEqual(target.stdout.readline(), "ready\n")
        self.addCleanup(pathlib.Path(f"/tmp/perf-{target.pid}.map").unlink, missing_ok=True)
        memprof = self.start_memprof("record", "-q", "-o", self.output, "-p", target.pid)
        self.wait_for_recording(target, memprof)
        for _ in range(2):
            time.sleep(1)
            result = subprocess.run(["jcmd", str(target.pid), "Compiler.perfmap"],
                                    capture_output=True, text=True, check=False)
            if "Unknown diagnostic command" in result.stdout + result.stderr:
                self.skipTest("this JDK has no Compiler.perfmap, which came with 17")
            self.assertEqual(result.returncode, 0, result)
        send(memprof)
        _, errors = memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual((memprof.returncode, errors), (0, ""))
        self.check_java(self.load())


class Python(Jit):
    def test_trampolines(self):
        python = pythons_with_perf()
        if not python:
            self.skipTest("no Python with perf support (3.12 and later) is installed")
        command = [python, "-X", "perf", str(harness.SOURCES / "busy.py"), "1.5"]
        profile, truth = self.record(command)
        self.check_shares(profile.total_ticks(), profile.ticks, truth, tolerance=5)


if __name__ == "__main__":
    harness.main()
