# SPDX-License-Identifier: GPL-2.0
"""getsockopt(SOL_MPTCP) with all sizes, and what TCP options tell of an MPTCP socket."""

import ctypes
import os
import socket
import struct

from genl import SUBFLOW
import mptcp
from scene import Scene, carry, section, subflows

LIBC = ctypes.CDLL(None, use_errno=True)
MPTCP_TCPINFO, MPTCP_SUBFLOW_ADDRS, MPTCP_FULL_INFO = 2, 3, 4
BIG = 4096


def get(sock, level, name, size, given=b""):
    """What getsockopt says: the error, or the length and the bytes of the buffer."""
    buffer = ctypes.create_string_buffer(BIG)
    ctypes.memset(buffer, 0xee, BIG)
    ctypes.memmove(buffer, given, len(given))
    length = ctypes.c_uint32(size & 0xffffffff)
    if LIBC.getsockopt(sock.fileno(), level, name, buffer, ctypes.byref(length)):
        return os.strerror(ctypes.get_errno()), b""
    return length.value, buffer.raw


def touched(raw):
    """Where the last byte is that was written."""
    return len(raw.rstrip(b"\xee"))


def info_sizes(sock):
    told = {}
    for size in (-1, 0, 1, 4, 7, 8, 40, 80, 92, 95, 96, 97, 128, 1024):
        length, raw = get(sock, mptcp.SOL_MPTCP, mptcp.MPTCP_INFO, size)
        told[size] = {"length": length, "touched": touched(raw) > 0, "beyond": any(raw[max(size, 0):][:8].replace(
            b"\xee", b""))}
    return told


def array(sock, name):
    """MPTCP_TCPINFO, MPTCP_SUBFLOW_ADDRS: header and array."""
    told = {}
    for size in (0, 15, 16, 17, 24, 300, 1000):
        for header in (0, 15, 16, 17, 24):
            for user in (0, 8, 248, 400, 0x7fffffff, 0x80000000):
                given = struct.pack("=IIII", header, 0, 0, user)
                length, raw = get(sock, mptcp.SOL_MPTCP, name, size, given)
                if isinstance(length, str):
                    told[f"{size} {header} {user}"] = length
                else:
                    told[f"{size} {header} {user}"] = [length, *struct.unpack_from("=IIII", raw)]
    for given in ((16, 1, 0, 8), (16, 0, 1, 8)):
        told[f"{given}"] = get(sock, mptcp.SOL_MPTCP, name, 500, struct.pack("=IIII", *given))[0]
    return told


def addresses(sock):
    """MPTCP_SUBFLOW_ADDRS of all subflows."""
    length, raw = get(sock, mptcp.SOL_MPTCP, MPTCP_SUBFLOW_ADDRS, 3000, struct.pack("=IIII", 16, 0, 0, 256))
    found = []
    for at in range(16, length, 256):
        one = []
        for side in (0, 128):
            family, port = struct.unpack_from("=HH", raw, at + side)
            port = socket.ntohs(port)
            ip = raw[at + side + 4:at + side + 8] if family == socket.AF_INET else raw[at + side + 8:at + side + 24]
            one.append([socket.inet_ntop(family, ip), port if port < 50000 else "any"])
        found.append(one)
    return found


def full(sock):
    """MPTCP_FULL_INFO with sizes of all kinds, and what it writes to."""
    told = {}
    for size in (0, 39, 40, 48, 143, 144, 400):
        for tcp_size, sub_size, count in ((0, 0, 0), (248, 260, 1), (248, 260, 4), (8, 4, 2), (300, 300, 2),
                                          (0x80000000, 0, 0), (0, 0x80000000, 0)):
            tcp, sub = ctypes.create_string_buffer(BIG), ctypes.create_string_buffer(BIG)
            for buffer in (tcp, sub):
                ctypes.memset(buffer, 0xee, BIG)
            given = struct.pack("=IIIIIIQQ", 0, tcp_size, 0, sub_size, 0, count, ctypes.addressof(sub),
                                ctypes.addressof(tcp))
            length, raw = get(sock, mptcp.SOL_MPTCP, MPTCP_FULL_INFO, size, given)
            key = f"{size} {tcp_size} {sub_size} {count}"
            if isinstance(length, str):
                told[key] = length
                continue
            told[key] = [length, *struct.unpack_from("=IIIIII", raw), touched(tcp.raw) > 0, touched(sub.raw) > 0]
            if sub_size >= 4 and count:
                told[key].append([struct.unpack_from("=I", sub.raw, n * sub_size)[0] for n in range(count)])
    for wrong in range(3):
        words = [0, 8, 0, 8, 0, 1]
        words[wrong * 2] = 1
        told[f"{words}"] = get(sock, mptcp.SOL_MPTCP, MPTCP_FULL_INFO, 144, struct.pack("=IIIIIIQQ", *words, 0, 0))[0]
    words = struct.pack("=IIIIIIQQ", 0, 8, 0, 8, 0, 1, 8, 8)
    told["bad pointers"] = get(sock, mptcp.SOL_MPTCP, MPTCP_FULL_INFO, 144, words)[0]
    return told


def tcp_options(sock):
    """Of each TCP option the error, or length and value; of structures, the length."""
    told = {}
    for name in range(1, 48):
        length, raw = get(sock, socket.SOL_TCP, name, 4)
        # TCP_TIMESTAMP begins at random.
        told[name] = length if isinstance(length, str) or name == 24 else [length, raw[:length].hex()]
        if name in (11, 16, 23, 25, 26, 27, 29, 31, 33, 35, 38, 39, 40):
            length, raw = get(sock, socket.SOL_TCP, name, 512)
            told[name] = length
    return told


@section("getsockopt: SOL_MPTCP and SOL_TCP")
def options():
    scene, told = Scene(), {}
    scene.limits(4, 4)
    listener = scene.listener()
    fresh = scene.make("client")
    one, other = scene.open(listener)
    scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
    subflows(1, one, other)
    carry(one, other, 5000)
    scene.settle()
    plain = scene.connect(listener, protocol=socket.IPPROTO_TCP, port=40001)
    fallen_listener = scene.listener(protocol=socket.IPPROTO_TCP, port=5002)
    fallen = scene.open(fallen_listener, port=40002)
    for name, sock in (("a new one", fresh), ("a listener", listener), ("a client", one), ("a server", other),
                       ("a client that fell back", fallen[0]), ("a TCP client", plain[0]),
                       ("a server that fell back", plain[1])):
        told[name] = {
            "MPTCP_INFO": info_sizes(sock), "TCP": tcp_options(sock),
            "others": {number: get(sock, mptcp.SOL_MPTCP, number, 100, bytes([16] + [0] * 15))[0]
                       for number in (0, 2, 3, 4, 5, 6, 99)},
        }
        if name in ("a listener", "a client"):
            told[name].update({"MPTCP_TCPINFO": array(sock, MPTCP_TCPINFO), "MPTCP_FULL_INFO": full(sock),
                               "MPTCP_SUBFLOW_ADDRS": array(sock, MPTCP_SUBFLOW_ADDRS)})
    for name, sock in (("a client", one), ("a server", other)):
        told[name]["addresses"] = addresses(sock)
        raw = get(sock, socket.SOL_TCP, socket.TCP_INFO, 512)[1]
        told[name]["TCP_INFO"] = {"state": raw[0]}
    return told
