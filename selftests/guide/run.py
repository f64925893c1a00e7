#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the commands of Documentation/admin-guide.md, and compares what they say.

A command stands behind a prompt in an indented block: `#` for this host, `client#` and `server#` for the network
namespaces of these names; `> ` goes on with it. A command has to succeed, or what stands below it tells of an error.
Of that, every line has to be said, in that order; where there is nothing, nothing may be said. Numbers may differ
(hexadecimal ones too), and `...` stands for anything.

Needs a guest of its own, with the module not loaded.
"""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import tap  # noqa: E402
from tap import Failed, expect  # noqa: E402

GUIDE = os.path.join(os.path.dirname(os.path.dirname(HERE)), "Documentation", "admin-guide.md")
PROMPT = re.compile(r"    (client|server|)# (.*)")
TOKENS = re.compile(r"(\.\.\.|\s+|[0-9a-f]*[0-9][0-9a-f]*)")
MARK = "that was "
PAUSE = 16 if os.environ.get("KERNEL") == "debug" else 4


class Command:
    """A command of the guide, on which host, and what it says there."""

    def __init__(self, line, host, text):
        self.line, self.host, self.text = line, host, text
        self.says = []

    def __str__(self):
        return f"line {self.line}: {self.host}# {self.text.splitlines()[0]}"


def commands(path):
    found = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            prompt = PROMPT.fullmatch(line.rstrip("\n"))
            if prompt:
                found.append(Command(number, *prompt.groups()))
            elif line.startswith("    > "):
                found[-1].text += "\n" + line[6:].rstrip("\n")
            elif line.startswith("    ") and found:
                found[-1].says.append(line.strip())
    return found


def pattern(line):
    """What a line of the guide stands for, as a regular expression."""
    kinds = {".": ".*", " ": r"\s+"}
    parts = TOKENS.split(line)
    return "".join(re.escape(part) if index % 2 == 0 else kinds.get(part[0], r"[0-9a-f]+")
                   for index, part in enumerate(parts))


def compare(says, said):
    """Whether each line of the guide was said, in that order."""
    rest = iter(said)
    for line in says:
        if line != "..." and not any(re.fullmatch(pattern(line), real.strip()) for real in rest):
            raise Failed("not said: " + line + "\nsaid:\n" + "\n".join(said))
    expect(says or not said, "said:\n" + "\n".join(said))


class Shell:
    """A shell of a host, for all of its commands."""

    def __init__(self, host):
        into = ["ip", "netns", "exec", host] if host else []
        self.process = subprocess.Popen(into + ["bash"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, bufsize=1)

    def run(self, text):
        """Its exit status, and the lines that it says."""
        if text.endswith("&"):
            text = f">/dev/null 2>&1 </dev/null {text}"
        self.process.stdin.write(f"{{ {text}\n}} </dev/null 2>&1\necho {MARK}$?\n")
        said = []
        for line in self.process.stdout:
            if line.startswith(MARK):
                return int(line[len(MARK):]), said
            said.append(line.rstrip("\n"))
        raise Failed("the shell has ended")


def sockets(host):
    """How many TCP sockets listen or are connected there."""
    lines = subprocess.run(f"ip netns exec {host} ss -Hntl; ip netns exec {host} ss -Hnt state established",
                           shell=True, check=True, capture_output=True, text=True).stdout.splitlines()
    return len(lines)


def start(shell, command):
    """A command in the background. If it has an address it listens there, or connects: then that is awaited."""
    with_socket, end = "10.0.1.2" in command.text or "-s" in command.text, time.monotonic() + 15 * PAUSE
    before = sockets(command.host)
    result = shell.run(command.text)
    while with_socket and sockets(command.host) == before:
        expect(time.monotonic() < end, "it neither listens nor connects")
        time.sleep(0.5)
    # What it takes to type the next one.
    time.sleep(PAUSE)
    return result


def check(shells, command):
    if command.host not in shells:
        shells[command.host] = Shell(command.host)
    shell = shells[command.host]
    background = command.text.endswith("&")
    status, said = start(shell, command) if background else shell.run(command.text)
    compare(command.says, said)
    expect(status == 0 or any("error" in line.lower() for line in command.says),
           f"exit status {status}:\n" + "\n".join(said))


def main():
    # As `make install` does.
    release = os.uname().release
    subprocess.run(f"install -D -m 644 $MPTCP_MODULE /lib/modules/{release}/updates/mptcp.ko && depmod",
                   shell=True, check=True, stderr=subprocess.DEVNULL)
    os.chdir("/tmp")
    report, shells = tap.Report(), {}
    found = commands(GUIDE)
    report.tell("the guide has commands", None if len(found) > 10 else f"{len(found)} of them")
    for command in found:
        problem = None
        try:
            check(shells, command)
        except (Failed, OSError) as e:
            problem = str(e)
        report.tell(str(command), problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
