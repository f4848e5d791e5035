#!/usr/bin/env python3
"""Names of a stripped program: none of its own, from a debug file, from debuginfod."""

import ctypes
import http.server
import os
import shutil
import subprocess
import threading

import harness
from harness import Case, program


class Server(http.server.BaseHTTPRequestHandler):
    """The part of debuginfod's web interface that gives debug files by build-id."""

    debug_file = build_id = None
    asked = []

    def do_GET(self):  # the name is http.server's
        self.asked.append(self.path)
        if self.path != f"/buildid/{self.build_id}/debuginfo":
            self.send_error(404)
            return
        with open(self.debug_file, "rb") as file:
            content = file.read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


class Stripped(Case):
    def setUp(self):
        super().setUp()
        whole = program("burn")[0]
        self.stripped = os.path.join(self.folder, "bare")
        self.debug = os.path.join(self.folder, "apart", "bare.debug")
        os.mkdir(os.path.dirname(self.debug))
        subprocess.run(["objcopy", "--only-keep-debug", whole, self.debug], check=True)
        subprocess.run(["objcopy", "--strip-all", whole, self.stripped], check=True)
        self.build_id = subprocess.run(
            ["readelf", "-n", whole], capture_output=True, text=True,
            check=True).stdout.partition("Build ID: ")[2].split()[0]

    def ticks(self, **environment):
        result = self.memprof("record", "-q", "-o", self.output, "--", self.stripped, "0.5",
                              env={**os.environ, "DEBUGINFOD_CACHE_PATH": self.folder + "/cache",
                                   **environment})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        profile = self.load()
        return profile.self_ticks(), profile.ticks

    def assert_named(self, found):
        ticks, every = found
        self.assertGreater(ticks["burn_hot"], 0.5 * every)

    def test_none(self):
        ticks, _ = self.ticks()
        self.assertNotIn("burn_hot", ticks)

    def test_debug_link(self):
        shutil.move(self.debug, os.path.join(self.folder, "bare.debug"))
        subprocess.run(["objcopy", f"--add-gnu-debuglink={self.folder}/bare.debug",
                        self.stripped], check=True)
        self.assert_named(self.ticks())

    def test_debuginfod(self):
        try:
            ctypes.CDLL("libdebuginfod.so.1")
        except OSError:
            self.skipTest("libdebuginfod.so.1 is not installed")
        Server.debug_file, Server.build_id = self.debug, self.build_id
        with http.server.HTTPServer(("127.0.0.1", 0), Server) as server:
            serving = threading.Thread(target=server.serve_forever)
            serving.start()
            try:
                url = f"http://127.0.0.1:{server.server_port}"
                self.assert_named(self.ticks(DEBUGINFOD_URLS=url))
            finally:
                server.shutdown()
                serving.join()
        self.assertIn(f"/buildid/{self.build_id}/debuginfo", Server.asked)

    def test_debuginfod_only_when_asked_for(self):
        Server.asked.clear()
        ticks, _ = self.ticks(DEBUGINFOD_URLS="")
        self.assertNotIn("burn_hot", ticks)
        self.assertEqual(Server.asked, [])


if __name__ == "__main__":
    harness.main()
