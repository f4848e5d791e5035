"""What recording takes from an HTTP server in Node.js under load, beside its own profilers."""

import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from benches.measure import Process, cell, median, print_table, progress

SUMMARY = "requests a second of an HTTP server under autocannon, plain and recorded"
ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
SERVER = ROOT / "tests/programs/orders_server.js"
PACKAGES = {"autocannon": "8.0.0", "clinic": "13.0.0"}
FREQUENCY = "999"
CONNECTIONS = "20"


def package(name):
    """The command of a package of npm, installed into build-nodes/ on first use; or None."""
    folder = ROOT / "build-nodes" / name
    command = folder / "node_modules" / ".bin" / name
    if not command.exists() and shutil.which("npm"):
        progress(f"node: installing {name} {PACKAGES[name]} with npm")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text("{}")
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund",
                        f"{name}@{PACKAGES[name]}"], cwd=folder, check=False)
    return str(command) if command.exists() else None


class Server:
    """The server, started with node's options or below another program."""

    def __init__(self, scratch, before=("node",)):
        self.child = subprocess.Popen([*before, str(SERVER)], stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, text=True,
                                      stderr=subprocess.DEVNULL, cwd=scratch,
                                      env=dict(os.environ, NO_INSIGHT="1"),
                                      start_new_session=True)
        # Others print lines of their own first.
        for line in self.child.stdout:
            if line.strip().isdigit():
                self.port = int(line)
                return
        sys.exit(f"bench: {' '.join(before)} did not start the server")

    def end(self):
        self.child.stdin.close()
        try:
            self.child.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.child.pid, signal.SIGKILL)
            self.child.wait()
        self.child.stdout.close()


def load(autocannon, port, seconds):
    """Requests a second, by autocannon's own account."""
    found = subprocess.run([autocannon, "-j", "-c", CONNECTIONS, "-d", str(seconds),
                            f"http://127.0.0.1:{port}/totals"],
                           capture_output=True, text=True, check=True)
    result = json.loads(found.stdout)
    if result["errors"] or result["non2xx"]:
        sys.exit(f"bench: autocannon saw {result['errors']} errors")
    return result["requests"]["total"] / result["duration"]


def modes(bench):
    """Name -> (what stands before the script, the recorder that attaches to its PID or None)."""
    clinic = package("clinic")
    ours = [bench.memprof, "record", "-q", "-F", FREQUENCY, "-o",
            str(bench.scratch / "node.cpuprofile"), "-p"]
    perf = ["perf", "record", "-q", "-e", "cpu-clock", "-F", FREQUENCY, "-g", "-o",
            str(bench.scratch / "node.data"), "-p"]
    found = {
        "plain": (["node"], None),
        "memprof": (["node"], ours),
        "perf record -g": (["node"], perf),
        "node --cpu-prof": (["node", "--cpu-prof"], None),
        "node --prof": (["node", "--prof"], None),
    }
    if clinic:
        found["clinic flame"] = ([clinic, "flame", "--collect-only", "--", "node"], None)
    return found


def requests(bench, autocannon, mode, seconds):
    """Requests a second, and the recorder's own CPU time in percent of one CPU."""
    before, recorder_argv = mode
    server = Server(bench.scratch, before)
    try:
        load(autocannon, server.port, 2)
        recorder = None
        if recorder_argv:
            recorder = Process([*recorder_argv, str(server.child.pid)])
            time.sleep(1)
        rate = load(autocannon, server.port, seconds)
        if not recorder:
            return rate, None
        recorder.stop(expect=(0, -signal.SIGINT))
        return rate, 100 * recorder.cpu / recorder.wall
    finally:
        server.end()


def run(bench):
    autocannon = package("autocannon")
    if not autocannon or not shutil.which("node"):
        print("\nnode: skipped: needs node, and autocannon from npm")
        return
    seconds = 4 if bench.quick else 10
    rates, own = {}, {}
    for turn in range(bench.runs if bench.quick else 2 * bench.runs):
        for name, mode in modes(bench).items():
            progress(f"node: {name}, turn {turn + 1}")
            rate, cpu = requests(bench, autocannon, mode, seconds)
            rates.setdefault(name, []).append(rate)
            own.setdefault(name, []).append(cpu)
    plain, perf = median(rates["plain"]), median(rates["perf record -g"])
    rows = [[name, f"{median(values):.0f}", cell(100 * (1 - median(values) / plain), "{:.1f} %"),
             cell(100 * (perf - median(values)) / plain, "{:+.1f}"),
             cell(median(own[name]), "{:.1f} %")]
            for name, values in rates.items()]
    print_table(f"an HTTP server under autocannon, {CONNECTIONS} connections, {FREQUENCY} Hz",
                ["", "requests/s", "less than plain", "points to perf -g", "own CPU"], rows)
