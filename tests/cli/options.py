#!/usr/bin/env python3
"""Checks that --help, the man pages and the completions tell of the same commands and options.

Usage: options.py MEMPROF MAN_DIRECTORY
"""

import pathlib
import re
import subprocess
import sys

HELP_OPTION = re.compile(r"^ {2}(?:-(\S), |    )--([a-z][a-z-]*)")


def help_text(memprof, *arguments):
    done = subprocess.run([memprof, *arguments], capture_output=True, text=True, check=False)
    if done.returncode or not done.stdout:
        sys.exit(f"memprof {' '.join(arguments)}: exit {done.returncode}, "
                 f"{len(done.stdout)} bytes printed: {done.stderr}")
    return done.stdout


def options_of_help(text):
    found = set()
    for line in text.splitlines():
        match = HELP_OPTION.match(line)
        if match:
            found |= {f"--{match[2]}"} | ({f"-{match[1]}"} if match[1] else set())
    return found


def options_of_page(page):
    """What stands behind .It Fl: "Fl p , Fl -pid Ar PID" is -p and --pid."""
    found = set()
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith(".It Fl"):
            found |= {"-" + name.replace(r"\&", "")
                      for name in re.findall(r"Fl (\\&\?|-?[A-Za-z][a-z-]*)", line)}
    return found


def options_of_script(shell, script, command):
    """What a shell's script has for a command; test_completions.py asks the shells themselves."""
    if shell == "bash":
        found = re.search(rf"^    {command}\) reply='([^']*)' ;;$", script, re.M)
        return set(found[1].split()) if found else set()
    if shell == "zsh":
        found = re.search(rf"^        {command}\)$(.*?);;$", script, re.M | re.S)
        return set(re.findall(r"^ +'(?:\([^)]*\))?(--?[^'\[=+]+)[=+]?\[", found[1] if found else "",
                              re.M))
    lines = [line for line in script.splitlines()
             if line.startswith(f"complete -c memprof -n '__memprof_command_is {command}' ")]
    return ({f"-{letter}" for line in lines for letter in re.findall(r" -s '(.)'", line)} |
            {f"--{name}" for line in lines for name in re.findall(r" -l ([a-z-]+)", line)})


def compare(what, helped, documented, where):
    problems = [f"{what}: {name} is in --help but not in {where}"
                for name in sorted(helped - documented)]
    problems += [f"{what}: {name} is in {where} but not in --help"
                 for name in sorted(documented - helped)]
    if not helped:
        problems.append(f"{what}: no options found in --help")
    return problems


def main():
    memprof, directory = sys.argv[1], pathlib.Path(sys.argv[2])
    overview = help_text(memprof, "--help")
    commands = set(re.findall(r"^ {2}([a-z]+) +\S", overview, re.M))
    pages = {path.stem.removeprefix("memprof-") for path in directory.glob("memprof-*.1")}
    listed = set(re.findall(r"^\.It Cm ([a-z]+)$", (directory / "memprof.1").read_text(), re.M))
    problems = [f"{name}: a command without a page" for name in sorted(commands - pages)]
    problems += [f"{name}: a page without a command" for name in sorted(pages - commands)]
    problems += [f"{name}: in one of memprof --help and memprof(1) only"
                 for name in sorted(commands ^ listed)]
    for option in sorted(options_of_page(directory / "memprof.1")):
        help_text(memprof, option)
    scripts = {shell: help_text(memprof, "completions", shell) for shell in ("bash", "fish", "zsh")}
    checked = 0
    for command in sorted(commands & pages):
        helped = options_of_help(help_text(memprof, command, "--help"))
        checked += len(helped)
        page = directory / f"memprof-{command}.1"
        problems += compare(command, helped, options_of_page(page), "the man page")
        for shell, script in scripts.items():
            problems += compare(command, helped, options_of_script(shell, script, command),
                                f"the completions of {shell}")
    for problem in problems:
        print(problem)
    print(f"{len(commands)} commands and {checked} options checked, {len(problems)} problems")
    return 1 if problems or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
