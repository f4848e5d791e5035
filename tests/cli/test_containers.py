#!/usr/bin/env python3
"""memprof on processes in namespaces of their own, with another C library, seen from outside.

The containers are made with unshare and chroot: a root that exists in the target's mount
namespace alone, musl in place of glibc, PIDs of its own, no network.
"""

import json
import os
import pathlib
import shutil
import subprocess
import time
import unittest

import harness
from harness import Case, steady

# What runs in the new namespaces: the root is a tmpfs that nobody outside has mounted.
ENTER = """
set -e
mount -t tmpfs none "$1"
cp -a "$2"/. "$1"
mount -t proc none "$1/proc"
shift 2
exec chroot "$root" "$@"
"""
NAMESPACES = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]


def musl_loader():
    """musl's dynamic loader, which is its C library as well."""
    for path in pathlib.Path("/lib").glob("ld-musl-*.so.1"):
        return path
    return None


@unittest.skipUnless(shutil.which("musl-gcc") and musl_loader(), "needs musl-tools")
class Containers(Case):
    def setUp(self):
        super().setUp()
        os.chmod(self.folder, 0o755)
        self.image = os.path.join(self.folder, "image")
        self.root = os.path.join(self.folder, "root")
        for name in ("bin", "lib", "proc", "tmp"):
            os.makedirs(os.path.join(self.image, name))
        os.mkdir(self.root)
        subprocess.run(["musl-gcc", "-O2", "-g", "-fomit-frame-pointer", "-pthread", "-o",
                        os.path.join(self.image, "bin/burn"), harness.SOURCES / "burn.c",
                        "-I", harness.SOURCES.parent.parent], check=True)
        shutil.copy(musl_loader(), os.path.join(self.image, "lib", musl_loader().name))
        self.output = os.path.join(self.folder, "out", "out.cpuprofile")
        os.mkdir(os.path.dirname(self.output))
        os.chmod(os.path.dirname(self.output), 0o777)

    def await_command(self, pid, name):
        """The process below `pid` that runs the command by now."""
        deadline = time.monotonic() + harness.TIMEOUT_S
        while time.monotonic() < deadline:
            todo = [pid]
            while todo:
                parent = todo.pop()
                try:
                    task = pathlib.Path(f"/proc/{parent}/task/{parent}")
                    todo += map(int, (task / "children").read_text("ascii").split())
                    if (task / "comm").read_text("utf-8").strip() == name:
                        return parent
                except OSError:
                    continue
            time.sleep(0.01)
        return self.fail(f"{name} does not start")

    def check_burn(self, pid, profile):
        status = pathlib.Path(f"/proc/{pid}/status").read_text("utf-8")
        namespace_pid = status.split("NSpid:")[1].splitlines()[0].split()[-1]
        self.assertNotEqual(namespace_pid, str(pid), "the target has no PID namespace of its own")
        ticks = profile.self_ticks()
        delta = self.tolerance(profile)
        self.assertAlmostEqual(100 * ticks["burn_hot"] / profile.ticks, 70, delta=delta)
        self.assertAlmostEqual(100 * ticks["burn_warm"] / profile.ticks, 30, delta=delta)
        for chain, _ in profile.stacks("burn_hot"):
            self.assertTrue({"main", "thread_main"} & set(chain), chain)

    @unittest.skipUnless(os.geteuid() == 0, "needs root, to mount")
    def test_files_that_exist_in_the_container_alone(self):
        container = self.start([*NAMESPACES, "sh", "-c", f"root={self.root}\n{ENTER}", "enter",
                                self.root, self.image, "/bin/burn", "0", "2"])
        pid = self.await_command(container.pid, "burn")
        self.assertEqual(os.listdir(self.root), [], "the root is to be seen from outside")
        profile = self.attach_pid(pid)
        self.check_burn(pid, profile)
        self.assertTrue(any("ld-musl" in module["path"] and module["buildId"] is not None
                            for module in profile.extension["modules"]))

    @unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become a user")
    def test_user_namespace_as_ordinary_user(self):
        memprof = shutil.copy(harness.MEMPROF, self.folder)
        container = self.start([*harness.as_nobody(), *NAMESPACES, "--user", "--map-root-user",
                                f"--root={self.image}", "/bin/burn", "0", "2"])
        pid = self.await_command(container.pid, "burn")
        result = subprocess.run(
            [*harness.as_nobody(), memprof, "record", "-q", "-d", "1.5", "-o", self.output, "-p",
             str(pid)], capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.check_burn(pid, self.load())

    @unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become a user")
    @steady
    def test_ordinary_user_where_perf_is_forbidden(self):
        memprof = shutil.copy(harness.MEMPROF, self.folder)
        no_perf = shutil.copy(harness.PROGRAMS / "no_perf", self.folder)
        container = self.start([*harness.as_nobody(), *NAMESPACES, "--user", "--map-root-user",
                                f"--root={self.image}", "/bin/burn", "0", "2"])
        pid = self.await_command(container.pid, "burn")
        result = subprocess.run(
            [*harness.as_nobody(), no_perf, memprof, "record", "-d", "1.5", "-o", self.output,
             "-p", str(pid)], capture_output=True, text=True, timeout=harness.TIMEOUT_S,
            check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("sampling by ptrace instead of perf", result.stderr)
        self.check_burn(pid, self.load())
        self.assertIn(pathlib.Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(") ")[2][0],
                      "RS")

    @unittest.skipUnless(harness.as_nobody(), "needs root and setpriv, to become a user")
    @steady
    def test_memprof_inside_where_perf_is_forbidden(self):
        programs = [shutil.copy(path, self.folder) for path in
                    (harness.MEMPROF, harness.PROGRAMS / "no_perf", harness.PROGRAMS / "burn")]
        memprof, no_perf, burn = programs
        result = subprocess.run(
            [*harness.as_nobody(), *NAMESPACES, "--user", "--map-root-user", "--mount-proc",
             no_perf, memprof, "record", "-o", self.output, "--", burn, "2"],
            capture_output=True, text=True, timeout=harness.TIMEOUT_S, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("sampling by ptrace instead of perf", result.stderr)
        profile = self.load()
        self.assertLess(profile.extension["target"]["pid"], 100, "no PID of the namespace")
        self.check_shares(profile.self_ticks(), profile.ticks, json.loads(result.stdout),
                          tolerance=self.tolerance(profile))
        self.check_coverage(profile)

    def attach_pid(self, pid, *options):
        result = self.memprof("record", "-q", "-d", "1.5", "-o", self.output, "-p", pid, *options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return self.load()


if __name__ == "__main__":
    harness.main()
