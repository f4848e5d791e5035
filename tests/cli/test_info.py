#!/usr/bin/env python3
"""memprof info, as root, as an ordinary user, under a seccomp filter and in namespaces.

The verdicts are compared with what the same user's `memprof record` does, and with the kernel's
own settings.
"""

import errno
import json
import os
import pathlib
import re
import resource
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case, program

PARANOID = pathlib.Path("/proc/sys/kernel/perf_event_paranoid")
ROWS = {"perf_events", "cycles", "kernel_frames", "ring_memory", "sample_rate", "uprobes",
        "breakpoints", "ptrace", "process_vm_readv", "pidfd", "other_users", "proc",
        "smaps_rollup", "map_files", "open_files", "cgroup", "kernel_names", "debuginfod"}
OF_PERF = {"perf_events", "cycles", "kernel_frames", "uprobes", "breakpoints"}
ABSENT = {"ring_memory", "sample_rate"}  # these have no row where there is no perf to ask


class Info(Case):
    def info(self, *args, prefix=(), **options):
        """The rows of --json by name, and the rest."""
        result = self.memprof("info", "--json", *args, prefix=prefix, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = json.loads(result.stdout)
        self.assertEqual(found["schema"], 1)
        rows = {row["name"]: row for row in found["probes"]}
        self.assertEqual(len(rows), len(found["probes"]), "a name twice")
        self.assertLessEqual(set(rows), ROWS)
        self.assertLessEqual(ROWS - ABSENT, set(rows))
        for row in rows.values():
            self.assertIn(row["state"], ("works", "limited", "missing"))
            self.assertTrue(row["detail"], row)
            if row["state"] == "works":
                self.assertIsNone(row["remedy"], row)
        return rows, found

    def states(self, rows, names):
        return {name: rows[name]["state"] for name in names}


class Here(Info):
    """As whoever runs the tests."""

    def test_the_machine(self):
        rows, found = self.info()
        self.assertEqual(found["kernel"], os.uname().release)
        self.assertEqual(found["machine"], os.uname().machine)
        self.assertEqual(found["cpus"], os.sysconf("SC_NPROCESSORS_ONLN"))
        self.assertEqual(found["uid"], os.geteuid())
        self.assertEqual(found["perf_event_paranoid"], int(PARANOID.read_text("ascii")))
        status = pathlib.Path("/proc/self/status").read_text("utf-8")
        self.assertEqual(found["capabilities"], re.search(r"CapEff:\t(\w+)", status)[1])
        self.assertEqual(found["seccomp"], not re.search(r"Seccomp:\t0", status))
        groups = pathlib.Path("/proc/self/cgroup").read_text("utf-8").splitlines()
        if rows["cgroup"]["state"] == "works":
            self.assertIn(found["cgroup"]["path"], {line.split(":", 2)[2] for line in groups})
            self.assertTrue(os.path.isdir(found["cgroup"]["directory"]))

    def test_the_verdicts_are_those_of_record(self):
        rows, _ = self.info()
        result = self.memprof("record", "-v", "-o", self.output, "--", *program("burn", 0.2))
        if rows["perf_events"]["state"] != "works":
            self.assertNotRegex(result.stderr, r"\Amemprof: (perf )?(cycles|cpu-clock) at ")
            return
        self.assertEqual(result.returncode, 0, result.stderr)
        kernel = rows["kernel_frames"]["state"] == "works"
        self.assertIn(f"{'with' if kernel else 'without'} kernel frames", result.stderr)
        event = "cycles" if rows["cycles"]["state"] == "works" else "cpu-clock"
        self.assertRegex(result.stderr, rf"\Amemprof: (perf )?{event} at ")

    def test_text(self):
        """One line for each row, each remedy below its row, and the sums."""
        rows, found = self.info()
        result = self.memprof("info")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn("\033", result.stdout)
        lines = result.stdout.splitlines()
        self.assertIn(f"on Linux {found['kernel']}", lines[0])
        for row in rows.values():
            line = f"  {row['state']:7}  {row['name']:16}  {row['detail']}"
            self.assertIn(line, lines)
            if row["remedy"]:
                self.assertRegex(lines[lines.index(line) + 1], r"^ {11}remedy: \S")
                self.assertIn(f"remedy: {row['remedy']}", result.stdout)
        counts = [sum(row["state"] == state for row in rows.values())
                  for state in ("works", "limited", "missing")]
        self.assertIn("{} works, {} limited, {} missing".format(*counts), lines)

    def test_color(self):
        self.assertIn("\033[32mworks  \033[0m", self.memprof("info", "--color=always").stdout)
        self.assertNotIn("\033", self.memprof("info", "--color=never").stdout)

    def test_usage(self):
        result = self.memprof("info", "me")
        self.assertEqual(result.returncode, 2)
        self.assertRegex(result.stderr, r"\Amemprof: [^\n]*'me'[^\n]*\n\Z")

    def test_debuginfod(self):
        rows, _ = self.info(env={})
        self.assertEqual(rows["debuginfod"]["state"], "missing")
        self.assertIn("DEBUGINFOD_URLS=", rows["debuginfod"]["remedy"])
        rows, _ = self.info(env={"DEBUGINFOD_URLS": "http://localhost:1/"})
        there = "libdebuginfod.so.1" in subprocess.run(
            ["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=False).stdout
        self.assertEqual(rows["debuginfod"]["state"], "works" if there else "missing")

    def test_nothing_is_left_behind(self):
        """The processes forked for ptrace end with memprof."""
        copy = shutil.copy(harness.MEMPROF, os.path.join(self.folder, "memprof-copy"))
        subprocess.run([copy, "info"], stdout=subprocess.DEVNULL, check=True)
        deadline = time.monotonic() + harness.TIMEOUT_S
        while time.monotonic() < deadline:
            running = []
            for entry in os.scandir("/proc"):
                try:
                    if entry.name.isdigit() and os.readlink(entry.path + "/exe") == copy:
                        running.append(entry.name)
                except OSError:
                    pass
            if not running:
                return
            time.sleep(0.05)
        self.fail(f"still there: {running}")

    def test_a_user_namespace(self):
        """Its root has all capabilities, and none that counts for perf."""
        prefix = ["unshare", "--user", "--map-root-user"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            self.skipTest("user namespaces can't be made here")
        rows, found = self.info(prefix=prefix)
        self.assertTrue(found["user_namespace"])
        self.assertEqual(found["uid"], 0)
        if int(PARANOID.read_text("ascii")) > 1:
            self.assertEqual(rows["kernel_frames"]["state"], "missing")
            self.assertIn("user namespace", rows["kernel_frames"]["detail"])
            self.assertIn("`sysctl kernel.perf_event_paranoid=1`",
                          rows["kernel_frames"]["remedy"])


class Filtered(Info):
    """Under a seccomp filter as a container has it."""

    def filtered(self, *options):
        return self.info(prefix=program("no_perf", *options))

    def check_perf(self, rows, found):
        self.assertTrue(found["seccomp"])
        self.assertEqual(self.states(rows, OF_PERF), dict.fromkeys(OF_PERF, "missing"))
        for name in OF_PERF:
            self.assertIn("seccomp", rows[name]["detail"])
            self.assertIn("PERFMON", rows[name]["remedy"])
        if not found["container"]:
            self.assertIn("`docker run --cap-add PERFMON`", rows["perf_events"]["remedy"])
            self.assertIn("--security-opt seccomp=", rows["perf_events"]["remedy"])

    def test_whatever_errno_it_has(self):
        for number in ("EPERM", "EACCES", "ENOSYS"):
            rows, found = self.filtered("-e", number)
            self.check_perf(rows, found)
            self.assertIn(os.strerror(getattr(errno, number)),
                          rows["perf_events"]["detail"])

    def test_the_rest_still_works(self):
        free, _ = self.info()
        rows, _ = self.filtered()
        rest = ROWS - OF_PERF - ABSENT - {"other_users"}
        self.assertEqual(self.states(rows, rest), self.states(free, rest))

    def test_other_calls(self):
        rows, found = self.filtered("-b", "ptrace", "-b", "process_vm_readv", "-b", "pidfd_open")
        self.check_perf(rows, found)
        for name in ("ptrace", "process_vm_readv", "pidfd"):
            self.assertEqual(rows[name]["state"], "missing")
            self.assertIn("seccomp", rows[name]["detail"])
        if not found["container"]:
            self.assertIn("`docker run --cap-add SYS_PTRACE`", rows["ptrace"]["remedy"])

    def test_docker_is_named_in_a_container(self):
        """Its hint counts only in namespaces of its own."""
        environment = {**os.environ, "container": "oci"}
        _, found = self.info(env=environment)
        outside = found["container"]
        prefix = ["unshare", "--uts"]
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode:
            self.skipTest("namespaces can't be made here")
        _, found = self.info(prefix=prefix, env=environment)
        self.assertTrue(found["container"])
        if not outside and not os.path.exists("/.dockerenv"):
            self.assertEqual(found["container"], "oci")


@unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become an ordinary user")
class OrdinaryUser(Info):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.binary = shutil.copy(harness.MEMPROF, self.folder)
        os.chmod(self.binary, 0o755)
        # With no_new_privs no capability of a file counts: most tests are without.
        self.prefix = [word for word in harness.as_nobody() if word != "--no-new-privs"]
        self.paranoid = int(PARANOID.read_text("ascii"))

    def memprof(self, *args, prefix=(), **options):
        return subprocess.run([*prefix, self.binary, *args], text=True, capture_output=True,
                              timeout=harness.TIMEOUT_S, check=False, **options)

    def test_kernel_frames(self):
        root, _ = self.info()
        user, found = self.info(prefix=self.prefix)
        self.assertEqual(found["uid"], harness.NOBODY)
        self.assertEqual(found["capabilities"], "0" * 16)
        # Not every root has all capabilities: in a container it may be as bare as a user.
        self.assertLessEqual(user["kernel_frames"]["state"] == "works",
                             root["kernel_frames"]["state"] == "works")
        row = user["kernel_frames"]
        if self.paranoid <= 1:
            self.assertEqual(row["state"], "works")
            return
        self.assertEqual(row["state"], "missing")
        self.assertIn(f"kernel.perf_event_paranoid is {self.paranoid}", row["detail"])
        self.assertIn("`sysctl kernel.perf_event_paranoid=1`", row["remedy"])
        if not found["container"]:
            self.assertIn(f"`setcap cap_perfmon+ep {self.binary}`", row["remedy"])

    def test_the_verdicts_are_those_of_record(self):
        rows, _ = self.info(prefix=self.prefix)
        if rows["perf_events"]["state"] != "works":
            self.skipTest("perf_event_open is not permitted to users here")
        out = os.path.join(self.folder, "out")
        os.mkdir(out)
        os.chown(out, harness.NOBODY, harness.NOBODY)
        result = self.memprof("record", "-v", "-o", out + "/x.cpuprofile", "--", "sleep", "0.1",
                              prefix=self.prefix)
        kernel = rows["kernel_frames"]["state"] == "works"
        self.assertIn(f"{'with' if kernel else 'without'} kernel frames", result.stderr)

    def test_other_users(self):
        """Root's processes are there, and are not for users."""
        self.start(["sleep", "100"])
        rows, found = self.info(prefix=self.prefix)
        self.assertEqual(rows["other_users"]["state"], "missing")
        if not found["container"]:
            self.assertIn("setcap cap_perfmon,cap_sys_ptrace+ep", rows["other_users"]["remedy"])
            self.assertIn("cap_sys_ptrace", found["capabilities_remedy"])

    def test_without_new_privileges(self):
        rows, found = self.info(prefix=harness.as_nobody())
        self.assertTrue(found["no_new_privs"])
        self.assertNotIn("`setcap", rows["other_users"]["remedy"])

    def test_file_capabilities(self):
        """What the remedy says helps; a memprof that is not dumpable still traces its own."""
        _, found = self.info(prefix=self.prefix)
        if found["container"] or not found["capabilities_remedy"]:
            self.skipTest("there is no remedy by setcap here")
        command = re.search(r"`(setcap [^`]*)`", found["capabilities_remedy"])[1].split()
        if not shutil.which("setcap") or subprocess.run(command, check=False,
                                                        capture_output=True).returncode:
            self.skipTest("file capabilities can't be set here")
        prefix = [word for word in self.prefix if not word.startswith("--bounding-set")]
        sleeper = self.start(["sleep", "100"])  # of root
        rows, _ = self.info(prefix=prefix)
        self.assert_alive(sleeper)
        names = {"kernel_frames", "other_users", "map_files", "kernel_names", "ptrace",
                 "process_vm_readv", "smaps_rollup"}
        self.assertEqual(self.states(rows, names), dict.fromkeys(names, "works"))

    def test_limits(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_NOFILE, (128, 128))
            resource.setrlimit(resource.RLIMIT_MEMLOCK, (0, 0))
        rows, _ = self.info(prefix=self.prefix, preexec_fn=limit)
        self.assertEqual(rows["open_files"]["state"], "limited")
        self.assertRegex(rows["open_files"]["remedy"], r"ulimit")
        each = int(pathlib.Path("/proc/sys/kernel/perf_event_mlock_kb").read_text("ascii"))
        if rows["perf_events"]["state"] == "works" and self.paranoid >= 0 and each < 1024:
            self.assertIn(rows["ring_memory"]["state"], ("limited", "missing"))
            self.assertIn("kernel.perf_event_mlock_kb=", rows["ring_memory"]["remedy"])

    def test_a_filter(self):
        tool = shutil.copy(program("no_perf")[0], self.folder)
        rows, found = self.info(prefix=[*self.prefix, tool, "-b", "ptrace"])
        self.assertTrue(found["seccomp"] and found["no_new_privs"])
        self.assertIn("seccomp", rows["perf_events"]["detail"])
        self.assertIn("seccomp", rows["ptrace"]["detail"])


if __name__ == "__main__":
    harness.main()
