# SPDX-License-Identifier: GPL-2.0
"""Middleboxes that drop SYNs with MP_CAPABLE (RFC 8684 section 3.1), and what a host makes of them.

A blackhole costs the first connection some seconds, until a SYN without MP_CAPABLE is answered. Those that
follow begin as plain TCP, for `net.mptcp.blackhole_timeout` at first.
"""

import os
import threading
import time

import mptcp
from packet import ACK, CAPABLE, SYN
from path import SERVER, Path
from tap import equal, expect

PORT = 5001
SLOW = 6 if os.environ.get("KERNEL") == "debug" else 1
WAIT = 30 * SLOW

# How a connection may begin: what its counters say, and whether MPTCP came of it.
ASKED = ({"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1}, True)
VANISHED = ({"MPCapableSYNTX": 1, "MPCapableSYNTXDrop": 1, "Blackhole": 1}, False)
UNPROVEN = ({"MPCapableSYNTX": 1, "MPCapableSYNTXDrop": 1}, False)
DISABLED = ({"MPCapableSYNTXDisabled": 1}, False)
ALL = {name for counters, _ in (ASKED, VANISHED, DISABLED) for name in counters} | {"MPCapableFallbackSYNACK"}

# What a SYN has to go through.
OPEN, NO_CAPABLE, NOTHING = range(3)


class Hole:
    """The middlebox: lets SYNs through, or not. `syns`: whether each that came had MP_CAPABLE."""

    def __init__(self):
        self.lets, self.syns, self.plain_lost = OPEN, [], 0

    def __call__(self, packet, to_server):
        if packet.flags & (SYN | ACK) != SYN:
            return [packet]
        capable = CAPABLE in packet.mptcp()
        self.syns.append(capable)
        if self.lets == NO_CAPABLE and capable:
            return []
        if not capable and self.plain_lost:
            self.plain_lost -= 1
            return []
        return [packet]


class World:
    """Two hosts with such a middlebox, and a server that sends back what it gets."""

    def __init__(self, version):
        self.version, self.hole = version, Hole()
        self.path = Path(self.hole)
        self.family = mptcp.FAMILIES[version]

    def __enter__(self):
        for host in (self.path.server, self.path.client):
            with host.inside():
                listener = mptcp.stream(self.family, mptcp.IPPROTO_MPTCP)
                listener.bind(("", PORT))
                listener.listen(5)
                threading.Thread(target=self.serve, args=(listener,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.path.__exit__()

    @staticmethod
    def serve(listener):
        while True:
            sock = listener.accept()[0]
            with sock:
                sock.settimeout(WAIT)
                while piece := sock.recv(65536):
                    sock.sendall(piece)

    def begin(self, wanted, address=None):
        """A connection from the client; how it has begun."""
        self.hole.syns.clear()
        with self.path.client.inside(), mptcp.stream(self.family, mptcp.IPPROTO_MPTCP) as sock:
            before = mptcp.counters()
            sock.settimeout(WAIT)
            sock.connect((address or SERVER[self.version], PORT))
            sock.sendall(b"x" * 5000)
            back = 0
            while back < 5000:
                piece = sock.recv(65536)
                expect(piece, "the end of the stream, too early")
                back += len(piece)
            told = {k: v for k, v in mptcp.changed(before, mptcp.counters()).items() if k in ALL}
            became = mptcp.is_mptcp(sock)
        expect(not self.path.problem, f"the middlebox: {self.path.problem}")
        equal((told, became), wanted, f"SYNs {self.hole.syns}: the connection's beginning")

    def timeout(self, seconds):
        self.path.client.sysctl("net/mptcp/blackhole_timeout", seconds)


def vanishes(version):
    with World(version) as world:
        world.hole.lets = NO_CAPABLE
        world.begin(VANISHED)
        equal(world.hole.syns, [True, True, True, False], "SYNs with MP_CAPABLE")
        world.begin(DISABLED)
        equal(world.hole.syns, [False], "SYNs with MP_CAPABLE")
        # What is written does not matter.
        world.timeout(3600)
        world.hole.lets = OPEN
        world.begin(ASKED)


def switched_off(version):
    with World(version) as world:
        world.timeout(0)
        world.hole.lets = NO_CAPABLE
        world.begin(UNPROVEN)
        world.hole.lets = OPEN
        world.begin(ASKED)


def all_lost(version):
    """Of a path that lost everything for a while nobody knows what it does to MP_CAPABLE."""
    with World(version) as world:
        world.hole.lets, world.hole.plain_lost = NO_CAPABLE, 1
        world.begin(UNPROVEN)
        equal(world.hole.syns, [True, True, True, False, False], "SYNs with MP_CAPABLE")
        world.hole.lets = OPEN
        world.begin(ASKED)


def until(moment):
    time.sleep(max(0, moment - time.monotonic()))


def doubles(version):
    """Each blackhole disables MPTCP for twice as long, until it works again; within the host it always does."""
    span = 6 * SLOW
    with World(version) as world:
        world.timeout(span)

        def blackhole(expected):
            world.hole.lets = NO_CAPABLE
            world.begin(VANISHED)
            found = time.monotonic()
            world.hole.lets = OPEN
            until(found + 0.6 * expected)
            world.begin(DISABLED)
            expect(time.monotonic() < found + expected, "too slow a machine for this test")
            until(found + expected + 0.5)

        blackhole(span)
        world.begin(ASKED, "127.0.0.1" if version == 4 else "::1")
        blackhole(2 * span)
        world.begin(ASKED)
        blackhole(span)
        world.begin(ASKED)


TESTS = {
    "SYNs with MP_CAPABLE vanish": vanishes,
    "SYNs with MP_CAPABLE vanish, blackhole_timeout is 0": switched_off,
    "all SYNs vanish for a while": all_lost,
    "blackholes again and again": doubles,
}
