# SPDX-License-Identifier: GPL-2.0
"""Signals, timeouts, buffers."""

import ctypes
import os
import signal
import socket
import struct
import subprocess
import time

from tap import equal, expect
from t_connect import SILENT, silent_network
from world import (fill, in_thread, outcome, pattern, raw, take, test, timed, timeout_option, until)

NOSIGNAL = socket.MSG_NOSIGNAL


def interrupt(call, restart=False, after=0.2):
    """What a call of libc gives when a signal comes while it waits."""
    signal.signal(signal.SIGALRM, lambda *_: None)
    signal.siginterrupt(signal.SIGALRM, not restart)
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, after)
    result = call()
    return result, time.monotonic() - start


@test("a signal ends recv(), accept() and connect() with EINTR")
def interrupted(w):
    client, _ = w.pair()
    server = w.server()
    buffer = ctypes.create_string_buffer(10)
    results = []
    for call in (lambda: raw("recv", client.fileno(), buffer, 10, 0),
                 lambda: raw("accept", server.fileno(), None, None),
                 lambda: raw("read", client.fileno(), buffer, 10)):
        result, seconds = interrupt(call)
        expect(0.19 < seconds < 3, f"took {seconds} s")
        results.append(result)
    return results


@test("a signal ends connect() with EINTR; the attempt goes on")
def interrupted_connect(w):
    silent_network()
    client = w.client()
    host = SILENT[w.version]
    if w.version == 4:
        address = struct.pack("=H", socket.AF_INET) + struct.pack(">H", 9) + socket.inet_aton(host) + b"\0" * 8
    else:
        address = (struct.pack("=H", socket.AF_INET6) + struct.pack(">HI", 9, 0)
                   + socket.inet_pton(socket.AF_INET6, host) + b"\0" * 4)
    result, seconds = interrupt(lambda: raw("connect", client.fileno(), address, len(address)))
    expect(0.19 < seconds < 3, f"took {seconds} s")
    client.setblocking(False)
    return [result, outcome(client.connect, (host, 9))]


@test("a signal ends a blocked send(): EINTR, or what was taken")
def interrupted_send(w):
    client, accepted = w.pair()
    total = fill(client)
    client.setblocking(True)
    nothing, _ = interrupt(lambda: raw("send", client.fileno(), b"x", 1, NOSIGNAL))
    equal(nothing, "EINTR")
    take(accepted, total)
    big = b"y" * (64 << 20)
    part, _ = interrupt(lambda: raw("send", client.fileno(), big, len(big), NOSIGNAL), after=1.5)
    expect(isinstance(part, int) and 0 < part < len(big), f"send() gave {part}")
    equal(len(take(accepted, part)), part)


@test("SA_RESTART: recv() goes on after a signal")
def restarted(w):
    client, accepted = w.pair()
    buffer = ctypes.create_string_buffer(10)

    def later():
        time.sleep(0.5)
        accepted.send(b"late")

    start = time.monotonic()
    sending = in_thread(later)
    result, _ = interrupt(lambda: raw("recv", client.fileno(), buffer, 10, 0), restart=True)
    seconds = time.monotonic() - start
    sending()
    expect(0.45 < seconds < 5, f"took {seconds} s")
    return [result, buffer.value]


@test("MSG_WAITALL with a signal gives what there is")
def interrupted_waitall(w):
    client, accepted = w.pair()
    accepted.send(b"part")
    buffer = ctypes.create_string_buffer(10)
    result, seconds = interrupt(
        lambda: raw("recv", client.fileno(), buffer, 10, socket.MSG_WAITALL))
    expect(0.19 < seconds < 3, f"took {seconds} s")
    return [result, buffer.value]


@test("SO_RCVTIMEO and SO_SNDTIMEO: kept, refused when wrong, and obeyed")
def timeouts(w):
    client, accepted = w.pair()
    results = []
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        client.setsockopt(socket.SOL_SOCKET, option, timeout_option(1.25))
        results.append(client.getsockopt(socket.SOL_SOCKET, option, 16))
        results.append(outcome(client.setsockopt, socket.SOL_SOCKET, option, struct.pack("@ll", 1, 10**7)))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_option(0.25))
    result, seconds = timed(client.recv, 1)
    expect(0.24 < seconds < 3, f"took {seconds} s")
    accepted.send(b"x")
    return results + [result, client.recv(1)]


def memory(sock):
    """SO_MEMINFO, by name."""
    values = struct.unpack("=9I", sock.getsockopt(socket.SOL_SOCKET, 55, 36))
    return dict(zip(("rmem", "rcvbuf", "wmem", "sndbuf", "forward", "queued", "optmem", "backlog", "drops"),
                    values))


def pages_in_use():
    """The pages that TCP, and MPTCP with it, has charged to sockets of this kernel."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return next(int(line.split()[-1]) for line in file if line.startswith("TCP:"))


@test("SO_RCVBUF and SO_SNDBUF are doubled and bounded as TCP's are")
def sizes(w):
    results = []
    for value in (1, 5000, 100000, 1 << 30):
        sock = w.client()
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, option, value)
            results.append(sock.getsockopt(socket.SOL_SOCKET, option))
    return results


@test("default buffer sizes are TCP's")
def default_sizes(w):
    sock = w.client()
    return [sock.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_RCVBUF, socket.SO_SNDBUF)]


def stalled(w, buffer):
    """A connection with buffers of this size whose server does not read: how much went in."""
    server = w.server(SO_RCVBUF=buffer)
    client = w.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer)
    client, accepted = w.pair(server=server, client=client)
    return client, accepted, fill(client, 16384, 25)


@test("SO_RCVBUF and SO_SNDBUF hold: a stalled peer stops the sender")
def bounded(w):
    buffer = 60000
    client, accepted, total = stalled(w, buffer)
    limits = memory(client)["sndbuf"] + memory(accepted)["rcvbuf"]
    # TCP begins a packet while there is any room: the last one may reach beyond the end.
    expect(buffer // 2 < total <= limits + 65536, f"{total} bytes went in, the buffers are {limits}")
    expect(memory(accepted)["rmem"] <= memory(accepted)["rcvbuf"] * 1.1, memory(accepted))
    expect(memory(client)["queued"] <= memory(client)["sndbuf"] * 1.1 + 65536, memory(client))
    client.setblocking(True)
    client.shutdown(socket.SHUT_WR)
    got = 0
    while piece := accepted.recv(65536):
        got += len(piece)
    equal(got, total)


@test("memory is charged while data waits, and given back", seconds=60)
def charged(w):
    # Each CPU keeps up to a megabyte of the count for itself, in either direction, at either time.
    kept = os.cpu_count() << 9
    before = pages_in_use()
    connections = [stalled(w, 400000) for _ in range(24)]
    held = pages_in_use() - before
    total = sum(count for _, _, count in connections)
    pages = total // 4096
    expect(held + kept >= pages, f"{pages} pages wait, only {held} are charged")
    expect(held - kept <= 8 * pages, f"{pages} pages wait, {held} are charged")
    for client, accepted, _ in connections:
        client.setblocking(True)
        client.shutdown(socket.SHUT_WR)
        while accepted.recv(65536):
            pass
        client.close()
        accepted.close()
    until(lambda: pages_in_use() <= before + kept, f"{before} pages, {held} were held", 10)
    expect(pages > 2 * kept, f"{total} bytes are too few to be seen in the count")


@test("without limits of its own, a stalled connection is bounded by the sysctls", seconds=40)
def bounded_default(w):
    client, _ = w.pair()
    total, limits = fill(client), 0
    for name in ("tcp_rmem", "tcp_wmem"):
        with open(f"/proc/sys/net/ipv4/{name}", encoding="ascii") as file:
            limits += int(file.read().split()[2])
    expect(65536 < total <= limits, f"{total} bytes went in, the sysctls allow {limits}")


@test("TCP_USER_TIMEOUT ends a connection whose peer is gone", seconds=30, c_differs="only subflows end")
def user_timeout(w):
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    client, _ = w.pair()
    if not isinstance(outcome(client.setsockopt, socket.IPPROTO_TCP, 18, 1500), type(None)):
        return "refused"
    for tables in ("iptables", "ip6tables"):
        subprocess.run([tables, "-I", "INPUT", "-j", "DROP"], check=True)
    client.send(b"x")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeout_option(15))
    return outcome(client.recv, 1)
