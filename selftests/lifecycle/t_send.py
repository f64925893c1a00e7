# SPDX-License-Identifier: GPL-2.0
"""Sending, in every form."""

import array
import fcntl
import os
import signal
import socket
import termios
import threading
import time

from tap import equal, expect
from world import (await_call, fill, in_thread, outcome, pattern, poll_mask, process, raw, reset, take, take_all, test,
                   timed, timeout_option, until, wait_mask)

# A system call's number.
SENDTO = 44

NOSIGNAL, DONTWAIT, MORE = socket.MSG_NOSIGNAL, socket.MSG_DONTWAIT, socket.MSG_MORE


def queued(sock):
    """SIOCOUTQ: what the peer has not acknowledged."""
    value = array.array("i", [0])
    fcntl.ioctl(sock, termios.TIOCOUTQ, value)
    return value[0]


@test("sends of no bytes say nothing to the peer")
def no_bytes(w):
    client, accepted = w.pair()
    results = [client.send(b""), client.sendmsg([b"", b""])]
    client.send(b"then")
    return results + [accepted.recv(9), outcome(accepted.recv, 1, DONTWAIT)]


@test("sendmsg() gathers")
def gather(w):
    client, accepted = w.pair()
    parts = [b"a" * n for n in (1, 0, 700, 20000, 3)]
    expect(client.sendmsg(parts) == 20704)
    return take(accepted, 20704)


@test("MSG_MORE and TCP_CORK hold data back, not for ever")
def more(w):
    client, accepted = w.pair()
    client.send(b"a", MORE)
    client.send(b"b")
    first = take(accepted, 2)
    client.send(b"c", MORE)
    # Without more to come it is sent after 200 ms.
    second = accepted.recv(9)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    client.send(b"d")
    client.send(b"e")
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
    return [first, second, take(accepted, 2)]


@test("MSG_MORE, then shutdown: the last bytes arrive")
def more_end(w):
    client, accepted = w.pair()
    client.send(b"almost", MORE)
    client.shutdown(socket.SHUT_WR)
    return take_all(accepted)


@test("small writes, many of them, arrive in order")
def small(w):
    client, accepted = w.pair()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    data = pattern(3000)

    def send():
        for n, byte in enumerate(data):
            client.send(data[n:n + 1])
        client.close()
        return byte

    sending = in_thread(send)
    equal(take_all(accepted), data)
    sending()


@test("sizes around segments, pages and mappings arrive whole")
def sizes(w):
    client, accepted = w.pair()
    for size in (1, 535, 536, 1447, 1448, 1449, 4095, 4096, 4097, 16384, 32768, 65482, 65483, 65495, 65535,
                 65536, 65537, 131071, 200001):
        data = pattern(size, size)
        sending = in_thread(client.sendall, data)
        expect(take(accepted, size) == data, f"{size} bytes: others arrived")
        equal(sending(), None)


@test("8 MiB each way at the same time", seconds=60)
def both_ways(w):
    client, accepted = w.pair()
    one, other = pattern(8 << 20, 1), pattern(8 << 20, 2)
    waits = [in_thread(client.sendall, one), in_thread(accepted.sendall, other)]
    reading = in_thread(take, client, len(other))
    expect(take(accepted, len(one)) == one, "client to server: other data")
    got = reading(50)
    expect(got == outcome(lambda: other), "server to client: other data")
    return [wait() for wait in waits]


@test("threads that write to one socket with a full buffer all come to their end", seconds=60)
def many_writers(w):
    letters, times = b"abcd", 300
    for _ in range(4):
        client, accepted = w.pair()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        def send(letter):
            for n in range(times):
                client.sendall(bytes([letter]) * (1 + n * 37 % 4096))

        writers = [in_thread(send, letter) for letter in letters]
        total = len(letters) * sum(1 + n * 37 % 4096 for n in range(times))
        got = take(accepted, total)
        equal([got.count(letter) for letter in letters], [total // len(letters)] * len(letters))
        equal([writer() for writer in writers], [None] * len(letters))


@test("an acknowledgement does not wake who waits for data on the socket", compare=False)
def sleeping_reader(w):
    client, accepted = w.pair()
    reader = []

    def read():
        reader.append(threading.get_native_id())
        return client.recv(9)

    def slept():
        with open(f"/proc/self/task/{reader[0]}/status", encoding="ascii") as file:
            return next(int(line.split()[1]) for line in file if line.startswith("voluntary"))

    reading = in_thread(read)
    until(lambda: reader, "the reader")
    time.sleep(0.2)
    before = slept()
    for _ in range(50):
        client.send(b"x")
        equal(accepted.recv(1), b"x")
        until(lambda: queued(client) == 0, "the acknowledgement")
    count = slept() - before
    accepted.send(b"answer")
    equal(reading(), b"answer")
    expect(count < 10, f"woken {count} times by 50 acknowledgements")


@test("sendfile()")
def sendfile(w):
    client, accepted = w.pair()
    data = pattern(1 << 20)
    with open("/tmp/lifecycle-file", "wb+") as file:
        file.write(data)
        file.flush()
        sending = in_thread(client.sendfile, file)
        expect(take(accepted, len(data)) == data, "other data")
        return sending()


@test("splice() from a pipe")
def splice(w):
    client, accepted = w.pair()
    data = pattern(60000)
    read_end, write_end = os.pipe()
    got = b""
    for start in range(0, len(data), 6000):
        os.write(write_end, data[start:start + 6000])
        equal(os.splice(read_end, client.fileno(), 6000), 6000)
        got += take(accepted, 6000)
    expect(got == data, "other data")


@test("writes after the peer closed: EPIPE, and SIGPIPE unless told not to")
def pipe(w):
    results = []
    for flags in (NOSIGNAL, 0):
        client, accepted = w.pair()
        accepted.close()
        wait_mask(client, "RDHUP")
        client.send(b"this is answered with a reset", NOSIGNAL)
        wait_mask(client, "HUP")

        def write(sock, flags):
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            return 7 if outcome(sock.send, b"x", flags) == "EPIPE" else 8

        results.append(os.waitstatus_to_exitcode(os.waitpid(process(write, client, flags), 0)[1]))
    equal(results, [7, -signal.SIGPIPE])


@test("a write after shutdown(WR): EPIPE, and SIGPIPE unless told not to")
def pipe_own(w):
    client, _ = w.pair()
    client.shutdown(socket.SHUT_WR)

    def write():
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        client.send(b"x")
        return 8

    status = os.waitstatus_to_exitcode(os.waitpid(process(write), 0)[1])
    return [outcome(client.send, b"x", NOSIGNAL), outcome(client.send, b"", NOSIGNAL), status]


@test("a full buffer: EAGAIN, poll() says no, and yes when it is drained")
def full(w):
    client, accepted = w.pair()
    total = fill(client)
    results = [poll_mask(client), outcome(client.send, b"x"), outcome(client.send, b"x", DONTWAIT)]
    equal(len(take(accepted, total)), total)
    results.append(wait_mask(client, "OUT"))
    client.send(b"again")
    return results + [take(accepted, 5)]


@test("a blocked send() goes on when the peer reads")
def blocked(w):
    client, accepted = w.pair()
    # More than both buffers can become.
    data = pattern(12 << 20)
    sending = in_thread(client.sendall, data)
    await_call(sending, SENDTO)
    expect(take(accepted, len(data)) == data, "other data")
    return sending()


@test("SO_SNDTIMEO: a blocked send() gives up, and says what it has taken")
def send_timeout(w):
    client, accepted = w.pair()
    total = fill(client)
    client.setblocking(True)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout_option(0.3))
    result, seconds = timed(client.send, b"x")
    expect(0.29 < seconds < 3, f"took {seconds} s")
    # With half a buffer free, a larger send takes part of its data.
    take(accepted, total)
    wait_mask(client, "OUT")
    part, seconds = timed(client.send, b"y" * (64 << 20))
    expect(0.29 < seconds < 10, f"took {seconds} s")
    expect(isinstance(part, int) and 0 < part < 64 << 20, f"took {part} bytes")
    equal(len(take(accepted, part)), part)
    return result


@test("a blocked send() ends when the peer resets")
def blocked_reset(w):
    client, accepted = w.pair()
    fill(client)
    client.setblocking(True)
    sending = in_thread(client.send, b"x" * 64, NOSIGNAL)
    time.sleep(0.2)
    reset(accepted)
    return [sending(), outcome(client.send, b"x", NOSIGNAL)]


@test("a blocked send() ends when its own socket is shut down")
def blocked_shutdown(w):
    client, _ = w.pair()
    fill(client)
    client.setblocking(True)
    sending = in_thread(client.send, b"x" * 100000, NOSIGNAL)
    time.sleep(0.2)
    client.shutdown(socket.SHUT_WR)
    return sending()


@test("SIOCOUTQ counts what is not acknowledged")
def outq(w):
    client, accepted = w.pair()
    results = [queued(client)]
    total = fill(client)
    waiting = queued(client)
    expect(0 < waiting <= total, f"{waiting} of {total}")
    take(accepted, total)
    until(lambda: queued(client) == 0, "everything acknowledged")
    return results + [outcome(queued, w.server()), outcome(queued, w.client())]


@test("writers in many threads: every byte arrives once")
def writers(w):
    client, accepted = w.pair()

    def write(byte):
        for _ in range(200):
            client.sendall(byte * 997)

    letters = [b"a", b"b", b"c", b"d"]
    waits = [in_thread(write, letter) for letter in letters]
    data = take(accepted, 4 * 200 * 997)
    for wait in waits:
        wait()
    equal([data.count(letter) for letter in letters], [200 * 997] * 4)


@test("write(), read(), writev() and readv()")
def plain_calls(w):
    client, accepted = w.pair()
    equal(os.write(client.fileno(), b"by write"), 8)
    data = os.read(accepted.fileno(), 20)
    equal(os.writev(accepted.fileno(), [b"by ", b"writev"]), 9)
    buffers = [bytearray(3), bytearray(20)]
    wait_mask(client, "IN")
    count = os.readv(client.fileno(), buffers)
    return [data, count, outcome(os.lseek, client.fileno(), 0, 0), outcome(os.pread, client.fileno(), 1, 0)]


@test("a send from memory that is not there: EFAULT, and the stream goes on")
def fault(w):
    client, accepted = w.pair()
    results = [raw("send", client.fileno(), 8, 100, NOSIGNAL), raw("recv", accepted.fileno(), 8, 0, DONTWAIT)]
    client.send(b"fine")
    wait_mask(accepted, "IN")
    results.append(raw("recv", accepted.fileno(), 8, 4, 0))
    return results + [accepted.recv(9)]
