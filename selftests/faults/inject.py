# SPDX-License-Identifier: GPL-2.0
"""Allocations that fail: at random for all of the kernel, or the nth of one call."""

import contextlib
import os

import tap

DEBUGFS = "/sys/kernel/debug"
KINDS = ("failslab", "fail_page_alloc")


def tune(**settings):
    """Sets attributes of both kinds of allocations, as far as they have them."""
    for kind in KINDS:
        for name, value in settings.items():
            with open(f"{DEBUGFS}/{kind}/{name.replace('_', '-')}", "w", encoding="ascii") as file:
                file.write(str(value))


def off():
    tune(probability=0, times=0)


@contextlib.contextmanager
def at_random(percent, times):
    """Of the allocations that cannot wait, which are those of softirqs and under spin locks, so many fail."""
    tune(ignore_gfp_wait="Y", task_filter="N", verbose=0, interval=1, space=0, times=times)
    tune(probability=percent)
    try:
        yield
    finally:
        off()


def left():
    """How many are yet to fail."""
    with open(f"{DEBUGFS}/failslab/times", encoding="ascii") as file:
        return int(file.read())


class Nth:
    """A thread's allocations, counted from 1: the nth fails, whether it may wait or not."""

    def __init__(self, n):
        self.n, self.failed = n, False

    def __enter__(self):
        self.file = os.open("/proc/thread-self/fail-nth", os.O_RDWR)
        os.pwrite(self.file, b"%d" % self.n, 0)
        return self

    def __exit__(self, *_):
        self.failed = int(os.pread(self.file, 20, 0)) == 0
        os.pwrite(self.file, b"0", 0)
        os.close(self.file)


def every(operation, most=200):
    """Calls `operation(Nth)` with the first allocation failing, then the second, until there is no nth.

    Returns how many have failed.
    """
    tune(ignore_gfp_wait="N", task_filter="Y", verbose=0, interval=1, space=0, times=-1, probability=0)
    try:
        for n in range(1, most):
            nth = Nth(n)
            with contextlib.suppress(MemoryError):
                operation(nth)
            if not nth.failed:
                return n - 1
    finally:
        off()
    raise tap.Failed(f"more than {most} allocations")
