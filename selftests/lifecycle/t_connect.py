# SPDX-License-Identifier: GPL-2.0
"""connect(), in every way that it can end."""

import os
import socket
import subprocess
import threading

import mptcp
from tap import equal, expect
from world import (LIBC, in_thread, outcome, poll_mask, pattern, raw, so_error, take_all, test, timed,
                   timeout_option, until, wait_mask)

# An address that is routed to a device that swallows everything.
SILENT = {4: "10.77.0.9", 6: "fd77::9"}


def silent_network():
    """A network of its own, in which SILENT never answers."""
    os.unshare(os.CLONE_NEWNET)
    for command in ("ip link set lo up", "ip link add nowhere type dummy",
                    "ip addr add 10.77.0.1/24 dev nowhere",
                    "ip addr add fd77::1/64 dev nowhere nodad", "ip link set nowhere up",
                    "ip neigh add 10.77.0.9 lladdr 02:00:00:00:00:09 dev nowhere",
                    "ip neigh add fd77::9 lladdr 02:00:00:00:00:09 dev nowhere"):
        subprocess.run(command.split(), check=True)


def unused_port(w):
    """A port at which nobody listens: bound, so that nobody else takes it."""
    holder = w.client()
    holder.bind((w.host, 0))
    return holder.getsockname()[1]


@test("connect() where nobody listens, and again where somebody does")
def refused(w):
    client = w.client()
    first = outcome(client.connect, (w.host, unused_port(w)))
    state = [poll_mask(client), so_error(client)]
    server = w.server()
    second = outcome(client.connect, w.address(server))
    accepted = server.accept()[0]
    client.send(b"there")
    return [first, state, second, accepted.recv(9)]


@test("connect() without a route, and against unreachable and prohibited ones")
def unreachable(w):
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    net, host = ("10.66", "10.66.0.1") if w.version == 4 else ("fd66", "fd66::1")
    prefix = "10.66.0.0/16" if w.version == 4 else "fd66::/16"
    expect(host.startswith(net))
    results = [outcome(w.client().connect, (host, 1))]
    for kind in ("unreachable", "prohibit", "blackhole"):
        subprocess.run(["ip", f"-{w.version}", "route", "add", kind, prefix], check=True)
        results.append(outcome(w.client().connect, (host, 1)))
        subprocess.run(["ip", f"-{w.version}", "route", "del", kind, prefix], check=True)
    return results


# The guest's kernel has no REJECT for IPv6.
@test("connect() that a packet filter rejects", modes=("mptcp", "to tcp", "from tcp"))
def rejected(w):
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    server = w.server()
    subprocess.run(["iptables", "-A", "INPUT", "-p", "tcp", "--dport", str(w.address(server)[1]), "-j",
                    "REJECT", "--reject-with", "icmp-admin-prohibited"], check=True)
    return outcome(w.client().connect, w.address(server))


@test("connect() to a host that does not answer times out", seconds=30)
def silence(w):
    silent_network()
    # The first SYN and one more: three seconds; MPTCP may try plain TCP after that.
    for name in ("tcp_syn_retries", "tcp_syn_linear_timeouts"):
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write("1")
    result, seconds = timed(w.client().connect, (SILENT[w.version], 1))
    expect(1.5 < seconds < 15, f"took {seconds} s")
    return result


@test("non-blocking connect() to a host that does not answer, then close")
def silence_nonblocking(w):
    silent_network()
    client = w.client()
    client.setblocking(False)
    address = (SILENT[w.version], 1)
    results = [outcome(client.connect, address), outcome(client.connect, address),
               poll_mask(client), so_error(client), outcome(client.send, b"x"),
               outcome(client.recv, 1), outcome(client.getpeername)]
    return results + [outcome(client.close)]


@test("connect() with SO_SNDTIMEO gives up waiting, and goes on in the background")
def send_timeout(w):
    silent_network()
    client = w.client()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout_option(0.3))
    result, seconds = timed(client.connect, (SILENT[w.version], 1))
    expect(0.29 < seconds < 3, f"took {seconds} s")
    return [result, outcome(client.connect, (SILENT[w.version], 1))]


@test("shutdown() of a socket that is connecting wakes connect()")
def shutdown_connecting(w):
    silent_network()
    client = w.client()
    waiting = in_thread(client.connect, (SILENT[w.version], 1))
    until(lambda: b" 02 " in open("/proc/net/tcp" if w.version == 4 else "/proc/net/tcp6", "rb").read(),
          "SYN_SENT")
    down = outcome(client.shutdown, socket.SHUT_RDWR)
    return [down, waiting(), poll_mask(client)]


@test("non-blocking connect() that succeeds")
def nonblocking(w):
    server = w.server()
    client = w.client()
    client.setblocking(False)
    first = outcome(client.connect, w.address(server))
    accepted = server.accept()[0]
    mask = wait_mask(client, "OUT")
    w.check_kind(client, accepted)
    results = [first, mask, so_error(client), outcome(client.connect, w.address(server)),
               outcome(client.send, b"now")]
    return results + [accepted.recv(9)]


@test("non-blocking connect() that is refused")
def nonblocking_refused(w):
    client = w.client()
    client.setblocking(False)
    first = outcome(client.connect, (w.host, unused_port(w)))
    mask = wait_mask(client, "HUP")
    return [first, mask, so_error(client), so_error(client), outcome(client.send, b"x"),
            outcome(client.recv, 1)]


@test("connect() after a non-blocking connect() was refused tells why, once")
def nonblocking_refused_connect(w):
    client = w.client()
    client.setblocking(False)
    address = (w.host, unused_port(w))
    first = outcome(client.connect, address)
    wait_mask(client, "HUP")
    second = outcome(client.connect, address)
    wait_mask(client, "HUP")
    server = w.server()
    client.setblocking(True)
    so_error(client)
    return [first, second, outcome(client.connect, w.address(server))]


@test("connect() of a connected and of a listening socket")
def connected(w):
    server = w.server()
    client, accepted = w.pair(server=server)
    return [outcome(client.connect, w.address(server)), outcome(accepted.connect, w.address(server)),
            outcome(server.connect, w.address(server)), outcome(client.listen)]


@test("connect() from a port that was bound")
def bound(w):
    client = w.client()
    client.bind((w.host, 0))
    name = client.getsockname()
    client, accepted = w.pair(client=client)
    equal(accepted.getpeername(), name)


@test("connect(AF_UNSPEC) disconnects, and the socket connects again")
def disconnect(w):
    server = w.server()
    client, accepted = w.pair(server=server)
    unspec = b"\0" * 16
    result = raw("connect", client.fileno(), unspec, len(unspec))
    ended = outcome(accepted.recv, 1)
    again = outcome(client.connect, w.address(server))
    second = server.accept()[0]
    w.check_kind(client, second)
    client.sendall(pattern(200000))
    client.shutdown(socket.SHUT_WR)
    return [result, ended, again, len(take_all(second))]


@test("connect() to itself", c_differs="MPTCP_INFO says MPTCP or not, the data arrives")
def itself(w):
    sock = mptcp.stream(w.family, w.client_protocol)
    sock.bind((w.host, 0))
    first = outcome(sock.connect, sock.getsockname())
    sent = outcome(sock.send, b"me")
    return [first, sent, outcome(sock.recv, 9)]


@test("many threads connect to one listener at once", seconds=40)
def crowd(w):
    server = w.server(backlog=64)
    clients = [w.client() for _ in range(48)]
    barrier = threading.Barrier(len(clients))

    def connect(client, n):
        barrier.wait()
        client.connect(w.address(server))
        client.sendall(b"%02d" % n)

    waits = [in_thread(connect, client, n) for n, client in enumerate(clients)]
    heard = []
    for _ in clients:
        accepted = server.accept()[0]
        w.keep.append(accepted)
        heard.append(int(accepted.recv(2)))
    equal([wait() for wait in waits], [None] * len(clients))
    equal(sorted(heard), list(range(len(clients))))
    w.check_kind(*clients)


@test("calls on a socket that never connected")
def unconnected(w):
    results = []
    for call in ("shutdown", "send", "recv"):
        sock = w.client()
        argument = {"shutdown": socket.SHUT_RDWR, "send": b"x", "recv": 1}[call]
        results.append(outcome(getattr(sock, call), argument, *(
            [socket.MSG_NOSIGNAL] if call == "send" else [])))
        results.append(poll_mask(sock))
    return results + [outcome(w.client().accept), outcome(w.client().close)]


@test("a file descriptor of a connecting socket is closed by another thread")
def close_connecting(w):
    silent_network()
    client = w.client()
    fd = client.fileno()
    waiting = in_thread(client.connect, (SILENT[w.version], 1))
    until(lambda: b" 02 " in open("/proc/net/tcp" if w.version == 4 else "/proc/net/tcp6", "rb").read(),
          "SYN_SENT")
    duplicate = os.dup(fd)
    os.close(fd)
    LIBC.shutdown(duplicate, socket.SHUT_RDWR)
    result = waiting()
    client.detach()
    os.close(duplicate)
    return result
