#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""One end of a transfer: sends its data, receives the other's at the same time.

    xfer.py serve [--background RESULT] [options]
    xfer.py connect ADDRESS [options]

The last thing printed (or written to RESULT) is a JSON object: how many bytes went
each way, their SHA-256, how long it took, whether the connection was still MPTCP,
and which of the namespace's counters have changed since before the socket was
made. With --background, the command returns when the server listens.
"""

import argparse
import hashlib
import json
import os
import random
import socket
import struct
import sys
import threading
import time

import mptcp

CHUNK = 256 * 1024


def random_chunks(size, seed):
    """Data that repeats nowhere: cheap, and neither order nor loss goes unnoticed."""
    pool = os.urandom(4 * CHUNK)
    rng = random.Random(seed)
    done = 0
    while done < size:
        start = rng.randrange(len(pool) - CHUNK)
        chunk = done.to_bytes(8, "big") + pool[start : start + CHUNK - 8]
        yield chunk[: size - done]
        done += len(chunk)


class Sender(threading.Thread):
    """Sends everything, then shuts down its direction."""

    def __init__(self, sock, args):
        super().__init__(daemon=True)
        self.sock, self.args = sock, args
        self.sent, self.hash, self.error = 0, hashlib.sha256(), None

    def run(self):
        try:
            if self.args.file:
                self.send_file()
            else:
                self.send_random()
            self.sock.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.error = f"send: {e}"

    def send_random(self):
        for chunk in random_chunks(self.args.size, self.args.seed):
            self.sock.sendall(chunk)
            self.hash.update(chunk)
            self.sent += len(chunk)

    def send_file(self):
        """Without a look at the bytes: who sends a file hashes it beforehand."""
        with open(self.args.file, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            while self.sent < size:
                self.sent += os.sendfile(self.sock.fileno(), file.fileno(), self.sent, 4 * CHUNK)
        self.hash = None


class Progress:
    """A bar on the terminal, redrawn a few times a second."""

    def __init__(self, total):
        self.total, self.start, self.last = total, time.monotonic(), 0

    def show(self, done, end=False):
        now = time.monotonic()
        if not self.total or (now - self.last < 0.5 and not end):
            return
        self.last = now
        part = done / self.total
        bar = ("#" * int(part * 40)).ljust(40, ".")
        rate = done / max(now - self.start, 1e-6) / 2**20
        line = f"\r  [{bar}] {part:4.0%}  {done >> 20:4} MiB  {rate:6.1f} MiB/s "
        print(line, end="\n" if end else "", file=sys.stderr, flush=True)


class Pace:
    """How the receiver reads: `slow`, in bytes a second, or, after half of `size`, not until a file is there."""

    def __init__(self, args):
        self.slow, self.hold, self.half, self.abort = args.slow, args.hold, args.size // 2, args.abort

    def keep(self, count, total):
        if self.slow:
            time.sleep(count / self.slow)
        while self.hold and total >= self.half and not os.path.exists(self.hold):
            time.sleep(0.02)

    def enough(self, total):
        return self.abort and total >= self.abort


def receive(sock, digest, progress, pace):
    """Everything up to the end of the stream; returns how much it was."""
    buffer = bytearray(CHUNK)
    view = memoryview(buffer)
    total = 0
    while count := sock.recv_into(buffer):
        digest.update(view[:count])
        total += count
        progress.show(total)
        pace.keep(count, total)
        if pace.enough(total):
            break
    if progress.total:
        progress.show(total, end=True)
    return total


def limit_waits(sock, seconds):
    """End every wait of the kernel after so long, and keep the socket blocking, as sendfile wants."""
    sock.setblocking(True)
    span = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, span)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, span)


def exchange(sock, args, before):
    """Both directions of one connection, to the end."""
    limit_waits(sock, args.timeout)
    start = time.monotonic()
    sender = Sender(sock, args)
    digest, received, error = hashlib.sha256(), 0, None
    sender.start()
    try:
        received = receive(sock, digest, Progress(args.progress), Pace(args))
    except OSError as e:
        error = f"receive: {e}"
    sender.join(args.timeout if not error else 1)
    seconds = time.monotonic() - start
    told = mptcp.info(sock)
    result = {
        "error": sender.error or error or ("send: stuck" if sender.is_alive() else None),
        "sent": sender.sent,
        "sent_sha256": sender.hash and sender.hash.hexdigest(),
        "received": received,
        "received_sha256": digest.hexdigest(),
        "seconds": round(seconds, 3),
        "mptcp": told is not None and not told["flags"] & mptcp.FLAG_FALLBACK,
        "info": told,
    }
    if args.abort:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))
    sock.close()
    result["counters"] = mptcp.changed(before, mptcp.counters())
    return result


def buffers(sock, args):
    if args.rcvbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, args.rcvbuf)
    if args.sndbuf:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, args.sndbuf)


def listener(args):
    sock = mptcp.stream(mptcp.FAMILIES[args.family], mptcp.PROTOCOLS[args.proto])
    buffers(sock, args)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((args.bind, args.port))
    sock.listen(5)
    return sock


def background(result):
    """Go on as a process that writes its result to a file, when there is one."""
    if os.path.exists(result):
        os.unlink(result)
    if os.fork():
        os._exit(0)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)


def tell(result, path):
    text = json.dumps(result)
    if not path:
        print(text, flush=True)
        return
    with open(f"{path}.new", "w", encoding="ascii") as file:
        print(text, file=file)
    os.rename(f"{path}.new", path)


def serve(args):
    before = mptcp.counters()
    with listener(args) as server:
        if args.background:
            background(args.background)
        server.settimeout(args.timeout)
        try:
            result = exchange(server.accept()[0], args, before)
        except OSError as e:
            result = {"error": f"accept: {e}"}
    tell(result, args.background)
    return result["error"] is None


def connect(args):
    before = mptcp.counters()
    family = socket.AF_INET6 if ":" in args.address else socket.AF_INET
    with mptcp.stream(family, mptcp.PROTOCOLS[args.proto]) as sock:
        buffers(sock, args)
        sock.settimeout(args.timeout)
        try:
            sock.connect((args.address, args.port))
            result = exchange(sock, args, before)
        except OSError as e:
            result = {"error": f"connect: {e}"}
    tell(result, None)
    return result["error"] is None


def parse():
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--proto", choices=mptcp.PROTOCOLS, default="mptcp")
    common.add_argument("--port", type=int, default=5000)
    common.add_argument("--size", type=int, default=0, help="bytes to send")
    common.add_argument("--seed", type=int, default=1)
    common.add_argument("--file", help="send this file instead")
    common.add_argument("--timeout", type=float, default=60, help="seconds without progress")
    common.add_argument("--rcvbuf", type=int, help="SO_RCVBUF")
    common.add_argument("--sndbuf", type=int, help="SO_SNDBUF")
    common.add_argument("--slow", type=int, metavar="BYTES", help="read so many in a second")
    common.add_argument("--hold", metavar="FILE",
                        help="after as much as half of --size, read no more until this file is there")
    common.add_argument("--abort", type=int, metavar="BYTES",
                        help="when so many bytes have come, close with a linger time of zero")
    common.add_argument("--progress", type=int, default=0, metavar="BYTES",
                        help="show how much of so many bytes has been received")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    roles = parser.add_subparsers(required=True)
    role = roles.add_parser("serve", parents=[common])
    role.add_argument("--family", type=int, choices=mptcp.FAMILIES, default=4)
    role.add_argument("--bind", default="")
    role.add_argument("--background", metavar="RESULT")
    role.set_defaults(run=serve)
    role = roles.add_parser("connect", parents=[common])
    role.add_argument("address")
    role.set_defaults(run=connect)
    return parser.parse_args()


if __name__ == "__main__":
    arguments = parse()
    sys.exit(not arguments.run(arguments))
