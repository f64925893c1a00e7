# SPDX-License-Identifier: GPL-2.0
"""Receiving, with each of its flags."""

import array
import fcntl
import os
import socket
import struct
import termios
import time

from tap import equal, expect
from world import (in_thread, outcome, own_network, pattern, poll_mask, segments_sent, take, take_all, test, timed,
                   timeout_option, until, wait_mask)

TRUNC, PEEK, WAITALL = socket.MSG_TRUNC, socket.MSG_PEEK, socket.MSG_WAITALL
DONTWAIT = socket.MSG_DONTWAIT
# Python does not know it.
SO_TIMESTAMP = 29


def unread(sock):
    """FIONREAD."""
    value = array.array("i", [0])
    fcntl.ioctl(sock, termios.FIONREAD, value)
    return value[0]


@test("a reader that finds nothing sends nothing")
def quiet_reader(w):
    own_network()
    client, accepted = w.pair()
    counts = []
    for reader, writer in ((client, accepted), (accepted, client)):
        writer.send(b"x")
        equal(reader.recv(1), b"x")
        time.sleep(0.4)
        before = segments_sent()
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_option(0.1))
        equal([outcome(reader.recv, 1) for _ in range(5)], ["EAGAIN"] * 5)
        counts.append(segments_sent() - before)
    return counts


@test("MSG_PEEK leaves the data where it is")
def peek(w):
    client, accepted = w.pair()
    client.sendall(b"one two three")
    wait_mask(accepted, "IN")
    return [accepted.recv(3, PEEK), accepted.recv(64, PEEK), accepted.recv(4), accepted.recv(64, PEEK),
            accepted.recv(64), outcome(accepted.recv, 1, DONTWAIT | PEEK)]


@test("MSG_PEEK over many segments")
def peek_far(w):
    client, accepted = w.pair()
    data = pattern(60000)
    for start in range(0, len(data), 1000):
        client.sendall(data[start:start + 1000])
    until(lambda: unread(accepted) == len(data), "all of it")
    equal(accepted.recv(len(data), PEEK), data)
    equal(accepted.recv(7), data[:7])
    equal(accepted.recv(len(data), PEEK), data[7:])
    equal(take(accepted, len(data) - 7), data[7:])


@test("MSG_PEEK | MSG_WAITALL waits and leaves")
def peek_waitall(w):
    client, accepted = w.pair()
    waiting = in_thread(accepted.recv, 6, PEEK | WAITALL)
    for piece in (b"ab", b"cd", b"ef"):
        client.send(piece)
        time.sleep(0.02)
    return [waiting(), accepted.recv(9)]


@test("MSG_PEEK at the end of the stream")
def peek_end(w):
    client, accepted = w.pair()
    client.send(b"x")
    client.close()
    return [accepted.recv(9, PEEK | WAITALL), accepted.recv(9), accepted.recv(9, PEEK),
            accepted.recv(9)]


@test("MSG_WAITALL waits for all of it")
def waitall(w):
    client, accepted = w.pair()
    waiting = in_thread(accepted.recv, 9000, WAITALL)
    data = pattern(9000)
    for start in range(0, 9000, 3000):
        client.sendall(data[start:start + 3000])
        time.sleep(0.02)
    return waiting()


@test("MSG_WAITALL of more than the receive buffer holds")
def waitall_large(w):
    client, accepted = w.pair()
    data = pattern(12 << 20)
    sending = in_thread(client.sendall, data)
    buffer = bytearray(len(data))
    equal(accepted.recv_into(buffer, len(data), WAITALL), len(data))
    expect(buffer == data, "other data")
    return sending()


@test("MSG_WAITALL ends early at the end of the stream")
def waitall_end(w):
    client, accepted = w.pair()
    waiting = in_thread(accepted.recv, 100, WAITALL)
    client.send(b"short")
    client.shutdown(socket.SHUT_WR)
    return [waiting(), accepted.recv(1)]


@test("MSG_WAITALL ends early with SO_RCVTIMEO")
def waitall_timeout(w):
    client, accepted = w.pair()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_option(0.3))
    client.send(b"half")
    result, seconds = timed(accepted.recv, 8, WAITALL)
    expect(0.29 < seconds < 3, f"took {seconds} s")
    return result


@test("MSG_DONTWAIT, and a non-blocking socket")
def dontwait(w):
    client, accepted = w.pair()
    results = [outcome(accepted.recv, 1, DONTWAIT)]
    accepted.setblocking(False)
    results.append(outcome(accepted.recv, 1))
    client.send(b"abc")
    wait_mask(accepted, "IN")
    return results + [accepted.recv(2), accepted.recv(2), outcome(accepted.recv, 1),
                      outcome(accepted.recv, 8, WAITALL)]


@test("MSG_TRUNC throws data away")
def trunc(w):
    client, accepted = w.pair()
    data = pattern(50000)
    client.sendall(data)
    until(lambda: unread(accepted) == len(data), "all of it")
    buffer = bytearray(b"-" * 40000)
    thrown = accepted.recv_into(buffer, 30000, TRUNC)
    expect(thrown > 0, "nothing thrown away")
    equal(bytes(buffer), b"-" * 40000, "the buffer")
    rest = take(accepted, len(data) - thrown)
    equal(rest, data[thrown:])
    client.send(b"more")
    wait_mask(accepted, "IN")
    return [thrown, accepted.recv_into(buffer, 8, TRUNC | PEEK), accepted.recv(8)]


@test("reads of no bytes")
def no_bytes(w):
    client, accepted = w.pair()
    results = [outcome(accepted.recv, 0, DONTWAIT)]
    client.send(b"abc")
    wait_mask(accepted, "IN")
    results += [accepted.recv(0), accepted.recv(0, PEEK), accepted.recv(8)]
    client.close()
    wait_mask(accepted, "IN")
    return results + [accepted.recv(0)]


@test("recvmsg() scatters, tells no address, and no flags")
def scatter(w):
    client, accepted = w.pair()
    client.sendall(b"abcdefgh")
    wait_mask(accepted, "IN")
    parts = [bytearray(2), bytearray(1), bytearray(9)]
    count, ancillary, flags, address = accepted.recvmsg_into(parts)
    return [count, [bytes(p) for p in parts], ancillary, flags, address]


@test("recvmsg() of the error queue, which is empty")
def error_queue(w):
    client, accepted = w.pair()
    client.send(b"x")
    wait_mask(accepted, "IN")
    return [outcome(accepted.recvmsg, 9, 64, socket.MSG_ERRQUEUE), accepted.recv(9)]


@test("FIONREAD counts what can be read")
def fionread(w):
    client, accepted = w.pair()
    results = [unread(accepted)]
    client.sendall(b"x" * 5000)
    until(lambda: unread(accepted) == 5000, "5000 bytes")
    accepted.recv(1234)
    results.append(unread(accepted))
    client.close()
    wait_mask(accepted, "RDHUP")
    results.append(unread(accepted))
    take_all(accepted)
    return results + [unread(accepted), outcome(unread, w.server()), outcome(unread, w.client())]


@test("SO_RCVLOWAT: poll() and recv() wait for so much", compare=False,
      modes=("mptcp", "mptcp6"))
def lowat(w):
    client, accepted = w.pair()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
    client.sendall(b"x" * 400)
    until(lambda: unread(accepted) == 400, "400 bytes")
    results = [poll_mask(accepted), outcome(accepted.recv, 2000, DONTWAIT | PEEK)]
    waiting = in_thread(accepted.recv, 2000)
    client.sendall(b"x" * 300)
    time.sleep(0.05)
    client.sendall(b"x" * 300)
    equal([results[0], results[1][0]], [["OUT"], 400])
    # TCP's reader, having taken the first bytes, sleeps on: only 1000 more wake it.
    equal(waiting()[0], 1000)


@test("SO_RCVLOWAT: the end of the stream wakes all the same")
def lowat_end(w):
    client, accepted = w.pair()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
    client.send(b"few")
    client.close()
    mask = wait_mask(accepted, "IN")
    return [mask, accepted.recv(2000), accepted.recv(2000)]


@test("splice() to a pipe")
def splice(w):
    client, accepted = w.pair()
    data = pattern(40000)
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)
    read_end, write_end = os.pipe()
    got = b""
    while count := os.splice(accepted.fileno(), write_end, 65536):
        got += os.read(read_end, count)
    expect(got == data, f"{len(got)} bytes, or other ones")


@test("readers in many threads get every byte once")
def readers(w):
    client, accepted = w.pair()
    total = 1 << 20

    def read():
        return sum(len(piece) for piece in iter(lambda: accepted.recv(5000), b""))

    waits = [in_thread(read) for _ in range(4)]
    client.sendall(b"z" * total)
    client.close()
    equal(sum(wait() for wait in waits), total)


@test("SO_TIMESTAMP tells when data came")
def timestamp(w):
    client, accepted = w.pair()
    accepted.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMP, 1)
    # The kernel begins to stamp packets, all of them, some time after it was asked: it patches its code for that.
    for _ in range(100):
        client.send(b"when")
        wait_mask(accepted, "IN")
        data, ancillary, _, _ = accepted.recvmsg(9, 128)
        stamps = [struct.unpack("@ll", d)[0] for level, kind, d in ancillary
                  if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMP)]
        if stamps:
            break
        time.sleep(0.02)
    expect(all(abs(stamp - time.time()) < 60 for stamp in stamps), stamps)
    return [data, len(stamps)]


@test("TCP_INQ tells how much is left")
def inq(w):
    client, accepted = w.pair()
    accepted.setsockopt(socket.IPPROTO_TCP, 36, 1)
    client.sendall(b"x" * 1000)
    until(lambda: unread(accepted) == 1000, "1000 bytes")
    results = []
    for _ in range(2):
        data, ancillary, _, _ = accepted.recvmsg(400, 128)
        results.append([len(data), [(kind, struct.unpack("@i", d)[0]) for _, kind, d in ancillary]])
    return results
