# SPDX-License-Identifier: GPL-2.0
"""MPTCP sockets as a program sees them: constants, state and counters."""

import errno
import socket
import struct

IPPROTO_MPTCP = 262
SOL_MPTCP = 284
MPTCP_INFO = 1

FLAG_FALLBACK = 1
FLAG_REMOTE_KEY = 2

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
