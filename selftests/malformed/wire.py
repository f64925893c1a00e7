# SPDX-License-Identifier: GPL-2.0
"""What somebody on the path learns of a connection, and segments forged from that."""

import hashlib

from packet import ACK, CAPABLE, DATA_ACK, DATA_ACK8, DATA_FIN, DSS, FIN, JOIN, MPTCP, ROOM, SYN, TIMESTAMPS, padded

# Ports below this one are those of clients that do not exist.
REAL_PORTS = 10000

NAMES = ("MP_CAPABLE", "MP_JOIN", "DSS", "ADD_ADDR", "REMOVE_ADDR", "MP_PRIO", "MP_FAIL", "MP_FASTCLOSE",
         "MP_TCPRST") + ("unassigned subtype",) * 6 + ("experimental subtype",)


def token(key):
    return int.from_bytes(hashlib.sha256(key.to_bytes(8, "big")).digest()[:4], "big")


def idsn(key):
    return int.from_bytes(hashlib.sha256(key.to_bytes(8, "big")).digest()[-8:], "big")


def number(data):
    return int.from_bytes(data, "big")


class Watch:
    """Follows one connection at a time: the last one that began."""

    def __init__(self):
        self.port, self.isn, self.key = None, {}, {}
        self.answered, self.ending = set(), False

    def see(self, packet, to_server):
        """Tells "syn", "synack", "later", or "other" of what is left of another connection, or joins this one."""
        options = packet.mptcp()
        capable = options.get(CAPABLE)
        port = packet.sport if to_server else packet.dport
        if packet.flags & SYN and to_server and self.port != port and JOIN not in options:
            self.__init__()
            self.port = port
        if self.port != port:
            return "other"
        if packet.flags & SYN:
            if capable and len(capable) == 12:
                self.key[False] = number(capable[4:12])
            self.isn[to_server] = packet.seq
            return "syn" if to_server else "synack"
        if capable and to_server and len(capable) >= 20:
            self.key[True] = number(capable[4:12])
        dss = options.get(DSS)
        ack = data_ack(dss)
        if ack is not None and self.known() and (ack - idsn(self.key[not to_server])) % 2**64 > 1:
            self.answered.add(to_server)
        if self.known() and (packet.flags & FIN or dss and dss[3] & DATA_FIN):
            self.ending = True
        return "later"

    def known(self):
        return len(self.key) == 2

    def confirmed(self):
        """Options have passed both ways, and either end knows: no way back to plain TCP."""
        return len(self.answered) == 2


def data_ack(option):
    """The number of an 8-byte DATA_ACK, if the DSS has one."""
    if option and len(option) >= 12 and option[3] & (DATA_ACK | DATA_ACK8) == DATA_ACK | DATA_ACK8:
        return number(option[4:12])
    return None


class Spot:
    """A packet that passes, in the numbers of MPTCP. On the only subflow its bytes are the stream."""

    def __init__(self, watch, packet, to_server):
        self.packet, self.to_server, self.watch = packet, to_server, watch
        self.sender, self.receiver = watch.key[to_server], watch.key[not to_server]
        self.ssn = (packet.seq - watch.isn[to_server]) % 2**32
        self.size = len(packet.payload)
        self.dsn = (idsn(self.sender) + self.ssn) % 2**64
        self.next = (self.dsn + self.size) % 2**64
        acked = (packet.ack - watch.isn[not to_server]) % 2**32
        self.ack = (idsn(self.receiver) + acked) % 2**64


def with_options(packet, area):
    """The packet with these options, behind its timestamps if there is room."""
    stamps = next((o for o in packet.options() if o[0] == TIMESTAMPS), b"")
    if stamps and len(padded(area)) + 12 <= ROOM:
        area = b"\1\1" + stamps + area
    return packet.copy(area=padded(area))


def bare(packet):
    """A segment without data right behind the packet."""
    return packet.copy(seq=packet.end, flags=ACK, payload=b"")


def head(subtype, length, low=0):
    """The first three bytes of an option."""
    return bytes([MPTCP, length, subtype << 4 | low])


class Raw:
    """A packet that is not as packet.py would build it."""

    def __init__(self, raw):
        self.raw = bytes(raw)

    def build(self):
        return self.raw
