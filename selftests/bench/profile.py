#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""profile.py FOLDER: where the instructions go, as Markdown.

FOLDER has what two guests left there: c and ours with samples-ROW-WHO and symbols. Of each row of the
benchmark there is a table with the nanoseconds, which are instructions, of each function. Functions that the
compiler has put into others are counted there; where interrupts are off, the one that lets them in again.
"""

import bisect
import collections
import functools
import os
import subprocess
import sys

# What is one operation, and how many of them were sampled: see selftests/bench/guest.
ROWS = {
    "bulk1": ("bulk, one subflow: ns for 64 KiB", 4096),
    "bulk2": ("bulk, two subflows: ns for 64 KiB", 4096),
    "bulk4": ("bulk, four subflows: ns for 64 KiB", 4096),
    "rr": ("64-byte request and response: ns", 8000),
    "connect": ("connect, 1 byte each way, close: ns", 4000),
}
TITLES = {"tcp-ours": "TCP", "c": "C MPTCP", "ours": "ours"}
# Functions that take less than one part in so many are left out.
LEAST = 400


@functools.cache
def read_symbols(path):
    """Addresses in order, and their names."""
    found = []
    with open(path, encoding="ascii") as file:
        for line in file:
            address, kind, name, *module = line.split()
            if kind in "tTwW":
                found.append((int(address, 16), name + (" " + module[0] if module else "")))
    found.sort()
    return [address for address, _ in found], [name for _, name in found]


def demangled(names):
    """Rust's names as one reads them."""
    text = "\n".join(names)
    out = subprocess.run(["c++filt", "-i"], input=text, capture_output=True, text=True, check=True)
    return dict(zip(names, out.stdout.split("\n")))


def read_samples(path, symbols):
    """Nanoseconds of each function."""
    addresses, names = symbols
    spent = collections.Counter()
    with open(path, encoding="ascii") as file:
        period = int(file.readline())
        for line in file:
            address = int(line, 16)
            at = bisect.bisect_right(addresses, address) - 1
            spent["user space" if address < 1 << 63 or at < 0 else names[at]] += period
    return spent


def columns(folder, row):
    """For TCP, C and ours, as far as they were sampled: nanoseconds of each function."""
    for kind, who in (("ours", "tcp-ours"), ("c", "c"), ("ours", "ours")):
        samples = f"{folder}/{kind}/samples-{row}-{who}"
        if os.path.exists(samples):
            yield TITLES[who], read_samples(samples, read_symbols(f"{folder}/{kind}/symbols"))


def show(title, count, found):
    """A table: what each function takes of one operation."""
    titles, spent = [t for t, _ in found], [s for _, s in found]
    names = sorted(set().union(*spent), key=lambda name: -max(s[name] for s in spent))
    pretty = demangled(names)
    print(f"\n{title}\n")
    print(f"| function | {' | '.join(titles)} |")
    print("| --- |" + " ---: |" * len(spent))
    total = [sum(s.values()) for s in spent]
    for name, values in [("all", total)] + [(pretty[name], [s[name] for s in spent]) for name in names]:
        if max(values) * LEAST > max(total):
            print(f"| `{name}` | " + " | ".join(f"{value / count:.0f}" for value in values) + " |")


def main():
    folder, = sys.argv[1:]
    for row, (title, count) in ROWS.items():
        found = list(columns(folder, row))
        if found:
            show(title, count, found)


main()
