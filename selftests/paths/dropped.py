#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What a connection does whose peer drops data that its TCP has acknowledged.

As a program, in the namespace of a host: a server that sends when it is told to on its standard input, or
its client, which tells the hash of what it has received.
"""

import hashlib
import os
import socket
import subprocess
import sys
import time

SIZE = 300_000
PORT = 5000


def main(role):
    import mptcp
    sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
    sock.settimeout(100)
    data = hashlib.shake_128(b"dropped").digest(SIZE)
    if role == "serve":
        sock.bind(("", PORT))
        sock.listen(1)
        print("ready", flush=True)
        conn, _ = sock.accept()
        # With that the client is fully established, and may join.
        conn.recv(1)
        sys.stdin.readline()
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        conn.recv(1)
        return
    sock.connect(("10.0.1.2", PORT))
    sock.sendall(b"x")
    got = b""
    while piece := sock.recv(1 << 16):
        got += piece
    print("right" if got == data else f"{len(got)} bytes, which are not those of the server", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
    sys.exit()

from tap import equal, expect  # noqa: E402
from world import CLIENT, LIB, PATH, SERVER, SLOW, Hosts, on, test, wait_for_subflows  # noqa: E402


def start(host, role):
    return subprocess.Popen(["ip", "netns", "exec", host, "python3", os.path.abspath(__file__), role],
                            env=dict(os.environ, PYTHONPATH=LIB), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def misnumber(link):
    """From now on, data on a link has a number that lies far from the window: one bit of the fourth byte of the number
    in the DSS, behind TCP's timestamps. Not in a packet that is too short for data."""
    on(SERVER, "tc", "qdisc", "add", "dev", link, "clsact")
    on(SERVER, "tc", "filter", "add", "dev", link, "egress", "protocol", "ip", "prio", "1", "u32",
       "match", "u16", "0x0000", "0xff00", "at", "2", "flowid", "1:1")
    on(SERVER, "tc", "filter", "add", "dev", link, "egress", "protocol", "ip", "prio", "2", "u32",
       "match", "u32", "0", "0", "action", "pedit", "munge", "offset", "67", "u8", "invert", "pipe",
       "action", "csum", "tcp")


def drops():
    """How often the client's connection has dropped data."""
    told = on(CLIENT, "nstat", "-asz", "MPTcpExtNoDSSInWindow", "MPTcpExtDuplicateData")
    return sum(int(line.split()[1]) for line in told.splitlines() if line.startswith("MPTcp"))


@test("the peer's connection drops the first data, which its TCP has acknowledged")
def first():
    Hosts([PATH, PATH])
    server = start(SERVER, "serve")
    equal(server.stdout.readline(), "ready\n", "what the server says")
    client = start(CLIENT, "read")
    wait_for_subflows(2)
    try:
        for link in ("eth1", "eth2"):
            misnumber(link)
        server.stdin.write("go\n")
        server.stdin.flush()
        time.sleep(0.3)
        end = time.monotonic() + 5 * SLOW
        while not (dropped := drops()) and time.monotonic() < end:
            time.sleep(0.1)
        stat = on(SERVER, "nstat", "-az", "MPTcpExtMPTCPRetrans")
        for link in ("eth1", "eth2"):
            on(SERVER, "tc", "qdisc", "del", "dev", link, "clsact")
        expect(dropped, f"nothing was dropped: {stat}")
        out, _ = client.communicate(timeout=60 * SLOW)
        equal(out, "right\n", "what the client has got")
    except subprocess.TimeoutExpired:
        expect(False, "what was dropped is not sent again: " + on(SERVER, "ss", "-tniM"))
    finally:
        for end in (client, server):
            end.kill()
            end.wait()
