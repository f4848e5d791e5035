#!/usr/bin/env python3
"""Beginnings and ends of a recording: attach, launch, signals, the target's death, -d."""

import os
import signal
import stat
import subprocess
import time
import unittest

import harness
from harness import Case, program, send


class Launch(Case):
    def status_of(self, **environment):
        result = self.memprof("record", "-q", "-o", self.output, "--", *program("burn", 0.2),
                              env={**os.environ, **environment})
        self.load()
        return result.returncode

    def test_exit_status_of_the_command(self):
        self.assertEqual(self.status_of(), 0)
        self.assertEqual(self.status_of(BURN_EXIT="7"), 7)

    def test_status_of_a_killed_command(self):
        self.assertEqual(self.status_of(BURN_SIGNAL=str(int(signal.SIGKILL))), 128 + 9)
        self.assertEqual(self.status_of(BURN_SIGNAL=str(int(signal.SIGTERM))), 128 + 15)

    def test_standard_streams_are_the_commands(self):
        result = self.memprof("record", "-q", "-o", self.output, "--", "sh", "-c",
                              "cat; echo error >&2; exit 3", input="through\n")
        self.assertEqual((result.returncode, result.stdout, result.stderr),
                         (3, "through\n", "error\n"))
        self.load()

    def test_the_command_has_default_signals_and_its_environment(self):
        result = self.memprof("record", "-q", "-o", self.output, "--", "sh", "-c",
                              "grep -E 'Sig(Blk|Ign)' /proc/self/status; echo $HELLO",
                              env={**os.environ, "HELLO": "there"})
        ignored = int(result.stdout.split()[3], 16)
        self.assertEqual(int(result.stdout.split()[1], 16), 0)
        self.assertEqual(ignored & (1 << (signal.SIGINT - 1) | 1 << (signal.SIGPIPE - 1)), 0)
        self.assertTrue(result.stdout.endswith("there\n"))

    def test_a_thread_that_never_ran_loses_nothing(self):
        result = self.memprof("record", "-q", "--threads", "999999", "-o", self.output, "--",
                              *program("burn", 0.3))
        self.assertEqual(result.returncode, 0)
        self.assertRegex(result.stderr, r"\Amemprof: thread 999999 was never sampled[^\n]*\n\Z")
        self.assertGreater(self.load().self_ticks()["burn_hot"], 0)

    def test_nohup_is_kept(self):
        """Under nohup SIGHUP is ignored, and the command is to survive."""
        result = self.memprof("record", "-q", "-o", self.output, "--", "sh", "-c",
                              "grep SigIgn /proc/self/status",
                              preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.assertTrue(int(result.stdout.split()[1], 16) & 1 << (signal.SIGHUP - 1))

    def test_a_hostile_name_does_not_reach_the_terminal(self):
        target = self.start(["sh", "-c", "printf '\\033[31mred\\a' > /proc/$$/comm; "
                                         "while :; do :; done"])
        while self.state(target.pid) != "R":
            time.sleep(0.01)
        result = self.memprof("record", "-d", "0.3", "-o", self.output, "-p", target.pid)
        self.assertEqual(result.returncode, 0)
        self.assertIn("red", result.stderr)
        self.assertNotRegex(result.stderr, r"[\x00-\x09\x0b-\x1f]")

    def test_a_command_of_an_instant(self):
        result = self.memprof("record", "-q", "-o", self.output, "--", "true")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(self.output, encoding="utf-8") as file:
            self.assertIn('"nodes"', file.read())

    def test_duration_ends_the_recording_and_not_the_command(self):
        result = self.memprof("record", "-q", "-d", "0.5", "-o", self.output, "--",
                              *program("burn", 1.5), env={**os.environ, "BURN_EXIT": "5"})
        self.assertEqual(result.returncode, 5)
        self.assertIn("burn_hot", result.stdout)
        profile = self.load()
        seconds = (profile.json["endTime"] - profile.json["startTime"]) / 1e6
        self.assertGreaterEqual(seconds, 0.45)
        self.assertLess(profile.ticks * profile.period_s, 1.4)

    def test_ctrl_c_reaches_both(self):
        """A terminal sends SIGINT to the whole foreground group."""
        memprof = self.start_memprof("record", "-q", "-o", self.output, "--",
                                     *program("burn", 0), start_new_session=True)
        self.wait_for_burning(memprof)
        os.killpg(memprof.pid, signal.SIGINT)
        memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(memprof.returncode, 128 + signal.SIGINT)
        self.assertGreater(self.load().ticks, 0)

    def test_sigterm_is_passed_on(self):
        memprof = self.start_memprof("record", "-q", "-o", self.output, "--",
                                     *program("burn", 0))
        child = self.wait_for_burning(memprof)
        send(memprof, signal.SIGTERM)
        memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(memprof.returncode, 128 + signal.SIGTERM)
        self.assertFalse(os.path.exists(f"/proc/{child}"))
        self.assertGreater(self.load().ticks, 0)

    def wait_for_burning(self, memprof):
        """Until the launched burn has used CPU time; its PID."""
        deadline = time.monotonic() + harness.TIMEOUT_S
        while time.monotonic() < deadline and memprof.poll() is None:
            path = f"/proc/{memprof.pid}/task/{memprof.pid}/children"
            with open(path, encoding="ascii") as file:
                children = file.read().split()
            for child in children:
                with open(f"/proc/{child}/stat", encoding="ascii") as file:
                    text = file.read()
                if "(burn)" in text and int(text.rpartition(") ")[2].split()[11]) >= 20:
                    return int(child)
            time.sleep(0.02)
        self.fail("the command was not launched")


class Attach(Case):
    def setUp(self):
        super().setUp()
        self.target = self.start(program("burn", 0), stdout=subprocess.PIPE)

    def start_recording(self, *options):
        memprof = self.start_memprof("record", "-o", self.output, "-p", self.target.pid, *options)
        self.wait_for_recording(self.target, memprof)
        time.sleep(0.7)
        return memprof

    def finish(self, memprof):
        _, errors = memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertEqual(memprof.returncode, 0, errors)
        self.assertEqual(os.listdir(self.folder), [os.path.basename(self.output)])
        profile = self.load()
        ticks = profile.self_ticks()
        self.assertGreater(ticks["burn_hot"], ticks["burn_warm"])
        self.assertGreater(ticks["burn_warm"], 0)
        return profile, errors

    def test_duration(self):
        profile = self.attach(self.target, "-d", 2)
        truth = {"functions": {"burn_hot": 0.7, "burn_warm": 0.3}}
        self.check_shares(profile.self_ticks(), profile.ticks, truth, 1)
        self.check_coverage(profile)
        self.assertGreaterEqual(profile.json["endTime"] - profile.json["startTime"], 1900000)
        self.assertEqual(profile.extension["target"]["pid"], self.target.pid)
        self.assertIn("burn", profile.extension["target"]["command"])
        self.assert_alive(self.target)

    def test_interrupt(self):
        memprof = self.start_recording()
        send(memprof, signal.SIGINT)
        _, errors = self.finish(memprof)
        self.assertEqual(errors.count("\n"), 1, errors)
        self.assertNotIn("\x1b", errors)
        self.assertNotIn("\r", errors)
        self.assert_alive(self.target)

    def test_terminate(self):
        memprof = self.start_recording("-q")
        send(memprof, signal.SIGTERM)
        self.assertEqual(self.finish(memprof)[1], "")
        self.assert_alive(self.target)

    def test_end_of_the_target(self):
        memprof = self.start_recording("-q")
        send(self.target, signal.SIGKILL)
        self.finish(memprof)

    def test_end_of_a_target_that_nobody_reaps(self):
        """self.target stays a zombie until the test ends: memprof must not wait for more."""
        memprof = self.start_recording("-q", "-d", 60)
        send(self.target, signal.SIGTERM)
        start = time.monotonic()
        self.finish(memprof)
        self.assertLess(time.monotonic() - start, 30)

    def test_killed_memprof_leaves_the_target_running(self):
        memprof = self.start_recording()
        send(memprof, signal.SIGKILL)
        memprof.communicate(timeout=harness.TIMEOUT_S)
        self.assertFalse(os.path.exists(self.output))
        before = time.monotonic()
        while time.monotonic() - before < 0.3:
            self.assert_alive(self.target)
            time.sleep(0.05)

    def test_stopped_and_continued(self):
        """While the target is stopped nothing is charged, and it is left as it was found."""
        memprof = self.start_recording("-q", "-d", "2.5")
        send(self.target, signal.SIGSTOP)
        time.sleep(0.6)
        self.assertEqual(self.state(self.target.pid), "T")
        send(self.target, signal.SIGCONT)
        profile, _ = self.finish(memprof)
        self.check_coverage(profile)
        self.assertGreater(profile.seconds_by_readers()[harness.IDLE], 0.4)
        self.assert_alive(self.target)

    def test_two_recordings_at_once(self):
        memprof = self.start_recording("-q", "-d", 2)
        other = os.path.join(self.folder, "other.cpuprofile")
        result = self.memprof("record", "-q", "-d", "0.5", "-o", other, "-p", self.target.pid)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_coverage(self.load(other))
        memprof.communicate(timeout=harness.TIMEOUT_S)
        self.check_coverage(self.load())


class Output(Case):
    def test_mode_and_replacement(self):
        """Only the owner may read it; a link in its place is replaced and not followed."""
        victim = os.path.join(self.folder, "victim")
        with open(victim, "w", encoding="utf-8") as file:
            file.write("untouched")
        os.symlink(victim, self.output)
        self.record(program("burn", 0.2))
        status = os.lstat(self.output)
        self.assertTrue(stat.S_ISREG(status.st_mode))
        self.assertEqual(stat.S_IMODE(status.st_mode), 0o600)
        with open(victim, encoding="utf-8") as file:
            self.assertEqual(file.read(), "untouched")

    def test_standard_output(self):
        target = self.start(program("burn", 0), stdout=subprocess.PIPE)
        result = self.memprof("record", "-q", "-d", "0.5", "-o", "-", "-p", target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        profile = harness.Profile(result.stdout)
        self.check_invariants(profile)
        self.assertGreater(profile.ticks, 0)

    def test_default_name(self):
        target = self.start(program("burn", 0), stdout=subprocess.PIPE)
        result = self.memprof("record", "-q", "-d", "0.3", "-p", target.pid, cwd=self.folder)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(os.listdir(self.folder), [f"memprof-{target.pid}.cpuprofile"])


if __name__ == "__main__":
    harness.main()
