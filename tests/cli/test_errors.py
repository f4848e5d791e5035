#!/usr/bin/env python3
"""Bad input: one clear line on standard error, exit 2, no output file, the target untouched."""

import contextlib
import os
import pathlib
import signal
import subprocess
import time
import unittest

import harness
from harness import Case, program


class Refusal(Case):
    def refused(self, *args, says=(), folder=None, **options):
        """Runs memprof, which must refuse; `says` are words of which its line must hold one."""
        result = self.memprof(*args, **options)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertEqual(result.stdout or "", "")
        self.assertRegex(result.stderr, r"\Amemprof: [^\n]+\n\Z")
        says = [says] if isinstance(says, str) else says
        if says:
            self.assertTrue(any(word in result.stderr for word in says), result.stderr)
        self.assert_no_output(folder)
        return result.stderr

    def refuse_target(self, pid, *options, says=(), **more):
        return self.refused("record", "-o", self.output, "-d", "1", "-p", pid, *options,
                            says=says, **more)


class Targets(Refusal):
    def test_gone(self):
        gone = self.start(["true"])
        gone.wait()
        self.refuse_target(gone.pid, says="no such process")

    def test_not_a_pid(self):
        for pid in ("0", "-1", "x", "", "99999999999999999999", "1x"):
            self.refuse_target(pid)

    def test_zombie(self):
        zombie = self.start(["true"])
        deadline = time.monotonic() + harness.TIMEOUT_S
        while self.state(zombie.pid) != "Z" and time.monotonic() < deadline:
            time.sleep(0.01)
        self.refuse_target(zombie.pid, says="zombie")

    def test_kernel_thread(self):
        for pid in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                fields = pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2]
                if int(fields.split()[6]) & 0x00200000:  # PF_KTHREAD
                    self.refuse_target(pid, says="kernel thread")
                    return
        self.skipTest("no kernel thread is seen from here: a PID namespace")

    def test_itself(self):
        result = subprocess.run(
            ["sh", "-c", 'exec "$0" record -d 1 -o "$1" -p $$', harness.MEMPROF, self.output],
            text=True, capture_output=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertRegex(result.stderr, r"\Amemprof: [^\n]*itself[^\n]*\n\Z")
        self.assert_no_output()

    def test_another_users(self):
        prefix = harness.as_nobody()
        if not prefix:
            self.skipTest("needs root and setpriv, to become another user")
        os.chmod(self.folder, 0o777)
        binary = os.path.join(self.folder, "memprof")
        with open(harness.MEMPROF, "rb") as source, open(binary, "wb") as copy:
            copy.write(source.read())
        os.chmod(binary, 0o755)
        out = os.path.join(self.folder, "out")
        os.mkdir(out)
        os.chmod(out, 0o777)
        target = self.start(["sleep", "100"])
        result = subprocess.run(
            [*prefix, binary, "record", "-d", "1", "-o", os.path.join(out, "x.cpuprofile"), "-p",
             str(target.pid)], text=True, capture_output=True, timeout=harness.TIMEOUT_S,
            check=False)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr,
                         rf"\Amemprof: [^\n]*{target.pid} \(sleep\)[^\n]*root[^\n]*\n\Z")
        self.assertEqual(os.listdir(out), [])
        self.assert_alive(target)


class Options(Refusal):
    def test_two_documents_on_standard_output(self):
        self.refused("record", "--json", "-o", "-", "--", "true", says="standard output")

    def test_frequency(self):
        for frequency in ("0", "10000000", "-5", "abc", "", "1e9", "99999999999999999999"):
            self.refused("record", "-F", frequency, "-o", self.output, "--", "true")

    def test_numbers(self):
        for option in ("-d", "--memory-interval"):
            for value in ("-1", "x", "", "1x", "nan", "inf"):
                self.refused("record", option, value, "-o", self.output, "--", "true")

    def test_threads(self):
        for value in ("some", "", "-1", "1x"):
            self.refused("record", "--threads", value, "-o", self.output, "--", "true")

    def test_no_target_or_two(self):
        self.refused("record", "-o", self.output)
        self.refused("record", "-o", self.output, "-p", os.getpid(), "--", "true")

    def test_unknown_option_names_the_nearest(self):
        self.refused("record", "--childen", "-o", self.output, "--", "true", says="--children")

    def test_unknown_command(self):
        self.refused("recrod", says="record")
        self.refused("frobnicate")

    def test_unknown_suffix(self):
        self.refused("record", "-o", os.path.join(self.folder, "out.xyz"), "--", "true",
                     says="out.xyz")

    def test_help(self):
        for args in (["--help"], ["record", "--help"], ["report", "--help"]):
            result = self.memprof(*args)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("sage", result.stdout)


class Commands(Refusal):
    def test_not_found(self):
        self.refused("record", "-o", self.output, "--", "no-such-program-here",
                     says="no-such-program-here")

    def test_not_executable(self):
        with open("/dev/null", "rb"):
            self.refused("record", "-o", self.output, "--", "/dev/null", says="/dev/null")

    def test_directory(self):
        self.refused("record", "-o", self.output, "--", "/", says="/")


class Destinations(Refusal):
    def setUp(self):
        super().setUp()
        self.target = self.start(program("burn", 0), stdout=subprocess.DEVNULL)

    def tearDown(self):
        self.assert_alive(self.target)

    def record_to(self, path, **more):
        return self.refused("record", "-d", "0.5", "-o", path, "-p", self.target.pid, **more)

    def test_missing_directory(self):
        self.record_to(os.path.join(self.folder, "missing", "out.cpuprofile"), says="missing")

    def test_a_directory(self):
        folder = os.path.join(self.folder, "out.cpuprofile")
        os.mkdir(folder)
        self.record_to(folder, folder=folder, says="out.cpuprofile")
        self.assertEqual(os.listdir(self.folder), ["out.cpuprofile"])

    def test_a_bad_destination_is_told_before_the_command_runs(self):
        mark = os.path.join(self.folder, "ran")
        self.refused("record", "-o", os.path.join(self.folder, "missing", "out.cpuprofile"),
                     "--", "touch", mark)

    def test_full_device(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full here")
        with open("/dev/full", "w", encoding="ascii") as full:
            result = self.memprof("record", "-d", "0.5", "-o", "-", "-p", self.target.pid,
                                  stdout=full)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertRegex(result.stderr, r"\Amemprof: [^\n]*No space left[^\n]*\n\Z")

    def test_full_disk(self):
        disk = os.path.join(self.folder, "disk")
        os.mkdir(disk)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32k", "none", disk],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode:
            self.skipTest("a small file system can't be mounted here: " + mounted.stderr.strip())
        try:
            with open(os.path.join(disk, "filler"), "wb", buffering=0) as filler:
                with contextlib.suppress(OSError):
                    while True:
                        filler.write(bytes(4096))
            result = self.memprof("record", "-d", "0.5", "-o",
                                  os.path.join(disk, "out.cpuprofile"), "-p", self.target.pid)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, r"\Amemprof: [^\n]*No space left[^\n]*\n\Z")
            self.assertEqual(os.listdir(disk), ["filler"])
        finally:
            subprocess.run(["umount", disk], check=True)


class Reports(Refusal):
    def report(self, text, **more):
        path = os.path.join(self.folder, "in.cpuprofile")
        with open(path, "wb") as file:
            file.write(text)
        result = self.memprof("report", path)
        self.assertEqual((result.returncode, result.stdout), (2, ""), text[:80])
        self.assertRegex(result.stderr, r"\Amemprof: [^\n]*in\.cpuprofile[^\n]*\n\Z")

    def test_no_file(self):
        self.refused("report", os.path.join(self.folder, "missing.cpuprofile"), says="missing")
        self.refused("report")

    def test_not_a_profile(self):
        for text in (b"", b"{", b"{}", b"[]", b"null", b"\0\0\0", b"hello", b'{"nodes":[]}',
                     b'{"nodes":7,"samples":[],"timeDeltas":[]}'):
            self.report(text)

    def test_hostile(self):
        frame = (b'"callFrame":{"functionName":"f","scriptId":"0","url":"","lineNumber":-1,'
                 b'"columnNumber":-1}')
        root = b'{"nodes":[{"id":1,' + frame + b',"hitCount":0,"children":['
        end = b']}],"startTime":0,"endTime":1,"samples":[1],"timeDeltas":[1]}'
        self.report(root + b"1" + end)  # its own child
        self.report(root + b"2" + end)  # a child that is not there
        self.report(root + b"18446744073709551617" + end)
        self.report(b"[" * 1000000)
        self.report(b'{"nodes":' + b'{"a":' * 300000)

    def test_truncated(self):
        """A recording cut anywhere is refused, and so is one with bytes behind its end."""
        Case.record(self, program("burn", 0.3))
        with open(self.output, "rb") as file:
            whole = file.read()
        for share in range(1, 20):
            self.report(whole[:len(whole) * share // 20])
        self.report(whole + b"x")


if __name__ == "__main__":
    harness.main()
