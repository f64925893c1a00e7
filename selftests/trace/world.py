# SPDX-License-Identifier: GPL-2.0
"""Two hosts, and the events that are told meanwhile."""

import collections
import glob
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS = os.path.dirname(HERE)
sys.path[:0] = [os.path.join(TESTS, "lib")]
sys.dont_write_bytecode = True

import tap  # noqa: E402
from tap import expect  # noqa: E402

TRACEFS = "/sys/kernel/tracing"
SLOW = 5 if os.environ.get("KERNEL") == "debug" else 1
KIB, MIB = 1 << 10, 1 << 20
CLIENT, SERVER, PORT = "client", "server", 5000
PATH = "delay 5ms rate 50mbit limit 400"

Event = collections.namedtuple("Event", "name time fields")


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def on(host, *command):
    return run("ip", "netns", "exec", host, *command)


def value(text):
    """A field as a number, where it is one."""
    return int(text) if re.fullmatch(r"-?\d+", text) else text


class Trace:
    """Records events while it is entered, in buffers of its own."""

    LINE = re.compile(r"\s(\d+\.\d+): (\w+): (.*)")

    def __init__(self, *names):
        self.path = f"{TRACEFS}/instances/test-{os.getpid()}"
        self.names = names

    def write(self, name, text):
        with open(f"{self.path}/{name}", "w", encoding="ascii") as file:
            file.write(text)

    def __enter__(self):
        os.mkdir(self.path)
        self.write("buffer_size_kb", "32768")
        for name in self.names:
            self.write(f"events/mptcp/{name}/enable" if name != "*" else "events/mptcp/enable", "1")
        self.events = None
        return self

    def __exit__(self, *_):
        if os.path.isdir(f"{self.path}/events/mptcp"):
            self.write("events/mptcp/enable", "0")
        with open(f"{self.path}/trace", encoding="ascii") as lines:
            found = [self.LINE.search(line) for line in lines if not line.startswith("#")]
        lost = sum(int(line.split(":")[1]) for path in glob.glob(f"{self.path}/per_cpu/cpu*/stats")
                   for line in open(path, encoding="ascii") if line.startswith("overrun"))
        os.rmdir(self.path)
        self.events = [Event(m.group(2), float(m.group(1)), self.fields(m)) for m in found if m]
        expect(lost == 0, f"{lost} events were lost")

    @staticmethod
    def fields(match):
        pairs = re.findall(r"(\w+)=([^\s,]+)", match.group(3))
        told = {key: text if key == "token" else value(text) for key, text in pairs}
        if "token" in told:
            told["token"] = int(told["token"], 16)
        return told

    def of(self, name, **wanted):
        """The fields of the events of a name that have these values."""
        return [e.fields for e in self.events
                if e.name == name and all(e.fields.get(k) == v for k, v in wanted.items())]


def joined(pairs):
    """Ranges (start, length) as few that do not touch: starts and lengths."""
    whole = []
    for start, length in sorted(pairs):
        if whole and start <= whole[-1][0] + whole[-1][1]:
            whole[-1][1] = max(whole[-1][1], start + length - whole[-1][0])
        else:
            whole.append([start, length])
    return [tuple(pair) for pair in whole]


def following(pairs):
    """That each range (start, length) begins where the one before has ended."""
    for (start, length), (then, _) in zip(pairs, pairs[1:]):
        expect(start + length == then, f"{start} + {length} is followed by {then}")


__all__ = ["CLIENT", "Event", "KIB", "MIB", "PATH", "PORT", "SERVER", "SLOW", "TRACEFS", "Trace", "expect", "following",
           "joined", "on", "run", "tap", "value"]
