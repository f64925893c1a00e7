# SPDX-License-Identifier: GPL-2.0
"""What the kernel has kept of connections that are over."""

import os
import subprocess
import time

from live import SLOW, World
from tap import call, expect

# Caches whose objects are sockets, requests, and namespaces, which no socket may hold any more.
CACHES = ("MPTCP", "MPTCPv6", "TCP", "TCPv6", "request_sock_TCP", "request_sock_TCPv6", "tcp_bind_bucket",
          "sock_inode_cache", "net_namespace")
# Kernel memory that is nobody's in particular may grow by so much, KiB. One connection has a few.
GROWTH = 1500
DEBUG = os.environ.get("KERNEL") == "debug"


def objects():
    """Objects in use of each cache."""
    for name in CACHES:
        try:
            with open(f"/sys/kernel/slab/{name}/shrink", "w", encoding="ascii") as file:
                file.write("1")
        except OSError:
            pass
    with open("/proc/slabinfo", encoding="ascii") as lines:
        rows = [line.split() for line in lines]
    return {row[0]: int(row[1]) for row in rows if row[0] in CACHES}


def memory():
    """Kernel memory in use that a leak would show in, KiB, after what can be freed is."""
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    with open("/proc/meminfo", encoding="ascii") as lines:
        fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return fields["SUnreclaim"] + fields["VmallocUsed"] + fields["Percpu"]


def loaded():
    with open("/proc/modules", encoding="ascii") as lines:
        return any(line.startswith("mptcp ") for line in lines)


def warm():
    for version in (4, 6):
        with World(version) as world:
            world.finish()


class Kept:
    """Remembers how things are before the tests, when everything has been used once."""

    def __init__(self):
        problem = call(warm, 60 * SLOW).problem
        if problem:
            print("# " + problem.replace("\n", "\n# "))
        self.objects, self.memory = self.settled(0)

    @staticmethod
    def settled(seconds, enough=lambda now: True):
        """What there is when it is enough, or after so many seconds: namespaces take a while to go."""
        end = time.monotonic() + seconds
        time.sleep(1)
        while not enough(now := objects()) and time.monotonic() < end:
            time.sleep(0.5)
        return now, memory()

    def check(self):
        """Fails if sockets, requests, namespaces or memory are left, or the module is in use."""
        def gone(now):
            return all(now[name] <= count for name, count in self.objects.items() if name in now)

        now, kib = self.settled(20 * SLOW, gone)
        print(f"# objects before {self.objects}\n# objects after  {now}\n# memory: {kib - self.memory:+} KiB", flush=True)
        expect(gone(now), f"objects before: {self.objects}, after: {now}")
        if not DEBUG:
            expect(kib - self.memory < GROWTH, f"kernel memory grew by {kib - self.memory} KiB")
        end = time.monotonic() + 20 * SLOW
        while (done := subprocess.run(["rmmod", "mptcp"], capture_output=True, text=True)).returncode:
            expect(time.monotonic() < end, f"rmmod: {done.stderr}")
            time.sleep(0.1)
        expect(not loaded(), "still loaded")
