#!/usr/bin/env python3
"""Completions, as the shells themselves make them of the scripts that memprof prints."""

import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time

import harness
from harness import Case

HELP_OPTION = re.compile(r"^ {2}(?:-(\S), |    )--([a-z][a-z-]*)")

# Prints what the last word of a line can become. COMP_WORDS is split as readline does: at "=".
BASH = r"""
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_memprof
printf '%s\n' "${COMPREPLY[@]}"
"""

# What each completion offers is written to a file in place of the terminal. The inner calls of
# zsh's own functions, which filter lists with -O, -A or -D, are left alone.
ZSH = r"""
fpath=("${SCRIPT:h}" $fpath)
autoload -Uz compinit && compinit -D -u
compadd() {
    if [[ ${@[1,(i)(-|--)]} != *-(O|A|D)\ * ]]; then
        local -a offered
        builtin compadd -O offered "$@"
        print -rl -- $offered >>"$OFFERED"
    fi
    builtin compadd "$@"
}
told() { print -r -- END >>"$OFFERED"; zle kill-buffer }
zle -N told
bindkey '^I' complete-word
bindkey '^T' told
unsetopt beep
"""


class Completions:
    """The tests of any shell; a class of one is a Case and has `shell` and `candidates`."""

    shell = None

    def setUp(self):
        super().setUp()
        if not shutil.which(self.shell):
            self.skipTest(f"{self.shell} is not installed")
        self.script = os.path.join(self.folder, "script")
        result = self.memprof("completions", self.shell)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        with open(self.script, "w", encoding="utf-8") as file:
            file.write(result.stdout)
        for name in ("one.cpuprofile", "two words"):
            with open(os.path.join(self.folder, name), "w", encoding="utf-8"):
                pass
        os.mkdir(os.path.join(self.folder, "directory"))

    def run_shell(self, *command, **options):
        result = subprocess.run([self.shell, *command], capture_output=True, text=True,
                                timeout=harness.TIMEOUT_S, cwd=self.folder, check=False, **options)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return result.stdout

    def candidates(self, *words):
        """What the last of the words, which may be empty, can become."""
        raise NotImplementedError

    def test_syntax(self):
        self.assertEqual(self.run_shell("-n", self.script), "")

    def commands(self):
        return set(re.findall(r"^ {2}([a-z]+) +\S", self.memprof("--help").stdout, re.M))

    def test_commands(self):
        commands = self.commands()
        self.assertIn("record", commands)
        self.assertEqual({word for word in self.candidates("memprof", "") if word[0] != "-"},
                         commands)
        self.assertEqual(self.candidates("memprof", "rec") & commands,
                         {name for name in commands if name.startswith("rec")})

    def test_all_options_of_all_commands(self):
        for command in sorted(self.commands()):
            text = self.memprof(command, "--help").stdout
            names = {f"--{match[2]}" for match in map(HELP_OPTION.match, text.splitlines())
                     if match}
            self.assertIn("--help", names)
            self.assertEqual(self.long_options(command), names, command)

    def long_options(self, command):
        return {word.rstrip("=") for word in self.candidates("memprof", command, "--")}

    def test_values(self):
        for words in (("--color", ""), ("-q", "--color", "")):
            self.assertEqual(self.candidates("memprof", "report", *words),
                             {"auto", "always", "never"})
        self.assertEqual(self.candidates("memprof", "report", "--sort", "s"), {"self"})
        self.assertEqual(self.candidates("memprof", "record", "--threads", ""), {"all", "main"})
        self.assertEqual(self.candidates("memprof", "completions", ""), {"bash", "fish", "zsh"})

    def test_what_can_not_be_completed(self):
        self.assertEqual(self.candidates("memprof", "record", "-d", ""), set())
        self.assertEqual(self.candidates("memprof", "info", "o"), set())
        self.assertEqual(self.candidates("memprof", "nonsense", ""), set())

    def test_files(self):
        self.assertEqual(self.candidates("memprof", "record", "-o", "one"), {"one.cpuprofile"})
        self.assertEqual(self.candidates("memprof", "report", "on"), {"one.cpuprofile"})
        self.assertEqual(self.candidates("memprof", "report", "--top", "9", "on"),
                         {"one.cpuprofile"})
        self.assertEqual({word.rstrip("/") for word in self.candidates("memprof", "report", "d")},
                         {"directory"})

    def test_processes(self):
        own = str(os.getpid())
        self.assertIn(own, self.candidates("memprof", "record", "-p", own))
        self.assertIn(own, self.candidates("memprof", "record", "--pid", own))


class Bash(Completions, Case):
    shell = "bash"

    def candidates(self, *words):
        return set(self.run_shell("--norc", "-c", BASH, "bash", self.script,
                                  *words).splitlines()) - {""}

    def test_words_that_are_split(self):
        """readline gives --color=al as three words, unless COMP_WORDBREAKS has no "="."""
        self.assertEqual(self.candidates("memprof", "report", "--color", "=", "al"), {"always"})
        self.assertEqual(self.candidates("memprof", "report", "--color", "="),
                         {"auto", "always", "never"})
        self.assertEqual(self.candidates("memprof", "report", "--color=al"), {"--color=always"})
        self.assertEqual(self.candidates("memprof", "report", "--color", "=", "always", "on"),
                         {"one.cpuprofile"})

    def test_short_options(self):
        self.assertLessEqual({"-p", "-d", "-o", "-q", "-?"},
                             self.candidates("memprof", "record", "-"))

    def test_the_command_that_is_recorded(self):
        self.assertIn("setpriv", self.candidates("memprof", "record", "--", "setpr"))
        self.assertEqual(self.candidates("memprof", "record", "--", "cat", "one"),
                         {"one.cpuprofile"})
        self.assertEqual(self.candidates("memprof", "record", "-q", "cat", "--colo"), set())

    def test_names_with_blanks(self):
        self.assertEqual(self.candidates("memprof", "report", "tw"), {"two words"})


class Fish(Completions, Case):
    shell = "fish"

    def candidates(self, *words):
        line = " ".join(words)
        text = self.run_shell("--no-config", "-c",
                              "source $argv[1]; complete -C $argv[2]", self.script, line,
                              env={**os.environ, "HOME": self.folder})
        return {word.split("\t")[0] for word in text.splitlines()}

    def test_the_command_that_is_recorded(self):
        self.assertIn("setpriv", self.candidates("memprof", "record", "--", "setpr"))
        self.assertEqual(self.candidates("memprof", "record", "--", "cat", "one"),
                         {"one.cpuprofile"})

    def test_attached_values(self):
        self.assertEqual(self.candidates("memprof", "report", "--color=al"), {"--color=always"})


class Zsh(Completions, Case):
    shell = "zsh"

    @classmethod
    def setUpClass(cls):
        """One zsh for all tests, which finds the script where an installed one would be found."""
        cls.home = tempfile.mkdtemp(prefix="memprof-test-")
        cls.addClassCleanup(shutil.rmtree, cls.home)
        if not shutil.which("zsh"):
            return
        cls.offered = os.path.join(cls.home, "offered")
        script, init = os.path.join(cls.home, "_memprof"), os.path.join(cls.home, "init")
        with open(script, "wb") as file:
            subprocess.run([harness.MEMPROF, "completions", "zsh"], stdout=file, check=True)
        with open(init, "w", encoding="utf-8") as file:
            file.write(ZSH)
        cls.terminal, inner = pty.openpty()
        cls.addClassCleanup(os.close, cls.terminal)
        zsh = subprocess.Popen(["zsh", "-f", "-i"], stdin=inner, stdout=inner, stderr=inner,
                               start_new_session=True,
                               env={**os.environ, "SCRIPT": script, "OFFERED": cls.offered,
                                    "HOME": cls.home, "TERM": "dumb"})
        os.close(inner)
        cls.addClassCleanup(zsh.wait)
        cls.addClassCleanup(zsh.kill)
        os.write(cls.terminal, f"source {init}\n".encode())

    def setUp(self):
        super().setUp()
        self.type(f"cd {self.folder}; print READY >>$OFFERED\n", "READY")

    def type(self, text, awaited):
        """Types and waits until a line of the file says so; all lines before it."""
        os.write(self.terminal, text.encode())
        deadline = time.monotonic() + harness.TIMEOUT_S
        screen = b""
        while time.monotonic() < deadline:
            if select.select([self.terminal], [], [], 0.02)[0]:
                screen += os.read(self.terminal, 65536)
            if os.path.exists(self.offered):
                with open(self.offered, encoding="utf-8") as file:
                    lines = file.read().splitlines()
                if lines and lines[-1] == awaited:
                    os.unlink(self.offered)
                    return lines[:-1]
        self.fail(f"zsh does not answer: {screen.decode(errors='replace')}")

    def candidates(self, *words):
        return set(self.type(" ".join(words) + "\t\x14", "END")) - {""}

    def test_the_command_that_is_recorded(self):
        self.assertIn("setpriv", self.candidates("memprof", "record", "--", "setpr"))
        self.assertEqual(self.candidates("memprof", "record", "--", "cat", "one"),
                         {"one.cpuprofile"})

    def test_attached_values(self):
        self.assertEqual(self.candidates("memprof", "report", "--color=al"), {"always"})

    def test_sourced(self):
        """As `source <(memprof completions zsh)` in a .zshrc."""
        self.type(f"unfunction _memprof; compdef -d memprof; source {self.script}; "
                  "print READY >>$OFFERED\n", "READY")
        self.assertEqual(self.candidates("memprof", "repo"), {"report"})


if __name__ == "__main__":
    harness.main()
