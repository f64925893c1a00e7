#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Judges the figures of run.py, with those of the in-tree implementation beside them: TAP.

    judge.py OURS.json C.json
"""

import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "lib"))
sys.dont_write_bytecode = True

from tap import Report  # noqa: E402

# Of the sum of what TCP alone gets on each link.
PARTS = {"equal": ("two equal links are filled", 0.95), "asymmetric": ("a fast and a slow link are filled", 0.90)}
DEAD = {"dies": "the stream stalls for less than a second when one of two links dies",
        "dies, slow": "... and when the links are slow"}
STALL = 1.0
# Repeated runs, by a clock of instructions, differ by so much.
NOISE = 0.002


def main():
    ours, other = ({}, {})
    for told, path in ((ours, sys.argv[1]), (other, sys.argv[2])):
        with open(path, encoding="ascii") as file:
            told.update(json.load(file))
    report = Report()
    for name, (title, part) in PARTS.items():
        alone, got, theirs = sum(ours[name]["tcp"]), ours[name]["mptcp"], other[name]["mptcp"]
        print(f"# {name}: {got} Mbit/s, C {theirs}, TCP on each link {ours[name]['tcp']}: {got / alone:.1%} of their sum")
        report.tell(title, None if got >= part * alone else f"{got} Mbit/s are {got / alone:.1%} of {alone:.2f}, not {part:.0%}")
        report.tell(f"{title}, no worse than by the in-tree implementation",
                    None if got >= (1 - NOISE) * theirs else f"{got} Mbit/s, C {theirs}")
    for name, title in DEAD.items():
        stall = ours[name]["stall"]
        print(f"# {name}: {stall} s, C {other[name]['stall']}")
        report.tell(title, None if stall < STALL else f"{stall} s")
    print(f"1..{report.count}")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
