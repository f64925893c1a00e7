#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""ss looks at connections that come and go: run.py [COUNT]

Whoever lists sockets holds each for a moment, while others connect, close and forget it. What is listed has to make
sense, and nothing may be left: neither sockets nor references to the module, which is unloaded at the end.
"""

import os
import re
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [*(os.path.join(os.path.dirname(HERE), name) for name in ("lib", "pm"))]
sys.dont_write_bytecode = True

import mptcp  # noqa: E402
import tap  # noqa: E402
from tap import equal, expect  # noqa: E402
from world import new_namespace, up, users, wait_for  # noqa: E402

SLOW = 4 if os.environ.get("KERNEL") == "debug" else 1
WORKERS = 2
LOOKS = (["ss", "-HOMani"], ["ss", "-HOntai"], ["ss", "-HOManem", "dport", "=", ":4000"])
LINE = re.compile(r"(ESTAB|LISTEN|UNCONN|SYN-SENT|SYN-RECV|FIN-WAIT-[12]|CLOSE-WAIT|CLOSING|LAST-ACK|TIME-WAIT) +\d+ +\d+ ")


def serve(listener):
    while True:
        sock = listener.accept()[0]
        data = sock.recv(10)
        if data:
            sock.sendall(data)
        sock.close()


def connect(ip, count):
    """One connection after the other: with data, without, and reset."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    for number in range(count):
        with mptcp.stream(family, mptcp.IPPROTO_MPTCP) as sock:
            sock.connect((ip, 4000))
            if number % 4 != 3:
                sock.sendall(b"x")
                equal(sock.recv(10), b"x")


def start(function, *args):
    pid = os.fork()
    if pid:
        return pid
    try:
        function(*args)
    except BaseException as err:
        print(f"# {err!r}", flush=True)
        os._exit(1)
    os._exit(0)


def churn(count):
    new_namespace()
    up()
    begin = time.monotonic()
    listener = mptcp.stream(socket.AF_INET6, mptcp.IPPROTO_MPTCP)
    listener.bind(("::", 4000))
    listener.listen(64)
    servers = [start(serve, listener) for _ in range(WORKERS)]
    clients = {start(connect, ip, count // WORKERS) for ip in ("127.0.0.1", "::1")}
    looks = seen = 0
    while clients:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in clients:
            equal(status, 0, "a client's status")
            clients.remove(pid)
        expect(pid not in servers, "a server has ended")
        done = subprocess.run(LOOKS[looks % len(LOOKS)], capture_output=True, text=True, check=False)
        equal((done.returncode, done.stderr), (0, ""), "ss")
        looks += 1
        for line in done.stdout.splitlines():
            expect(LINE.match(line), f"ss has said: {line}")
            seen += 1
    spent = time.monotonic() - begin
    print(f"# {count} connections in {spent:.0f} s, seen by {looks} calls of ss {seen} times", flush=True)
    expect(looks >= 5 and seen >= looks, "ss has seen nothing")
    for pid in servers:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    equal(mptcp.counters()["MPCurrEstab"] < 70, True, "the counter of connections is sane")
    listener.close()
    wait_for(lambda: users() == 0, "that nobody uses the module", 70 * SLOW)
    equal(mptcp.counters()["MPCurrEstab"], 0, "MPCurrEstab at last")
    subprocess.run(["rmmod", "mptcp"], check=True)
    with open("/proc/slabinfo", encoding="ascii") as lines:
        left = [line.split()[0] for line in lines if line.startswith("MPTCP")]
    # The kernel keeps the cache of objects that are not all freed, and says so.
    equal(left, [], "what is left of the sockets' memory")


def main(words):
    count = int(words[0]) if words else 2000
    report = tap.Report()
    report.tell(f"ss lists sockets while {count} connections come and go",
                tap.call(lambda: churn(count), count * SLOW // 10 + 100 * SLOW).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
