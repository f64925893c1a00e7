# SPDX-License-Identifier: GPL-2.0
"""Tests in processes of their own, told as TAP."""

import os
import pickle
import select
import signal
import sys
import time
import traceback


class Failed(AssertionError):
    """What a test expected is not so."""


def expect(condition, text="not so"):
    if not condition:
        raise Failed(text)


def equal(got, wanted, what="got"):
    expect(got == wanted, f"{what}: {got!r}, wanted {wanted!r}")


class Outcome:
    """What became of a function: its value, or what went wrong."""

    def __init__(self, value=None, problem=None):
        self.value, self.problem = value, problem


def _child(function, write_end):
    try:
        outcome = Outcome(value=function())
    except Failed as e:
        where = traceback.extract_tb(e.__traceback__)
        line = next(frame for frame in reversed(where) if not frame.filename.endswith("tap.py"))
        outcome = Outcome(problem=f"{e}\nat {os.path.basename(line.filename)}:{line.lineno}: "
                          f"{line.line}")
    except BaseException:
        outcome = Outcome(problem=traceback.format_exc(limit=-6))
    with os.fdopen(write_end, "wb") as pipe:
        pickle.dump(outcome, pipe)


def _stack(pid):
    """Where a process and its threads are in the kernel."""
    stacks = []
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            with open(f"/proc/{pid}/task/{task}/stack", encoding="ascii") as file:
                stacks.append(file.read())
        except OSError:
            pass
    return "\n".join(stacks)


def call(function, seconds):
    """Run it in a process of its own, that is ended when it takes too long."""
    read_end, write_end = os.pipe()
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        os.setsid()
        _child(function, write_end)
        os._exit(0)
    os.close(write_end)
    data, end, late = b"", time.monotonic() + seconds, None
    while True:
        if not select.select([read_end], [], [], max(0, end - time.monotonic()))[0]:
            late = f"did not end within {seconds} seconds; in the kernel it was at\n{_stack(pid)}"
            break
        piece = os.read(read_end, 65536)
        if not piece:
            break
        data += piece
    os.close(read_end)
    return late and _stop(pid, late) or _reap(pid, data)


def _stop(pid, late):
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    for _ in range(50):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return Outcome(problem=late)
        time.sleep(0.1)
    return Outcome(problem=f"cannot even be killed, {late}\n{_stack(pid)}")


def _reap(pid, data):
    status = os.waitpid(pid, 0)[1]
    try:
        # What the test has started and left behind.
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    if data:
        return pickle.loads(data)
    return Outcome(problem=f"ended with status {status} and told nothing")


class Report:
    """Counts and prints results."""

    def __init__(self):
        self.count = self.failed = 0

    def tell(self, name, problem=None, directive=""):
        self.count += 1
        self.failed += problem is not None and not directive
        print(f"{'ok' if problem is None else 'not ok'} {self.count} - {name}{directive}")
        for line in (problem or "").splitlines()[:40]:
            print(f"# {line}")
        sys.stdout.flush()

    def plan(self):
        print(f"1..{self.count}", flush=True)
        return self.failed > 0
