#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What becomes of paths that die while only small messages are sent.

As a program, in the namespace of a host: a server that sends back what it gets, or its client, which sends as many
bytes as each line of its standard input says, and tells how many came back as they were.
"""

import os
import socket
import subprocess
import sys
import time

PORT = 5000


def main(role):
    import mptcp
    sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
    if role == "serve":
        sock.bind(("", PORT))
        sock.listen(1)
        print("ready", flush=True)
        conn, _ = sock.accept()
        while piece := conn.recv(1 << 16):
            conn.sendall(piece)
        return
    sock.connect(("10.0.1.2", PORT))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for line in sys.stdin:
        data = os.urandom(int(line))
        sock.sendall(data)
        got = sock.recv(len(data), socket.MSG_WAITALL)
        print(len(got) if got == data else "something else", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
    sys.exit()

import select  # noqa: E402

from tap import equal, expect  # noqa: E402
from world import (CLIENT, LIB, PATH, SERVER, SLOW, Hosts, on, subflows, test, wait_for_subflows)  # noqa: E402


class Messages:
    """A connection from the client to the server, on which one message at a time is on its way."""

    def __init__(self):
        self.server, self.client = self.start(SERVER, "serve"), None
        equal(self.server.stdout.readline(), "ready\n", "what the server says")
        self.client = self.start(CLIENT, "connect")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in (self.client, self.server):
            end.kill()
            end.wait()

    @staticmethod
    def start(host, role):
        return subprocess.Popen(
            ["ip", "netns", "exec", host, "python3", os.path.abspath(__file__), role],
            env=dict(os.environ, PYTHONPATH=LIB), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, size=100):
        self.client.stdin.write(f"{size}\n")
        self.client.stdin.flush()

    def await_answer(self, size=100, seconds=20):
        readable, _, _ = select.select([self.client.stdout], [], [], seconds * SLOW)
        expect(readable, f"no answer in {seconds * SLOW} seconds: " + on(CLIENT, "ss", "-tniM"))
        equal(self.client.stdout.readline(), f"{size}\n", "bytes that came back")

    def exchange(self, times):
        for _ in range(times):
            self.send()
            self.await_answer()


def counted(host, name):
    told = on(host, "nstat", "-asz", f"MPTcpExt{name}").splitlines()
    return sum(int(line.split()[1]) for line in told if line.startswith("MPTcp"))


def exchange_until(messages, what, condition):
    end = time.monotonic() + 20 * SLOW
    while not condition():
        expect(time.monotonic() < end, f"after {20 * SLOW} s of messages: not {what}")
        messages.exchange(5)


@test("a path that was away carries small messages again")
def revived():
    hosts = Hosts([PATH, PATH], backup=(2,))
    with Messages() as messages:
        wait_for_subflows(2)
        messages.exchange(5)
        hosts.cut(1)
        for host in (CLIENT, SERVER):
            exchange_until(messages, f"a stale subflow at the {host}", lambda host=host: counted(host, "SubflowStale"))
        hosts.mend(1, PATH)

        def back():
            before = hosts.carried()
            messages.exchange(20)
            now = hosts.carried()
            return now[1] - before[1] > 20 * 150 and now[2] == before[2]
        exchange_until(messages, "all of them on the path that is no backup", back)
        for host in (CLIENT, SERVER):
            equal(counted(host, "SubflowRecover"), 1, f"subflows of the {host} that have recovered")


@test("what a dead path was given as the only one, one that joins delivers")
def late():
    hosts = Hosts([PATH, PATH, PATH], backup=(2,))
    on(SERVER, "ip", "mptcp", "endpoint", "flush")
    on(SERVER, "ip", "mptcp", "endpoint", "add", "10.0.2.2", "dev", "eth2", "signal", "backup")
    # The third link leads to the server's first address, too.
    on(CLIENT, "ip", "route", "add", "default", "via", "10.0.3.2", "dev", "eth3", "table", "3")
    on(CLIENT, "ip", "rule", "add", "from", "10.0.3.1", "table", "3")
    with Messages() as messages:
        wait_for_subflows(2)
        messages.exchange(5)
        hosts.cut(1)
        exchange_until(messages, "a stale subflow", lambda: counted(CLIENT, "SubflowStale"))
        backup = [pair for pair in subflows() if ":10.0.2.2" in f":{pair[1]}"]
        equal(len(backup), 1, "subflows on the backup")
        on(CLIENT, "ss", "-K", "src", backup[0][0], "dst", backup[0][1])
        messages.send(3000)
        # The timers' intervals are doubled meanwhile.
        time.sleep(3)
        on(CLIENT, "ip", "mptcp", "endpoint", "add", "10.0.3.1", "dev", "eth3", "subflow")
        messages.await_answer(3000, 4)
