# SPDX-License-Identifier: GPL-2.0
"""socket(), bind() and names."""

import os
import socket

import mptcp
from tap import equal, expect
from world import outcome, raw, test


def create(family, kind, protocol):
    sock = outcome(socket.socket, family, kind, protocol)
    return sock if isinstance(sock, str) else "made"


@test("socket() of other types and families is refused as TCP refuses it")
def wrong_types(w):
    results = []
    for family in (socket.AF_INET, socket.AF_INET6):
        for kind in (socket.SOCK_DGRAM, socket.SOCK_SEQPACKET, socket.SOCK_RDM):
            results.append(create(family, kind, w.client_protocol))
    expect("made" not in results, results)
    return results + [create(socket.AF_UNIX, socket.SOCK_STREAM, w.client_protocol)]


@test("socket() tells its type, domain and protocol")
def kind(w):
    sock = w.client()
    equal(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL), w.client_protocol)
    return [sock.getsockopt(socket.SOL_SOCKET, option)
            for option in (socket.SO_TYPE, socket.SO_DOMAIN, socket.SO_ACCEPTCONN, socket.SO_ERROR)]


@test("socket() flags: non-blocking, close on exec")
def flags(w):
    sock = socket.socket(w.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK, w.client_protocol)
    server = w.server()
    server.setblocking(False)
    return [os.get_blocking(sock.fileno()), os.get_inheritable(sock.fileno()),
            outcome(server.accept)]


@test("an unprivileged user makes and connects a socket")
def unprivileged(w):
    server = w.server()
    os.setuid(65534)
    client = w.client()
    client.connect(w.address(server))
    client.send(b"me")
    accepted = server.accept()[0]
    return [accepted.recv(9), outcome(client.bind, (w.host, 0)),
            outcome(w.client().bind, (w.host, 80))]


@test("an MPTCP ULP cannot be attached from user space")
def ulp(w):
    client, _ = w.pair()
    plain = mptcp.stream(w.family, socket.IPPROTO_TCP)
    for sock in (client, plain):
        got = outcome(sock.setsockopt, socket.IPPROTO_TCP, 31, b"mptcp\0")
        expect(isinstance(got, str), f"TCP_ULP answers {got}")


@test("bind(): a port of the kernel's choice, and a second bind")
def bind_any(w):
    sock = w.client()
    sock.bind((w.host, 0))
    host, port = sock.getsockname()[:2]
    expect(port > 0, "no port")
    return [host, outcome(sock.bind, (w.host, 0))]


@test("bind() to a foreign address and to a port that is taken")
def bind_wrong(w):
    server = w.server()
    foreign = "10.9.9.9" if w.version == 4 else "fd09::9"
    mptcp_sock = w.client()
    taken = outcome(mptcp_sock.bind, w.address(server))
    plain = mptcp.stream(w.family, socket.IPPROTO_TCP)
    return [outcome(w.client().bind, (foreign, 0)), taken, outcome(plain.bind, w.address(server))]


@test("SO_REUSEADDR: not beside a listener, but beside a connection in TIME_WAIT")
def reuse(w):
    server = w.server(SO_REUSEADDR=1)
    address = w.address(server)
    results = []
    for reusing in (0, 1):
        beside = w.client()
        beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reusing)
        results.append(outcome(beside.bind, address))
        if results[-1] is None:
            results.append(outcome(beside.listen))
        beside.close()
    client, accepted = w.pair(server=server)
    server.close()
    # With TCP, who closes first goes to TIME_WAIT; with MPTCP it may be either.
    accepted.close()
    equal(client.recv(1), b"")
    client.close()
    after = mptcp.stream(w.family, w.server_protocol)
    after.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    results.append(outcome(after.bind, address))
    results.append(outcome(after.listen))
    after.close()
    return results


@test("SO_REUSEPORT: two listeners on one port")
def reuse_port(w):
    first = w.server(backlog=64, SO_REUSEPORT=1)
    second = mptcp.stream(w.family, w.server_protocol)
    second.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    second.bind(w.address(first))
    second.listen(64)
    for sock in (first, second):
        sock.setblocking(False)
    clients = []
    for _ in range(32):
        clients.append(w.client())
        clients[-1].connect(w.address(first))
    got = [0, 0]
    for n, sock in enumerate((first, second)):
        while not isinstance(accepted := outcome(sock.accept), str):
            w.keep.append(accepted)
            got[n] += 1
    equal(sum(got), 32, "accepted")
    expect(0 not in got, f"one has everything: {got}")


@test("getsockname() and getpeername() at both ends")
def names(w):
    server = w.server()
    fresh = w.client()
    before = [outcome(fresh.getsockname), outcome(fresh.getpeername), outcome(server.getpeername)]
    client, accepted = w.pair(server=server)
    equal(client.getpeername(), server.getsockname())
    equal(client.getsockname(), accepted.getpeername())
    equal(accepted.getsockname(), server.getsockname())
    client.close()
    equal(accepted.recv(1), b"")
    # The name of a peer that has gone is still known.
    return before + [accepted.getpeername()[0]]


@test("accept() tells the client's address")
def accept_address(w):
    server = w.server()
    client = w.client()
    client.connect(w.address(server))
    accepted, address = server.accept()
    equal(address, client.getsockname())
    return [accepted.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE),
            accepted.getsockopt(socket.SOL_SOCKET, socket.SO_DOMAIN)]


@test("an IPv6 listener takes IPv4 clients too, with mapped addresses")
def dual_stack(w):
    server = mptcp.stream(socket.AF_INET6, w.server_protocol)
    server.bind(("::", 0))
    server.listen()
    port = server.getsockname()[1]
    results = []
    for family, host in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        client = mptcp.stream(family, w.client_protocol)
        client.connect((host, port))
        accepted, address = server.accept()
        w.check_kind(client, accepted)
        client.send(b"over")
        accepted.send(b"back")
        results += [address[0], accepted.getsockname()[0], accepted.getpeername()[0],
                    accepted.recv(9), client.recv(9), client.getpeername()[0]]
    return results


@test("an IPv6 socket connects to a mapped IPv4 address")
def mapped(w):
    server = mptcp.stream(socket.AF_INET, w.server_protocol)
    server.bind(("127.0.0.1", 0))
    server.listen()
    client = mptcp.stream(socket.AF_INET6, w.client_protocol)
    client.connect(("::ffff:127.0.0.1", server.getsockname()[1]))
    accepted, address = server.accept()
    w.check_kind(client, accepted)
    client.sendall(b"x" * 300000)
    client.shutdown(socket.SHUT_WR)
    total = 0
    while piece := accepted.recv(65536):
        total += len(piece)
    accepted.send(b"back")
    return [total, client.recv(9), address[0], client.getsockname()[0], client.getpeername()[0]]


@test("IPV6_V6ONLY: a listener refuses IPv4, a connect to a mapped address fails")
def v6only(w):
    server = mptcp.stream(socket.AF_INET6, w.server_protocol)
    server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    server.bind(("::", 0))
    server.listen()
    port = server.getsockname()[1]
    four = mptcp.stream(socket.AF_INET, w.client_protocol)
    six = mptcp.stream(socket.AF_INET6, w.client_protocol)
    only = mptcp.stream(socket.AF_INET6, w.client_protocol)
    only.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    beside = mptcp.stream(socket.AF_INET, w.server_protocol)
    return [outcome(four.connect, ("127.0.0.1", port)), outcome(six.connect, ("::1", port)),
            outcome(only.connect, ("::ffff:127.0.0.1", port)),
            outcome(beside.bind, ("0.0.0.0", port))]


@test("bind() of IPv4 and of IPv6 to one port: who comes second is refused")
def both_families(w):
    results = []
    for first, second in ((socket.AF_INET, socket.AF_INET6), (socket.AF_INET6, socket.AF_INET)):
        any_host = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
        one = mptcp.stream(first, w.server_protocol)
        one.bind((any_host[first], 0))
        one.listen()
        other = mptcp.stream(second, w.client_protocol)
        results.append(outcome(other.bind, (any_host[second], one.getsockname()[1])))
    return results


@test("wrong lengths and families of addresses")
def wrong_addresses(w):
    sock = w.client()
    results = []
    for call in ("bind", "connect"):
        short = (b"\x02\0" if w.version == 4 else b"\x0a\0") + b"\0" * 2
        results.append(raw(call, sock.fileno(), short, len(short)))
        other = b"\x01\0" + b"\0" * 30
        results.append(raw(call, sock.fileno(), other, len(other)))
    return results
