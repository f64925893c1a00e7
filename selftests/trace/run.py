#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Tracepoints, and what draws them.

    run.py [WORD...]    only the tests whose name has one of the words
"""

import os
import subprocess
import sys
import time

sys.path[:0] = [os.path.dirname(os.path.abspath(__file__))]
sys.dont_write_bytecode = True

from world import CLIENT, SERVER, SLOW, tap  # noqa: E402

import t_draw  # noqa: E402
import t_events  # noqa: E402
import t_formats  # noqa: E402


def main():
    words = sys.argv[1:]
    report = tap.Report()
    for name, function in t_formats.TESTS + t_events.TESTS + t_draw.TESTS + t_formats.LAST:
        if words and not any(word in name for word in words):
            continue
        started = time.monotonic()
        # Nothing is timed here, and drawing takes a while on a slow machine.
        outcome = tap.call(function, 300 * SLOW)
        report.tell(name, outcome.problem)
        print(f"# {time.monotonic() - started:.1f} s", flush=True)
    for host in (CLIENT, SERVER):
        subprocess.run(["ip", "netns", "del", host], capture_output=True)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
