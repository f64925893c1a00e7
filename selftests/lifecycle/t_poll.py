# SPDX-License-Identifier: GPL-2.0
"""poll(), select() and epoll: what they say in each state, and when they wake."""

import fcntl
import os
import select
import signal
import socket
import time

from tap import equal, expect
from world import (in_thread, outcome, poll_mask, reset, so_error, take, take_all, test, wait_mask)

BITS = {
    "IN": select.EPOLLIN, "OUT": select.EPOLLOUT, "ERR": select.EPOLLERR, "HUP": select.EPOLLHUP,
    "RDHUP": select.EPOLLRDHUP,
}


def names(events):
    """The events of one socket, as a list of names."""
    mask = events[0][1] if events else 0
    return [name for name, bit in BITS.items() if mask & bit]


def watch(sock, *events, edge=True, once=False):
    """An epoll of one socket."""
    watcher = select.epoll()
    mask = sum(BITS[event] for event in events)
    watcher.register(sock, mask | edge * select.EPOLLET | once * select.EPOLLONESHOT)
    return watcher


@test("poll() in the states of a connection that ends in order")
def orderly(w):
    fresh = w.client()
    client, accepted = w.pair()
    states = [poll_mask(fresh), poll_mask(client), poll_mask(accepted)]
    client.send(b"x")
    states.append(wait_mask(accepted, "IN"))
    accepted.recv(1)
    states.append(poll_mask(accepted))
    client.shutdown(socket.SHUT_WR)
    states.append(wait_mask(accepted, "RDHUP"))
    states.append(poll_mask(client))
    accepted.recv(1)
    states.append(poll_mask(accepted))
    accepted.shutdown(socket.SHUT_WR)
    states.append(wait_mask(accepted, "HUP"))
    states.append(wait_mask(client, "HUP"))
    return states


@test("poll() after a reset, with and without data unread")
def after_reset(w):
    states = []
    for data in (b"", b"unread"):
        client, accepted = w.pair()
        if data:
            accepted.send(data)
            wait_mask(client, "IN")
        reset(accepted)
        states.append(wait_mask(client, "HUP"))
        states.append(so_error(client))
        states.append(poll_mask(client))
        states.append(outcome(client.recv, 9))
    return states


@test("poll() after shutdown(RD) and shutdown(RDWR) of one's own")
def after_shutdown(w):
    states = []
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        client, accepted = w.pair()
        client.shutdown(how)
        states.append(poll_mask(client))
        states.append(wait_mask(accepted, "IN") if how != socket.SHUT_RD else poll_mask(accepted))
    return states


@test("poll() that waits is woken by data, the end, a reset, room")
def woken(w):
    results = []
    for event in ("data", "end", "reset", "shutdown"):
        client, accepted = w.pair()
        waiting = in_thread(poll_mask, client, 5000, ("IN", "RDHUP"))
        time.sleep(0.05)
        if event == "data":
            accepted.send(b"x")
        elif event == "end":
            accepted.shutdown(socket.SHUT_WR)
        elif event == "reset":
            reset(accepted)
        else:
            client.shutdown(socket.SHUT_RD)
        results.append([event, bool(waiting())])
    client, accepted = w.pair()
    client.setblocking(False)
    total = 0
    while not isinstance(sent := outcome(client.send, b"x" * 65536), str):
        total += sent
    waiting = in_thread(poll_mask, client, 8000, ("OUT",))
    take(accepted, total)
    return results + [["room", waiting()]]


@test("select(): readable, writable")
def selecting(w):
    client, accepted = w.pair()
    first = [len(part) for part in select.select([client], [client], [client], 0)]
    accepted.send(b"x")
    second = [len(part) for part in select.select([client], [], [client], 5)]
    return [first, second]


@test("epoll, level-triggered: as long as there is data")
def level(w):
    client, accepted = w.pair()
    watcher = watch(accepted, "IN", edge=False)
    results = [names(watcher.poll(0))]
    client.send(b"abc")
    results.append(names(watcher.poll(5)))
    accepted.recv(1)
    results.append(names(watcher.poll(0)))
    accepted.recv(9)
    return results + [names(watcher.poll(0))]


@test("epoll, edge-triggered: once for each arrival")
def edge(w):
    client, accepted = w.pair()
    watcher = watch(accepted, "IN", "RDHUP")
    results = [names(watcher.poll(0))]
    for _ in range(2):
        client.send(b"abc")
        results.append(names(watcher.poll(5)))
        results.append(names(watcher.poll(0.1)))
    accepted.recv(9)
    results.append(names(watcher.poll(0.1)))
    client.shutdown(socket.SHUT_WR)
    results.append(names(watcher.poll(5)))
    return results + [names(watcher.poll(0.1))]


@test("epoll, edge-triggered: room, after the buffer was full", compare=False,
      modes=("mptcp", "mptcp6", "to tcp"))
def edge_room(w):
    client, accepted = w.pair()
    client.setblocking(False)
    watcher = watch(client, "OUT")
    equal([names(watcher.poll(5)), names(watcher.poll(0.05))], [["OUT"], []])
    for _ in range(2):
        total = 0
        # What is acknowledged after the last send() makes room, too: it is full when nothing is told.
        while True:
            while not isinstance(sent := outcome(client.send, b"x" * 65536), str):
                total += sent
            if not watcher.poll(0.05):
                break
        reading = in_thread(take, accepted, total)
        if total:
            equal(names(watcher.poll(8)), ["OUT"])
        reading()


@test("epoll, edge-triggered: a reset and a connect()")
def edge_reset(w):
    client, accepted = w.pair()
    watcher = watch(client, "IN", "OUT", "RDHUP")
    watcher.poll(0)
    reset(accepted)
    results = [names(watcher.poll(5))]
    server = w.server()
    late = w.client()
    late.setblocking(False)
    watcher = watch(late, "OUT", "IN")
    fresh = names(watcher.poll(0))
    outcome(late.connect, w.address(server))
    return results + [fresh, names(watcher.poll(5))]


@test("epoll, one shot")
def oneshot(w):
    client, accepted = w.pair()
    watcher = watch(accepted, "IN", edge=False, once=True)
    client.send(b"a")
    results = [names(watcher.poll(5)), names(watcher.poll(0.05))]
    watcher.modify(accepted, select.EPOLLIN | select.EPOLLONESHOT)
    return results + [names(watcher.poll(5))]


@test("epoll of many: an echo of many messages, edge-triggered", seconds=40)
def echo(w):
    count, rounds = 20, 25
    server = w.server(backlog=64)
    watcher = select.epoll()
    ends = {}
    clients = []
    for _ in range(count):
        client, accepted = w.pair(server=server)
        accepted.setblocking(False)
        watcher.register(accepted, select.EPOLLIN | select.EPOLLET)
        ends[accepted.fileno()] = accepted
        clients.append(client)

    def chatter():
        for n in range(rounds):
            for client in clients:
                client.sendall(bytes([n]) * 500)
            for client in clients:
                expect(take(client, 500) == bytes([n]) * 500, f"round {n}: another answer")

    talking = in_thread(chatter)
    handled = 0
    while handled < count * rounds * 500:
        events = watcher.poll(5)
        expect(events, f"no event after {handled} bytes")
        for fd, _ in events:
            while not isinstance(data := outcome(lambda s: [s.recv(4096)], ends[fd]), str):
                ends[fd].sendall(data[0])
                handled += len(data[0])
    equal(talking(), None)


@test("SIGIO when data comes")
def sigio(w):
    client, accepted = w.pair()
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    fcntl.fcntl(accepted, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(accepted, fcntl.F_SETFL, fcntl.fcntl(accepted, fcntl.F_GETFL) | os.O_ASYNC)
    quiet = signal.sigtimedwait([signal.SIGIO], 0)
    client.send(b"x")
    data = signal.sigtimedwait([signal.SIGIO], 5)
    while signal.sigtimedwait([signal.SIGIO], 0.05):
        pass
    client.close()
    end = signal.sigtimedwait([signal.SIGIO], 5)
    return [bool(quiet), bool(data), bool(end), take_all(accepted)]
