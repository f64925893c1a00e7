# SPDX-License-Identifier: GPL-2.0
"""shutdown() in each direction."""

import socket
import time

from tap import equal, expect
from world import (in_thread, outcome, pattern, poll_mask, raw, take, take_all, test, wait_mask)

RD, WR, RDWR = socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR
NOSIGNAL, DONTWAIT = socket.MSG_NOSIGNAL, socket.MSG_DONTWAIT


@test("shutdown(WR): the peer reads to the end, and can answer")
def write_side(w):
    client, accepted = w.pair()
    client.sendall(b"question")
    results = [outcome(client.shutdown, WR), take_all(accepted), outcome(client.send, b"x", NOSIGNAL)]
    accepted.sendall(b"answer")
    results.append(take(client, 6))
    accepted.close()
    return results + [client.recv(1)]


@test("half close: a megabyte up, then a megabyte down")
def half_close(w):
    client, accepted = w.pair()
    data = pattern(1 << 20)
    sending = in_thread(client.sendall, data)
    got = in_thread(take_all, accepted)
    sending()
    client.shutdown(WR)
    equal(got(), outcome(lambda: data))
    answer = pattern(1 << 20, 5)

    def reply():
        accepted.sendall(answer)
        accepted.close()

    in_thread(reply)
    expect(take_all(client) == answer, "another answer")


@test("both ends send, both shut down, both read to the end")
def both_close(w):
    client, accepted = w.pair()

    def talk(sock, seed):
        sock.sendall(pattern(2 << 20, seed))
        sock.shutdown(WR)

    waits = [in_thread(talk, client, 1), in_thread(talk, accepted, 2)]
    reading = in_thread(take_all, client)
    expect(take_all(accepted) == pattern(2 << 20, 1), "client to server: other data")
    equal(reading(), outcome(lambda: pattern(2 << 20, 2)))
    return [wait() for wait in waits] + [poll_mask(client), outcome(client.recv, 1)]


@test("both ends shut down at the same moment")
def simultaneous(w):
    for _ in range(20):
        client, accepted = w.pair()
        waits = [in_thread(sock.shutdown, WR) for sock in (client, accepted)]
        equal([wait() for wait in waits], [None, None])
        equal([client.recv(1), accepted.recv(1)], [b"", b""])
        wait_mask(client, "HUP")
        wait_mask(accepted, "HUP")


@test("shutdown(RD): reads end at once, the peer may go on sending")
def read_side(w):
    client, accepted = w.pair()
    results = [outcome(client.shutdown, RD), outcome(client.recv, 9)]
    results.append(outcome(accepted.send, b"into the void"))
    time.sleep(0.1)
    results.append(outcome(client.send, b"still talking"))
    return results + [take(accepted, 13)]


@test("shutdown(RD) with data unread: it can still be read")
def read_side_unread(w):
    client, accepted = w.pair()
    accepted.send(b"before")
    wait_mask(client, "IN")
    client.shutdown(RD)
    return [outcome(client.recv, 9), outcome(client.recv, 9), poll_mask(client)]


@test("shutdown(RD) wakes who is reading")
def read_side_wakes(w):
    results = []
    for how in (RD, RDWR):
        client, _ = w.pair()
        waiting = in_thread(client.recv, 1)
        time.sleep(0.1)
        client.shutdown(how)
        results.append(waiting())
    return results


@test("shutdown(RDWR): the peer sees the end, and its answer goes nowhere")
def both_sides(w):
    client, accepted = w.pair()
    client.send(b"bye")
    results = [outcome(client.shutdown, RDWR), take_all(accepted), outcome(client.recv, 1),
               outcome(client.send, b"x", NOSIGNAL), outcome(client.getpeername)[0]]
    results.append(outcome(accepted.send, b"hello?"))
    return results


@test("shutdown() twice, after the end, and with a wrong argument")
def repeated(w):
    client, accepted = w.pair()
    results = [outcome(client.shutdown, WR), outcome(client.shutdown, WR),
               raw("shutdown", client.fileno(), 3), raw("shutdown", client.fileno(), -1)]
    accepted.close()
    equal(client.recv(1), b"")
    wait_mask(client, "HUP")
    return results + [outcome(client.shutdown, RD), outcome(client.shutdown, WR),
                      outcome(client.shutdown, RDWR)]


@test("shutdown(WR) with a full buffer: everything arrives, then the end")
def queued(w):
    client, accepted = w.pair()
    client.setblocking(False)
    total = 0
    while not isinstance(sent := outcome(client.send, pattern(65536)), str):
        total += sent
    client.shutdown(WR)
    time.sleep(0.1)
    equal(len(take_all(accepted)), total)
    accepted.send(b"got it")
    client.setblocking(True)
    return client.recv(9)


@test("the end wakes who is reading, and stays")
def end_stays(w):
    client, accepted = w.pair()
    waiting = in_thread(client.recv, 1)
    time.sleep(0.1)
    accepted.shutdown(WR)
    return [waiting(), client.recv(1), outcome(client.recv, 1, DONTWAIT), outcome(client.send, b"ok"),
            take(accepted, 2)]
