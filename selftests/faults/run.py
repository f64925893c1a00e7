#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Memory runs out: what becomes of connections, and of who uses them.

    run.py [WORD...]    only the tests whose name has one of the words

Needs a kernel with fault injection, and the module loaded.
"""

import contextlib
import errno
import hashlib
import os
import select
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
TESTS_OF = os.path.dirname(HERE)
sys.path[:0] = [HERE, os.path.join(TESTS_OF, "pm"), os.path.join(TESTS_OF, "lib")]
sys.dont_write_bytecode = True

import genl  # noqa: E402
import inject  # noqa: E402
import mptcp  # noqa: E402
import tap  # noqa: E402
import world  # noqa: E402
import xfer  # noqa: E402
from tap import equal, expect  # noqa: E402

PORT = 5000
PATIENCE = 30
SIZE = 150_000
# What a call may say that has met a failed allocation.
SHORT = {errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.ENFILE, errno.EADDRINUSE, errno.EADDRNOTAVAIL}
TESTS = []


def test(name, seconds):
    """Registers a test, and how long it may take."""

    def register(function):
        TESTS.append((name, function, seconds))
        return function

    return register


def stream(family=socket.AF_INET):
    sock = mptcp.stream(family, mptcp.IPPROTO_MPTCP)
    xfer.limit_waits(sock, PATIENCE)
    return sock


def listen(family=socket.AF_INET, port=PORT):
    sock = stream(family)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("", port))
    sock.listen(32)
    return sock


def pattern(seed, size):
    """Data that tells where it is and whose."""
    return hashlib.shake_128(seed.to_bytes(4, "big")).digest(size)


def answers(sock, seed, told):
    """One end: sends its data and compares the other's with what it should be."""
    mine, theirs = pattern(seed, SIZE), pattern(seed ^ 1, SIZE)
    at = 0

    def send():
        try:
            sock.sendall(mine)
            sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            told.append(("send", e.errno))

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        while piece := sock.recv(1 << 16):
            if piece != theirs[at:at + len(piece)]:
                told.append(("wrong", at))
            at += len(piece)
    except OSError as e:
        # Where TCP itself has no memory for a FIN, it never sends one: plain TCP waits for it in vain, too.
        plain = e.errno == errno.EAGAIN and at == SIZE and not mptcp.is_mptcp(sock)
        told.append(("no FIN", 0) if plain else ("recv", e.errno))
    sender.join()
    told.append(("got", at))
    sock.close()


class Hosts:
    """Two hosts with two links; the server announces its second address."""

    def __init__(self, checksum):
        self.client, self.server = world.hosts(2)
        for host in (self.client, self.server):
            host.ip("mptcp", "limits", "set", "subflows", "4", "add_addr_accepted", "4")
            host.sysctl("checksum_enabled", int(checksum))
        self.server.ip("mptcp", "endpoint", "add", "10.0.2.2", "dev", "eth2", "signal")
        self.client.ip("mptcp", "endpoint", "add", "10.0.2.1", "dev", "eth2", "subflow")
        with self.server:
            self.listener = listen()

    def close(self):
        self.listener.close()
        for host in (self.client, self.server):
            host.close()

    def tell(self):
        """What there is and what has been counted, for who wants to know why."""
        for name, host in (("client", self.client), ("server", self.server)):
            with host:
                counted = {key: value for key, value in mptcp.counters().items() if value}
                print(f"# {name}: {counted}")
                for kind in ("-HMani", "-Htani"):
                    listed = subprocess.run(["ss", kind], capture_output=True, text=True).stdout
                    print("".join(f"# {line}\n" for line in listed.splitlines()), end="", flush=True)

    def joins(self):
        return self.server.counters("MPJoinAckRx")[0]


class End(list):
    """What one end of a connection tells: pairs of what, and how many or which error."""

    def __init__(self, side, seed=None):
        super().__init__()
        self.side, self.seed = side, seed

    def __repr__(self):
        words = [f"{what} {errno.errorcode.get(how, how)}" for what, how in self]
        return f"{self.side} {self.seed}: {', '.join(words)}"


def wave(hosts, number, count):
    """So many connections at once, both ways; returns what each end tells."""
    told, threads = [], []

    def serve():
        end = time.monotonic() + PATIENCE
        while not done.is_set() and time.monotonic() < end:
            if not select.select([hosts.listener], [], [], 0.2)[0]:
                continue
            try:
                sock = hosts.listener.accept()[0]
            except OSError as e:
                expect(e.errno in SHORT, f"accept: {e}")
                continue
            xfer.limit_waits(sock, PATIENCE)
            # The client says which one it is.
            threads.append(start(first_then_serve, sock))

    def first_then_serve(sock):
        ours = End("server")
        told.append(ours)
        try:
            seed = int.from_bytes(exactly(sock, 4), "big")
        except OSError as e:
            ours.append(("recv", e.errno))
            sock.close()
            return
        ours.seed = seed
        answers(sock, seed ^ 1, ours)

    def connect(seed):
        ours = End("client", seed)
        told.append(ours)
        with hosts.lock, hosts.client:
            try:
                sock = stream()
            except OSError as e:
                return ours.append(("socket", e.errno))
        try:
            sock.connect(("10.0.1.2", PORT))
            sock.sendall(seed.to_bytes(4, "big"))
        except OSError as e:
            sock.close()
            return ours.append(("connect", e.errno))
        return answers(sock, seed, ours)

    def start(function, *args):
        thread = threading.Thread(target=function, args=args, daemon=True)
        thread.start()
        return thread

    hosts.lock = threading.Lock()
    done = threading.Event()
    server = start(serve)
    clients = [start(connect, 2 * (100 * number + n)) for n in range(count)]
    for thread in clients:
        thread.join()
    done.set()
    server.join()
    for thread in threads:
        thread.join()
    return told


def exactly(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise ConnectionResetError(errno.ECONNRESET, "the end, too early")
        data += piece
    return data


def judge(told):
    """Nothing is wrong, nobody has waited for ever, and an end without a word means that all is there."""
    expect(not any(what == "wrong" for ours in told for what, _ in ours), f"wrong data: {told}")
    late = {ours.seed for ours in told if any(what != "got" and how == errno.EAGAIN for what, how in ours)}
    expect(not late, f"waited for ever: {[ours for ours in told if ours.seed in late]}")
    for ours in told:
        if ours != [("got", SIZE)]:
            print(f"# {ours}", flush=True)
        whole = ("got", SIZE) in ours
        expect(whole or any(what != "got" for what, _ in ours), f"an end too early: {ours}")
    return sum(ours == [("got", SIZE)] for ours in told)


def softirqs(percent, times, checksum):
    hosts = Hosts(checksum)
    waves = whole = ends = 0
    with inject.at_random(percent, times):
        end = time.monotonic() + 90
        while waves < 3 or inject.left() and time.monotonic() < end:
            told = wave(hosts, waves, 4)
            try:
                whole += judge(told)
            except tap.Failed:
                hosts.tell()
                raise
            ends += len(told)
            waves += 1
        left = inject.left()
    print(f"# {waves} waves, {whole} of {ends} ends have sent and got everything, {hosts.joins()} joins, "
          f"{times - left} failures", flush=True)
    expect(whole >= ends / 2, f"only {whole} of {ends} ends have got everything")
    # Now there is memory: everything works, joins included.
    joins = hosts.joins()
    told = wave(hosts, waves, 2)
    equal(judge(told), 4, "ends that have got everything, with memory")
    expect(hosts.joins() > joins, "nobody joins any more")
    hosts.close()


@test("1 % of allocations in softirqs fail", 400)
def softirqs_1():
    softirqs(1, 400, False)


@test("5 % of allocations in softirqs fail", 400)
def softirqs_5():
    softirqs(5, 1000, False)


@test("5 % of allocations in softirqs fail, with checksums", 400)
def softirqs_checksum():
    softirqs(5, 1000, True)


def refused(function, *args):
    """Calls it. True if it works, false if memory was short."""
    try:
        function(*args)
    except OSError as e:
        expect(e.errno in SHORT, f"{function.__name__}: {e}")
        return False
    return True


@test("each allocation of socket(), bind(), listen() and close() fails once", 200)
def opening():
    world.new_namespace()
    world.up()

    def once(family):
        def operation(nth):
            with nth:
                try:
                    sock = socket.socket(family, socket.SOCK_STREAM, mptcp.IPPROTO_MPTCP)
                except OSError as e:
                    expect(e.errno in SHORT, f"socket: {e}")
                    return
                with sock:
                    refused(sock.bind, ("", 0)) and refused(sock.listen, 8)
                    refused(sock.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    refused(sock.setsockopt, socket.SOL_SOCKET, socket.SO_SNDBUF, 100000)
        return operation

    for family in (socket.AF_INET, socket.AF_INET6):
        print(f"# {inject.every(once(family))} allocations", flush=True)


def drain(listener):
    """Takes connections that nobody has taken."""
    while select.select([listener], [], [], 0)[0]:
        listener.accept()[0].close()


@test("each allocation of connect(), send(), recv() and close() fails once", 400)
def using():
    world.new_namespace()
    world.up()
    listener = listen()
    data = pattern(7, 100_000)

    def operation(nth):
        drain(listener)
        client = stream()
        with nth:
            connected = refused(client.connect, ("127.0.0.1", PORT))
            sent = 0
            while connected and sent < len(data):
                try:
                    sent += client.send(data[sent:])
                except OSError as e:
                    expect(e.errno in SHORT, f"send: {e}")
                    break
            client.close()
        if not connected:
            return
        served = listener.accept()[0]
        xfer.limit_waits(served, PATIENCE)
        got = b""
        while piece := served.recv(1 << 17):
            got += piece
        expect(got == data[:sent], f"{sent} bytes were sent, {len(got)} have come")
        served.close()

    print(f"# {inject.every(operation)} allocations", flush=True)
    listener.close()


@test("each allocation of accept(), send() and recv() fails once", 400)
def serving():
    world.new_namespace()
    world.up()
    listener = listen()
    data = pattern(8, 50_000)

    def operation(nth):
        drain(listener)
        client = stream()
        client.connect(("127.0.0.1", PORT))
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        got, served, sent = b"", None, 0
        with nth:
            with contextlib.suppress(OSError):
                served = listener.accept()[0]
            try:
                while served and (piece := served.recv(1 << 16)):
                    got += piece
                sent = served.send(data) if served else 0
            except OSError as e:
                expect(e.errno in SHORT, f"{e}")
            if served:
                served.close()
        if served and len(got) == len(data):
            equal(got == data, True, "the same data")
            answer = b""
            while piece := client.recv(1 << 16):
                answer += piece
            equal(answer == data[:sent], True, "the answer")
        client.close()

    print(f"# {inject.every(operation)} allocations", flush=True)
    listener.close()


@test("each allocation of endpoint commands fails once, beside a connection", 400)
def endpoints():
    world.new_namespace()
    world.up()
    subprocess.run(["ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8"], check=True)
    pair = world.Pair()
    commands = [
        (genl.ADD_ADDR, genl.address("127.0.0.2", id=5, flags=genl.SUBFLOW)),
        (genl.ADD_ADDR, genl.address("127.0.0.3", id=6, flags=genl.SIGNAL)),
        (genl.ADD_ADDR, genl.address("127.0.0.4", id=7, flags=genl.SIGNAL, port=5099)),
        (genl.SET_FLAGS, genl.address("127.0.0.2", id=5, flags=genl.BACKUP)),
        (genl.GET_ADDR, genl.address(id=5)),
        (genl.DEL_ADDR, genl.address(id=5)),
        (genl.FLUSH,),
    ]
    with genl.Genl() as nl:
        def operation(nth):
            nl.sock.settimeout(0.5)
            try:
                with nth:
                    for cmd, *attrs in commands:
                        with contextlib.suppress(genl.Refused):
                            nl.ask(cmd, *attrs)
            except TimeoutError:
                # The answer could not be made.
                pass
            except OSError as e:
                expect(e.errno in SHORT, f"netlink: {e}")
            nl.refused(genl.FLUSH)

        print(f"# {inject.every(operation, 400)} allocations", flush=True)
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
        one.sendall(b"still here")
        equal(other.recv(100), b"still here", "received")
    pair.close()


@test("the module can be unloaded: no socket is left", 200)
def unloaded():
    end = time.monotonic() + 180
    while (done := subprocess.run(["rmmod", "mptcp"], capture_output=True, text=True)).returncode:
        if time.monotonic() > end:
            left = subprocess.run(["ss", "-Han"], capture_output=True, text=True).stdout
            raise tap.Failed(f"{done.stderr.strip()}; sockets:\n{left}")
        time.sleep(0.2)


def main():
    words = sys.argv[1:]
    report = tap.Report()
    for name, function, seconds in TESTS:
        if not words or any(word in name for word in words):
            problem = tap.call(function, seconds).problem
            inject.off()
            report.tell(name, problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
