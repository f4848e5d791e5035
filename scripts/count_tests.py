#!/usr/bin/env python3
"""Sums a meson testlog.json for scripts/test.

Usage: count_tests.py TESTLOG_JSON

Prints "PASSED FAILED SKIPPED", then a line for each test that was skipped, with the reason it
printed. A program that ends in the summary of Check or of Python's unittest counts as as many
tests as it has.
"""

import json
import re
import sys

CHECK = re.compile(r"^\d+%: Checks: (\d+), Failures: (\d+), Errors: (\d+)$", re.M)
UNITTEST = re.compile(r"^Ran (\d+) tests? in .*\n\n(OK|FAILED)(?: \((.*)\))?$", re.M)
UNITTEST_SKIP = re.compile(r"^(.*) \.\.\. skipped [\"'](.*)[\"']$", re.M)


def last_line(text):
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gave no reason"


def count(result):
    """A test program's (passed, failed, skipped) and the reasons of the skipped ones."""
    output = result.get("stdout", "") + "\n" + result.get("stderr", "")
    good = result["result"] in ("OK", "EXPECTEDFAIL")
    if result["result"] == "SKIP":
        return 0, 0, 1, [f"{result['name']}: {last_line(output)}"]
    total, bad, skipped, reasons = 1, 0, 0, []
    if check := CHECK.search(output):
        total, failures, errors = map(int, check.groups())
        bad = failures + errors
    elif ran := UNITTEST.search(output):
        total = int(ran[1])
        numbers = dict(re.findall(r"([a-z][a-z ]*)=(\d+)", ran[3] or ""))
        bad = sum(int(numbers.get(name, 0))
                  for name in ("failures", "errors", "unexpected successes"))
        skipped = int(numbers.get("skipped", 0))
        reasons = [f"{result['name']}: {name.strip()}: {why}"
                   for name, why in UNITTEST_SKIP.findall(output)]
    # A program that crashed or timed out after its summary has failed, whatever that says.
    if not good and not bad:
        bad = 1
    return max(total - bad - skipped, 0), bad, skipped, reasons


def main():
    passed = failed = skipped = 0
    notes = []
    try:
        with open(sys.argv[1], encoding="utf-8") as log:
            results = [json.loads(line) for line in log if line.strip()]
    except OSError as problem:
        # meson wrote no log: nothing ran, which is a failure.
        print("0 1 0")
        print(f"no tests ran: {problem}")
        return
    if not results:
        print("0 1 0")
        print("no tests ran: the log is empty")
        return
    for result in results:
        counted = count(result)
        passed += counted[0]
        failed += counted[1]
        skipped += counted[2]
        notes += counted[3]
    print(passed, failed, skipped)
    for note in notes:
        print(f"skipped: {note}")


if __name__ == "__main__":
    main()
