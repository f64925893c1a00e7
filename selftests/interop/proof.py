# SPDX-License-Identifier: GPL-2.0
"""That wire.Watch sees what it is there to see: recordings made up with one fault each."""

import os
import struct
import tempfile

import wire
from packet import ACK, DATA_ACK, DATA_ACK8, DATA_FIN, DSN8, DSS, MAP, MPTCP, SYN, Packet
from tap import equal

IP = bytes.fromhex("45000000000040004006000001020304") + bytes([1, 2, 3, 5])
ISN = 2**32 - 1000
DSN = 2**63


def segment(at, length, mapping=None, fin=0, flags=ACK):
    """A segment of `length` bytes, the first of which is number `at`; `mapping`: start, length and data's offset."""
    packet = Packet()
    packet.ip, packet.sport, packet.dport, packet.ack, packet.flags, packet.window = IP, 1, 2, 0, flags, 0
    packet.seq, packet.payload, packet.area = (ISN + at) % 2**32, bytes(length), b""
    if mapping:
        start, size, offset = mapping
        told = DATA_ACK | DATA_ACK8 | MAP | DSN8 | (DATA_FIN if fin else 0)
        packet.area = struct.pack(">BBBBQQIH", MPTCP, 26, DSS << 4, told, 0, DSN + offset, start, size + fin)
    return packet.build()


def faults(*segments):
    """What is found in a recording of these, behind a SYN."""
    with tempfile.NamedTemporaryFile(suffix=".pcap", delete=False) as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, wire.SNAP, 1))
        for raw in (segment(0, 0, flags=SYN), *segments):
            frame = bytes(12) + struct.pack(">H", wire.IPV4) + raw
            kept = frame[:wire.SNAP]
            file.write(struct.pack("<IIII", 0, 0, len(kept), len(frame)) + kept)
    try:
        return wire.judge_all([file.name])
    finally:
        os.unlink(file.name)


def proof():
    """Right ones pass, wrong ones do not."""
    first, second = (1, 2000, 0), (2001, 3000, 2000)
    right = (segment(1, 1400, first), segment(1401, 600, first), segment(2001, 3000, second, fin=1),
             segment(1, 1400, first), segment(2001, 100, second))
    equal(faults(*right), (5, []), "of a right recording")
    for name, wrong in {"longer": segment(1401, 600, (1, 2001, 0)), "elsewhere": segment(1401, 600, (1, 2000, 1)),
                        "within": segment(1401, 600, (1401, 600, 1400)), "none": segment(1401, 600),
                        "beyond": segment(1401, 1000, first), "over": segment(5001, 10, (4900, 200, 9000))}.items():
        equal(len(faults(*right, wrong)[1]), 1, f"faults found in one that is {name}")
