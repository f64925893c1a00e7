# SPDX-License-Identifier: GPL-2.0
"""What the tests of the path managers share."""

import contextlib
import ctypes
import os
import socket
import subprocess
import time

import genl
import mptcp
import tap

TESTS = []
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
NOBODY = 65534


def test(name, module_only=False):
    """A test, run in a process and a network namespace of its own."""
    def add(function):
        TESTS.append({"name": name, "function": function, "module_only": module_only})
        return function
    return add


def check(result):
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def new_namespace(flags=CLONE_NEWNET):
    check(LIBC.unshare(flags))


def enter_namespace(fd):
    check(LIBC.setns(fd, CLONE_NEWNET))


def up():
    """The loopback device of this namespace."""
    os.system("ip link set lo up")


def refusal(cmd, *attrs, **how):
    with genl.Genl() as nl:
        return nl.refused(cmd, *attrs, **how)


def outcome(cmd, *attrs, **how):
    """The name of the error that a command meets; None if it succeeds."""
    return genl.errno_of(refusal(cmd, *attrs, **how))


def sysctl(name, value):
    with open(f"/proc/sys/net/mptcp/{name}", "w", encoding="ascii") as file:
        file.write(str(value))


class Pair:
    """An MPTCP connection that has carried data both ways.

    By default over the loopback device of this namespace, otherwise between two hosts. `anywhere`: the
    server listens at all of its addresses.
    """

    def __init__(self, ip="127.0.0.1", port=0, client=None, server=None, anywhere=False):
        family = socket.AF_INET6 if ":" in ip else socket.AF_INET
        with server or contextlib.nullcontext():
            self.listener = mptcp.stream(family, mptcp.IPPROTO_MPTCP)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((anywhere and ("::" if ":" in ip else "0.0.0.0") or ip, port))
        self.listener.listen()
        with client or contextlib.nullcontext():
            self.client = mptcp.stream(family, mptcp.IPPROTO_MPTCP)
        self.client.connect((ip, self.listener.getsockname()[1]))
        self.server = self.listener.accept()[0]
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.sendall(b"x")
            assert other.recv(1) == b"x"
        self.tokens = [mptcp.info(sock)["token"] for sock in (self.client, self.server)]
        self.ports = [sock.getsockname()[1] for sock in (self.client, self.server)]

    def close(self):
        for sock in (self.client, self.server, self.listener):
            sock.close()


def counters(*names):
    told = mptcp.counters()
    return tuple(told[name] for name in names)


def users():
    """How many hold the module."""
    with open("/sys/module/mptcp/refcnt", encoding="ascii") as file:
        return int(file.read())


def wait_for(condition, what, seconds=5):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise tap.Failed(f"not within {seconds} seconds: {what}")
        time.sleep(0.02)


class Host:
    """A network namespace. In a `with` statement, this process is in it."""

    def __init__(self):
        before = os.open("/proc/self/ns/net", os.O_RDONLY)
        new_namespace()
        self.fd = os.open("/proc/self/ns/net", os.O_RDONLY)
        up()
        enter_namespace(before)
        os.close(before)
        self.outside = []

    def __enter__(self):
        self.outside.append(os.open("/proc/self/ns/net", os.O_RDONLY))
        enter_namespace(self.fd)
        return self

    def __exit__(self, *_):
        before = self.outside.pop()
        enter_namespace(before)
        os.close(before)

    def close(self):
        os.close(self.fd)

    def counters(self, *names):
        with self:
            return counters(*names)

    def sysctl(self, name, value):
        with self:
            sysctl(name, value)

    def ip(self, *words):
        with self:
            subprocess.run(["ip", *words], check=True)


def hosts(links=2):
    """A client and a server: link n has 10.0.n.1 and 10.0.n.2, fd00:n::1 and fd00:n::2."""
    client, server = Host(), Host()
    for n in range(1, links + 1):
        client.ip("link", "add", f"eth{n}", "type", "veth", "peer", "name", f"eth{n}", "netns",
                  f"/proc/{os.getpid()}/fd/{server.fd}")
        for side, host in enumerate((client, server), 1):
            host.ip("address", "add", f"10.0.{n}.{side}/24", "dev", f"eth{n}")
            host.ip("address", "add", f"fd00:{n}::{side}/64", "dev", f"eth{n}", "nodad")
            host.ip("link", "set", f"eth{n}", "up")
    return client, server
