# SPDX-License-Identifier: GPL-2.0
"""A scripted exchange between two hosts, and what can be seen of it."""

import collections
import contextlib
import json
import select
import socket
import time

import genl
import mptcp
from world import hosts, wait_for

SECTIONS = {}
# The server's port, and where the numbers of the client's begin.
PORT, CLIENT_PORT = 5000, 40000
# Where timing plays a part: what is behind depends on when which ACK was sent, or on which link data went first.
TIMED = {"SndWndShared", "RcvWndShared", "RcvWndConflictUpdate", "RcvWndConflict", "OFOQueueTail", "OFOQueue",
         "OFOMerge", "DuplicateData", "MPTCPRetrans"}
FIELDS = (
    ("subflows", 0, 1), ("add_addr_signal", 1, 1), ("add_addr_accepted", 2, 1), ("subflows_max", 3, 1),
    ("add_addr_signal_max", 4, 1), ("add_addr_accepted_max", 5, 1), ("flags", 8, 4), ("token", 12, 4),
    ("write_seq", 16, 8), ("snd_una", 24, 8), ("rcv_nxt", 32, 8), ("local_addr_used", 40, 1), ("local_addr_max", 41, 1),
    ("csum_enabled", 42, 1), ("retransmits", 44, 4), ("bytes_retrans", 48, 8), ("bytes_sent", 56, 8),
    ("bytes_received", 64, 8), ("bytes_acked", 72, 8), ("subflows_total", 80, 1), ("reserved", 81, 3),
    ("last_data_sent", 84, 4), ("last_data_recv", 88, 4), ("last_ack_recv", 92, 4),
)


def section(name):
    """What a function tells is compared under that name. It has a process and a network namespace of its own."""
    def add(function):
        SECTIONS[name] = function
        return function
    return add


def info(sock):
    """MPTCP_INFO, all of it; of a socket that is plain TCP, the error. Numbers that begin at random are told as
    distances, times as whether they are short."""
    try:
        raw = sock.getsockopt(mptcp.SOL_MPTCP, mptcp.MPTCP_INFO, 256)
    except OSError as err:
        return err.strerror
    told = {"size": len(raw)}
    for name, at, size in FIELDS:
        told[name] = int.from_bytes(raw[at:at + size], "little")
    told["unacked"] = told.pop("write_seq") - told.pop("snd_una")
    told.pop("rcv_nxt")
    told["token"] = told["token"] != 0
    for name in ("last_data_sent", "last_data_recv", "last_ack_recv"):
        told[name] = told[name] < 30000
    return told


def numbered(events, scene):
    """Events with the names of hosts instead of tokens, and without the ports that a host has chosen."""
    for one in events:
        if "token" in one:
            one["token"] = scene.tokens.setdefault(one["token"], f"connection {len(scene.tokens)}")
        for name in ("sport", "dport"):
            if one.get(name, 0) > 6000:
                one[name] = "any"
        if "if_idx" in one:
            one["if_idx"] = "any"
    return dict(collections.Counter(json.dumps(one, sort_keys=True) for one in events))


class Scene:
    """Two hosts. Each step is told: counters that have changed, events, and sockets."""

    def __init__(self, links=2):
        self.client, self.server = hosts(links)
        self.hosts = {"client": self.client, "server": self.server}
        self.told, self.tokens, self.watch = {}, {}, {}
        self.events = {}
        for name, host in self.hosts.items():
            with host, open("/proc/sys/net/ipv4/ip_local_port_range", "w", encoding="ascii") as file:
                file.write("50000 60999")
            with host:
                self.events[name] = genl.Monitor()
        self.last = self.counters()

    def counters(self):
        counts = {}
        for name, host in self.hosts.items():
            with host:
                counts[name] = mptcp.counters()
        return counts

    def settle(self, seconds=6):
        """Until nothing was counted for a while."""
        end, last, since = time.monotonic() + seconds, self.counters(), time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.4:
            time.sleep(0.05)
            now = self.counters()
            if now != last:
                last, since = now, time.monotonic()
        return last

    def heard(self, name):
        events, sock = [], self.events[name].sock
        while select.select([sock], [], [], 0)[0]:
            events.append(genl.event(sock.recv(65536)[16:]))
        return numbered(events, self)

    @contextlib.contextmanager
    def step(self, name):
        """What happens in the `with` statement, and what follows from it."""
        yield
        now = self.settle()
        told = self.told[name] = {}
        for host in self.hosts:
            changed = mptcp.changed(self.last[host], now[host])
            told[host] = {"counters": {k: v for k, v in changed.items() if k not in TIMED}, "events": self.heard(host)}
        told["sockets"] = {name: info(sock) for name, sock in self.watch.items()}
        self.last = now

    def ask(self, host, cmd, *attrs):
        with self.hosts[host], genl.Genl() as nl:
            nl.ask(cmd, *attrs)

    def endpoint(self, host, ip, **how):
        with self.hosts[host], genl.Genl() as nl:
            nl.add(ip, **how)

    def limits(self, subflows, accepted):
        for host in self.hosts:
            self.ask(host, genl.SET_LIMITS, genl.u32(genl.SUBFLOWS, subflows),
                     genl.u32(genl.RCV_ADD_ADDRS, accepted))

    def make(self, host, family=socket.AF_INET, protocol=mptcp.IPPROTO_MPTCP):
        with self.hosts[host]:
            sock = mptcp.stream(family, protocol)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock

    def listener(self, ip="", family=socket.AF_INET, protocol=mptcp.IPPROTO_MPTCP, port=PORT):
        sock = self.make("server", family, protocol)
        sock.bind((ip, port))
        sock.listen(7)
        return sock

    def connect(self, listener, ip="10.0.1.2", family=socket.AF_INET, protocol=mptcp.IPPROTO_MPTCP, port=CLIENT_PORT,
                before=lambda sock: None):
        """Both ends of a connection, before there is data."""
        one = self.make("client", family, protocol)
        before(one)
        one.bind(("", port))
        one.connect((ip, listener.getsockname()[1]))
        return one, listener.accept()[0]

    def open(self, *args, **how):
        """Both ends of a connection that has carried a byte each way."""
        one, other = self.connect(*args, **how)
        for a, b in ((one, other), (other, one)):
            carry(a, b, 1)
        return one, other


def carry(one, other, size):
    """So many bytes, of which only some are on their way at a time."""
    left = size
    while left:
        piece = min(left, 1000)
        one.sendall(b"x" * piece)
        left -= piece
        while piece:
            got = other.recv(piece)
            assert got, "the connection has ended"
            piece -= len(got)


def subflows(count, *socks):
    wait_for(lambda: all(mptcp.info(sock)["subflows"] == count for sock in socks), f"{count} subflows", 20)
