# SPDX-License-Identifier: GPL-2.0
"""TCP packets over IPv4 and IPv6: taken apart, changed, put together again."""

import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

NOP, TIMESTAMPS, MPTCP = 1, 8, 30

# Subtypes of the option (RFC 8684 section 8).
CAPABLE, JOIN, DSS, ADD_ADDR, REMOVE_ADDR, PRIO, FAIL, FASTCLOSE, TCPRST = range(9)

# Flags of a DSS.
DATA_ACK, DATA_ACK8, MAP, DSN8, DATA_FIN = 1, 2, 4, 8, 16

ROOM = 40


def checksum(*parts):
    """The Internet checksum of parts of even length, but for the last."""
    total = 0
    for part in parts:
        total += int.from_bytes(part + bytes(len(part) % 2), "big") % 0xffff
    return 0xffff - (total % 0xffff)


class Packet:
    """A TCP segment in an IP packet. `area` is the options' part of the header, as it is."""

    __slots__ = ("ip", "sport", "dport", "seq", "ack", "flags", "window", "area", "payload")

    @classmethod
    def parse(cls, raw):
        """A packet, or None of what is no TCP without extension headers."""
        start = 40 if raw[0] >> 4 == 6 else (raw[0] & 15) * 4
        if raw[6 if start == 40 else 9] != 6:
            return None
        this = cls()
        this.ip = raw[:start]
        this.sport, this.dport, this.seq, this.ack, offset, this.flags, this.window = \
            struct.unpack_from(">HHIIBBH", raw, start)
        end = start + (offset >> 4) * 4
        this.area, this.payload = raw[start + 20:end], raw[end:]
        return this

    def copy(self, **changes):
        """The same but for these attributes."""
        other = Packet()
        for name in self.__slots__:
            setattr(other, name, changes.get(name, getattr(self, name)))
        return other

    @property
    def end(self):
        """The sequence number behind it."""
        return (self.seq + len(self.payload) + bool(self.flags & FIN) + bool(self.flags & SYN)) % 2**32

    def build(self):
        """The packet, with lengths and checksums as they must be."""
        area = self.area + bytes(-len(self.area) % 4)
        length = 20 + len(area) + len(self.payload)
        tcp = struct.pack(">HHIIBBHHH", self.sport, self.dport, self.seq % 2**32, self.ack % 2**32,
                          (20 + len(area)) << 2, self.flags, self.window, 0, 0) + area + self.payload
        if self.ip[0] >> 4 == 6:
            ip = self.ip[:4] + struct.pack(">H", length) + self.ip[6:]
            pseudo = self.ip[8:40] + struct.pack(">II", length, 6)
        else:
            ip = self.ip[:2] + struct.pack(">H", len(self.ip) + length) + self.ip[4:10] + bytes(2) + self.ip[12:]
            ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
            pseudo = self.ip[12:20] + struct.pack(">HH", 6, length)
        return ip + tcp[:16] + struct.pack(">H", checksum(pseudo, tcp)) + tcp[18:]

    def options(self):
        """The options of the area, each as a whole, without padding."""
        return list(options(self.area))

    def mptcp(self):
        """Those of MPTCP, by subtype; of several, the first."""
        found = {}
        for option in self.options():
            if option[0] == MPTCP and len(option) > 2:
                found.setdefault(option[2] >> 4, option)
        return found

    def keep(self, wanted):
        """Drops the options of which `wanted` is not true."""
        self.area = padded(b"".join(o for o in self.options() if wanted(o)))

    def __str__(self):
        names = "".join(n for bit, n in zip((FIN, SYN, RST, PSH, ACK), "FSRP.") if self.flags & bit)
        return (f"{self.sport} > {self.dport} [{names}] seq {self.seq} ack {self.ack} win {self.window} "
                f"len {len(self.payload)} options {self.area.hex()}")


def options(area):
    """Walks over an area as a receiver does: until it ends or makes no sense."""
    while area and area[0]:
        if area[0] == NOP:
            area = area[1:]
            continue
        if len(area) < 2 or not 2 <= area[1] <= len(area):
            return
        yield area[:area[1]]
        area = area[area[1]:]


def padded(area):
    """Filled up with NOPs to a multiple of four."""
    return area + bytes([NOP]) * (-len(area) % 4)


def strip(packet):
    """Takes all options of MPTCP off."""
    packet.keep(lambda option: option[0] != MPTCP)
