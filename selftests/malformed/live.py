# SPDX-License-Identifier: GPL-2.0
"""Connections over a path: two ends that talk as long as they are asked to, and what they tell of it."""

import collections
import contextlib
import errno
import os
import random
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field

import mptcp
from path import SERVER, Path
from tap import equal, expect
from wire import REAL_PORTS

PORT = 5000
SLOW = 6 if os.environ.get("KERNEL") == "debug" else 1
# How long an end waits for anything.
PATIENCE = 15 * SLOW
# After so long a connection without a subflow is over.
CLOSE_TIMEOUT = 5 * SLOW
PIECE = 3000
LIMIT = 20_000_000

# Counters that say that something fell back, or was reset.
ALARMS = {"MPCapableFallbackACK", "MPCapableFallbackSYNACK", "MPCapableDataFallback", "DssFallback", "DSSNotMatching",
          "DSSNoMatchTCP", "DSSCorruptionFallback", "DSSCorruptionReset", "DataCsumErr", "FallbackFailed", "MPFailTx",
          "MPFailRx", "MPRstTx", "MPRstRx", "InfiniteMapTx", "InfiniteMapRx", "MPFastcloseTx", "MPFastcloseRx"}


@dataclass
class Told:
    """What one end tells."""

    error: str | None = None
    # The connection broke as a connection may break, rather than stand still.
    reset: bool = False
    sent: bytearray = field(default_factory=bytearray)
    received: bytearray = field(default_factory=bytearray)
    mptcp: bool = False
    counters: dict = field(default_factory=dict)

    def failed(self, where, problem):
        if self.error is None:
            self.error = f"{where}: {type(problem).__name__}: {problem}"
            # The kernel's time-out, which has a number, ends a connection that has no subflow left.
            # ENOTCONN is what shutdown() says after a reset.
            self.reset = problem.errno in (errno.ECONNRESET, errno.EPIPE, errno.EPROTO, errno.ETIMEDOUT,
                                           errno.ENOTCONN)


def send(sock, told, seed, enough, least):
    rng, plain = random.Random(seed), False
    try:
        while len(told.sent) < least or not enough():
            if len(told.sent) > LIMIT:
                raise TimeoutError(f"not enough after {LIMIT} bytes")
            # What is waited for is about MPTCP. After a reset, sending tells of that.
            if plain:
                raise TimeoutError("what is waited for cannot come: the connection is plain TCP")
            piece = rng.randbytes(rng.randrange(1, PIECE))
            told.sent += piece
            sock.sendall(piece)
            if len(told.sent) >= least:
                # Who only keeps the connection alive must not fill the path's queues, nor take the time of others.
                time.sleep(0.01 * SLOW)
                plain = not mptcp.is_mptcp(sock)
        sock.shutdown(socket.SHUT_WR)
    except OSError as e:
        told.failed("send", e)


def talk(sock, told, seed, enough, least):
    """Sends at least so much, and until it is enough; receives at the same time, to the end."""
    sock.settimeout(PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sender = threading.Thread(target=send, args=(sock, told, seed, enough, least), daemon=True)
    sender.start()
    try:
        while piece := sock.recv(1 << 16):
            told.received += piece
    except OSError as e:
        told.failed("receive", e)
        with contextlib.suppress(OSError):
            told.mptcp = mptcp.is_mptcp(sock)
        # Whoever cannot receive any more does not go on sending.
        if not told.reset:
            sock.close()
    sender.join(3 * PATIENCE)
    if sender.is_alive():
        told.failed("send", TimeoutError("stuck"))
    with contextlib.suppress(OSError):
        told.mptcp = mptcp.is_mptcp(sock)
    sock.close()


class End(threading.Thread):
    """A thread in the namespace of a host, for good."""

    def __init__(self, host, work):
        super().__init__(daemon=True)
        self.host, self.work, self.told = host, work, Told()
        self.start()

    def run(self):
        os.setns(self.host.namespace, os.CLONE_NEWNET)
        before = mptcp.counters()
        try:
            self.work(self.told)
        except OSError as e:
            self.told.failed("open", e)
        self.told.counters = mptcp.changed(before, mptcp.counters())


def connection(path, version, enough=lambda: True, least=60_000, listener=None):
    """One connection from its beginning to its end; what client and server tell of it."""
    family = mptcp.FAMILIES[version]
    ready = threading.Event()

    def serve(told):
        if listener:
            ready.set()
            talk(listener(), told, 2, enough, least)
            return
        with mptcp.stream(family, mptcp.IPPROTO_MPTCP) as own:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            own.bind(("", PORT))
            own.listen(5)
            own.settimeout(PATIENCE)
            ready.set()
            sock = own.accept()[0]
        talk(sock, told, 2, enough, least)

    def connect(told):
        ready.wait()
        with mptcp.stream(family, mptcp.IPPROTO_MPTCP) as sock:
            sock.settimeout(PATIENCE)
            sock.connect((SERVER[version], PORT))
            talk(sock, told, 1, enough, least)

    ends = [End(path.client, connect), End(path.server, serve)]
    limit = time.monotonic() + 8 * PATIENCE
    while any(end.is_alive() for end in ends) and time.monotonic() < limit and not path.problem:
        ends[time.monotonic() % 2 < 1].join(0.2)
    expect(not path.problem, f"the path: {path.problem!r}")
    expect(not any(end.is_alive() for end in ends), f"hangs\n{story(*(end.told for end in ends))}")
    return ends[0].told, ends[1].told


class Reception:
    """A server whose listener is knocked at by others than the one client: they are let in, and shown out."""

    def __init__(self, version, world):
        self.client, self.arrived = None, threading.Event()
        self.guests, self.over = 0, False
        with world.server.inside():
            self.listener = mptcp.stream(mptcp.FAMILIES[version], mptcp.IPPROTO_MPTCP)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind(("", PORT))
        # Room for all of them, should nobody accept for a while: who is dropped does not come again.
        self.listener.listen(2000)
        self.listener.settimeout(0.2)
        self.thread = threading.Thread(target=self.receive, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.thread.join(PATIENCE)
        self.listener.close()

    def __call__(self):
        """The client's connection."""
        if not self.arrived.wait(PATIENCE):
            raise TimeoutError("the client did not come")
        return self.client

    def receive(self):
        while not self.over:
            try:
                sock, peer = self.listener.accept()
            except TimeoutError:
                continue
            if peer[1] >= REAL_PORTS:
                self.client = sock
                self.arrived.set()
                continue
            self.guests += 1
            with sock, contextlib.suppress(OSError):
                sock.setblocking(False)
                sock.recv(10000)
                sock.send(b"welcome")


def alarms(told):
    return {name: count for name, count in told.counters.items() if name in ALARMS}


def story(client, server):
    return "\n".join(
        f"{name}: sent {len(told.sent)}, received {len(told.received)}, error {told.error}, "
        f"{'MPTCP' if told.mptcp else 'plain'}, {told.counters}" for name, told in (("client", client), ("server", server)))


def undisturbed(client, server, alone=True):
    """Both were MPTCP to the end, everything arrived, and nothing rang, unless others were there."""
    text = story(client, server)
    for name, one, other in (("client", client, server), ("server", server, client)):
        expect(not one.error, f"the {name} failed\n{text}")
        expect(other.received == one.sent, f"what the {name} sent is not what arrived\n{text}")
        expect(one.mptcp, f"the {name} fell back\n{text}")
        if alone:
            equal(alarms(one), {}, f"counters of the {name}")


def outcome(client, server, lies=False):
    """ "reset", "plain" or "mptcp"; fails if an end stood still, or took for good what is not. With `lies`, bytes
    may be wrong as they may be when somebody forges TCP segments."""
    text = story(client, server)
    for name, one, other in (("client", client, server), ("server", server, client)):
        expect(not one.error or one.reset, f"the {name} stood still\n{text}")
        if lies:
            continue
        expect(other.sent.startswith(one.received), f"the {name} has received what nobody sent\n{text}")
        # An error is told once: who learns of it in sending receives the end.
        expect(one.error or one.received == other.sent, f"the {name} took a part for the whole\n{text}")
    if client.error or server.error:
        return "reset"
    return "mptcp" if client.mptcp and server.mptcp else "plain"


class World(Path):
    """A path for the connections of one test. At the end nothing may be left of them, and a new one works."""

    def __init__(self, version, middle=None):
        super().__init__(middle)
        self.version = version
        self.count = collections.Counter()
        for host in (self.client, self.server):
            # What is left without a subflow is over soon.
            host.sysctl("net/mptcp/close_timeout", CLOSE_TIMEOUT)
            host.sysctl("net/ipv4/tcp_fin_timeout", 5)

    def limit_subflows(self, number):
        """How many further subflows either end may have, and may open to addresses that it is told."""
        for host in (self.client, self.server):
            with host.inside():
                subprocess.run(["ip", "mptcp", "limits", "set", "subflow", str(number), "add_addr_accepted",
                                str(number)], check=True)

    def talk(self, **more):
        return connection(self, self.version, **more)

    def finish(self):
        """The last connection, undisturbed; what has been counted."""
        self.middle = lambda packet, to_server: [packet]
        undisturbed(*self.talk(least=20_000))
        for host in (self.client, self.server):
            host.await_quiet(15 * SLOW)
            self.await_none(host)
        return self.count

    @staticmethod
    def await_none(host):
        """Until the namespace has no connection, by our own count and by that of the protocols."""
        end = time.monotonic() + 15 * SLOW
        while True:
            with host.inside():
                left = {"MPCurrEstab": mptcp.counters().get("MPCurrEstab", 0)}
            left["inuse"] = host.sockstat()["inuse"]
            left["orphan"] = host.sockstat()["orphan"]
            if not any(left.values()):
                return
            expect(time.monotonic() < end, f"connections are left: {left}")
            time.sleep(0.02)
