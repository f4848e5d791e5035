#!/usr/bin/env python3
"""All functions of a Node.js as they are read from outside, against V8's own profiler and log.

tests/programs/functions.js has functions of every shape and stops itself; js_functions
(tests/oracle) then reads every function in its memory. V8 writes down what it knows of the same
process: --cpu-prof of each function that was on a stack, --prof of each that was compiled.
ORACLES names the folder of js_functions.
"""

import collections
import json
import os
import pathlib
import re
import subprocess
import urllib.parse

import harness
from harness import Case, program

JS_FUNCTIONS = os.path.join(os.path.abspath(os.environ["ORACLES"]), "js_functions")
INITIALIZERS = {"<instance_members_initializer>", "<static_initializer>"}


def path_of(url):
    """Node.js gives paths to its profiler as file:// URLs."""
    return urllib.parse.unquote(url[len("file://"):]) if url.startswith("file://") else url


def unescape(text):
    """The log's \\xe9 and \\u6570, of which two may be halves of one character."""
    text = re.sub(r"\\x([0-9a-f]{2})|\\u([0-9a-f]{4})",
                  lambda match: chr(int(match[1] or match[2], 16)), text)
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def is_same_name(found, expected, node):
    """From V8 12 on, the profiler calls what sets up a class's fields by the class's name; in
    stack traces it has the name that is read from outside."""
    return found == expected or (found in INITIALIZERS and harness.node_major(node) >= 22)


class Functions(Case):
    def functions(self, node, *flags, **environment):
        """What is read from outside: {(script, file, line, column): names}."""
        output = os.path.join(self.folder, "functions")
        command = [JS_FUNCTIONS, "-o", output, "--", node, *flags,
                   *program("functions.js")[1:]]
        result = subprocess.run(command, capture_output=True, text=True, check=False,
                                cwd=self.folder, timeout=harness.TIMEOUT_S,
                                env={**os.environ, "NODE_NO_WARNINGS": "1", **environment})
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        found = collections.defaultdict(set)
        with open(output, encoding="utf-8") as file:
            for function in map(json.loads, file):
                if "refused" not in function:
                    place = (function["script"], function["file"], function["line"],
                             function["column"])
                    found[place].add(function["name"])
        os.remove(output)
        return found

    def check_names(self, found, expected, node, what):
        """Each function that V8 tells of has its name at its place; most of them still exist."""
        wrong, gone = [], 0
        for place, name in expected:
            names = found.get(place, ())
            if not names:
                gone += 1
            elif not any(is_same_name(one, name, node) for one in names):
                wrong.append(f"{name!r} is {names} at {place}")
        print(f"{node}: {len(expected)} functions of {what}, {gone} of them gone, "
              f"{len(wrong)} wrong")
        self.assertFalse(wrong)
        self.assertGreater(len(expected), 80)
        self.assertLess(gone, 0.05 * len(expected))

    def test_profiler(self):
        """Names, URLs, script ids and positions as in the .cpuprofile of the same process."""
        def check(node):
            found = self.functions(node, "--cpu-prof", "--cpu-prof-interval", "100",
                                   "--cpu-prof-name", "own.cpuprofile")
            text = pathlib.Path(self.folder, "own.cpuprofile").read_text(encoding="utf-8")
            frames = [one["callFrame"] for one in json.loads(text)["nodes"]]
            expected = {((int(frame["scriptId"]), path_of(frame["url"]), frame["lineNumber"] + 1,
                          frame["columnNumber"] + 1), frame["functionName"])
                        for frame in frames if frame["scriptId"] != "0"}
            self.check_names(found, expected, node, "--cpu-prof")
        harness.for_each_node(self, check)

    def test_log(self):
        """Names and positions as in the log of the same program. It tells no sourceURL."""
        def check(node):
            log = pathlib.Path(self.folder, "v8.log")
            functions = self.functions(node, "--prof", "--no-logfile-per-isolate",
                                       f"--logfile={log}")
            found, files = collections.defaultdict(set), set()
            for (_, file, line, column), names in functions.items():
                found[(file, line, column)] |= names
                found[("", line, column)] |= names
                files.add(file)
            expected = set()
            for line in log.read_text(encoding="utf-8", errors="replace").splitlines():
                match = re.fullmatch(r"code-creation,(?:JS|LazyCompile|Script|Eval|Function),"
                                     r"(?:[^,]*,){4}(.*?):(\d+):(\d+)(?:,.*)?", line)
                if match:
                    head = unescape(match[1])
                    # A name has spaces, and so may a file have; one that is known ends it.
                    cut = next((at for at, letter in enumerate(head)
                                if letter == " " and head[at + 1:] in files), len(head))
                    place = (head[cut + 1:], int(match[2]), int(match[3]))
                    expected.add((place, head[:cut]))
            self.check_names(found, expected, node, "--prof")
        harness.for_each_node(self, check)

    def test_coverage(self):
        """A function is found where V8 measures coverage, too."""
        def check(node):
            ours = str(harness.SOURCES / "functions.js")
            plain, measured = (
                {(place[1:], tuple(sorted(names))) for place, names in found.items()
                 if place[1] == ours}
                for found in (self.functions(node),
                              self.functions(node, NODE_V8_COVERAGE=self.folder)))
            self.assertGreater(len(plain), 60)
            self.assertEqual(plain, measured)
        harness.for_each_node(self, check)


if __name__ == "__main__":
    harness.main()
