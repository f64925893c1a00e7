# SPDX-License-Identifier: GPL-2.0
"""Reading a recording: what each connection has done."""

import collections
import json
import re
import sys

from . import Problem

LINE = re.compile(r"\s(\d+\.\d+):\s+(?:mptcp:)?(\w+):\s+(.*)")
PAIR = re.compile(r"(\w+)=(\S+)")
MAPPED = "::ffff:"

Send = collections.namedtuple("Send", "time subflow seq len again cause")
Receive = collections.namedtuple("Receive", "time subflow seq len")
Ack = collections.namedtuple("Ack", "time subflow una edge cwnd in_flight srtt_us")
Window = collections.namedtuple("Window", "time subflow ack edge")
Reinjection = collections.namedtuple("Reinjection", "time subflow seq len cause")
Mark = collections.namedtuple("Mark", "time subflow text")


class Subflow:
    """What names a subflow."""

    def __init__(self, number):
        self.number = number
        self.ids, self.ports, self.addresses = (0, 0), (0, 0), None

    @property
    def name(self):
        """As a legend has it."""
        if self.addresses:
            return f"{self.number}: {self.addresses[0]} to {self.addresses[1]}"
        return f"{self.number}: port {self.ports[0]} to {self.ports[1]}"


class Numbers:
    """64-bit numbers of one direction, as distances from the first one."""

    def __init__(self):
        self.first = None

    def __call__(self, number):
        if self.first is None:
            self.first = number
        return (number - self.first + (1 << 63)) % (1 << 64) - (1 << 63)


class Connection:
    """What one end of a connection has done."""

    def __init__(self, token):
        self.token = token
        self.subflows = {}
        self.sends, self.acks, self.receives, self.windows = [], [], [], []
        self.reinjections, self.marks, self.fallback = [], [], None
        self.sent, self.received = Numbers(), Numbers()
        self.start = self.end = None
        self.pending = []

    def subflow(self, told):
        """The subflow of an event; none of the connection as a whole."""
        number = int(told["subflow"])
        if number == 0:
            return None
        subflow = self.subflows.setdefault(number, Subflow(number))
        subflow.ids = int(told["loc_id"]), int(told["rem_id"])
        subflow.ports = int(told["sport"]), int(told["dport"])
        return subflow

    def on_mptcp_mapping_added(self, time, told):
        number = self.subflow(told).number
        dsn, length = int(told["dsn"]), int(told["len"])
        if told["how"] == "received":
            self.receives.append(Receive(time, number, self.received(dsn), length))
            return
        seq, again = self.sent(dsn), told["again"] == "1"
        cause = "filled" if told["how"] == "fill" else self.cause(seq)
        self.sends.append(Send(time, number, seq, length, again, cause if again else None))

    def cause(self, seq):
        """Why a byte is sent again."""
        for entry in reversed(self.reinjections):
            if 0 <= seq - entry.seq < entry.len:
                return entry.cause
        return None

    def on_mptcp_data_acked(self, time, told):
        number = self.subflow(told).number
        self.acks.append(Ack(time, number, self.sent(int(told["snd_una"])), self.sent(int(told["wnd_end"])),
                             int(told["cwnd"]), int(told["in_flight"]), int(told["srtt_us"])))

    def on_mptcp_window(self, time, told):
        number = self.subflow(told).number
        self.windows.append(Window(time, number, self.received(int(told["data_ack"])),
                                   self.received(int(told["right_edge"]))))

    def on_mptcp_reinject(self, time, told):
        subflow = self.subflow(told)
        self.reinjections.append(Reinjection(time, subflow and subflow.number, self.sent(int(told["dsn"])),
                                             int(told["len"]), told["cause"]))

    def on_mptcp_fallback(self, time, told):
        self.subflow(told)
        self.fallback = told["cause"]
        self.marks.append(Mark(time, None, f"plain TCP: {told['cause']}"))

    def on_mptcp_pm(self, time, told):
        ends = [told[end].removeprefix(MAPPED) for end in ("saddr", "daddr")]
        ports = int(told["sport"]), int(told["dport"])
        if told["action"] in ("created", "accept", "established", "closed"):
            self.pending.append((ports, ends))
        if told["action"] in ("established", "closed", "refuse"):
            self.marks.append(Mark(time, ports, told["action"]))

    def settle(self):
        """Everything was read."""
        by_ports = {subflow.ports: subflow for subflow in self.subflows.values()}
        for ports, ends in self.pending:
            if ports in by_ports:
                by_ports[ports].addresses = ends
        self.marks = [mark._replace(subflow=by_ports[mark.subflow].number if mark.subflow in by_ports else None)
                      for mark in self.marks]

    def carried(self):
        """Bytes that are new, each way."""
        return (sum(send.len for send in self.sends if not send.again),
                sum(receive.len for receive in self.receives))

    def write_json(self, path):
        """What is drawn, as numbers: bytes from the first one that was seen, seconds from the first event."""
        told = {
            "token": f"{self.token:08x}",
            "seconds": self.end - self.start,
            "fallback": self.fallback,
            "subflows": {str(s.number): {"name": s.name, "ids": s.ids, "ports": s.ports, "addresses": s.addresses}
                         for s in self.subflows.values()},
            "first_sent": self.sent.first,
            "first_received": self.received.first,
        }
        for name in ("sends", "acks", "receives", "windows", "reinjections", "marks"):
            told[name] = [entry._asdict() for entry in getattr(self, name)]
        with writing(path) as file:
            json.dump(told, file)


def writing(path):
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from None


def events(path):
    """Time, name and fields of each event of ours."""
    try:
        with open(path, encoding="ascii", errors="replace") as lines:
            for line in lines:
                found = LINE.search(line)
                if found and "token=" in found.group(3):
                    yield float(found.group(1)), found.group(2), dict(PAIR.findall(found.group(3)))
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from None


def connections(path):
    """The connections of a recording, by token."""
    found, first = {}, None
    for time, name, told in sorted(events(path), key=lambda event: event[0]):
        first = time if first is None else first
        token = int(told["token"], 16)
        if token == 0:
            continue
        connection = found.setdefault(token, Connection(token))
        connection.start = time if connection.start is None else connection.start
        connection.end = time
        handler = getattr(connection, f"on_{name}", None)
        if handler:
            handler(time - connection.start, told)
    for connection in found.values():
        connection.settle()
    if not found:
        raise Problem(f"{path} has no event of a connection: is it a recording?")
    return found


def choose(found, token):
    """The connection of a token, else the one that has carried most."""
    if token is not None:
        if token not in found:
            known = ", ".join(f"{known:08x}" for known in found)
            raise Problem(f"the recording knows no token {token:08x}, but {known}")
        return found[token]
    # Of the two ends of one connection, the one that sends tells more; what comes twice the other counts twice.
    best = max(found.values(), key=lambda c: max(c.carried()[0] * 5 // 4, c.carried()[1]))
    if len(found) > 1:
        print(f"mptcp-trace: drawing token {best.token:08x}, one of {len(found)} connections; --token chooses",
              file=sys.stderr)
    return best


def tell(args):
    """A line for each connection."""
    print(f"{'token':8} {'start':>9} {'seconds':>8} {'sent':>12} {'again':>10} {'received':>12}  subflows")
    found = connections(args.file)
    first = min(connection.start for connection in found.values())
    for c in sorted(found.values(), key=lambda c: c.start):
        sent, received = c.carried()
        again = sum(send.len for send in c.sends if send.again)
        names = "; ".join(s.name for s in sorted(c.subflows.values(), key=lambda s: s.number))
        state = f"  plain TCP ({c.fallback})" if c.fallback else ""
        print(f"{c.token:08x} {c.start - first:9.3f} {c.end - c.start:8.3f} {sent:12} {again:10} {received:12}  "
              f"{names}{state}")
    return 0
