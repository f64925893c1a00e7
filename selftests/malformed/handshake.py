# SPDX-License-Identifier: GPL-2.0
"""Malformed handshakes: SYNs of clients that do not exist, and forged copies of SYN-ACK, third ACK and first data."""

import collections
import hashlib
import hmac
import struct
import time
from dataclasses import dataclass
from typing import Callable

from live import SLOW
from options import Entry, areas, dss, ignored
from packet import ACK, CAPABLE, FAIL, FASTCLOSE, FIN, JOIN, MPTCP, PSH, ROOM, RST, SYN, TCPRST, padded
from wire import NAMES, REAL_PORTS, Spot, Watch, head, token

MSS = b"\2\4\5\xb4"

# How a listener has to answer a SYN; None: either way.
PLAIN, CAPABLE_TOO, JOINED, REFUSED = "plain", "MP_CAPABLE", "MP_JOIN", "reset"


@dataclass
class Syn(Entry):
    """Options of a SYN, and the answer that is due."""

    answer: str | None = PLAIN
    # A third ACK that was sent, and what it answered.
    said: object = ""
    isn: int | None = None
    since: float = 0


def capable(length, version, flags, body=b""):
    return (head(CAPABLE, length, version) + bytes([flags]) + body)[:length]


def syns(rng):
    """All kinds of SYNs."""
    good = capable(4, 1, 1)
    for subtype in range(2, 16):
        for length in range(3, 37):
            yield Syn(NAMES[subtype], head(subtype, length, rng.randrange(16)) + rng.randbytes(length - 3))
    for length in range(3, 37):
        body = rng.randbytes(length)
        if length != 4:
            yield Syn("MP_CAPABLE", capable(length, 1, 1, body))
        if length != 12:
            yield Syn("MP_JOIN", (head(JOIN, length, rng.randrange(16)) + body)[:length])
    for version in range(2, 16):
        # The listener says which version it speaks (RFC 8684 section 3.1).
        yield Syn("MP_CAPABLE", capable(4, version, 1), answer=CAPABLE_TOO)
    for flags in range(256):
        yield Syn("MP_CAPABLE", capable(4, 0, flags))
        answer = CAPABLE_TOO if flags & 0x41 == 1 else PLAIN
        # Who does not compute checksums may not agree to them.
        yield Syn("MP_CAPABLE", capable(4, 1, flags), answer=None if flags & 0x80 and answer != PLAIN else answer)
    for low in range(16):
        yield Syn("MP_JOIN", head(JOIN, 12, low) + rng.randbytes(9), answer=REFUSED)
        yield Syn("MP_JOIN", head(JOIN, 12, low) + rng.randbytes(9) + good)
        yield Syn("MP_JOIN", good + head(JOIN, 12, low) + rng.randbytes(9))
    for _ in range(40):
        yield Syn("MP_JOIN", lambda watch, low=rng.randrange(16), tail=rng.randbytes(5): head(JOIN, 12, low) + tail[:1] +
                  struct.pack(">I", token(watch.key[False])) + tail[1:], answer=JOINED)
    for entry in areas(rng):
        # TCP itself drops what seems to be signed, or is not signed well.
        if len(entry.make) <= 36 and entry.make.lstrip(b"\1")[:1] not in (b"\x13", b"\x1d"):
            yield Syn("broken area", entry.make)
    for _ in range(60):
        area = good + head(rng.randrange(2, 16), rng.randrange(40, 256)) + rng.randbytes(5)
        yield Syn("several options", area, answer=CAPABLE_TOO)
        yield Syn("several options", good + capable(4, 0, 0) + good, answer=CAPABLE_TOO)


class Strangers:
    """Clients that do not exist, at a port each: what they send, what they are answered, how they go on."""

    # So many at once, in order not to fill the listener's queue.
    CROWD = 30

    def __init__(self, watch, rng):
        self.watch, self.rng = watch, rng
        self.port = 1024
        self.open = {}
        self.problems = []
        # What those say at last who have said nothing more for long.
        self.silent = []
        self.answers = collections.Counter()
        self.forged = [entry for entry in ignored(rng) if isinstance(entry.make, bytes)]
        self.count = collections.Counter()

    def room(self):
        """Whether another one may knock. Who is not answered has not got for ever."""
        for port, (entry, syn) in list(self.open.items()):
            if time.monotonic() - entry.since > 3 * SLOW:
                self.problems.append(f"not answered: {entry.said or syn}")
                del self.open[port]
        return len(self.open) < self.CROWD

    def knock(self, entry, packet):
        """The SYN of the next one."""
        self.port += 1
        entry.since = time.monotonic()
        area = entry.make if isinstance(entry.make, bytes) else entry.make(self.watch)
        syn = packet.copy(sport=self.port, seq=self.rng.randrange(2**32), ack=0, flags=SYN, window=65535, payload=b"",
                          area=padded(MSS + area))
        self.open[self.port] = (entry, syn)
        self.count[entry.name] += 1
        return syn

    def answered(self, packet):
        """What comes for one of them. Returns what it says to that."""
        entry, syn = self.open.get(packet.dport, (None, None))
        if not entry or packet.flags & (SYN | RST) == 0 or packet.flags & SYN and packet.seq == entry.isn:
            return []
        self.open.pop(packet.dport)
        options = packet.mptcp()
        got = REFUSED if packet.flags & RST else JOINED if JOIN in options else \
            CAPABLE_TOO if CAPABLE in options else PLAIN
        self.answers[got] += 1
        if entry.answer not in (None, got):
            self.problems.append(f"answered with {got} instead of {entry.answer}: {syn} {entry.said}")
        if got == REFUSED:
            if options.get(TCPRST) is None:
                self.problems.append(f"reset without MP_TCPRST: {syn}")
            return []
        if got == JOINED:
            return self.join(syn, packet)
        return self.go_on(syn, packet)

    def join(self, syn, packet):
        """The third ACK of one who does not know the keys has to be refused."""
        nonces = struct.pack(">I", int.from_bytes(packet.mptcp()[JOIN][12:16], "big")) + syn.mptcp()[JOIN][8:12]
        keys = struct.pack(">QQ", self.watch.key[True], self.watch.key[False])
        swapped = hmac.new(keys[8:] + keys[:8], nonces, hashlib.sha256).digest()[:20]
        area = self.rng.choice((
            head(JOIN, 24) + b"\0" + self.rng.randbytes(20),
            head(JOIN, 24) + b"\0" + swapped,
            head(JOIN, 24) + bytes(21),
            head(JOIN, 23) + bytes(20),
            head(JOIN, 16) + self.rng.randbytes(13),
            capable(20, 1, 1, keys),
            dss(1, 2, 1, 100),
            b"",
        ))
        self.count["MP_JOIN"] += 1
        third = self.third(syn, packet, area)
        self.open[syn.sport] = (Syn("MP_JOIN", b"", answer=REFUSED, said=third, isn=packet.seq, since=time.monotonic()), syn)
        return [third]

    @staticmethod
    def third(syn, packet, area, **more):
        return syn.copy(seq=syn.seq + 1, ack=packet.seq + 1, flags=more.pop("flags", ACK), area=padded(area), **more)

    def go_on(self, syn, packet):
        """A third ACK or data with whatever options, then a reset; or nothing but a reset; or nothing at all."""
        reset = syn.copy(seq=syn.seq + 1, ack=0, flags=RST, area=b"")
        how = self.rng.random()
        if how < 0.5:
            return [reset]
        if how < 0.52:
            self.silent.append(reset)
            return []
        entry = self.rng.choice(self.forged)
        if how < 0.6 and CAPABLE in packet.mptcp():
            keys = self.rng.randbytes(8) + packet.mptcp()[CAPABLE][4:12]
            entry = Entry("MP_CAPABLE", self.rng.choice((
                capable(20, 1, 1, keys), capable(22, 1, 1, keys + b"\0\5"), capable(22, 1, 1, keys + b"\xff\xff"),
                capable(22, 1, 1, keys + b"\0\0"), capable(24, 1, 1, keys + b"\0\5\1\2"))))
        payload = self.rng.choice((b"", b"", b"hello", bytes(1000)))
        self.count[entry.name] += 1
        first = self.third(syn, packet, entry.make[:ROOM], payload=payload, flags=ACK | (PSH if payload else 0))
        behind = (len(payload) + syn.seq + 1) % 2**32
        end = self.rng.choice((reset.copy(seq=behind), first.copy(seq=behind, payload=b"", flags=ACK | FIN, area=b"")))
        return [first, end, reset.copy(seq=(behind + bool(end.flags & FIN)) % 2**32)]


@dataclass
class Forgery:
    """A forged copy of one of the handshake's packets, before the true one or behind it."""

    name: str
    stage: str
    # The options of MPTCP, from a Watch and the packet.
    area: Callable
    allowed: tuple
    count: str = "MP_CAPABLE"


def spot(make):
    return lambda watch, packet: make(Spot(watch, packet, True))


def both(watch):
    return struct.pack(">QQ", watch.key[True], watch.key[False])


EITHER, ANY = ("mptcp", "plain"), ("mptcp", "plain", "reset")


def forgeries(rng):
    """What is forged of SYN-ACK, third ACK and first data."""
    fixed = {
        "nothing": b"",
        "another key": capable(12, 1, 1, rng.randbytes(8)),
        "no key": capable(4, 1, 1),
        "half a key": capable(8, 1, 1, rng.randbytes(4)),
        "both keys": capable(20, 1, 1, rng.randbytes(16)),
        "version 0": capable(12, 0, 1, rng.randbytes(8)),
        "version 2": capable(12, 2, 1, rng.randbytes(8)),
        "checksums": capable(12, 1, 0x81, rng.randbytes(8)),
        "no algorithm": capable(12, 1, 0, rng.randbytes(8)),
        "every flag": capable(12, 1, 0xff, rng.randbytes(8)),
        "MP_JOIN": head(JOIN, 16) + rng.randbytes(13),
        "DSS": dss(1, 2, 1, 100),
        "MP_FASTCLOSE": head(FASTCLOSE, 12) + bytes(9),
        "MP_CAPABLE twice": capable(12, 1, 1, rng.randbytes(8)) + capable(8, 1, 1, bytes(4)),
        "a broken area": bytes([MPTCP, 60]) + bytes(6),
    }
    for name, area in fixed.items():
        yield Forgery(f"SYN-ACK with {name}", "synack", lambda watch, packet, area=area: area, EITHER)
        yield Forgery(f"third ACK with {name}", "third ACK", lambda watch, packet, area=area: area, EITHER)
        yield Forgery(f"first data with {name}", "first data", lambda watch, packet, area=area: area, ANY)
    keys = {
        "the keys swapped": lambda watch: capable(20, 1, 1, both(watch)[8:] + both(watch)[:8]),
        "a wrong key of the server": lambda watch: capable(20, 1, 1, both(watch)[:8] + bytes(8)),
        "a wrong key of the client": lambda watch: capable(20, 1, 1, bytes(8) + both(watch)[8:]),
        "the right keys and version 0": lambda watch: capable(20, 0, 1, both(watch)),
        "the right keys and every flag": lambda watch: capable(20, 1, 0xff, both(watch)),
        "the right keys and a mapping of nothing": lambda watch: capable(22, 1, 1, both(watch) + bytes(2)),
        "the right keys and a long mapping": lambda watch: capable(22, 1, 1, both(watch) + b"\xff\xff"),
        "the right keys and a short mapping": lambda watch: capable(22, 1, 1, both(watch) + b"\0\1"),
        "the right keys and a checksum": lambda watch: capable(24, 1, 1, both(watch) + b"\xff\xff\1\2"),
        "the right keys in 21 bytes": lambda watch: capable(21, 1, 1, both(watch) + b"\1"),
        "the right keys and a DSS": lambda watch: capable(20, 1, 1, both(watch)) + dss(None, 5, 1, 9, dsn8=False),
        "the right MP_FASTCLOSE": lambda watch: head(FASTCLOSE, 12) + struct.pack(">xQ", watch.key[False]),
        "MP_FAIL": lambda watch: head(FAIL, 12) + bytes(9),
        "MP_JOIN": lambda watch: head(JOIN, 24) + bytes(21),
        "MP_JOIN of itself": lambda watch: head(JOIN, 12) + struct.pack(">xII", token(watch.key[False]), 7),
    }
    for name, area in keys.items():
        for stage in ("third ACK", "first data"):
            # Of the third ACK nothing counts but the keys; more than that may be a lie of the peer's.
            # A listener cannot know a wrong key of its client: it is the data that does not fit. If options have
            # passed both ways by then, that is too late for plain TCP (RFC 8684 section 3.7).
            bad = stage == "first data" or "mapping" in name or "checksum" in name or \
                name in ("the right MP_FASTCLOSE", "MP_FAIL", "a wrong key of the client")
            yield Forgery(f"{stage} with {name}", stage, lambda watch, packet, area=area: area(watch),
                          ANY if bad else EITHER)
    for name, make in {
            "another DSS": lambda at: dss(at.ack, at.dsn + 1, at.ssn, at.size or 1),
            "a DSS far away": lambda at: dss(at.ack, at.dsn + 2**40, at.ssn + 2**20, 0xffff),
            "a DATA_FIN": lambda at: dss(at.ack, at.next, 0, 1, fin=True),
            "an infinite mapping": lambda at: dss(at.ack, at.dsn, at.ssn, 0)}.items():
        for stage in ("third ACK", "first data"):
            yield Forgery(f"{stage} with {name}", stage, spot(make), ANY, "DSS")


class Forger:
    """The middlebox of a forgery."""

    def __init__(self, forgery, first):
        self.forgery, self.first = forgery, first
        self.watch, self.done, self.data = Watch(), 0, False

    def __call__(self, packet, to_server):
        stage = self.watch.see(packet, to_server)
        if stage == "later":
            stage = "" if self.data or not to_server else "first data" if packet.payload else "third ACK"
            self.data |= stage == "first data"
        if stage != self.forgery.stage or self.done or not self.ready(stage):
            return [packet]
        self.done += 1
        area = self.forgery.area(self.watch, packet)
        kept = b"".join(option for option in packet.options() if option[0] != MPTCP)
        whole = kept + area if len(kept + area) <= ROOM else area
        forged = packet.copy(area=padded(whole))
        return [forged, packet] if self.first else [packet, forged]

    def ready(self, stage):
        return stage == "synack" or self.watch.known()
