# SPDX-License-Identifier: GPL-2.0
"""Middleboxes that damage a connection when it is under way, by one subflow and by two.

With one subflow the damage is seen and ends in plain TCP or a reset, as the RFC says; with two, the subflow that is
damaged ends and the stream goes on by the other.
"""

import argparse
import hashlib
import hmac
import os
import socket
import struct
import subprocess
import threading
import time

import genl
import mptcp
import xfer
from packet import ACK, CAPABLE, DSS, FAIL, JOIN, MAP, MPTCP, RST, SYN, TCPRST, padded, strip
from path import SERVER, Path
from tap import Failed, equal, expect

PORT = 5002
SLOW = 6 if os.environ.get("KERNEL") == "debug" else 1
SIZE = 400_000
# The addresses of a second subflow: client and server. It goes to the server's first.
SECOND = ("10.0.1.1", "10.0.1.2")
DENIED = 3


class End(threading.Thread):
    """One end of a connection, in the namespace of its host."""

    def __init__(self, host, size, seed, open_it):
        super().__init__(daemon=True)
        self.host, self.size, self.seed, self.open_it = host, size, seed, open_it
        self.told = {"error": "did not end"}
        self.start()

    def run(self):
        os.setns(self.host.namespace, os.CLONE_NEWNET)
        before = mptcp.counters()
        try:
            with self.open_it() as sock:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                args = argparse.Namespace(file=None, size=self.size, seed=self.seed, timeout=20 * SLOW, progress=0,
                                          slow=0, hold=None, abort=0)
                self.told = xfer.exchange(sock, args, before)
        except (OSError, Failed) as e:
            self.told = {"error": f"{type(e).__name__}: {e}", "counters": mptcp.changed(before, mptcp.counters())}


class World(Path):
    """Two hosts with a middlebox; `two`: with a second subflow, by addresses of its own; `shape`: what netem
    does to all that a host sends."""

    def __init__(self, middle, two=False, checksum=False, shape=""):
        super().__init__(middle)
        self.two, self.listener = two, None
        for number, host in ((1, self.client), (2, self.server)):
            host.sysctl("net/mptcp/checksum_enabled", int(checksum))
            if shape:
                with host.inside():
                    subprocess.run(["tc", "qdisc", "add", "dev", "tun0", "root", "netem", *shape.split()], check=True)
            if two:
                with host.inside():
                    subprocess.run(["ip", "-batch", "-"], check=True, text=True, input=(
                        f"addr add {SECOND[number - 1]}/24 dev tun0\nmptcp limits set subflows 2 add_addr_accepted 2\n"))
        if two:
            with self.client.inside():
                subprocess.run(["ip", "mptcp", "endpoint", "add", SECOND[0], "dev", "tun0", "subflow"], check=True)

    def exchange(self, size=SIZE, server_first=False):
        """Both ends send and receive at once; what they tell. `server_first`: the client sends nothing until it has
        received something."""
        ready = threading.Event()

        def serve():
            # It goes on listening, for joins.
            self.listener = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
            self.listener.bind(("", PORT))
            self.listener.listen(5)
            self.listener.settimeout(20 * SLOW)
            ready.set()
            return self.listener.accept()[0]

        def connect():
            ready.wait()
            sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
            sock.settimeout(20 * SLOW)
            sock.connect((SERVER[4], PORT))
            if self.two:
                end = time.monotonic() + 10 * SLOW
                while not mptcp.counters()["MPJoinSynAckRx"]:
                    expect(time.monotonic() < end, "no second subflow")
                    time.sleep(0.01)
            if server_first:
                sock.recv(1, socket.MSG_PEEK)
            return sock

        ends = [End(self.client, size, 1, connect), End(self.server, size, 2, serve)]
        for end in ends:
            end.join(60 * SLOW)
        self.listener.close()
        expect(not self.problem, f"the middlebox: {self.problem!r}")
        return [end.told for end in ends]


def second(packet):
    """Whether a packet is the second subflow's."""
    return socket.inet_aton(SECOND[0]) in (packet.ip[12:16], packet.ip[16:20])


class Damage:
    """The middlebox: `harm(packet)` gives the packets in place of data to the server, once the stream is so far; `once`
    or from then on. `hides(packet, to_server)`: what else is done to every packet after that."""

    def __init__(self, harm, two, once=True, after=60_000, hides=None):
        self.harm, self.two, self.once, self.after, self.hides = harm, two, once, after, hides
        self.seen, self.done, self.acks = 0, 0, set()
        # Where what has passed ends: harm to a copy of what has arrived is not seen by anybody.
        self.end = None

    def __call__(self, packet, to_server):
        if self.done and self.hides:
            self.hides(packet, to_server)
        # What is to be too late for plain TCP must not come before data of the server is acknowledged.
        confirmed = len(self.acks) > 2
        if to_server and DSS in packet.mptcp():
            self.acks.add(packet.mptcp()[DSS][4:12])
        if not to_server or not packet.payload or packet.flags & SYN or self.two != second(packet):
            return [packet]
        if self.once and self.end is not None and (packet.seq - self.end) % 2**32 >= 2**31:
            return [packet]
        self.end = packet.end
        self.seen += len(packet.payload)
        if self.seen < self.after or not confirmed or self.done and self.once:
            return [packet]
        self.done += 1
        return self.harm(packet)


def altered(packet, change):
    """The packet with another DSS."""
    area = b""
    for option in packet.options():
        if option[0] == MPTCP and option[2] >> 4 == DSS and option[3] & MAP:
            option = bytes(change(bytearray(option)))
        area += option
    return packet.copy(area=padded(area))


def other_dsn(option):
    """Another data sequence number: the mapping of our own hosts has two 8-byte numbers."""
    dsn = struct.unpack_from(">Q", option, 12)[0]
    option[12:20] = struct.pack(">Q", (dsn + 7) % 2**64)
    return option


def other_ssn(option):
    """A place far ahead on the subflow."""
    ssn = struct.unpack_from(">I", option, 20)[0]
    option[20:24] = struct.pack(">I", (ssn + 0x50000000) % 2**32)
    return option


def flip(packet):
    """One bit of the data."""
    payload = bytearray(packet.payload)
    payload[len(payload) // 2] ^= 4
    return [packet.copy(payload=bytes(payload))]


def without_options(packet):
    strip(packet)
    return [packet]


def whole(client, server):
    """Everything has arrived, both ways."""
    for name, one, other in (("client", client, server), ("server", server, client)):
        expect(not one["error"], f"{name}: {one['error']}\nclient: {client}\nserver: {server}")
        equal(other["received_sha256"], one["sent_sha256"], f"SHA-256 of what the {name} sent")


def broken(client, server):
    for name, end in (("client", client), ("server", server)):
        expect(end["error"], f"the {name} has not heard of the reset\nclient: {client}\nserver: {server}")
        expect("timed out" not in end["error"] and "did not" not in end["error"], f"{name}: {end['error']}")


def counted(end, wanted):
    """These counters of an end, as they must be: a number, or True for "some"."""
    found = {name: end["counters"].get(name, 0) for name in wanted}
    right = all(bool(found[name]) if number is True else found[name] == number for name, number in wanted.items())
    expect(right, f"counters {found}, wanted {wanted}; all: {end['counters']}")


def is_answered():
    """A bit of the data flips: with MP_FAIL and the infinite mapping, the connection becomes plain TCP."""
    middle = Damage(flip, False)
    # The windows, which a delay opens but slowly, keep either end from being through before it hears of it.
    size = 4 * SIZE
    with World(middle, checksum=True, shape="delay 20ms limit 10000") as world:
        # MP_FAIL is said again when TCP's timeout has passed: not because the middlebox is held up.
        for host in (world.client, world.server):
            host.sysctl("net/ipv4/tcp_rto_min_us", 2_000_000 * SLOW)
        client, server = world.exchange(size)
    for name, end in (("client", client), ("server", server)):
        expect(not end["error"], f"{name}: {end['error']}\nclient: {client}\nserver: {server}")
        equal(end["received"], size, f"bytes that the {name} received")
        equal(end["mptcp"], False, f"the {name} is MPTCP\nclient: {client}\nserver: {server}")
        counted(end, {"MPFailTx": 1, "MPFailRx": 1, "MPRstTx": 0})
    counted(server, {"DataCsumErr": 1, "InfiniteMapRx": 1})
    counted(client, {"InfiniteMapTx": 1})


def nobody_answers():
    """... but MP_FAIL is lost, each time: the subflow is reset."""

    def hides(packet, _):
        packet.keep(lambda option: option[0] != MPTCP or option[2] >> 4 != FAIL or packet.flags & RST)

    # It takes 3 seconds, were it not for the reset: longer than until MP_FAIL was said for the last time.
    with World(Damage(flip, False, hides=hides), checksum=True, shape="rate 20mbit limit 60") as world:
        client, server = world.exchange(20 * SIZE)
    broken(client, server)
    counted(server, {"DataCsumErr": 1, "MPFailTx": 4, "MPFailRx": 0, "MPRstTx": 1})
    counted(client, {"MPRstRx": 1})


def mapping_changes():
    """A segment comes twice, with another mapping the second time."""
    middle = Damage(lambda packet: [packet, altered(packet, other_dsn)], False)
    with World(middle) as world:
        client, server = world.exchange()
    broken(client, server)
    counted(server, {"DSSNotMatching": True, "DSSCorruptionReset": 1, "DSSCorruptionFallback": 0})


def mapping_elsewhere_at_first():
    """From the first data of the server on, mappings are for bytes far away: plain TCP, as the server has not confirmed
    any data yet."""

    def middle(packet, to_server):
        return [packet if to_server else altered(packet, other_ssn)]

    with World(middle) as world:
        client, server = world.exchange(server_first=True)
    whole(client, server)
    equal((client["mptcp"], server["mptcp"]), (False, False), "MPTCP at the client, at the server")
    counted(client, {"DSSNoMatchTCP": True, "DSSCorruptionFallback": 1, "DSSCorruptionReset": 0})


def stripped_too_late():
    middle = Damage(without_options, False, once=False)
    with World(middle) as world:
        client, server = world.exchange()
    broken(client, server)
    counted(server, {"FallbackFailed": 1, "MPRstTx": 1})


def shifted(two):
    """Sequence numbers are not what they were, as with a firewall that hides them."""
    by = 0x7654321

    def middle(packet, to_server):
        if two and not second(packet):
            return [packet]
        if to_server:
            packet.seq = (packet.seq + by) % 2**32
        elif packet.flags & ACK:
            packet.ack = (packet.ack - by) % 2**32
        # TCP's own option for blocks has the numbers as well.
        packet.keep(lambda option: option[0] not in (4, 5))
        return [packet]

    with World(middle, two) as world:
        client, server = world.exchange()
    whole(client, server)
    equal((client["mptcp"], server["mptcp"]), (True, True), "MPTCP at the client, at the server")
    for end in (client, server):
        counted(end, {"MPRstTx": 0, "DSSNotMatching": 0, "DSSNoMatchTCP": 0})


def one_of_two(harm, once, wanted, checksum=False):
    """The second subflow is damaged: it ends, and the stream is whole."""
    # It has to be found out before the stream is over, and some of it goes by the first subflow.
    middle = Damage(harm, True, once, after=5_000)
    with World(middle, True, checksum) as world:
        client, server = world.exchange()
    expect(middle.done, f"the second subflow has carried {middle.seen} bytes only\n{client}\n{server}")
    whole(client, server)
    equal((client["mptcp"], server["mptcp"]), (True, True), "MPTCP at the client, at the server")
    counted(server, wanted | {"MPRstTx": 1})
    counted(client, {"MPRstRx": 1})


class Joiner:
    """Sees the keys of a connection, and joins it from a port of nobody's."""

    NONCE = b"abcd"

    def __init__(self, port=PORT):
        self.port, self.keys, self.token, self.sent, self.answer = port, None, None, False, None

    def __call__(self, packet, to_server):
        if not to_server and packet.dport == 999:
            return self.answered(packet)
        option = packet.mptcp().get(CAPABLE)
        if to_server and option and len(option) >= 20:
            self.keys = option[4:20]
            self.token = hashlib.sha256(option[12:20]).digest()[:4]
        # The connection is confirmed when the client says DSS, not MP_CAPABLE.
        if to_server and self.token and packet.payload and not self.sent and DSS in packet.mptcp():
            self.sent = True
            self.before()
            area = bytes([MPTCP, 12, JOIN << 4, 7]) + self.token + self.NONCE
            return [packet, packet.copy(sport=999, dport=self.port, seq=77, ack=0, flags=SYN, payload=b"", area=area)]
        return [packet]

    def before(self):
        """The join is about to begin."""

    def answered(self, packet):
        """This is what the server says. Nothing of it goes on."""
        self.answer = packet
        return []


class Late(Joiner):
    """Joins a port that is announced when the SYN comes, and is not any more when the third ACK does."""

    world = None

    def pm(self, command, *attrs):
        with self.world.server.inside(), genl.Genl() as netlink:
            netlink.ask(command, genl.u32(genl.TOKEN, int.from_bytes(self.token, "big")), *attrs)

    def before(self):
        self.pm(genl.ANNOUNCE, genl.address(SERVER[4], id=3, flags=genl.SIGNAL, port=self.port))

    def answered(self, packet):
        self.answer = packet
        option = packet.mptcp().get(JOIN)
        if packet.flags & SYN and option:
            self.pm(genl.REMOVE, genl.u8(genl.LOC_ID, 3))
            proof = hmac.digest(self.keys, self.NONCE + option[12:16], "sha256")[:20]
            area = bytes([MPTCP, 24, JOIN << 4, 0]) + proof
            back = packet.copy(sport=packet.dport, dport=packet.sport, seq=78, ack=(packet.seq + 1) % 2**32, flags=ACK,
                               area=area)
            back.ip = packet.ip[:12] + packet.ip[16:20] + packet.ip[12:16] + packet.ip[20:]
            self.world.send(back, True)
        return []


def joins(allowed):
    middle = Joiner()
    with World(middle) as world:
        world.server.sysctl("net/mptcp/allow_join_initial_addr_port", int(allowed))
        with world.server.inside():
            subprocess.run(["ip", "mptcp", "limits", "set", "subflows", "2"], check=True)
        client, server = world.exchange()
        whole(client, server)
        expect(middle.answer, "the join was not answered")
        reason = middle.answer.mptcp().get(TCPRST)
        if allowed:
            expect(JOIN in middle.answer.mptcp(), f"the answer was {middle.answer}")
        else:
            expect(middle.answer.flags & RST and reason, f"the answer was {middle.answer}")
            equal(reason[3], DENIED, "the reason of the reset")


def port_is_withdrawn():
    """Somebody listens on that port, but for others."""
    middle = Late(PORT + 1)
    with World(middle) as world:
        middle.world = world
        world.server.sysctl("net/mptcp/pm_type", 1)
        with world.server.inside(), mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP) as other:
            other.bind(("", PORT + 1))
            other.listen(5)
            client, server = world.exchange()
        whole(client, server)
        expect(middle.answer and middle.answer.flags & RST, f"the last answer was {middle.answer}")
        equal(middle.answer.mptcp()[TCPRST][3], DENIED, "the reason of the reset")
        counted(server, {"MPJoinPortSynRx": 1, "MismatchPortSynRx": 0, "MismatchPortAckRx": 1, "MPJoinAckRx": 0})


TESTS = {
    "data changes, one subflow": is_answered,
    "a mapping changes, one subflow": mapping_changes,
    "mappings are elsewhere from the beginning": mapping_elsewhere_at_first,
    "sequence numbers are shifted, one subflow": lambda: shifted(False),
    "a join to a port that is withdrawn meanwhile": port_is_withdrawn,
    "data changes, and MP_FAIL is lost": nobody_answers,
    "options vanish when it is too late for plain TCP": stripped_too_late,
    "sequence numbers are shifted, the second subflow's": lambda: shifted(True),
    "data changes on the second subflow":
        lambda: one_of_two(flip, True, {"DataCsumErr": 1, "MPFailTx": 1}, checksum=True),
    "a mapping changes on the second subflow":
        lambda: one_of_two(lambda packet: [packet, altered(packet, other_dsn)], True,
                           {"DSSNotMatching": True, "DSSCorruptionReset": 1}),
    "mappings are elsewhere on the second subflow":
        lambda: one_of_two(lambda packet: [altered(packet, other_ssn)], False,
                           {"DSSNoMatchTCP": True, "DSSCorruptionReset": 1}),
    "options vanish on the second subflow": lambda: one_of_two(without_options, False, {"FallbackFailed": 0}),
    "a join to the first address, which is allowed": lambda: joins(True),
    "a join to the first address, which the C flag denies": lambda: joins(False),
}
