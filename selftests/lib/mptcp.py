# SPDX-License-Identifier: GPL-2.0
"""MPTCP sockets as a program sees them: constants, state and counters."""

import ctypes
import errno
import os
import socket
import struct

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MPTCP_INFO, MPTCP_TCPINFO, MPTCP_SUBFLOW_ADDRS = 1, 2, 3

FLAG_FALLBACK = 1
FLAG_REMOTE_KEY = 2

LIBC = ctypes.CDLL(None, use_errno=True)

PROTOCOLS = {"tcp": socket.IPPROTO_TCP, "mptcp": IPPROTO_MPTCP}
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


def stream(family, protocol):
    """A stream socket of the protocol, by number."""
    return socket.socket(family, socket.SOCK_STREAM, protocol)


def info(sock):
    """What MPTCP_INFO tells, or None of a socket that is (or became) plain TCP."""
    try:
        raw = sock.getsockopt(SOL_MPTCP, MPTCP_INFO, 256)
    except OSError as e:
        # A socket that fell back may answer like the TCP socket that it is now.
        if e.errno in (errno.EOPNOTSUPP, errno.ENOPROTOOPT, errno.EINVAL):
            return None
        raise
    flags, token = struct.unpack_from("=II", raw, 8)
    write_seq, snd_una, rcv_nxt = struct.unpack_from("=QQQ", raw, 16)
    return {
        "subflows": raw[0],
        "add_addr_signal": raw[1],
        "add_addr_accepted": raw[2],
        "subflows_max": raw[3],
        "add_addr_signal_max": raw[4],
        "add_addr_accepted_max": raw[5],
        "local_addr_used": raw[40],
        "local_addr_max": raw[41],
        "flags": flags,
        "token": token,
        "write_seq": write_seq,
        "snd_una": snd_una,
        "rcv_nxt": rcv_nxt,
    }


def _of_each_subflow(sock, option, size, most=8):
    """An option that has `size` bytes for each subflow."""
    header = struct.calcsize("=IIII")
    raw = ctypes.create_string_buffer(struct.pack("=IIII", header, 0, 0, size), header + most * size)
    length = ctypes.c_uint(len(raw))
    if LIBC.getsockopt(sock.fileno(), SOL_MPTCP, option, raw, ctypes.byref(length)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    count = min(struct.unpack_from("=I", raw, 4)[0], most)
    return [raw.raw[header + n * size:header + (n + 1) * size] for n in range(count)]


def subflows_received(sock):
    """Of each IPv4 subflow: the remote address, and how many bytes TCP has received in order."""
    # struct mptcp_subflow_addrs: two sockaddr_storage; struct tcp_info up to tcpi_bytes_received.
    addresses = _of_each_subflow(sock, MPTCP_SUBFLOW_ADDRS, 256)
    told = _of_each_subflow(sock, MPTCP_TCPINFO, 136)
    return [(socket.inet_ntoa(both[132:136]), struct.unpack_from("=Q", info, 128)[0])
            for both, info in zip(addresses, told)]


def is_mptcp(sock):
    """Whether the connection is MPTCP on the wire, not fallen back."""
    told = info(sock)
    return told is not None and not told["flags"] & FLAG_FALLBACK


def counters(prefix="MPTcpExt"):
    """The MIB counters of this thread's network namespace, as nstat reads them."""
    wanted = f"{prefix}:"
    with open("/proc/thread-self/net/netstat", encoding="ascii") as lines:
        rows = [line.split()[1:] for line in lines if line.split(" ", 1)[0] == wanted]
    return dict(zip(rows[0], map(int, rows[1]))) if len(rows) == 2 else {}


def changed(before, after):
    """The counters that differ, as after minus before."""
    return {k: v - before.get(k, 0) for k, v in after.items() if v != before.get(k, 0)}
