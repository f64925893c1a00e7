# SPDX-License-Identifier: GPL-2.0
"""Segments that TCP does not accept: whatever options they carry, nobody may believe them."""

import struct

from options import Entry, dss
from packet import ACK, FAIL, FASTCLOSE, FIN, PSH, RST, SYN, TIMESTAMPS, Packet, checksum
from wire import Raw, head, with_options


def damage(spot):
    """Options that would end the connection, or spoil its data."""
    fastclose = head(FASTCLOSE, 12) + struct.pack(">xQ", spot.receiver)
    return {
        "the right MP_FASTCLOSE": (fastclose, 0),
        "the right MP_FASTCLOSE, with RST": (fastclose, RST),
        "a DATA_FIN": (dss(spot.ack, spot.next, 0, 1, fin=True), 0),
        "a contradiction": (dss(spot.ack, spot.dsn + 1, spot.ssn, spot.size or 1), 0),
        "another contradiction": (dss(spot.ack, spot.dsn - 7, spot.ssn, 0xffff), 0),
        "a mapping in advance": (dss(spot.ack, spot.next + 99, spot.ssn + spot.size, 5000), 0),
        "an infinite mapping": (dss(spot.ack, spot.dsn, spot.ssn, 0), 0),
        "MP_FAIL": (head(FAIL, 12) + struct.pack(">xQ", spot.dsn), 0),
        "everything acknowledged": (dss(spot.ack + 5000), 0),
        "a FIN": (dss(spot.ack, spot.next, 0, 1, fin=True), FIN),
        "a SYN": (fastclose, SYN),
        "no option": (b"", 0),
    }


def shifted(far):
    return lambda packet, rng: packet.copy(seq=packet.seq + far(rng, packet))


def acknowledging(far):
    # A RST is accepted whatever it acknowledges.
    return lambda packet, rng: packet.copy(ack=packet.ack + far(rng, packet), flags=packet.flags & ~RST | ACK)


def changed(change):
    """A change of the finished packet: `change(tcp)` gets TCP's part, to be changed in place."""

    def spoil(packet, rng):
        raw = packet.build()
        start = len(packet.ip)
        tcp = bytearray(raw[start:])
        change(tcp, rng)
        return Raw(raw[:start] + tcp)

    return spoil


def summed(change):
    """The same, with the checksum made right afterwards."""

    def spoil(packet, rng):
        raw = packet.build()
        start = len(packet.ip)
        tcp = bytearray(raw[start:])
        change(tcp, rng)
        return Raw(whole(packet.ip, tcp))

    return spoil


def whole(ip, tcp):
    """An IP header and a TCP segment of any length, as one packet with right checksums."""
    if len(tcp) >= 18:
        tcp[16:18] = bytes(2)
    addresses = ip[8:40] if ip[0] >> 4 == 6 else ip[12:20]
    total = checksum(addresses, struct.pack(">HH", 6, len(tcp)), bytes(tcp))
    if len(tcp) >= 18:
        tcp[16:18] = struct.pack(">H", total)
    if ip[0] >> 4 == 6:
        ip = ip[:4] + struct.pack(">H", len(tcp)) + ip[6:]
    else:
        ip = ip[:2] + struct.pack(">H", len(ip) + len(tcp)) + ip[4:10] + bytes(2) + ip[12:]
        ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return ip + bytes(tcp)


def flip(tcp, rng):
    tcp[rng.randrange(len(tcp))] ^= 1 << rng.randrange(8)


def wrong_sum(tcp, rng):
    tcp[16 + rng.randrange(2)] ^= 1 << rng.randrange(8)


def offset(words):
    def change(tcp, _):
        tcp[12] = tcp[12] & 15 | words << 4

    return change


def cut(tcp, rng):
    """Less than its own header says."""
    del tcp[rng.randrange(1, (tcp[12] >> 4) * 4):]


def stale(packet, rng):
    """With timestamps of long ago (RFC 7323 section 5, "PAWS")."""
    area = bytearray(packet.area)
    at = next((n for n in range(len(area) - 9) if area[n] == TIMESTAMPS and area[n + 1] == 10), None)
    if at is None:
        return shifted(lambda rng, _: 2**30)(packet, rng)
    value = struct.unpack_from(">I", area, at + 2)[0]
    struct.pack_into(">I", area, at + 2, (value - rng.randrange(2**24, 2**31 - 1)) % 2**32)
    return packet.copy(area=bytes(area), flags=packet.flags & ~RST)


SPOILERS = {
    "wrong checksum": changed(wrong_sum),
    "a bit flipped": changed(flip),
    "far ahead of the window": shifted(lambda rng, _: rng.randrange(2**29, 2**31 - 2**24)),
    "far behind the window": shifted(lambda rng, packet: -rng.randrange(2**17, 2**31 - 2**24)),
    "right behind the window": shifted(lambda rng, packet: -len(packet.payload) - 2**17),
    "acknowledges what was not sent": acknowledging(lambda rng, _: rng.randrange(2**28, 2**31 - 2**24)),
    "acknowledges what is forgotten": acknowledging(lambda rng, _: -rng.randrange(2**28, 2**31 - 2**24)),
    "neither ACK nor RST": lambda packet, rng: packet.copy(flags=rng.choice((0, PSH, FIN, FIN | PSH))),
    "no room for a TCP header": summed(lambda tcp, rng: offset(rng.randrange(5))(tcp, rng)),
    "a header beyond the packet": summed(lambda tcp, rng: (offset(15)(tcp, rng), tcp.__delitem__(slice(56, None)))),
    "cut off": summed(cut),
    "stale timestamps": stale,
}


def unacceptable(rng, count):
    """`count` entries for a spoiled copy of a packet; `make(spot)` gives the packet, not its options."""
    for number in range(count):
        name, spoil = list(SPOILERS.items())[number % len(SPOILERS)]

        def make(spot, spoil=spoil, pick=rng.random()):
            names = list(damage(spot))
            area, flags = damage(spot)[names[int(pick * len(names))]]
            packet = spot.packet.copy(flags=spot.packet.flags | flags)
            if not packet.payload and pick * 1000 % 1 < 0.5:
                packet.payload = bytes(100)
            return spoil(with_options(packet, area), rng)

        yield Entry(name, make)


def exotic(packet, rng):
    """The same segment in an IP packet with options or extension headers, as it is legal."""
    raw = packet.build()
    start = len(packet.ip)
    ip, tcp = packet.ip, raw[start:]
    if ip[0] >> 4 == 6:
        size = rng.randrange(1, 4) * 8
        header = bytes([6, size // 8 - 1, 1, size - 4]) + bytes(size - 4)
        return Raw(ip[:4] + struct.pack(">H", size + len(tcp)) + bytes([60]) + ip[7:] + header + tcp)
    words = rng.randrange(1, 11)
    ip = bytes([0x45 + words]) + ip[1:] + bytes([1] * (4 * words))
    ip = ip[:2] + struct.pack(">H", len(ip) + len(tcp)) + ip[4:10] + bytes(2) + ip[12:]
    return Raw(ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:] + tcp)
