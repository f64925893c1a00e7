#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The life of an MPTCP socket, compared with that of a TCP socket.

    run.py [WORD...]    only the tests whose name or file has one of the words

In a network namespace of its own. Each test runs with TCP at both ends, whose
observations are what is right, then with MPTCP over IPv4 and IPv6, then with a
plain TCP peer on either side.
"""

import glob
import importlib
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import tap  # noqa: E402
from world import TESTS, World  # noqa: E402

MODES = {
    "mptcp": ("mptcp", "mptcp", 4),
    "mptcp6": ("mptcp", "mptcp", 6),
    "to tcp": ("mptcp", "tcp", 4),
    "from tcp": ("tcp", "mptcp", 4),
}


def observe(test, setting):
    return tap.call(lambda: test["function"](World(*setting)), test["seconds"])


def problem(test, right, setting):
    """What is wrong in a setting, or None."""
    got = observe(test, setting)
    if got.problem:
        return got.problem
    if not test["compare"]:
        return None
    if right.problem:
        return f"TCP itself: {right.problem}"
    if got.value != right.value:
        return f"observed: {got.value}\nTCP does: {right.value}"
    return None


def selected(words):
    return [t for t in TESTS
            if not words or any(w in t["name"] or w in t["function"].__module__ for w in words)]


def run(report, test):
    right = {}
    for mode, setting in MODES.items():
        if test["modes"] and mode not in test["modes"]:
            continue
        version = setting[2]
        if test["compare"] and version not in right:
            right[version] = observe(test, ("tcp", "tcp", version))
        wrong = problem(test, right.get(version), setting)
        known = os.environ.get("KERNEL") in ("c", "stock") and test["c_differs"]
        report.tell(f"{test['name']} [{mode}]", wrong,
                    f" # TODO in-tree: {known}" if known and wrong else "")


def main():
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for path in sorted(glob.glob(os.path.join(HERE, "t_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    report = tap.Report()
    for test in selected(sys.argv[1:]):
        run(report, test)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
