# SPDX-License-Identifier: GPL-2.0
"""Segments that TCP accepts and that lie in MPTCP: what may become of the connection.

A case changes what passes when its moment has come. It gives the packets that go on in place of one that
passes: more than that one, or others.
"""

import functools
import struct
from dataclasses import dataclass
from typing import Callable

from options import dss
from packet import ACK, DSS, FAIL, FASTCLOSE, FIN, MPTCP, PRIO, REMOVE_ADDR, RST, TCPRST, padded
from wire import Spot, bare, head, with_options

# Cases by what they are about.
GROUPS = {}

SURVIVES, FALLS_BACK, RESETS = "mptcp", "plain", "reset"


@dataclass
class Case:
    """`change(spot)` gives the packets for a data packet: once, or from then on."""

    name: str
    change: Callable
    allowed: tuple
    # Bytes may be wrong: a receiver that believes the segment has no way to know better.
    lies: bool = False
    once: bool = True
    count: str = "DSS"


def case(about, name, change, *allowed, **more):
    GROUPS.setdefault(about, []).append(Case(name, change, allowed, **more))


def before(area):
    """A forged copy overtakes the original."""
    return lambda spot: [with_options(spot.packet, area(spot)), spot.packet]


def behind(area):
    return lambda spot: [spot.packet, with_options(spot.packet, area(spot))]


def alone(area, flags=0):
    """A segment without data follows."""
    return lambda spot: [spot.packet, with_options(bare(spot.packet), area(spot)).copy(flags=ACK | flags)]


def instead(area):
    return lambda spot: [with_options(spot.packet, area(spot))]


def mapping(dsn=0, ssn=0, length=None, more=0, **options):
    """The mapping of the packet itself, but for what is changed."""
    return lambda spot: dss(spot.ack, spot.dsn + dsn, spot.ssn + ssn, (spot.size if length is None else length) + more,
                            **options)


def parts(spot):
    """Two mappings of one byte, which agree."""
    return dss(None, spot.dsn, spot.ssn, spot.size) + dss(None, spot.dsn + 1, spot.ssn + 1, max(1, spot.size - 1))


def kept(change):
    """The packet with its own DSS changed."""

    def instead_of_it(spot):
        area = b""
        for option in spot.packet.options():
            if option[0] == MPTCP and option[2] >> 4 == DSS:
                option = bytes(change(bytearray(option)) or b"")
            area += option
        return [spot.packet.copy(area=padded(area))]

    return instead_of_it


def patched(at, value):
    def change(option):
        option[at] = value
        return option

    return change


# A mapping that says the truth about its own packet, but not as its sender says it. It counts, or not.
about = functools.partial(case, "mappings that are true")
about("the same mapping, cut to its packet, before", before(mapping()), SURVIVES, RESETS)
about("the same mapping, cut to its packet, behind", behind(mapping()), SURVIVES, RESETS)
about("the same mapping with 4-byte numbers, before", before(mapping(dsn8=False, ack8=False)), SURVIVES, RESETS)
about("the same mapping with 4-byte numbers, behind", behind(mapping(dsn8=False, ack8=False)), SURVIVES, RESETS)
about("two mappings in one segment, before", before(parts), SURVIVES, RESETS)
for extra in (-1, 1, 100):
    about(f"a mapping {extra:+} bytes long, before", before(mapping(more=extra)), SURVIVES, RESETS)
    about(f"a mapping {extra:+} bytes long, behind", behind(mapping(more=extra)), SURVIVES, RESETS)
for size in (1, 2, 0xfffe, 0xffff):
    about(f"a mapping of {size} bytes, before", before(mapping(length=size)), SURVIVES, RESETS)
    about(f"a mapping of {size} bytes, behind", behind(mapping(length=size)), SURVIVES, RESETS)
about("a mapping that began long ago, before", before(mapping(dsn=-5000, ssn=-5000, length=60000)), SURVIVES, RESETS)

# Mappings that contradict the true one. Behind it nobody believes them.
about = functools.partial(case, "mappings that contradict")
FAR = (1, -1, 1000, -1000, 2**16, 2**31 - 1, 2**31, -(2**31), 2**32, -(2**32), 2**62, 2**63 - 1, 2**63)
for far in FAR:
    text = f"{'+' if far > 0 else '-'}{hex(abs(far))}"
    about(f"a data sequence number {text}, behind", behind(mapping(dsn=far)), SURVIVES, RESETS)
    about(f"a data sequence number {text}, before", before(mapping(dsn=far)), SURVIVES, RESETS, lies=True)
    if abs(far) < 2**32:
        about(f"a subflow sequence number {text}, behind", behind(mapping(ssn=far)), SURVIVES, RESETS)
        about(f"a subflow sequence number {text}, before", before(mapping(ssn=far)), SURVIVES, RESETS, lies=True)
        about(f"another place altogether {text}, before", before(mapping(dsn=-far, ssn=far, length=0xffff)), SURVIVES,
             RESETS, lies=True)
about("the whole of 32 bits twice, behind", behind(mapping(dsn=2**32, dsn8=False)), SURVIVES, RESETS)

# A checksum that nobody asked for (RFC 8684 section 3.3.1).
about = functools.partial(case, "checksums that nobody asked for")
about("a checksum, for good", kept(lambda option: dss_with_sum(option)), RESETS, once=False)
about("a checksum, before", before(mapping(csum=0x1234)), SURVIVES, RESETS)
about("a checksum, behind", behind(mapping(csum=0x1234)), SURVIVES, RESETS)

# Data without a mapping, when options have passed both ways.
about = functools.partial(case, "data without a mapping")
about("no option, for good", kept(lambda option: None), RESETS, once=False)
about("no option, before", before(lambda spot: b""), SURVIVES, RESETS)
about("an unknown subtype, for good", kept(patched(2, 0x90)), RESETS, once=False)
about("a wrong length, for good", kept(patched(3, 0x3a)), RESETS, once=False)
about("a mapping of other bytes, for good", instead(mapping(ssn=2**20, length=100)), RESETS, once=False)
about("a DATA_ACK alone, for good", instead(lambda spot: dss(spot.ack)), RESETS, once=False)
about("other data in place of the packet's", lambda spot: [forged(spot, 0), spot.packet], SURVIVES, RESETS, lies=True)
about("other data in place of the packet's end", lambda spot: [forged(spot, spot.size // 2), spot.packet], SURVIVES, RESETS,
      lies=True)

# The end of the stream, too early or twice.
about = functools.partial(case, "ends of the stream")
about("a DATA_FIN behind the packet, before", before(mapping(more=1, fin=True)), SURVIVES, RESETS, lies=True)
about("a DATA_FIN within the packet, before", before(mapping(fin=True)), SURVIVES, RESETS, lies=True)
about("a DATA_FIN behind the packet, behind", behind(mapping(more=1, fin=True)), SURVIVES, RESETS, lies=True)
for far in (0, 1, 501, 5003, 30011):
    about(f"a DATA_FIN alone, {far} bytes ahead", alone(lambda spot, far=far: dss(spot.ack, spot.next + far, 0, 1, fin=True)),
         SURVIVES, RESETS, lies=True)
for far in (1, 2, 5000, 2**31, 2**63 - 1):
    about(f"a DATA_FIN alone, {hex(far)} bytes behind",
         alone(lambda spot, far=far: dss(spot.ack, spot.dsn - far, 0, 1, fin=True)), SURVIVES, RESETS)
about("two DATA_FINs that disagree",
     lambda spot: alone(lambda spot: dss(spot.ack, spot.next + 3000, 0, 1, fin=True))(spot) +
     alone(lambda spot: dss(spot.ack, spot.next + 7001, 0, 1, fin=True))(spot)[1:], SURVIVES, RESETS, lies=True)
about("a DATA_FIN of 0xffff bytes without data", alone(lambda spot: dss(spot.ack, spot.next, 0, 0xffff, fin=True)),
     SURVIVES, RESETS)
about("a FIN in place of data", lambda spot: [bare(spot.packet).copy(seq=spot.packet.seq, flags=ACK | FIN), spot.packet],
      SURVIVES, RESETS, FALLS_BACK, lies=True)

# DATA_ACKs of what is on its way, or not even sent.
about = functools.partial(case, "acknowledgements of what is on its way")
for far in (1, 1000, 10000, 100000):
    about(f"a DATA_ACK {far} bytes ahead", alone(lambda spot, far=far: dss(spot.ack + far)), SURVIVES, RESETS)

# The infinite mapping, which nobody has reason to send.
about = functools.partial(case, "infinite mappings")
about("the infinite mapping, alone", alone(lambda spot: dss(spot.ack, spot.next, spot.ssn + spot.size, 0)), SURVIVES,
     FALLS_BACK, RESETS)
about("the infinite mapping, before", before(mapping(length=0)), SURVIVES, FALLS_BACK, RESETS)
about("the infinite mapping, behind", behind(mapping(length=0)), SURVIVES, FALLS_BACK, RESETS)
about("an infinite mapping of another place", alone(lambda spot: dss(spot.ack, spot.next + 1, spot.ssn + spot.size, 0)),
     SURVIVES, FALLS_BACK, RESETS)

# Words that have a meaning, without a reason.
about = functools.partial(case, "words without a reason")
for far in (0, -1000, 1000, 2**63):
    about(f"MP_FAIL {far} bytes away", alone(lambda spot, far=far: failed(spot.next + far)), SURVIVES, FALLS_BACK, RESETS,
         count="MP_FAIL")
    about(f"MP_FAIL {far} bytes away, with data", behind(lambda spot, far=far: failed(spot.next + far)), SURVIVES,
         FALLS_BACK, RESETS, count="MP_FAIL")
about("the right MP_FASTCLOSE", alone(lambda spot: head(FASTCLOSE, 12) + struct.pack(">xQ", spot.receiver)), RESETS,
     count="MP_FASTCLOSE")
about("the right MP_FASTCLOSE, with RST",
     alone(lambda spot: head(FASTCLOSE, 12) + struct.pack(">xQ", spot.receiver), RST), RESETS, count="MP_FASTCLOSE")
about("a wrong MP_FASTCLOSE, with RST",
     alone(lambda spot: head(FASTCLOSE, 12) + struct.pack(">xQ", spot.receiver ^ 1), RST), RESETS, count="MP_FASTCLOSE")
for flags in range(16):
    about(f"MP_TCPRST with RST and flags {flags}", alone(lambda spot, n=flags: head(TCPRST, 4, n) + bytes([n * 16]), RST),
         RESETS, count="MP_TCPRST")
about("RST with half of an MP_TCPRST", alone(lambda spot: head(TCPRST, 4) + b"", RST), RESETS, count="MP_TCPRST")
about("the address of the first subflow is gone", alone(lambda spot: head(REMOVE_ADDR, 4) + b"\0"), SURVIVES, RESETS,
     count="REMOVE_ADDR")
about("priorities that change with every packet", lambda spot: alone(lambda spot: head(PRIO, 3, spot.ssn & 1))(spot),
     SURVIVES, once=False, count="MP_PRIO")


def failed(dsn):
    return head(FAIL, 12) + struct.pack(">xQ", dsn % 2**64)


def dss_with_sum(option):
    """A checksum behind what is there; only a mapping can have one."""
    if option[3] & 4:
        option[1] += 2
        option += b"\x12\x34"
    return option


def forged(spot, skip):
    """Bytes that nobody has sent, from so far behind the packet's first on. None behind its last: who is told that
    he has sent what he has not does not listen any more, which is TCP's."""
    size = spot.size - skip
    packet = spot.packet.copy(seq=(spot.packet.seq + skip) % 2**32, payload=bytes(size))
    return with_options(packet, dss(spot.ack, spot.dsn + skip, spot.ssn + skip, size))


class Liar:
    """The middlebox of a case: it waits until options have passed both ways, and for data in its direction."""

    def __init__(self, watch, chosen, to_server, least=8000):
        self.watch, self.case, self.to_server, self.least = watch, chosen, to_server, least
        self.done = 0

    def __call__(self, packet, to_server):
        # What is changed must not be what tells an end that options pass.
        confirmed = self.watch.confirmed()
        if self.watch.see(packet, to_server) != "later" or not confirmed:
            return [packet]
        if to_server != self.to_server or not packet.payload:
            return [packet]
        spot = Spot(self.watch, packet, to_server)
        if spot.ssn < self.least or self.done and self.case.once:
            return [packet]
        self.done += 1
        return self.case.change(spot)
