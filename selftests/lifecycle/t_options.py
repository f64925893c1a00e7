# SPDX-License-Identifier: GPL-2.0
"""Socket options: what is set holds, and what would go wrong is refused."""

import socket
import struct

from tap import expect
from world import outcome, raw, test

IPV6_ADDRFORM = 1
TCP_REPAIR, TCP_MD5SIG, TCP_ZEROCOPY_RECEIVE, TCP_AO_ADD_KEY = 19, 14, 35, 38


@test("TCP's and IP's options are remembered, whenever they are set")
def remembered(w):
    options = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1),
               (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 123),
               (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 4567),
               (socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 50000),
               (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if w.family == socket.AF_INET:
        options.append((socket.IPPROTO_IP, socket.IP_TOS, 16))
    before, after = w.client(), w.client()
    for option in options:
        before.setsockopt(*option)
    for sock in (before, after):
        w.pair(client=sock)
    for option in options:
        after.setsockopt(*option)
    told = [[sock.getsockopt(*option[:2]) for option in options] for sock in (before, after)]
    expect(told[0] == told[1], f"set before and after connect(): {told}")
    wanted = [option[2] for option in options]
    expect(told[0] == wanted, f"set {wanted}, got {told[0]}")


@test("a congestion control is chosen by name, and kept by the next connection of a socket")
def congestion(w):
    client = w.client()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
    _, accepted = w.pair(client=client)
    names = [client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16)]
    accepted.close()
    disconnect(client)
    w.pair(client=client)
    names.append(client.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16))
    return [name.rstrip(b"\0") for name in names] + [
        outcome(client.setsockopt, socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"nothing")]


def disconnect(sock):
    """connect() to AF_UNSPEC, which Python has no word for."""
    address = struct.pack("=H14x", socket.AF_UNSPEC)
    raw("connect", sock.fileno(), address, len(address))


@test("options that would take the connection apart are refused", compare=False, modes=("mptcp", "mptcp6", "to tcp"))
def refused(w):
    client, _ = w.pair()
    for level, option, value in (
            (socket.IPPROTO_TCP, TCP_REPAIR, struct.pack("i", 1)),
            (socket.IPPROTO_TCP, TCP_MD5SIG, bytes(216)),
            (socket.IPPROTO_TCP, TCP_AO_ADD_KEY, bytes(288)),
            (socket.IPPROTO_IPV6, IPV6_ADDRFORM, struct.pack("i", socket.AF_INET))):
        got = outcome(client.setsockopt, level, option, value)
        expect(got == "ENOTSUP", f"option {option} of level {level} gives {got}")
    got = outcome(client.getsockopt, socket.IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, 64)
    expect(got == "ENOTSUP", f"TCP_ZEROCOPY_RECEIVE gives {got}")
