#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The demo's client: receives a file over two links, and cuts one of them on the way.

    download.py CLIENT SERVER ADDRESS SIZE RESULT

CLIENT and SERVER are network namespaces, in which the links are eth0 and eth1; SHAPE is what netem does
on these. A tenth of a second apart it asks the connection what each subflow has received. RESULT is a file
for what it has found, as xfer.py tells it, with those samples.
"""

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time

import mptcp
import xfer

INTERVAL = 0.1
# The cut begins when so much of the file has come, and lasts so many seconds.
CUT_AT, CUT_FOR = 0.35, 3
LINKS = ("10.0.1.2", "10.0.2.2")


class Line:
    """The second link, which is cut and mended: no host is told, packets just vanish."""

    def __init__(self, hosts, shape):
        self.hosts, self.shape = hosts, shape
        self.cut_at = self.mended_at = None

    def netem(self, words):
        for host in self.hosts:
            subprocess.run(["tc", "-n", host, "qdisc", "replace", "dev", "eth1", "root", "netem", *words],
                           check=True)

    def follow(self, part, now):
        """Cut it or mend it, if it is time."""
        if self.cut_at is None and part >= CUT_AT:
            self.netem(["loss", "100%"])
            self.cut_at = now
        elif self.is_cut() and now >= self.cut_at + CUT_FOR:
            self.netem(self.shape)
            self.mended_at = now

    def is_cut(self):
        return self.cut_at is not None and self.mended_at is None


class Bar:
    """How far it is: on a terminal one line that is redrawn, elsewhere one now and then."""

    def __init__(self, total):
        self.total, self.live = total, bool(os.environ.get("LIVE"))
        self.every = 0.3 if self.live else 2
        self.last = None

    def show(self, sample, line, end=False):
        if self.last is None:
            self.last = sample
        span = sample["at"] - self.last["at"]
        if span < self.every and not end:
            return
        part = sample["received"] / self.total
        rates = [(now - before) * 8e-6 / max(span, 0.01)
                 for now, before in zip(sample["links"], self.last["links"])]
        told = [f"link {n} {rate:3.0f} Mbit/s" for n, rate in enumerate(rates, 1)]
        if line.is_cut():
            told[1] = "link 2 is cut     "
        if end:
            told = [f"{sample['at']:.1f} s".ljust(36)]
        bar = ("#" * int(part * 30)).ljust(30, ".")
        print(f"{chr(13) if self.live else ''}  [{bar}] {part:4.0%} {sample['received'] >> 20:4} MiB  ",
              "  ".join(told), end="" if self.live and not end else "\n", flush=True)
        self.last = sample


class Watch(threading.Thread):
    """Takes samples, and does to the line what is due."""

    def __init__(self, sock, size, line, start):
        super().__init__(daemon=True)
        self.sock, self.size, self.line, self.start_time = sock, size, line, start
        self.received, self.done, self.samples = 0, threading.Event(), []
        self.bar = Bar(size)

    def sample(self):
        links = [0] * len(LINKS)
        for remote, received in mptcp.subflows_received(self.sock):
            links[LINKS.index(remote)] += received
        # A subflow that is gone is not told of any more.
        before = self.samples[-1]["links"] if self.samples else links
        links = [max(pair) for pair in zip(links, before)]
        self.samples.append({"at": round(time.monotonic() - self.start_time, 3),
                             "received": self.received, "links": links})
        return self.samples[-1]

    def run(self):
        while not self.done.wait(INTERVAL):
            sample = self.sample()
            self.line.follow(sample["received"] / self.size, sample["at"])
            self.bar.show(sample, self.line)

    def end(self):
        self.done.set()
        self.join()
        self.bar.show(self.sample(), self.line, end=True)


def receive(sock, watch):
    """All there is; its hash, and the times between two reads as (when it began, how long)."""
    digest, waits, last = hashlib.sha256(), [], time.monotonic()
    buffer = bytearray(xfer.CHUNK)
    view = memoryview(buffer)
    while count := sock.recv_into(buffer):
        now = time.monotonic()
        waits.append((last - watch.start_time, now - last))
        last = now
        digest.update(view[:count])
        watch.received += count
    return digest.hexdigest(), waits


def download(sock, size, line):
    start = time.monotonic()
    watch = Watch(sock, size, line, start)
    watch.start()
    sha256, waits, error = None, [], None
    try:
        sha256, waits = receive(sock, watch)
    except OSError as e:
        error = f"receive: {e}"
    seconds = time.monotonic() - start
    watch.end()
    told = mptcp.info(sock)
    # What waits, waits for the first link, too, when the second is back and orders the rest.
    at_cut = [wait for began, wait in waits if line.mended_at and
              line.cut_at - wait <= began <= line.mended_at]
    return {
        "error": error,
        "received": watch.received,
        "received_sha256": sha256,
        "seconds": round(seconds, 3),
        "stall": round(max(at_cut, default=0), 3),
        "cut": [line.cut_at, line.mended_at],
        "mptcp": told is not None and not told["flags"] & mptcp.FLAG_FALLBACK,
        "samples": watch.samples,
    }


def main():
    client, server, address, size, result = sys.argv[1:]
    line = Line((client, server), os.environ["SHAPE"].split())
    with open(f"/run/netns/{client}", encoding="ascii") as netns:
        os.setns(netns.fileno(), os.CLONE_NEWNET)
    before = mptcp.counters()
    with mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP) as sock:
        xfer.limit_waits(sock, 120)
        sock.connect((address, 5000))
        found = download(sock, int(size), line)
    found["counters"] = mptcp.changed(before, mptcp.counters())
    xfer.tell(found, result)
    return found["error"] is not None


if __name__ == "__main__":
    sys.exit(main())
