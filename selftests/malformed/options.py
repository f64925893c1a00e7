# SPDX-License-Identifier: GPL-2.0
"""Options that a host has to ignore (RFC 8684 section 3): malformed ones, and lies that it can see through.

An entry is a name for the count, and the bytes, or a function that makes them for a Spot.
"""

import hashlib
import hmac
import struct
from dataclasses import dataclass
from typing import Callable

from packet import (ADD_ADDR, CAPABLE, DATA_ACK, DATA_ACK8, DATA_FIN, DSN8, DSS, FAIL, FASTCLOSE, JOIN, MAP, MPTCP,
                    NOP, PRIO, REMOVE_ADDR, ROOM, TCPRST)
from wire import NAMES, head, token


@dataclass
class Entry:
    name: str
    make: Callable | bytes
    # Without data only: beside data it would be a mapping.
    bare: bool = False

    def area(self, spot):
        return self.make if isinstance(self.make, bytes) else self.make(spot)


def dss(ack=None, dsn=None, ssn=0, length=0, fin=False, csum=None, ack8=True, dsn8=True):
    """A DSS; numbers that are too large are cut."""
    flags, body = DATA_FIN * fin, b""
    if ack is not None:
        flags |= DATA_ACK | DATA_ACK8 * ack8
        body += struct.pack(">Q", ack % 2**64)[0 if ack8 else 4:]
    if dsn is not None:
        flags |= MAP | DSN8 * dsn8
        body += struct.pack(">Q", dsn % 2**64)[0 if dsn8 else 4:]
        body += struct.pack(">IH", ssn % 2**32, length % 2**16)
        body += b"" if csum is None else struct.pack(">H", csum)
    return head(DSS, 4 + len(body)) + bytes([flags]) + body


def dss_size(flags):
    """How long a DSS with these flags is, without a checksum."""
    ack = (8 if flags & DATA_ACK8 else 4) if flags & DATA_ACK else 0
    return 4 + ack + ((8 if flags & DSN8 else 4) + 6 if flags & MAP else 0)


def dss_valid(flags, length):
    return length == dss_size(flags) or flags & MAP and length == dss_size(flags) + 2


def lengths(rng):
    """Every subtype with every length, but for those that mean something."""
    for subtype in range(16):
        for length in range(2, ROOM + 1):
            body = bytearray(head(subtype, length, rng.randrange(16)) + rng.randbytes(37))[:length]
            if subtype == DSS and length > 3 and dss_valid(body[3], length):
                body[3] ^= DATA_ACK
            if subtype == DSS and length > 3 and dss_valid(body[3], length):
                continue
            if subtype == FAIL and length == 12:
                continue
            if subtype == REMOVE_ADDR:
                # The address ID 0 is that of the first subflow, which there is.
                body[3:] = bytes(b or 1 for b in body[3:])
            yield Entry(NAMES[subtype] if length > 2 else "no subtype", bytes(body))


def dss_flags(rng):
    """Every combination of the flags with every length that is not theirs, and reserved bits."""
    for flags in range(32):
        for length in range(4, ROOM + 1):
            if not dss_valid(flags, length):
                reserved = rng.randrange(8) << 5
                yield Entry("DSS", head(DSS, length, rng.randrange(16)) + bytes([flags | reserved]) +
                            rng.randbytes(length - 4))


def dss_lies():
    """A DSS that is well-formed, and says what cannot be."""
    for far in (2**20, 2**30, 2**31 - 2**24, 2**31, 2**32, 2**62, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1):
        yield Entry("DSS", lambda spot, far=far: dss(ack=spot.ack + far))
        if far < 2**31:
            yield Entry("DSS", lambda spot, far=far: dss(ack=spot.ack + far, ack8=False))
            yield Entry("DSS", lambda spot, far=far: dss(ack=spot.ack - far, ack8=False))
        for length in (0, 1, 2, 1000, 0xfffe, 0xffff):
            # A mapping of data that is not there.
            yield Entry("DSS", lambda spot, far=far, n=length: dss(spot.ack, spot.next + far, far, n), bare=True)
        # A DATA_FIN that lies behind, or beyond every window.
        yield Entry("DSS", lambda spot, far=far: dss(spot.ack, spot.next - far, 0, 1, fin=far != 2**64 - 1),
                    bare=True)
        if 2**31 <= far < 2**64 - 1:
            yield Entry("DSS", lambda spot, far=far: dss(spot.ack, spot.next + far, 0, 1, fin=True), bare=True)


def capables(rng):
    for version in range(16):
        for length in (4, 12, 20, 22, 24):
            yield Entry("MP_CAPABLE", head(CAPABLE, length, version) + bytes([rng.randrange(256)]) +
                        rng.randbytes(length - 4))
    for flags in range(256):
        yield Entry("MP_CAPABLE", head(CAPABLE, 20, 1) + bytes([flags]) + rng.randbytes(16))
    # The right keys, swapped; and as they are, once more.
    yield Entry("MP_CAPABLE", lambda spot: head(CAPABLE, 20, 1) + b"\1" + struct.pack(">QQ", spot.receiver, spot.sender))
    yield Entry("MP_CAPABLE", lambda spot: head(CAPABLE, 20, 1) + b"\1" + struct.pack(">QQ", spot.sender, spot.receiver))


def joins(rng):
    for length in (12, 16, 24):
        for low in range(16):
            yield Entry("MP_JOIN", head(JOIN, length, low) + rng.randbytes(length - 3))
    yield Entry("MP_JOIN", lambda spot: head(JOIN, 12) + bytes([0]) + struct.pack(">II", token(spot.receiver), 1))


# Nobody's, everybody's, one's own, a group's, the hosts' of these tests, and some where nobody is.
V4 = [bytes(4), b"\xff" * 4, b"\x7f\0\0\1", b"\xe0\0\0\1", b"\x0a\0\0\1", b"\x0a\0\0\2", b"\x0a\0\0\xff", b"\xc0\0\2\1"]
V6 = [bytes(16), b"\xff" * 16, bytes(15) + b"\1", b"\xff\2" + bytes(13) + b"\1", b"\xfd" + bytes(14) + b"\1",
      b"\xfd" + bytes(14) + b"\2", b"\xfe\x80" + bytes(13) + b"\2", bytes(10) + b"\xff\xff\x0a\0\0\2"]


def announced(number, address, port):
    """An ADD_ADDR with the right HMAC (RFC 8684 section 3.4.1)."""

    def make(spot):
        key = struct.pack(">QQ", spot.sender, spot.receiver)
        code = hmac.new(key, bytes([number]) + address + (port or bytes(2)), hashlib.sha256).digest()[-8:]
        body = bytes([number]) + address + port + code
        return head(ADD_ADDR, 3 + len(body)) + body

    return Entry("ADD_ADDR", make, bare=True)


def announcements(rng):
    """Addresses that are announced as they should, and make no sense; and are gone again."""
    found = []
    for address in V4 + V6:
        for port in (b"", b"\0\0", b"\x13\x88", b"\0\1"):
            number = rng.randrange(1, 256)
            found.append(announced(number, address, port))
            found.append(announced(rng.choice((0, number)), rng.choice(V4 + V6), port))
            found.append(Entry("REMOVE_ADDR", head(REMOVE_ADDR, 5) + bytes([number, rng.randrange(1, 256)]), bare=True))
            found.append(Entry("MP_PRIO", head(PRIO, 3, rng.randrange(2)), bare=True))
    return found


def addresses(rng):
    for address in V4 + V6:
        for port in (b"", b"\0\0", b"\x13\x88"):
            for low in (0, 1, 2, 14, 15):
                for tail in (b"", bytes(8), rng.randbytes(8)):
                    body = bytes([rng.randrange(256)]) + address + port + tail
                    yield Entry("ADD_ADDR", head(ADD_ADDR, 3 + len(body), low) + body)
    for count in range(1, 38):
        ids = bytes(rng.randrange(1, 256) for _ in range(count))
        yield Entry("REMOVE_ADDR", head(REMOVE_ADDR, 3 + count, rng.randrange(16)) + ids)
        yield Entry("REMOVE_ADDR", head(REMOVE_ADDR, 3 + count) + ids[:1] * count)


def controls(rng):
    for low in range(16):
        yield Entry("MP_PRIO", head(PRIO, 3, low))
        yield Entry("MP_PRIO", head(PRIO, 4, low) + rng.randbytes(1))
        for reason in (0, 1, 6, 7, 255):
            # Without RST it says nothing.
            yield Entry("MP_TCPRST", head(TCPRST, 4, low) + bytes([reason]))
    for wrong in (1, 2**63, 2**32, 2**64 - 1):
        yield Entry("MP_FASTCLOSE",
                    lambda spot, wrong=wrong: head(FASTCLOSE, 12) + struct.pack(">xQ", spot.receiver ^ wrong))
    yield Entry("MP_FASTCLOSE", head(FASTCLOSE, 12) + bytes(9))
    yield Entry("MP_FASTCLOSE", lambda spot: head(FASTCLOSE, 12) + struct.pack(">xQ", spot.sender))


def areas(rng):
    """Areas that are broken as such: options that end before they begin, or behind the end."""
    for kind in (MPTCP, 2, 3, 5, 8, 19, 29, 34, 69, 253, 254, 255):
        for length in (0, 1):
            yield Entry("broken area", bytes([kind, length]) + rng.randbytes(10))
        for room in range(4, 29, 4):
            declared = rng.randrange(room + 1, 256)
            yield Entry("broken area", bytes([kind, declared]) + rng.randbytes(room - 2))
        yield Entry("broken area", bytes([NOP] * 27 + [kind]))
    for subtype in range(16):
        for room in (4, 12, 28):
            declared = rng.randrange(room + 1, 256)
            yield Entry(NAMES[subtype], head(subtype, declared, rng.randrange(16)) + rng.randbytes(room - 3))
    yield Entry("broken area", bytes([NOP] * 40))
    yield Entry("broken area", bytes(40))


def several(rng, others, count):
    """Two to twelve of the others in one area, or one of them many times."""
    fixed = [entry for entry in others if isinstance(entry.make, bytes) and not entry.bare and
             entry.make[0] == MPTCP and len(entry.make) == entry.make[1]]
    small = [entry for entry in fixed if len(entry.make) <= 12]
    for _ in range(count):
        first = rng.choice(small)
        chosen = [first] * rng.randrange(2, 13) if rng.random() < 0.3 else \
            [first] + [rng.choice(small) for _ in range(11)]
        area = b""
        for entry in chosen:
            if len(area) + len(entry.make) <= ROOM:
                area += entry.make
        yield Entry("several options", area)


def ignored(rng):
    """All of them, in an order of their own."""
    found = [entry for kind in (lengths, dss_flags, capables, joins, addresses, controls, areas)
             for entry in kind(rng)] + list(dss_lies())
    found += several(rng, found, 300)
    rng.shuffle(found)
    return found
