# SPDX-License-Identifier: GPL-2.0
"""Two hosts, and a path between them on which somebody sits and changes packets.

Each host is a network namespace with a TUN device; a thread carries packets from one to the other.
Addresses: 10.0.0.1 and fd00::1 of the client, 10.0.0.2 and fd00::2 of the server.
"""

import contextlib
import fcntl
import os
import select
import struct
import subprocess
import threading
import time

from packet import Packet
from tap import expect

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000

SERVER = {4: "10.0.0.2", 6: "fd00::2"}

LISTEN, TIME_WAIT = "0A", "06"


class Host:
    """A network namespace with one device, whose other end is `fd`."""

    def __init__(self, number):
        os.unshare(os.CLONE_NEWNET)
        self.namespace = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        fcntl.ioctl(self.fd, TUNSETIFF, struct.pack("16sH22x", b"tun0", IFF_TUN | IFF_NO_PI))
        setup = (f"addr add 10.0.0.{number}/24 dev tun0\naddr add fd00::{number}/64 dev tun0 nodad\n"
                 "link set tun0 txqueuelen 10000 up\nlink set lo up\n")
        subprocess.run(["ip", "-batch", "-"], input=setup, text=True, check=True)

    @contextlib.contextmanager
    def inside(self):
        """This thread, there."""
        with open("/proc/thread-self/ns/net", "rb") as home:
            os.setns(self.namespace, os.CLONE_NEWNET)
            try:
                yield self
            finally:
                os.setns(home.fileno(), os.CLONE_NEWNET)

    def sysctl(self, name, value):
        """Sets a variable of the namespace."""
        with self.inside(), open(f"/proc/sys/{name}", "w", encoding="ascii") as file:
            file.write(str(value))

    def tcp_states(self):
        """The states of its TCP sockets, as /proc/net/tcp has them."""
        found = []
        with self.inside():
            for name in ("tcp", "tcp6"):
                with open(f"/proc/thread-self/net/{name}", encoding="ascii") as lines:
                    next(lines)
                    found += [line.split()[3] for line in lines]
        return found

    def sockstat(self):
        """The numbers of the TCP line of /proc/net/sockstat."""
        with self.inside(), open("/proc/thread-self/net/sockstat", encoding="ascii") as lines:
            fields = next(line for line in lines if line.startswith("TCP:")).split()[1:]
        return dict(zip(fields[::2], map(int, fields[1::2])))

    def await_quiet(self, seconds):
        """Until no TCP socket is left, but for TIME_WAIT."""
        end = time.monotonic() + seconds
        while left := [state for state in self.tcp_states() if state != TIME_WAIT]:
            expect(time.monotonic() < end, f"sockets are left in states {left}")
            time.sleep(0.02)


class Path:
    """The path. `middle(packet, to_server)` sees every TCP packet and returns those that go on."""

    def __init__(self, middle=None):
        with open("/proc/thread-self/ns/net", "rb") as home:
            self.client, self.server = Host(1), Host(2)
            os.setns(home.fileno(), os.CLONE_NEWNET)
        self.middle = middle or (lambda packet, to_server: [packet])
        self.problem = None
        self.over = False
        self.thread = threading.Thread(target=self.carry, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join()
        for host in (self.client, self.server):
            os.close(host.fd)
            os.close(host.namespace)

    def send(self, packet, to_server):
        """A packet that goes on, or comes out of nowhere."""
        try:
            os.write((self.server if to_server else self.client).fd, packet.build())
        except BlockingIOError:
            pass

    def carry(self):
        ends = {self.client.fd: True, self.server.fd: False}
        try:
            while not self.over:
                for fd in select.select(list(ends), [], [], 0.1)[0]:
                    self.forward(fd, ends[fd])
        except Exception as e:  # pylint: disable=broad-except
            self.problem = e
            raise

    def forward(self, fd, to_server):
        try:
            raw = os.read(fd, 65536)
        except BlockingIOError:
            return
        if packet := Packet.parse(raw):
            for out in self.middle(packet, to_server):
                self.send(out, to_server)
