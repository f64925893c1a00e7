#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""How much of several links one stream fills, and how long it stands still when one of them dies.

    run.py RESULT [NAME...]    the figures, or those of the names, go to the file RESULT, as JSON

Two hosts, two links. Of each pair of links: what TCP alone gets on either, then what MPTCP gets on both. Rates are
payload from the first byte sent to the last one read, in Mbit/s.
"""

import contextlib
import json
import os
import pickle
import socket
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), part) for part in ("lib", "paths")]
sys.dont_write_bytecode = True

import mptcp  # noqa: E402
from tap import expect  # noqa: E402
from world import CLIENT, PORT, SERVER, Hosts, on  # noqa: E402

CHUNK = 256 * 1024
# Long enough that the beginning, when windows open, is a small part.
SECONDS = 6


def shape(delay, mbit):
    """A link, and a queue of about two round trips."""
    packets = max(20, int(4 * delay / 1000 * mbit * 1e6 / 8 / 1514))
    return f"delay {delay}ms rate {mbit}mbit limit {packets}"


@contextlib.contextmanager
def inside(host):
    """This process, in the namespace of a host."""
    with open("/proc/self/ns/net", "rb") as home, open(f"/run/netns/{host}", "rb") as away:
        os.setns(away.fileno(), os.CLONE_NEWNET)
        try:
            yield
        finally:
            os.setns(home.fileno(), os.CLONE_NEWNET)


def receive(listener, pipe):
    """Reads one connection to its end; tells when how much had come."""
    sock = listener.accept()[0]
    buffer, total, samples = bytearray(CHUNK), 0, []
    while count := sock.recv_into(buffer):
        total += count
        samples.append((time.monotonic(), total))
    with os.fdopen(pipe, "wb") as file:
        pickle.dump(samples, file)
    os._exit(0)


def flow(protocol, address, size, during=None):
    """Sends `size` bytes; `during` is called a while after the beginning. Returns when it began, and what the
    receiver has noted."""
    with inside(SERVER):
        listener = mptcp.stream(socket.AF_INET, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("", PORT))
        listener.listen(1)
    read_end, write_end = os.pipe()
    if not os.fork():
        os.close(read_end)
        receive(listener, write_end)
    os.close(write_end)
    # The listener stays: further subflows come to its port.
    with inside(CLIENT):
        sock = mptcp.stream(socket.AF_INET, protocol)
        sock.connect((address, PORT))
    begin = time.monotonic()
    if during:
        timer = threading.Timer(2, during)
        timer.start()
    block = os.urandom(CHUNK)
    sent = 0
    while sent < size:
        sent += sock.send(block[:min(CHUNK, size - sent)])
    sock.shutdown(socket.SHUT_WR)
    with os.fdopen(read_end, "rb") as file:
        samples = pickle.load(file)
    sock.close()
    listener.close()
    os.wait()
    expect(samples and samples[-1][1] == size, f"not all of {size} bytes have come: {samples[-1:]}")
    return begin, samples


def rate(begin, samples):
    when, total = samples[-1]
    return round(total * 8 / (when - begin) / 1e6, 2)


def build(paths):
    hosts = Hosts([shape(*path) for path in paths])
    for number in hosts.links:
        # A burst of TSO counts as one packet in the queue, and its headers not at all.
        for host in (CLIENT, SERVER):
            on(host, "ip", "link", "set", f"eth{number}", "gso_max_segs", "1")
        on(CLIENT, "ping", "-qc", "2", "-i", "0.2", f"10.0.{number}.2")
    return hosts


def pair(paths):
    """The rates of TCP on each of two links, and of MPTCP on both."""
    build(paths)
    told = {"tcp": [], "limit": sum(mbit for _, mbit in paths)}
    for number, (_, mbit) in enumerate(paths, 1):
        told["tcp"].append(rate(*flow(socket.IPPROTO_TCP, f"10.0.{number}.2", int(SECONDS * mbit / 8) * 10**6)))
    told["mptcp"] = rate(*flow(mptcp.IPPROTO_MPTCP, "10.0.1.2", int(SECONDS * told["limit"] / 8) * 10**6))
    return told


def dies(paths):
    """How long the reader gets nothing, at most, from when a link is cut in the middle of a transfer."""
    hosts = build(paths)
    cut = []

    def during():
        hosts.cut(1)
        cut.append(time.monotonic())

    size = int(4 * sum(mbit for _, mbit in paths) / 8) * 10**6
    begin, samples = flow(mptcp.IPPROTO_MPTCP, "10.0.1.2", size, during)
    expect(cut and cut[0] < samples[-1][0], "it was over before the cut")
    before = [when for when, _ in samples if when <= cut[0]][-1:] or [begin]
    after = before + [when for when, _ in samples if when > cut[0]]
    return {"stall": round(max(b - a for a, b in zip(after, after[1:])), 3)}


FIGURES = {
    "equal": lambda: pair([(10, 100), (10, 100)]),
    "asymmetric": lambda: pair([(10, 100), (50, 20)]),
    "dies": lambda: dies([(10, 100), (10, 100)]),
    "dies, slow": lambda: dies([(10, 30), (10, 20)]),
}


def main():
    told = {name: measure() for name, measure in FIGURES.items() if name in (sys.argv[2:] or FIGURES)}
    with open(sys.argv[1], "w", encoding="ascii") as file:
        print(json.dumps(told, indent=1), file=file)


if __name__ == "__main__":
    main()
