#!/usr/bin/env python3
"""Checks the layering rule on the sources.

Usage: layering.py SOURCE_ROOT

Which folder may include which, that every include is written from the root, which folder
alone may use the libraries of ELF and DWARF, and that only cmd/ prints and exits.
"""

import pathlib
import re
import sys

MAY_INCLUDE = {
    "core": {"core"},
    "symbolize": {"symbolize", "core"},
    "output": {"output", "core"},
    "cmd": {"cmd", "output", "symbolize", "core"},
}
# Not zlib: the journal in core/ has its checksum.
BINARY_LIBRARIES = re.compile(
    r"(libelf|gelf|libdw|libdwfl|dwarf|capstone|lzma|demangle|libiberty/\w+)\.h$"
    r"|^(elfutils|capstone)/")
PRINTS_OR_EXITS = re.compile(
    r"(?<![\w.>])(printf|puts|putchar|perror|psignal|exit|getopt|getopt_long|vprintf)\s*\("
    r"|\b(v?fprintf|fputs|fputc|fwrite)\s*\([^;]*\b(stdout|stderr)\b")
# Allocation failure has no other answer than to exit.
MAY_EXIT = {"core/alloc.c"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def without_comments_and_strings(text):
    """Keeps line numbers."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
    return pattern.sub(lambda match: "\n" * match.group().count("\n") or " ", text)


def check_file(root, path, folder):
    name = path.relative_to(root).as_posix()
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, header = match.groups()
        if bracket == '"':
            if not (root / header).is_file():
                yield f"{name}:{number}: \"{header}\" is not written from the root"
            elif header.split("/")[0] not in MAY_INCLUDE[folder]:
                yield f"{name}:{number}: {folder}/ may not include {header}"
        elif folder != "symbolize" and BINARY_LIBRARIES.search(header):
            yield f"{name}:{number}: only symbolize/ may include <{header}>"
    if folder == "cmd" or name in MAY_EXIT:
        return
    for number, line in enumerate(without_comments_and_strings(text).splitlines(), 1):
        if PRINTS_OR_EXITS.search(line):
            yield f"{name}:{number}: only cmd/ prints, exits and parses options: {line.strip()}"


def self_check():
    """The patterns find what they are for; a check that finds nothing by mistake is worse
    than none."""
    for bad in ("printf(\"x\")", "    fprintf(stderr, fmt)", "exit(1)", "perror(0)"):
        assert PRINTS_OR_EXITS.search(bad), bad
    for good in ("snprintf(b, 1, f)", "_exit(127)", "output_printf(f, x)", "fprintf(file, x)",
                 "table->exit(x)"):
        assert not PRINTS_OR_EXITS.search(good), good
    for header in ("libelf.h", "gelf.h", "elfutils/libdw.h", "dwarf.h", "capstone/capstone.h"):
        assert BINARY_LIBRARIES.search(header), header
    for header in ("elf.h", "stdio.h", "linux/perf_event.h"):
        assert not BINARY_LIBRARIES.search(header), header


def main():
    self_check()
    root = pathlib.Path(sys.argv[1]).resolve()
    problems, checked = [], 0
    for folder in MAY_INCLUDE:
        files = sorted(path for path in (root / folder).rglob("*") if path.suffix in (".c", ".h"))
        if not files:
            problems.append(f"{folder}/: no sources found")
        for path in files:
            checked += 1
            problems.extend(check_file(root, path, folder))
    for problem in problems:
        print(problem)
    print(f"{checked} files checked, {len(problems)} against the rule")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
