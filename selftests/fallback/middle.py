# SPDX-License-Identifier: GPL-2.0
"""Middleboxes, and what becomes of a connection through each."""

from dataclasses import dataclass, field
from typing import Callable

from packet import ACK, CAPABLE, MPTCP, SYN, padded, strip

CASES = []

# The fallback's counter, by how it is found out.
NO_SYNACK = {"MPCapableFallbackSYNACK": 1}
NO_ACK = {"MPCapableFallbackACK": 1}
# Either of MPCapableDataFallback and DssFallback.
NO_DATA = {"late": 1}
TOLD = {"InfiniteMapRx": 1}

# Who sends first finds out first: what comes behind the handshake is tried in every order.
ALL = ("both at once", "client first", "server first")


@dataclass
class Case:
    """A middlebox: `middle()` makes one for a connection."""

    name: str
    middle: Callable
    client: str = "mptcp"
    server: str = "mptcp"
    # None: either is right, as it depends on what is read before the next segment comes.
    mptcp: bool | None = False
    counters: dict = field(default_factory=dict)
    orders: tuple = ("both at once",)


def case(name, middle, at_client=(), at_server=(), **more):
    """Registers a test: a function that makes a middlebox, and what either end's counters must say."""
    counters = {"client": dict(at_client), "server": dict(at_server)}
    CASES.append(Case(name, middle, counters=counters, **more))


def is_syn(packet):
    return packet.flags & (SYN | ACK) == SYN


def is_synack(packet):
    return packet.flags & (SYN | ACK) == SYN | ACK


def changer(change):
    """A middlebox that calls `change(packet, to_server)` for each packet, and lets it go on."""

    def middle(packet, to_server):
        change(packet, to_server)
        return [packet]

    return middle


def stripper(when):
    """A middlebox that strips where `when(packet, to_server)` is true."""
    return changer(lambda packet, to_server: when(packet, to_server) and strip(packet))


def capable(packet, change):
    """Changes the MP_CAPABLE of a packet: `change` gets its bytes."""
    area = b""
    for option in packet.options():
        if option[0] == MPTCP and option[2] >> 4 == CAPABLE:
            option = bytearray(option)
            option = bytes(change(option) or option)
        area += option
    packet.area = padded(area)


def capable_changer(where, change):
    """A middlebox that changes MP_CAPABLE in SYNs or SYN-ACKs."""
    return changer(lambda packet, _: where(packet) and capable(packet, change))


def version(number):
    def change(option):
        option[2] = CAPABLE << 4 | number

    return change


def flags(clear, put):
    def change(option):
        option[3] = option[3] & ~clear | put

    return change


class Stage:
    """How far a connection is: what has passed before this packet."""

    def __init__(self):
        self.third_ack = False
        self.data = {True: None, False: None}

    def see(self, packet, to_server):
        """Call it first. Tells "syn", "third ack", "first data" (again, too) or "later"."""
        if packet.flags & SYN:
            return "syn"
        if packet.payload:
            self.third_ack = True
            if self.data[to_server] is None:
                self.data[to_server] = packet.seq
            return "first data" if self.data[to_server] == packet.seq else "later"
        if to_server and not self.third_ack:
            self.third_ack = True
            return "third ack"
        return "later"


def at_stage(wanted):
    """A middlebox that strips what `wanted(stage, to_server)` names."""
    stage = Stage()
    return stripper(lambda packet, to_server: wanted(stage.see(packet, to_server), to_server))




def nothing():
    """A middlebox that changes nothing."""
    return changer(lambda packet, to_server: None)


def drop_third_ack():
    """Pure ACKs are lost until data comes, and that without options."""
    stage = Stage()

    def middle(packet, to_server):
        what = stage.see(packet, to_server)
        if to_server and what in ("third ack", "first data"):
            strip(packet)
        if what == "third ack":
            stage.third_ack = False
            return []
        return [packet]

    return middle


def after_first_data(directions):
    """Strips in these directions once the first data of either end has passed."""
    stage = Stage()
    passed = []

    def when(packet, to_server):
        what = stage.see(packet, to_server)
        if what == "first data" and not passed:
            passed.append((to_server, packet.seq))
            return False
        again = (to_server, packet.seq) in passed and packet.payload
        return bool(passed) and not again and to_server in directions

    return stripper(when)


def echo():
    """In front of a plain server: the SYN-ACK shows the options of the SYN."""
    seen = []

    def change(packet, _):
        if is_syn(packet):
            seen[:] = [option for option in packet.options() if option[0] == MPTCP]
        elif is_synack(packet):
            packet.area += padded(b"".join(seen))

    return changer(change)


def corrupt(option):
    option[-1] ^= 1


def cut_off(option):
    """A SYN-ACK's MP_CAPABLE without its key."""
    return bytes([MPTCP, 4]) + option[2:4]


BOTH, TO_SERVER, TO_CLIENT = (True, False), (True,), (False,)

case("plain TCP server", nothing, NO_SYNACK, server="tcp")
case("plain TCP client", nothing, client="tcp")
case("plain TCP server that echoes options", echo, NO_SYNACK, server="tcp")

case("nothing in the way", nothing, mptcp=True)
case("SYN stripped", lambda: stripper(lambda packet, _: is_syn(packet)), NO_SYNACK)
case("SYN-ACK stripped", lambda: stripper(lambda packet, _: is_synack(packet)), NO_SYNACK, NO_ACK)
case("SYN and SYN-ACK stripped", lambda: stripper(lambda packet, _: packet.flags & SYN), NO_SYNACK)
case("third ACK stripped", lambda: at_stage(lambda what, to_server: what == "third ack"), NO_DATA, NO_ACK,
     orders=ALL)
case("third ACK lost, first data stripped", drop_third_ack, NO_DATA, NO_ACK, orders=ALL[:2])
case("third ACK with another key",
     lambda: capable_changer(lambda packet: not packet.flags & SYN and not packet.payload, corrupt),
     NO_DATA, NO_ACK, orders=ALL)

# The next segment repeats the mapping of the first, if it comes in time.
case("first segment of the client stripped",
     lambda: at_stage(lambda what, to_server: what == "first data" and to_server), mptcp=None, orders=ALL)
case("first segment of the server stripped",
     lambda: at_stage(lambda what, to_server: what == "first data" and not to_server), mptcp=None, orders=ALL)
for label, directions, at_client, at_server in (("both ways", BOTH, NO_DATA, NO_DATA),
                                                ("to the server", TO_SERVER, TOLD, NO_DATA),
                                                ("to the client", TO_CLIENT, NO_DATA, TOLD)):
    case(f"all after the handshake stripped, {label}",
         lambda d=directions: at_stage(
             lambda what, to_server: what in ("first data", "later") and to_server in d),
         at_client, at_server, orders=ALL)
    case(f"all after the first data stripped, {label}", lambda d=directions: after_first_data(d),
         at_client, at_server, orders=ALL)

case("SYN of version 0", lambda: capable_changer(is_syn, version(0)), NO_SYNACK)
case("SYN of version 2", lambda: capable_changer(is_syn, version(2)), mptcp=True)
case("SYN-ACK of version 0", lambda: capable_changer(is_synack, version(0)), NO_SYNACK, NO_ACK)
case("SYN-ACK of version 2", lambda: capable_changer(is_synack, version(2)), NO_SYNACK, NO_ACK)
case("SYN without H", lambda: capable_changer(is_syn, flags(1, 0)), NO_SYNACK)
case("SYN-ACK without H", lambda: capable_changer(is_synack, flags(1, 0)), NO_SYNACK, NO_ACK)
case("SYN with B", lambda: capable_changer(is_syn, flags(0, 0x40)), NO_SYNACK)
case("SYN-ACK with B", lambda: capable_changer(is_synack, flags(0, 0x40)), NO_SYNACK, NO_ACK)
case("SYN-ACK without a key", lambda: capable_changer(is_synack, cut_off), NO_SYNACK, NO_ACK)
