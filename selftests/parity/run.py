#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What programs and administrators see, beside what they see of the in-tree implementation.

    run.py [WORD...]                compare with c.json, where the sections' names have one of the words
    run.py --record FILE [WORD...]  make that file, on a kernel that has the in-tree implementation
"""

import fnmatch
import glob
import importlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, *(os.path.join(os.path.dirname(HERE), name) for name in ("lib", "pm"))]
sys.dont_write_bytecode = True

import tap  # noqa: E402
from differences import DIFFERENCES  # noqa: E402
from scene import SECTIONS  # noqa: E402
from world import new_namespace, up  # noqa: E402

BASELINE = os.path.join(HERE, "c.json")
SECONDS = 300


def alone(function):
    new_namespace()
    up()
    return function()


def collect(name):
    """What a section tells, as JSON keeps it."""
    outcome = tap.call(lambda: alone(SECTIONS[name]), SECONDS * (4 if os.environ.get("KERNEL") == "debug" else 1))
    if outcome.problem is None:
        outcome.value = json.loads(json.dumps(outcome.value))
    return outcome


def flat(what, path=""):
    """The leaves, by their path."""
    if isinstance(what, dict) and what:
        found = {}
        for key, inner in what.items():
            found.update(flat(inner, f"{path}/{key}"))
        return found
    if isinstance(what, list) and any(isinstance(inner, (dict, list)) for inner in what):
        return flat(dict(enumerate(what)), path)
    return {path: what}


def excused(path, theirs, ours):
    """Why this may differ; None if it may not."""
    for pattern, values, reason in DIFFERENCES:
        if fnmatch.fnmatchcase(path, pattern) and (values is None or values(theirs, ours)):
            return reason
    return None


def compare(name, theirs, ours):
    """The differences, as lines."""
    theirs, ours = flat(theirs), flat(ours)
    lines = []
    for path in dict.fromkeys([*theirs, *ours]):
        c, rust = theirs.get(path), ours.get(path)
        if c != rust and not excused(f"{name}{path}", c, rust):
            lines.append(f"{path[1:]}: C {json.dumps(c)}, ours {json.dumps(rust)}")
    return lines


def wanted(words):
    return [name for name in SECTIONS if not words or any(word in name for word in words)]


def record(path, words):
    report, kept = tap.Report(), {}
    if os.path.exists(path):
        with open(path, encoding="ascii") as file:
            kept = json.load(file)
    for name in wanted(words):
        outcome = collect(name)
        report.tell(name, outcome.problem)
        if outcome.problem is None:
            kept[name] = outcome.value
    kept = {name: kept[name] for name in SECTIONS if name in kept}
    with open(path, "w", encoding="ascii") as file:
        json.dump(kept, file, indent=0, separators=(",", ":"))
        file.write("\n")
    return report.plan()


def main(words):
    for path in sorted(glob.glob(os.path.join(HERE, "s_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    if words[:1] == ["--record"]:
        return record(words[1], words[2:])
    with open(BASELINE, encoding="ascii") as file:
        baseline = json.load(file)
    report = tap.Report()
    for name in wanted(words):
        outcome = collect(name)
        problem = outcome.problem
        if problem is None:
            problem = "\n".join(compare(name, baseline.get(name), outcome.value)) or None
        report.tell(name, problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
