#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""TCP Fast Open with MPTCP (RFC 8684 appendix B): data in the SYN.

    run.py [WORD...]    only the tests whose name has one of the words

Two hosts, and a path between them on which packets are seen and changed. A first connection gets the
client its cookie; the one that is looked at comes then.
"""

import errno
import os
import random
import select
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import mptcp  # noqa: E402
import tap  # noqa: E402
import xfer  # noqa: E402
from packet import ACK, CAPABLE, DSS, MAP, SYN, TIMESTAMPS, padded, strip  # noqa: E402
from path import LISTEN, SERVER, TIME_WAIT, Path  # noqa: E402
from tap import equal, expect  # noqa: E402

PORT = 5000
SLOW = 6 if os.environ.get("KERNEL") == "debug" else 1
TESTS = []

FASTOPEN, TCP_FASTOPEN_CONNECT = 34, 30
EARLY, LATER = random.Random(1).randbytes(700), random.Random(2).randbytes(200_000)
ANSWER = random.Random(3).randbytes(100_000)
SOME = LATER[:5000]


def test(name):
    """Registers a test: a function of a World."""

    def register(function):
        TESTS.append((name, function))
        return function

    return register


class World:
    """Two hosts that do Fast Open, of one IP version; `middle` may be set, all packets are kept."""

    def __init__(self, path, version):
        self.path, self.family = path, mptcp.FAMILIES[version]
        self.server = (SERVER[version], PORT)
        self.middle = lambda packet, to_server: [packet]
        self.packets = []
        path.middle = self.see
        for host, mode in ((path.client, 1), (path.server, 2)):
            with host.inside():
                self.sysctl("tcp_fastopen", mode)
                self.sysctl("tcp_fastopen_blackhole_timeout_sec", 0)
        with path.server.inside():
            self.listener = self.listen()

    @staticmethod
    def sysctl(name, value):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write(str(value))

    def listen(self, port=PORT):
        sock = mptcp.stream(self.family, mptcp.IPPROTO_MPTCP)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 10)
        sock.bind(("", port))
        sock.listen(10)
        xfer.limit_waits(sock, 10 * SLOW)
        return sock

    def client(self):
        with self.path.client.inside():
            sock = mptcp.stream(self.family, mptcp.IPPROTO_MPTCP)
        xfer.limit_waits(sock, 10 * SLOW)
        return sock

    def accept(self):
        sock = self.listener.accept()[0]
        xfer.limit_waits(sock, 10 * SLOW)
        return sock

    def see(self, packet, to_server):
        self.packets.append((packet.copy(), to_server))
        return self.middle(packet, to_server)

    def get_cookie(self):
        """A connection of which nothing is asked but a cookie."""
        with self.client() as sock:
            sock.sendto(b"cookie", socket.MSG_FASTOPEN, self.server)
            with self.accept() as served:
                equal(served.recv(6), b"cookie", "with the first connection")
        self.settle()

    def settle(self):
        """Until the connections are over; then their packets are forgotten."""
        end = time.monotonic() + 10 * SLOW
        while any(set(host.tcp_states()) - {LISTEN, TIME_WAIT} for host in (self.path.client, self.path.server)):
            expect(time.monotonic() < end, "a connection does not end")
            time.sleep(0.02)
        self.packets.clear()

    def first(self, to_server, flags):
        """The first packet in a direction with just these of SYN and ACK."""
        found = [p for p, way in self.packets if way == to_server and p.flags & (SYN | ACK) == flags]
        expect(found, "there is no such packet")
        return found[0]

    def counters(self, host):
        with host.inside():
            return mptcp.counters()


def read(sock, size):
    """So many bytes, or what there is until the end."""
    data = b""
    while len(data) < size and (piece := sock.recv(min(1 << 16, size - len(data)))):
        data += piece
    return data


def exchange(world, answer_at_once=False, stay=None, **expected):
    """A connection with data in its SYN and all ways of more; `stay` is what both ends are: MPTCP or not.

    Returns the counters of client and server that changed.
    """
    before = [world.counters(host) for host in (world.path.client, world.path.server)]
    problem = []

    def serve():
        try:
            with world.accept() as sock:
                if answer_at_once:
                    sock.sendall(ANSWER)
                data = read(sock, len(EARLY) + len(LATER))
                expect(data == EARLY + LATER, f"the server has got {len(data)} bytes, other ones")
                if not answer_at_once:
                    sock.sendall(ANSWER)
                equal(sock.recv(1), b"", "behind the end")
                problem.extend([] if stay is None else [mptcp.is_mptcp(sock)])
        except (OSError, tap.Failed) as e:
            problem.append(f"server: {type(e).__name__}: {e}")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with world.client() as sock:
        equal(sock.sendto(EARLY, socket.MSG_FASTOPEN, world.server), len(EARLY), "sendto()")
        sock.sendall(LATER)
        data = read(sock, len(ANSWER))
        expect(data == ANSWER, f"the client has got {len(data)} bytes, other ones; {problem}")
        if stay is not None:
            equal(mptcp.is_mptcp(sock), stay, "the client is MPTCP")
        sock.shutdown(socket.SHUT_WR)
        equal(sock.recv(1), b"", "the client's end")
    thread.join(10 * SLOW)
    equal(problem, [] if stay is None else [stay], "the server is MPTCP")
    after = [world.counters(host) for host in (world.path.client, world.path.server)]
    changed = [mptcp.changed(*pair) for pair in zip(before, after)]
    for (name, end) in expected.items():
        side = changed[0 if name == "client" else 1]
        for counter, value in end.items():
            equal(side.get(counter, 0), value, f"{counter} of the {name}")


def mapping(packet):
    """The relative sequence number and the length of a packet's mapping."""
    option = packet.mptcp().get(DSS)
    if not option or not option[3] & MAP:
        return None
    at = 4 + (0 if not option[3] & 1 else 8 if option[3] & 2 else 4) + (8 if option[3] & 8 else 4)
    return int.from_bytes(option[at:at + 4], "big"), int.from_bytes(option[at + 4:at + 6], "big")


def check_mappings(world, accepted):
    """Mappings count from the first byte behind what the SYN-ACK has accepted of the SYN's data."""
    base = world.first(True, SYN).seq + 1 + accepted
    seen = 0
    for packet, to_server in world.packets:
        if to_server and packet.payload and (found := mapping(packet)):
            start, end = base + found[0] - 1, base + found[0] - 1 + found[1]
            at = packet.seq
            expect((at - start) % 2**32 < 2**31 and (end - at) % 2**32 <= 65536,
                   f"a mapping of {found} does not cover {packet}; the first byte is {base}")
            seen += 1
    expect(seen, "no segment has a mapping")


ACCEPTED = {"client": {"MPCapableSYNTX": 1, "MPCapableSYNACKRX": 1},
            "server": {"MPCapableSYNRX": 1, "MPCapableACKRX": 1, "MPCapableFallbackACK": 0}}


@test("a cookie is given, at the cost of timestamps")
def cookie(world):
    exchange(world, stay=True, **ACCEPTED)
    equal(world.first(True, SYN).payload, b"", "data in the first SYN")
    kinds = [option[0] for option in world.first(False, SYN | ACK).options()]
    expect(FASTOPEN in kinds and TIMESTAMPS not in kinds, f"options of the SYN-ACK: {kinds}")


@test("data in the SYN is accepted")
def accepted(world):
    world.get_cookie()
    exchange(world, stay=True, **ACCEPTED)
    syn, synack = world.first(True, SYN), world.first(False, SYN | ACK)
    equal(syn.payload, EARLY, "data in the SYN")
    equal((synack.ack - syn.seq - 1) % 2**32, len(EARLY), "acknowledged by the SYN-ACK")
    expect(CAPABLE in synack.mptcp(), "the SYN-ACK has no MP_CAPABLE")
    check_mappings(world, len(EARLY))


def shorten(world, keep):
    """A middlebox that cuts the data of SYNs."""

    def middle(packet, _):
        if packet.flags & (SYN | ACK) == SYN:
            packet.payload = packet.payload[:keep]
        return [packet]

    world.middle = middle


@test("data in the SYN is lost")
def rejected(world):
    world.get_cookie()
    shorten(world, 0)
    exchange(world, stay=True, **ACCEPTED)
    equal(world.first(True, SYN).payload, EARLY, "data in the SYN")
    check_mappings(world, 0)


@test("a part of the data in the SYN is accepted")
def partly(world):
    world.get_cookie()
    shorten(world, 300)
    exchange(world, stay=True, **ACCEPTED)
    check_mappings(world, 300)


@test("a wrong cookie")
def wrong_cookie(world):
    world.get_cookie()

    def middle(packet, _):
        if packet.flags & (SYN | ACK) == SYN:
            packet.area = padded(b"".join(
                option[:2] + bytes(8) if option[0] == FASTOPEN else option for option in packet.options()))
        return [packet]

    world.middle = middle
    exchange(world, stay=True, **ACCEPTED)
    check_mappings(world, 0)


@test("the SYN is lost")
def lost_syn(world):
    world.get_cookie()
    lost = []

    def middle(packet, _):
        if packet.flags & (SYN | ACK) == SYN and not lost:
            lost.append(packet)
            return []
        return [packet]

    world.middle = middle
    exchange(world, stay=True, client=ACCEPTED["client"], server={"MPCapableACKRX": 1})


@test("the SYN-ACK is lost")
def lost_synack(world):
    world.get_cookie()
    lost = []

    def middle(packet, _):
        if packet.flags & (SYN | ACK) == SYN | ACK and not lost:
            lost.append(packet)
            return []
        return [packet]

    world.middle = middle
    exchange(world, stay=True, server={"MPCapableACKRX": 1})


@test("the third ACK is lost")
def lost_ack(world):
    world.get_cookie()
    lost = []

    def middle(packet, to_server):
        if to_server and packet.flags & (SYN | ACK) == ACK and not lost:
            lost.append(packet)
            return []
        return [packet]

    world.middle = middle
    exchange(world, stay=True, **ACCEPTED)


def late_ack(world, seconds):
    """A middlebox that keeps the third ACK, and all behind it, for a while."""
    until = []

    def middle(packet, to_server):
        if to_server and packet.flags & (SYN | ACK) == ACK:
            until or until.append(time.monotonic() + seconds)
            time.sleep(max(0, until[0] - time.monotonic()))
        return [packet]

    world.middle = middle


@test("the server answers before the third ACK")
def answer_at_once(world):
    world.get_cookie()
    late_ack(world, 0.5)
    exchange(world, answer_at_once=True, stay=True, **ACCEPTED)


@test("the server closes before the third ACK")
def close_at_once(world):
    world.get_cookie()
    late_ack(world, 0.5)
    with world.client() as sock:
        sock.sendto(EARLY, socket.MSG_FASTOPEN | socket.MSG_DONTWAIT, world.server)
        with world.accept() as served:
            equal(read(served, len(EARLY)), EARLY, "the SYN's data")
            served.sendall(b"bye")
            served.shutdown(socket.SHUT_WR)
            equal(read(sock, 100), b"bye", "the answer")
            sock.shutdown(socket.SHUT_WR)
            equal(served.recv(1), b"", "behind the end")


@test("the listener closes before the third ACK")
def abandoned(world):
    world.get_cookie()
    late_ack(world, 0.5)
    with world.client() as sock:
        sock.sendto(EARLY, socket.MSG_FASTOPEN | socket.MSG_DONTWAIT, world.server)
        end = time.monotonic() + 5 * SLOW
        while len(world.packets) < 3 and time.monotonic() < end:
            time.sleep(0.01)
        world.listener.close()
        try:
            equal(sock.recv(1), b"", "of nobody")
        except ConnectionResetError:
            pass


FALLBACKS = {
    "the SYN": (lambda p, to_server: p.flags & (SYN | ACK) == SYN, {"MPCapableFallbackSYNACK": 1}, {}),
    "the SYN-ACK": (lambda p, to_server: p.flags & (SYN | ACK) == SYN | ACK,
                    {"MPCapableFallbackSYNACK": 1}, {"MPCapableFallbackACK": 1}),
    "what follows the client's SYN": (lambda p, to_server: to_server and not p.flags & SYN,
                                      {}, {"MPCapableFallbackACK": 1}),
}


def strip_test(where):
    when, client, server = FALLBACKS[where]

    @test(f"options are stripped from {where}")
    def stripped(world):
        world.get_cookie()

        def middle(packet, to_server):
            if when(packet, to_server):
                strip(packet)
            return [packet]

        world.middle = middle
        # A server that is plain TCP has a TCP socket, which knows nothing of MPTCP.
        exchange(world, stay=False, client=client, server=server)
        equal(world.first(True, SYN).payload, EARLY, "data in the SYN")


for place in FALLBACKS:
    strip_test(place)


@test("sendto() without waiting")
def nonblocking(world):
    for name, wanted in (("without a cookie", "EINPROGRESS"), ("with one", len(EARLY))):
        with world.client() as sock:
            sock.setblocking(False)
            try:
                got = sock.sendto(EARLY, socket.MSG_FASTOPEN, world.server)
            except OSError as e:
                got = errno.errorcode[e.errno]
            equal(got, wanted, name)
            expect(select.select([], [sock], [], 5 * SLOW)[1], "does not get connected")
            sock.setblocking(True)
            sock.sendall(SOME if wanted == len(EARLY) else EARLY + SOME)
            sock.shutdown(socket.SHUT_WR)
            with world.accept() as served:
                data = read(served, 1 << 20)
                expect(data == EARLY + SOME, f"{name}: {len(data)} bytes arrived, other ones")


@test("the socket is closed while its SYN waits for an answer")
def given_up(world):
    world.get_cookie()
    world.middle = lambda packet, _: [] if packet.flags & (SYN | ACK) == SYN else [packet]
    with world.client() as sock:
        sock.setblocking(False)
        equal(sock.sendto(EARLY, socket.MSG_FASTOPEN, world.server), len(EARLY), "sendto()")
    # What the kernel says of memory that such a socket has kept, it says now, and that fails the suite.
    world.settle()


@test("connect() leaves the SYN for the first data")
def connect_later(world):
    for name, wanted in (("without a cookie", b""), ("with one", EARLY)):
        with world.client() as sock:
            sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
            sock.connect(world.server)
            expect(select.select([], [sock], [], 5 * SLOW)[1], f"{name}: is not writable")
            equal(len(world.packets) > 0, not wanted, f"{name}: connect() has sent the SYN")
            sock.sendall(EARLY)
            sock.sendall(SOME)
            sock.shutdown(socket.SHUT_WR)
            with world.accept() as served:
                data = read(served, 1 << 20)
                expect(data == EARLY + SOME, f"{name}: {len(data)} bytes arrived, other ones")
                expect(mptcp.is_mptcp(served), f"{name}: no MPTCP")
        equal(world.first(True, SYN).payload, wanted, f"{name}: data in the SYN")
        world.settle()
    with world.client() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        sock.connect((world.server[0], PORT + 1))
        try:
            got = sock.send(EARLY)
            got = sock.recv(1)
        except OSError as e:
            got = errno.errorcode[e.errno]
        equal(got, "ECONNREFUSED", "nobody listens")


@test("errors of sendto()")
def errors(world):
    def attempt(sock, address=world.server):
        try:
            return sock.sendto(EARLY, socket.MSG_FASTOPEN, address)
        except OSError as e:
            return errno.errorcode[e.errno]

    with world.client() as sock:
        equal(attempt(sock, (world.server[0], PORT + 1)), "ECONNREFUSED", "nobody listens")
        equal(attempt(sock), len(EARLY), "the same socket again")
        equal(attempt(sock), "EISCONN", "once more")
        with world.accept() as served:
            equal(read(served, len(EARLY)), EARLY, "what was sent")
    with world.path.client.inside():
        world.sysctl("tcp_fastopen", 0)
        with world.client() as sock:
            equal(attempt(sock), "ENOTSUP", "with Fast Open switched off")


def run(function, version):
    with Path() as path:
        world = World(path, version)
        function(world)
        world.listener.close()
        for host in (path.client, path.server):
            host.await_quiet(10 * SLOW)
            equal(world.counters(host).get("MPCurrEstab", 0), 0, "MPCurrEstab at last")
        expect(not path.problem, f"the path: {path.problem}")


def main():
    report = tap.Report()
    words = sys.argv[1:]
    for name, function in TESTS:
        for version in (4, 6):
            label = f"{name}, v{version}"
            if words and not any(word in label for word in words):
                continue
            report.tell(label, tap.call(lambda: run(function, version), 60 * SLOW).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
