# SPDX-License-Identifier: GPL-2.0
"""What leaves a host, judged: every byte of a subflow is announced with one mapping, always the same one.

A receiver refuses a mapping that differs from the one it has (RFC 8684 section 3.3.1), but only if it has that one at
that moment. What a transfer survives may therefore still be wrong: it is seen on the wire.
"""

import bisect
import os
import struct
import subprocess
import tempfile

from packet import CAPABLE, DATA_ACK, DATA_ACK8, DATA_FIN, DSN8, DSS, FAIL, MAP, SYN, Packet

ETHERNET = 14
IPV4 = 0x0800
# Enough for all headers.
SNAP = 160


class Flow:
    """One direction of a subflow: its mappings, by the first byte's number."""

    def __init__(self, isn):
        self.isn = isn
        self.starts, self.maps = [], {}
        self.packets = 0
        self.plain = False

    def announce(self, start, length, dsn):
        """Takes note of a mapping. A text if it is not what another one said. That of an MP_CAPABLE has no number."""
        known = self.maps.get(start)
        if known and known[0] == length and None in (dsn, known[1]):
            self.maps[start] = (length, known[1] if dsn is None else dsn)
            return ""
        if known:
            return "" if known == (length, dsn) else f"{start}: {(length, dsn)} after {known}"
        at = bisect.bisect(self.starts, start)
        before = self.starts[at - 1] if at else None
        if before is not None and before + self.maps[before][0] > start:
            return f"{start}: {(length, dsn)} begins within {before}: {self.maps[before]}"
        if at < len(self.starts) and start + length > self.starts[at]:
            return f"{start}: {(length, dsn)} ends within {self.starts[at]}: {self.maps[self.starts[at]]}"
        self.starts.insert(at, start)
        self.maps[start] = (length, dsn)
        return ""


def mapping(option):
    """Of a DSS with a mapping: the first byte's number, the length without a DATA_FIN, and the data's number."""
    flags = option[3]
    if not flags & MAP:
        return None
    at = 4 + (0 if not flags & DATA_ACK else 8 if flags & DATA_ACK8 else 4)
    dsn, start, length = struct.unpack_from(">QIH" if flags & DSN8 else ">IIH", option, at)
    return start, length - bool(flags & DATA_FIN), dsn


def judge(packet, length, flow):
    """What is wrong with a packet of `length` bytes of data, as a text; else an empty one."""
    found = packet.mptcp()
    seq = (packet.seq - flow.isn) % 2**32
    if FAIL in found:
        flow.plain = True
    if flow.plain or not length:
        return ""
    told = mapping(found[DSS]) if DSS in found else None
    if told and told[1] == 0 and not found[DSS][3] & DATA_FIN:
        # The infinite mapping: there is no other behind it.
        flow.plain = True
        return ""
    if CAPABLE in found and len(found[CAPABLE]) >= 22:
        told = 1, struct.unpack_from(">H", found[CAPABLE], 20)[0], None
    if told is None:
        return f"{seq}: {length} bytes without a mapping"
    start, size, dsn = told
    if not start <= seq or seq + length > start + size:
        return f"{seq}: {length} bytes, of the mapping {told}"
    flow.packets += 1
    return flow.announce(start, size, dsn)


def read(path):
    """The packets of a recording, as (sender, packet, bytes of data)."""
    with open(path, "rb") as file:
        data = file.read()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at = 24
    while at + 16 <= len(data):
        kept = struct.unpack_from(order + "I", data, at + 8)[0]
        raw = data[at + 16:at + 16 + kept]
        at += 16 + kept
        if len(raw) < ETHERNET + 20 or struct.unpack_from(">H", raw, 12)[0] != IPV4:
            continue
        raw = raw[ETHERNET:]
        packet = Packet.parse(raw)
        if packet:
            length = struct.unpack_from(">H", raw, 2)[0] - len(packet.ip) - 20 - len(packet.area)
            yield packet.ip[12:16], packet, length


def judge_all(paths):
    """Of recordings, how many packets with data were judged, and what was wrong with some."""
    flows, faults = {}, []
    for path in paths:
        for sender, packet, length in read(path):
            key = sender, packet.ip[16:20], packet.sport, packet.dport
            if packet.flags & SYN and (key not in flows or flows[key].isn != packet.seq):
                flows[key] = Flow(packet.seq)
            elif key in flows:
                fault = judge(packet, length, flows[key])
                if fault:
                    faults.append(f"ports {packet.sport} to {packet.dport}: {fault}")
    return sum(flow.packets for flow in flows.values()), faults


class Watch:
    """Records what leaves over `links` of this host, or of the namespace `host`, until it is asked."""

    def __init__(self, links, host=None):
        inside = ["ip", "netns", "exec", host] if host else []
        self.folder = tempfile.mkdtemp(prefix="wire-")
        self.paths = [os.path.join(self.folder, link) for link in links]
        self.runs = [subprocess.Popen([*inside, "tcpdump", "-i", link, "-Q", "out", "-s", str(SNAP), "-B", "8192", "-U",
                                       "-w", path, "tcp"], stderr=subprocess.PIPE, text=True)
                     for link, path in zip(links, self.paths)]
        for run in self.runs:
            while "listening" not in (line := run.stderr.readline()):
                if not line:
                    raise OSError(f"tcpdump does not listen: it ended with {run.wait()}")

    def end(self, judge=judge_all):
        """Stops. Gives what `judge` says of the recordings."""
        for run in self.runs:
            run.terminate()
            run.communicate()
        told = judge(self.paths)
        for path in self.paths:
            os.unlink(path)
        os.rmdir(self.folder)
        return told
