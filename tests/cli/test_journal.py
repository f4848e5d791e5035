#!/usr/bin/env python3
"""A recording that is killed, and one that the disk is too small for."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
import unittest

import harness
from harness import Case, program, send

FLUSHED_S = 1  # what a kill may cost


class JournalCase(Case):
    def setUp(self):
        super().setUp()
        self.part = self.output + ".part"

    def burn(self):
        return self.start(program("burn", 0), stdout=subprocess.DEVNULL)

    def start_recording(self, target, *options, **process_options):
        memprof = self.start_memprof("record", "-o", self.output, "-p", target.pid, *options,
                                     **process_options)
        self.wait_for_recording(target, memprof)
        return memprof

    def killed(self, target, seconds, *options):
        """A recording that SIGKILL ends after so many seconds; when that was, by its own clock."""
        memprof = self.start_recording(target, *options)
        time.sleep(seconds)
        send(memprof, signal.SIGKILL)
        killed_at = time.monotonic()
        memprof.communicate(timeout=harness.TIMEOUT_S)
        return killed_at

    def recover(self, *options):
        result = self.memprof("recover", self.part, *options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def check_burn(self, profile, tolerance=5):
        truth = {"functions": {"burn_hot": 0.7, "burn_warm": 0.3}}
        self.check_shares(profile.self_ticks(), profile.ticks, truth, 1, tolerance)

    def refused(self, *args):
        result = self.memprof(*args)
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
        return result.stderr


class Killed(JournalCase):
    def test_all_but_the_last_second_comes_back(self):
        target = self.burn()
        killed_at = self.killed(target, 3)
        self.assertIn(os.path.basename(self.part), os.listdir(self.folder))
        result = self.recover()
        self.assertRegex(result.stderr, r"\Amemprof: \S+: \d+ samples of [^\n]*\(\d+\), \d\.\d s; "
                                        r"less than the last second is missing\n\Z")
        self.assertEqual(os.listdir(self.folder), [os.path.basename(self.output)])
        profile = self.load()
        end = profile.json["endTime"] / 1e6
        self.assertLess(killed_at - end, FLUSHED_S)
        self.assertLess(end - (profile.json["startTime"] + sum(profile.deltas)) / 1e6, FLUSHED_S)
        self.check_burn(profile)
        self.check_coverage(profile)
        self.assertIn("recovered from", profile.quality["note"])
        self.assertEqual(profile.quality["samples"], profile.ticks)
        self.assertEqual(profile.extension["target"]["pid"], target.pid)
        self.assert_alive(target)

    def test_the_target_is_gone(self):
        target = self.burn()
        self.killed(target, 1.5)
        self.end(target)
        self.recover("-q")
        self.check_burn(self.load(), 8)

    def test_a_program_that_was_deleted_and_still_runs(self):
        copy = os.path.join(self.folder, "copied")
        shutil.copy(program("burn")[0], copy)
        target = self.start([copy, "0"], stdout=subprocess.DEVNULL)
        while os.readlink(f"/proc/{target.pid}/exe") != copy:
            time.sleep(0.01)
        self.killed(target, 1)
        os.unlink(copy)
        self.recover("-q")
        self.assertGreater(self.load().self_ticks()["burn_hot"], 0)

    def test_a_launched_command_lives_on(self):
        pid_file = os.path.join(self.folder, "pid")
        memprof = self.start_memprof("record", "-o", self.output, "--", "sh", "-c",
                                     f"echo $$ > {pid_file}; while :; do :; done")
        while not os.path.exists(pid_file) or not os.path.getsize(pid_file):
            time.sleep(0.02)
        with open(pid_file, encoding="ascii") as file:
            pid = int(file.read())
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        time.sleep(1.5)
        send(memprof, signal.SIGKILL)
        memprof.wait()
        self.assertIn(self.state(pid), "RS")
        self.recover("-q")
        self.assertGreater(self.load().ticks, 0)

    def test_torn(self):
        """Cut anywhere, and with a part overwritten."""
        target = self.burn()
        self.killed(target, 2)
        with open(self.part, "rb") as file:
            whole = file.read()
        with open(self.part, "wb") as file:
            file.write(whole[:len(whole) * 2 // 3])
        result = self.recover()
        self.assertRegex(result.stderr, r"; the journal is torn at byte \d+ of \d+\n\Z")
        cut = self.load()
        self.assertIn("torn at byte", cut.quality["note"])
        with open(self.part, "wb") as file:
            middle = len(whole) // 2
            file.write(whole[:middle] + b"\0" * 100 + whole[middle + 100:])
        told = json.loads(self.recover("--json").stdout)
        self.assertLessEqual(told["read"], middle)
        self.assertEqual(told["bytes"], len(whole))
        self.assertLessEqual(self.load().ticks, cut.ticks)

    def test_an_output_in_place_of_the_journal(self):
        self.killed(self.burn(), 1)
        self.recover("-o", self.part + ".cpuprofile")
        self.killed(self.burn(), 1)
        os.rename(self.part, self.output)
        result = self.memprof("recover", self.output, "-o", self.output)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.check_burn(self.load(), tolerance=10)

    def test_waits_come_back(self):
        """A wait stands in the sequence where it began, so samples are held back for a while."""
        target = self.start(program("sleeper", 60), stdout=subprocess.DEVNULL)
        killed_at = self.killed(target, 4, "--wall")
        self.recover()
        profile = self.load()
        last = (profile.json["startTime"] + sum(profile.deltas)) / 1e6
        self.assertLess(killed_at - last, 2 * FLUSHED_S)
        self.assertGreater(len(profile.samples), 10)

    def test_json_and_another_output(self):
        target = self.burn()
        self.killed(target, 1.2)
        other = os.path.join(self.folder, "other.cpuprofile")
        told = json.loads(self.recover("--json", "-o", other).stdout)
        self.assertEqual((told["file"], told["pid"], told["finished"]),
                         (other, target.pid, False))
        self.assertEqual(told["read"], told["bytes"])
        self.assertEqual(self.load(other).quality["samples"], told["samples"])
        self.assertEqual(os.listdir(self.folder), ["other.cpuprofile"])


class Refused(JournalCase):
    def test_one_that_is_being_written(self):
        target = self.burn()
        memprof = self.start_recording(target)
        self.assertIn(f"in use by memprof ({memprof.pid})", self.refused("recover", self.part))
        errors = self.refused("record", "-d", 1, "-o", self.output, "-p", target.pid)
        self.assertIn(f"another memprof ({memprof.pid})", errors)
        send(memprof)
        memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(memprof.returncode, 0)
        self.assertEqual(os.listdir(self.folder), [os.path.basename(self.output)])

    def test_one_that_was_left(self):
        target = self.burn()
        self.killed(target, 1)
        before = os.path.getsize(self.part)
        errors = self.refused("record", "-d", 1, "-o", self.output, "-p", target.pid)
        self.assertIn(f"`memprof recover {self.part}`", errors)
        self.assertEqual(os.path.getsize(self.part), before)

    def test_what_is_no_journal(self):
        for content, why in ((b"", "is empty"), (b"{\"nodes\":[]}" * 9, "is no journal"),
                             (b"MPJOURNL\x63\0\0\0\1\0\0\0", "of version 99"),
                             (b"MPJOURNL\x02\0\0\0\1\0\0\0torn", "ends before anything")):
            with open(self.part, "wb") as file:
                file.write(content)
            self.assertIn(why, self.refused("recover", self.part))
            self.assertEqual(os.listdir(self.folder), [os.path.basename(self.part)])
        self.assertIn("No such file", self.refused("recover", self.part + ".part"))
        self.assertIn("is no file", self.refused("recover", self.folder, "-o", self.output))
        self.assertIn("-o", self.refused("recover", self.folder))

    def test_nothing_is_left_of_what_did_not_begin(self):
        self.refused("record", "-o", self.output, "-p", 999999999)
        self.refused("record", "-o", self.output, "--", os.path.join(self.folder, "none"))
        target = self.burn()
        self.refused("record", "-o", os.path.join(self.folder, "out.unknown"), "-p", target.pid)
        self.assert_no_output()

    def test_a_file_that_could_not_be_written(self):
        target = self.burn()
        memprof = self.start_recording(target)
        time.sleep(1)
        os.mkdir(self.output)
        send(memprof)
        _, errors = memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(memprof.returncode, 2)
        self.assertIn(f"; `memprof recover {self.part}` tries again\n", errors)
        os.rmdir(self.output)
        self.recover("-q")
        profile = self.load()
        self.check_burn(profile, 8)
        self.assertIn("recovered from its journal", profile.quality["note"])


class FullDisk(JournalCase):
    LIMIT = 150_000

    def limit(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.LIMIT, self.LIMIT))

    def check_ended_early(self, errors):
        self.assertRegex(errors, r"memprof: the recording ended after \d+\.\d s: cannot write "
                                 r"[^\n]*: (File too large|No space left on device)\n\Z")
        self.assertEqual(os.listdir(os.path.dirname(self.output)),
                         [os.path.basename(self.output)])
        profile = self.load()
        self.assertIn("ended early", profile.quality["note"])
        self.assertGreater(profile.self_ticks()["burn_hot"], 0)
        self.assertEqual(profile.quality["samples"], profile.ticks)

    def test_a_limit_on_the_size_of_files(self):
        target = self.burn()
        result = self.memprof("record", "-d", 60, "-F", 20000, "-o", self.output, "-p",
                              target.pid, preexec_fn=self.limit)
        self.assertEqual(result.returncode, 2)
        self.check_ended_early(result.stderr)
        self.assert_alive(target)

    def test_a_launched_command_has_its_own_status(self):
        result = self.memprof("record", "-F", 20000, "-o", self.output, "--",
                              *program("burn", 3), env={**os.environ, "BURN_EXIT": "7"},
                              preexec_fn=self.limit)
        self.assertEqual(result.returncode, 7)
        self.assertIn("the recording ended after", result.stderr)
        self.assertGreater(self.load().ticks, 0)

    def test_a_full_file_system(self):
        self.mount_small()
        target = self.burn()
        result = self.memprof("record", "-d", 60, "-F", 20000, "-o", self.output, "-p",
                              target.pid)
        self.assertEqual(result.returncode, 2)
        self.check_ended_early(result.stderr)

    def test_no_room_at_all(self):
        """Nothing is begun, and the target not touched."""
        folder = self.mount_small()
        with open(os.path.join(folder, "filling"), "wb", buffering=0) as file, \
                self.assertRaises(OSError):
            while True:
                file.write(b"\0" * 4096)
        target = self.burn()
        errors = self.refused("record", "-d", 60, "-o", self.output, "-p", target.pid)
        self.assertIn("No space left on device", errors)
        self.assertEqual(os.listdir(folder), ["filling"])

    def mount_small(self):
        """A file system of 400 KB of which self.output lies."""
        folder = os.path.join(self.folder, "small")
        os.mkdir(folder)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", folder],
                                 capture_output=True, text=True, check=False)
        if mounted.returncode:
            self.skipTest(f"no small file system can be mounted: {mounted.stderr.strip()}")
        self.addCleanup(subprocess.run, ["umount", "-l", folder], check=True)
        self.output = os.path.join(folder, "out.cpuprofile")
        self.part = self.output + ".part"
        return folder


if __name__ == "__main__":
    harness.main()
