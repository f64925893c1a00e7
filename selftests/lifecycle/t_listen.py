# SPDX-License-Identifier: GPL-2.0
"""listen() and accept()."""

import os
import select
import signal
import socket

import mptcp
from tap import equal, expect
from world import (in_thread, outcome, own_network, poll_mask, reset, take, take_all, test, timed,
                   timeout_option, wait_mask)


@test("listen() without bind() takes a port; listen() again is allowed")
def unbound(w):
    server = mptcp.stream(w.family, w.server_protocol)
    server.listen(1)
    host, port = server.getsockname()[:2]
    expect(port > 0, "no port")
    client = w.client()
    client.connect((w.host, port))
    return [host, outcome(server.listen, 8),
            server.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN),
            len(server.accept())]


@test("accept() without a connection: non-blocking, with a timeout, not listening")
def nothing(w):
    server = w.server()
    plain = w.client()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_option(0.2))
    result, seconds = timed(server.accept)
    expect(0.19 < seconds < 3, f"took {seconds} s")
    server.setblocking(False)
    return [result, outcome(server.accept), outcome(plain.accept)]


@test("accept() waits, and wakes when a connection comes")
def wakes(w):
    server = w.server()
    waiting = in_thread(server.accept)
    client = w.client()
    client.connect(w.address(server))
    accepted = waiting()[0]
    accepted.send(b"hello")
    return client.recv(9)


@test("many connections wait in the queue and are accepted in order")
def queue(w):
    server = w.server(backlog=100)
    clients = []
    for n in range(60):
        clients.append(w.client())
        clients[-1].connect(w.address(server))
        clients[-1].send(b"%04d" % n)
    heard = []
    for _ in clients:
        accepted = server.accept()[0]
        w.keep.append(accepted)
        heard.append(take(accepted, 4))
    equal(heard, [b"%04d" % n for n in range(60)])
    server.setblocking(False)
    return outcome(server.accept)


@test("a full queue: later clients wait, all are served in the end", seconds=120)
def full_queue(w):
    # Not by SYN cookies: of a byte that is sent before the connection is known, a cookie may make the end of
    # the SYN, with TCP at both ends too.
    own_network(tcp_syncookies=0)
    server = w.server(backlog=2)
    results = [in_thread(lambda c: (c.connect(w.address(server)), c.send(b"x"), c.recv(1))[2],
                         w.client()) for _ in range(12)]
    served = 0
    server.settimeout(10)
    while served < len(results):
        accepted = server.accept()[0]
        w.keep.append(accepted)
        equal(accepted.recv(1), b"x")
        accepted.send(b"y")
        served += 1
    equal([result() for result in results], [b"y"] * len(results))


@test("poll() of a listener: nothing, a connection, nothing again")
def listener_poll(w):
    server = w.server()
    before = poll_mask(server)
    client = w.client()
    client.connect(w.address(server))
    pending = wait_mask(server, "IN")
    accepted = server.accept()[0]
    w.keep.append(accepted)
    return [before, pending, poll_mask(server)]


@test("epoll of a listener, edge-triggered: once for each connection")
def listener_edge(w):
    server = w.server()
    edge = select.epoll()
    edge.register(server, select.EPOLLIN | select.EPOLLET)
    counts = []
    for _ in range(3):
        client = w.client()
        client.connect(w.address(server))
        counts.append(len(edge.poll(5)))
        counts.append(len(edge.poll(0.05)))
    return counts


@test("a client that sent and closed before accept() is not lost")
def gone_before(w):
    server = w.server()
    client = w.client()
    client.connect(w.address(server))
    client.sendall(b"last words")
    client.close()
    accepted = server.accept()[0]
    return [take_all(accepted), outcome(accepted.recv, 1)]


@test("a client that reset its connection before accept()")
def reset_before(w):
    server = w.server()
    client = w.client()
    client.connect(w.address(server))
    wait_mask(server, "IN")
    reset(client)
    accepted = server.accept()[0]
    wait_mask(accepted, "HUP")
    return [outcome(accepted.recv, 1), outcome(accepted.recv, 1)]


@test("closing a listener resets who was not accepted, and spares who was")
def close_listener(w):
    server = w.server()
    client, accepted = w.pair(server=server)
    waiting = w.client()
    waiting.connect(w.address(server))
    late = w.address(server)
    server.close()
    wait_mask(waiting, "HUP")
    client.send(b"still here")
    return [outcome(waiting.recv, 1), outcome(w.client().connect, late), accepted.recv(20)]


@test("shutdown() of a listener wakes accept(); it can listen again")
def shutdown_listener(w):
    server = w.server()
    waiting = in_thread(server.accept)
    # accept() has to be waiting before it can be woken.
    poll_mask(server, 200)
    down = outcome(server.shutdown, socket.SHUT_RDWR)
    woken = waiting()
    mask = poll_mask(server)
    again = outcome(server.listen, 5)
    client = w.client()
    connected = outcome(client.connect, w.address(server)) if again is None else None
    return [down, woken, mask, again, connected]


@test("what a listener was set to, its connections have")
def inherit(w):
    options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
               (socket.SOL_SOCKET, socket.SO_RCVBUF, 70000),
               (socket.SOL_SOCKET, socket.SO_SNDBUF, 90000),
               (socket.SOL_SOCKET, socket.SO_PRIORITY, 5),
               (socket.SOL_SOCKET, socket.SO_MARK, 77),
               (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
    server = mptcp.stream(w.family, w.server_protocol)
    for level, option, value in options:
        server.setsockopt(level, option, value)
    server.bind((w.host, 0))
    server.listen()
    _, accepted = w.pair(server=server)
    return [accepted.getsockopt(level, option) for level, option, _ in options]


@test("two processes accept from one listener")
def shared_listener(w):
    server = w.server(backlog=64)
    count = 20
    read_end, write_end = os.pipe()
    servers = []
    for _ in range(2):
        servers.append(os.fork())
        if servers[-1] == 0:
            while True:
                accepted = server.accept()[0]
                accepted.send(accepted.recv(1))
                accepted.close()
                os.write(write_end, b".")
    for _ in range(count):
        client = w.client()
        client.connect(w.address(server))
        client.send(b"e")
        equal(client.recv(1), b"e")
        equal(client.recv(1), b"")
    done = b""
    while len(done) < count:
        done += os.read(read_end, count)
    for pid in servers:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
