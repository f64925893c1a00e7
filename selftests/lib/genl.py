# SPDX-License-Identifier: GPL-2.0
"""Generic netlink by hand, so that messages can be wrong: family mptcp_pm."""

import errno
import socket
import struct

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP = 1, 4, 0x300
NLMSG_ERROR, NLMSG_DONE, NETLINK_GENERIC = 2, 3, 16
NESTED = 0x8000
SOL_NETLINK, ADD_MEMBERSHIP, CAP_ACK, EXT_ACK = 270, 1, 10, 11

ADD_ADDR, DEL_ADDR, GET_ADDR, FLUSH, SET_LIMITS, GET_LIMITS, SET_FLAGS = range(1, 8)
ANNOUNCE, REMOVE, CREATE, DESTROY = range(8, 12)
# Attributes of a message, and of an address.
ADDR, RCV_ADD_ADDRS, SUBFLOWS, TOKEN, LOC_ID, ADDR_REMOTE = range(1, 7)
A_FAMILY, A_ID, A_ADDR4, A_ADDR6, A_PORT, A_FLAGS, A_IF_IDX = range(1, 8)
SIGNAL, SUBFLOW, BACKUP, FULLMESH, IMPLICIT = 1, 2, 4, 8, 16


class Refused(Exception):
    """The kernel's error, with what it says about it."""

    def __init__(self, number, ext):
        super().__init__(errno.errorcode.get(number, number))
        self.errno = number
        self.message = ext.get(1, b"").rstrip(b"\0").decode()
        self.offset = struct.unpack("=I", ext[2])[0] if 2 in ext else None
        self.missing = struct.unpack("=I", ext[5])[0] if 5 in ext else None


def attr(kind, payload, length=None):
    """An attribute, padded; `length` is what its header says, if that is wrong."""
    if isinstance(payload, (list, tuple)):
        payload = b"".join(payload)
    size = 4 + len(payload)
    return struct.pack("=HH", size if length is None else length, kind) + payload + \
        b"\0" * (-size % 4)


def u8(kind, value):
    return attr(kind, struct.pack("=B", value))


def u16(kind, value):
    return attr(kind, struct.pack("=H", value))


def u32(kind, value):
    return attr(kind, struct.pack("=I", value))


def address(ip=None, id=None, flags=None, port=None, ifindex=None, kind=ADDR):
    """A whole, correct address."""
    inner = []
    if ip is not None:
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        inner += [u16(A_FAMILY, family),
                  attr(A_ADDR6 if ":" in ip else A_ADDR4, socket.inet_pton(family, ip))]
    inner += [u8(A_ID, id)] if id is not None else []
    inner += [u16(A_PORT, port)] if port is not None else []
    inner += [u32(A_FLAGS, flags)] if flags is not None else []
    inner += [u32(A_IF_IDX, ifindex)] if ifindex is not None else []
    return attr(kind | NESTED, inner)


def attributes(data):
    """The attributes in `data`, by number."""
    found = {}
    while len(data) >= 4:
        size, kind = struct.unpack_from("=HH", data)
        found[kind & 0x3fff] = data[4:size]
        data = data[(size + 3) & ~3:]
    return found


def entry(data):
    """An address of an answer: (ID, IP, port, flags, interface)."""
    parts = attributes(attributes(data)[ADDR])
    family = struct.unpack("=H", parts[A_FAMILY])[0]
    ip = socket.inet_ntop(family, parts[A_ADDR6 if family == socket.AF_INET6 else A_ADDR4])
    ifindex = struct.unpack("=i", parts.get(A_IF_IDX, bytes(4)))[0]
    return (parts[A_ID][0], ip, *struct.unpack("=H", parts[A_PORT]),
            *struct.unpack("=I", parts[A_FLAGS]), ifindex)


class Genl:
    """A socket for the family, in the namespace of this process."""

    def __init__(self, family="mptcp_pm"):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC)
        self.sock.bind((0, 0))
        self.sock.settimeout(5)
        for option in (CAP_ACK, EXT_ACK):
            self.sock.setsockopt(SOL_NETLINK, option, 1)
        self.seq = 0
        told = attributes(self.ask(3, attr(2, family.encode() + b"\0"), family=16)[0])
        self.family = struct.unpack("=H", told[1])[0]
        self.version = struct.unpack("=I", told[3])[0]
        groups = [attributes(group) for group in attributes(told[7]).values()]
        self.groups = {group[1].rstrip(b"\0").decode(): struct.unpack("=I", group[2])[0]
                       for group in groups}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()

    def join(self, group):
        self.sock.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, self.groups[group])

    def ask(self, cmd, *attrs, flags=NLM_F_ACK, family=None, version=1, raw=None):
        """The answers to a command, without headers; Refused if it fails."""
        self.seq += 1
        body = struct.pack("=BBH", cmd, version, 0) + b"".join(attrs) if raw is None else raw
        head = struct.pack("=IHHII", 16 + len(body), family or self.family,
                           NLM_F_REQUEST | flags, self.seq, 0)
        self.sock.send(head + body)
        answers = []
        while True:
            data = self.sock.recv(65536)
            while data:
                size, kind, how, seq, _ = struct.unpack_from("=IHHII", data)
                message, data = data[16:size], data[(size + 3) & ~3:]
                if seq != self.seq:
                    continue
                if kind in (NLMSG_DONE, NLMSG_ERROR):
                    number = -struct.unpack_from("=i", message)[0]
                    if number > 0:
                        # Behind the error, and of an error the header of the request (CAP_ACK).
                        ext = message[20 if kind == NLMSG_ERROR else 4:]
                        raise Refused(number, attributes(ext) if how & 0x200 else {})
                    return answers
                answers.append(message[4:])

    def dump(self, cmd, *attrs):
        return self.ask(cmd, *attrs, flags=NLM_F_DUMP)

    def refused(self, cmd, *attrs, **how):
        """The refusal of a command; None if it succeeds."""
        try:
            self.ask(cmd, *attrs, **how)
        except Refused as refusal:
            return refusal
        return None

    # The commands, when all is well.

    def add(self, ip, **how):
        self.ask(ADD_ADDR, address(ip, **how))

    def endpoints(self):
        return [entry(data) for data in self.dump(GET_ADDR)]

    def limits(self):
        told = attributes(self.ask(GET_LIMITS)[0])
        return tuple(struct.unpack("=I", told[kind])[0] for kind in (RCV_ADD_ADDRS, SUBFLOWS))


def errno_of(refusal):
    """Its name; None for success."""
    names = {errno.EOPNOTSUPP: "EOPNOTSUPP"}
    return None if refusal is None else names.get(refusal.errno, errno.errorcode[refusal.errno])


# Events, and their attributes.
EVENTS = {1: "created", 2: "established", 3: "closed", 6: "announced", 7: "removed",
          10: "sub_established", 11: "sub_closed", 13: "sub_priority", 15: "listener_created",
          16: "listener_closed"}
EVENT_ATTRS = {1: ("token", "=I"), 2: ("family", "=H"), 3: ("loc_id", "=B"), 4: ("rem_id", "=B"),
               5: ("saddr", 4), 6: ("saddr", 16), 7: ("daddr", 4), 8: ("daddr", 16),
               9: ("sport", "!H"), 10: ("dport", "!H"), 11: ("backup", "=B"), 12: ("error", "=B"),
               13: ("flags", "=H"), 14: ("timeout", "=I"), 15: ("if_idx", "=i"),
               16: ("reset_reason", "=I"), 17: ("reset_flags", "=I"), 18: ("server_side", "=B")}


def event(data):
    """An event: a dictionary, `event` being its name."""
    told = {"event": EVENTS[data[0]]}
    for kind, value in attributes(data[4:]).items():
        name, form = EVENT_ATTRS[kind]
        if isinstance(form, int):
            family = socket.AF_INET if form == 4 else socket.AF_INET6
            told[name] = socket.inet_ntop(family, value)
        else:
            told[name] = struct.unpack(form, value)[0]
    return told


class Monitor(Genl):
    """Listens to events."""

    def __init__(self):
        super().__init__()
        self.join("mptcp_pm_events")

    def next(self, seconds=5):
        """The next event, or None if there is none for so long."""
        self.sock.settimeout(seconds)
        try:
            data = self.sock.recv(65536)
        except TimeoutError:
            return None
        return event(data[16:])

    def take(self, count, seconds=5):
        """So many events."""
        return [self.next(seconds) for _ in range(count)]

    def quiet(self, seconds=0.3):
        """That there is none."""
        told = self.next(seconds)
        if told:
            raise AssertionError(f"an event: {told}")
