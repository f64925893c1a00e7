#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Loading and unloading, and a thousand connections: what was taken is given back.

Needs a guest of its own, with the module not loaded.
"""

import gc
import os
import resource
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import mptcp  # noqa: E402
import tap  # noqa: E402
from tap import equal, expect  # noqa: E402

MODULE = os.environ["MPTCP_MODULE"]
# The debug kernel keeps freed objects for a while, and takes long for everything.
DEBUG = os.environ.get("KERNEL") == "debug"
CYCLES = 100


def insmod():
    subprocess.run(["insmod", MODULE], check=True)


def rmmod():
    return subprocess.run(["rmmod", "mptcp"], capture_output=True, text=True)


def unload(seconds=30):
    """rmmod, once the last subflow is gone: a closed connection lives on for a moment."""
    end = time.monotonic() + seconds
    while (done := rmmod()).returncode:
        expect("in use" in done.stderr, f"rmmod: {done.stderr}")
        expect(time.monotonic() < end, f"still in use: {done.stderr}")
        time.sleep(0.02)


def serve(listener, count):
    """Echo one message of each of so many connections."""
    for _ in range(count):
        sock = listener.accept()[0]
        sock.sendall(sock.recv(100000))
        sock.close()


def listen(backlog=16):
    listener = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen(backlog)
    return listener


def ten_connections():
    with listen() as listener:
        server = threading.Thread(target=serve, args=(listener, 10), daemon=True)
        server.start()
        for number in range(10):
            with mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP) as sock:
                sock.connect(listener.getsockname())
                if number == 0:
                    expect(mptcp.is_mptcp(sock), "the connection fell back")
                message = bytes([number]) * 10000
                sock.sendall(message)
                got = b""
                while piece := sock.recv(65536):
                    got += piece
                equal(got, message, "echo")
        server.join(10)


def time_wait_gone():
    """Ends what TCP remembers of connections that are over, which is memory too."""
    subprocess.run(["ss", "-K", "-a", "-t"], capture_output=True, check=True)
    left = subprocess.run(["ss", "-H", "-a", "-t"], capture_output=True, text=True, check=True).stdout
    expect(not left, f"connections are left:\n{left}")


def memory():
    """Kernel memory in use that a leak would show in, KiB, after what can be freed is."""
    time_wait_gone()
    subprocess.run("sync; echo 3 >/proc/sys/vm/drop_caches", shell=True, check=True)
    time.sleep(0.5)
    with open("/proc/meminfo", encoding="ascii") as lines:
        fields = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return fields["SUnreclaim"], fields["VmallocUsed"] + fields["Percpu"]


# Caches whose objects are what a connection is made of, and what it may hold.
CACHES = ("MPTCP", "MPTCPv6", "TCP", "TCPv6", "request_sock_TCP", "request_sock_TCPv6", "tcp_bind_bucket",
          "sock_inode_cache", "net_namespace")


def slabs(names=CACHES):
    """Objects in use of these caches. What CPUs, or KASAN, keep of them for a while does not count."""
    for name in names:
        try:
            with open(f"/sys/kernel/slab/{name}/shrink", "w", encoding="ascii") as file:
                file.write("1")
        except OSError:
            pass
    found = {}
    with open("/proc/slabinfo", encoding="ascii") as lines:
        for line in lines:
            name = line.split()[0]
            if name in names:
                found[name] = int(line.split()[1])
    return found


def given_back(before):
    """Until there are no more objects in use than before. Some are freed a grace period later."""
    end = time.monotonic() + (60 if DEBUG else 15)
    while True:
        left = slabs()
        more = {name: count for name, count in left.items() if count > before.get(name, 0)}
        if not more:
            return
        expect(time.monotonic() < end, f"objects before {before}, after {left}: more of {sorted(more)}")
        time.sleep(0.5)


def cycles():
    for _ in range(5):
        insmod()
        ten_connections()
        unload()
    before, objects = memory(), slabs()
    for _ in range(CYCLES - 5):
        insmod()
        ten_connections()
        unload()
    after = memory()
    print(f"# kernel memory before {before}, after {after} KiB", flush=True)
    # One leaked connection a cycle would be 95 times at least 4 KiB.
    slab, other = (b - a for a, b in zip(before, after))
    if not DEBUG:
        expect(slab < 350, f"unreclaimable slab memory grew by {slab} KiB")
        expect(other < 350, f"module, vmalloc and per-CPU memory grew by {other} KiB")
    given_back(objects)
    expect("mptcp" not in open("/proc/modules").read(), "still loaded")


def refused():
    insmod()
    sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
    done = rmmod()
    expect(done.returncode and "in use" in done.stderr, f"rmmod with an open socket: {done}")
    with sock, listen() as listener:
        sock.connect(listener.getsockname())
        accepted = listener.accept()[0]
        accepted.send(b"still here")
        equal(sock.recv(100), b"still here", "received")
        accepted.close()
    unload()


def plain():
    """What a listener accepts as plain TCP outlives the module, and does not hold it."""
    insmod()
    accepted = []
    with listen() as listener:
        for _ in range(3):
            sock = mptcp.stream(socket.AF_INET, socket.IPPROTO_TCP)
            sock.connect(listener.getsockname())
            accepted.append((sock, listener.accept()[0]))
    unload(10)
    for sock, other in accepted:
        sock.send(b"still here")
        equal(other.recv(100), b"still here", "received")
        sock.close()
        other.close()


def lingering():
    """rmmod while closed connections still have data to deliver: refused, until they have."""
    insmod()
    listener = listen()
    sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
    sock.connect(listener.getsockname())
    accepted = listener.accept()[0]
    listener.close()
    sock.setblocking(False)
    sent = 0
    try:
        while True:
            sent += sock.send(bytes(100000))
    except BlockingIOError:
        pass
    sock.close()
    done = rmmod()
    expect(done.returncode and "in use" in done.stderr, f"rmmod with lingering data: {done}")
    got = 0
    while piece := accepted.recv(1 << 18):
        got += len(piece)
    equal(got, sent, "bytes that arrived after close()")
    accepted.close()
    unload()


def race():
    """rmmod again and again while connections come and go: refused or done, never a crash."""
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            try:
                ten_connections()
            except OSError:
                time.sleep(0.01)

    insmod()
    threads = [threading.Thread(target=churn, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(30):
        time.sleep(0.05)
        if rmmod().returncode == 0:
            insmod()
    stop.set()
    for thread in threads:
        thread.join(60)
    gc.collect()
    unload()


def thousand():
    insmod()
    ten_connections()
    time_wait_gone()
    before = slabs()
    listener = listen(1100)
    pairs = []
    for _ in range(1000):
        sock = mptcp.stream(socket.AF_INET, mptcp.IPPROTO_MPTCP)
        sock.connect(listener.getsockname())
        pairs.append((sock, listener.accept()[0]))
    for number, (one, other) in enumerate(pairs):
        one.send(number.to_bytes(4, "big"))
    for number, (one, other) in enumerate(pairs):
        equal(other.recv(100), number.to_bytes(4, "big"), "received")
    expect(all(mptcp.is_mptcp(one) for one, _ in pairs), "some fell back")
    print(f"# with 1000 connections: {slabs()}", flush=True)
    start = time.monotonic()
    for one, other in pairs:
        one.close()
        other.close()
    listener.close()
    del pairs
    print(f"# closed in {time.monotonic() - start:.1f} s", flush=True)
    unload(60)
    time_wait_gone()
    given_back(before)


TESTS = {
    f"{CYCLES} cycles of insmod, 10 connections, rmmod: memory is given back": (cycles, 400),
    "rmmod with an open socket is refused, and the socket works on": (refused, 30),
    "plain TCP connections from an MPTCP listener outlive the module": (plain, 30),
    "rmmod with lingering subflows is refused until their data has arrived": (lingering, 60),
    "rmmod while connections come and go": (race, 120),
    "1000 connections open at once, closed at once": (thousand, 120),
}


def main():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    with open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w", encoding="ascii") as file:
        file.write("4096")
    report = tap.Report()
    for name, (function, seconds) in TESTS.items():
        report.tell(name, tap.call(function, seconds * (4 if DEBUG else 1)).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
