# SPDX-License-Identifier: GPL-2.0
"""What netlink refuses, and how: the errors, and the attribute that the answer names."""

import socket

import genl
from genl import (A_ADDR4, A_ADDR6, A_FAMILY, A_FLAGS, A_ID, A_IF_IDX, A_PORT, ADDR, ADDR_REMOTE, BACKUP, FULLMESH,
                  IMPLICIT, LOC_ID, NESTED, RCV_ADD_ADDRS, SIGNAL, SUBFLOW, SUBFLOWS, TOKEN, address, attr, u8, u16,
                  u32)
import mptcp
from scene import section
from world import Pair, sysctl, up

COMMANDS = range(0, 13)
V4, V6 = u16(A_FAMILY, socket.AF_INET), u16(A_FAMILY, socket.AF_INET6)
IP4 = attr(A_ADDR4, socket.inet_aton("10.0.0.1"))
IP6 = attr(A_ADDR6, socket.inet_pton(socket.AF_INET6, "2001:db8::1"))


def nest(*inner, kind=ADDR):
    return attr(kind | NESTED, inner)


def told(refused):
    if refused is None:
        return "done"
    return {"error": genl.errno_of(refused), "message": bool(refused.message), "offset": refused.offset,
            "missing": refused.missing}


REQUESTS = {
    "nothing": (),
    "an empty nest": (nest(),),
    "a nest without its flag": (attr(ADDR, [V4, IP4]),),
    "a number for a nest": (attr(ADDR, b"\1\2"),),
    "a nest in a nest": (nest(nest(V4, IP4)),),
    "a nest that is cut": (attr(ADDR | NESTED, [V4, IP4], length=400),),
    "no family": (nest(IP4),),
    "no address": (nest(V4),),
    "the other address": (nest(V4, IP6),),
    "the other address, v6": (nest(V6, IP4),),
    "family 0": (nest(u16(A_FAMILY, 0), IP4),),
    "family 1": (nest(u16(A_FAMILY, 1), IP4),),
    "family 2, short": (nest(attr(A_FAMILY, b"\2"), IP4),),
    "IPv4, short": (nest(V4, attr(A_ADDR4, b"\1\2")),),
    "IPv6, short": (nest(V6, attr(A_ADDR6, bytes(15))),),
    "IPv6, long": (nest(V6, attr(A_ADDR6, bytes(17))),),
    "ID, short": (nest(V4, IP4, attr(A_ID, b"")),),
    "port, short": (nest(V4, IP4, attr(A_PORT, b"\1")),),
    "flags, short": (nest(V4, IP4, attr(A_FLAGS, b"\1\2\3")),),
    "interface, short": (nest(V4, IP4, attr(A_IF_IDX, b"\1\2\3")),),
    "twice": (nest(u8(A_ID, 3), u8(A_ID, 9), V6, V4, IP4),),
    "unknown": (u32(60, 1), nest(u32(44, 2), V4, IP4)),
    "an ID": (address(id=77),),
    "a port": (address("10.0.0.3", port=80),),
    "a port, subflow": (address("10.0.0.3", port=80, flags=SUBFLOW),),
    "signal and fullmesh": (address("10.0.0.4", flags=SIGNAL | FULLMESH),),
    "implicit": (address("10.0.0.5", flags=IMPLICIT),),
    "backup": (address("10.0.0.6", flags=BACKUP),),
    "limits, short": (attr(RCV_ADD_ADDRS, b"\1\2"),),
    "limits, 9": (u32(SUBFLOWS, 9),),
    "limits, many": (u32(RCV_ADD_ADDRS, 1 << 31),),
    "token, short": (attr(TOKEN, b"\1"),),
    "local ID, short": (u32(TOKEN, 1), attr(LOC_ID, b"")),
    "a token": (u32(TOKEN, 1),),
    "a token, an address": (u32(TOKEN, 1), address("10.0.0.1", id=1)),
    "a token, an ID": (u32(TOKEN, 1), u8(LOC_ID, 1)),
    "an address, an ID": (address("10.0.0.1", id=1), u8(LOC_ID, 1)),
    "a token, both addresses": (u32(TOKEN, 1), address("10.0.0.1", id=1), address("10.0.0.2", kind=ADDR_REMOTE)),
    "both addresses": (address("10.0.0.1", id=1), address("10.0.0.2", kind=ADDR_REMOTE)),
}


@section("netlink: requests that are wrong")
def wrong():
    found = {}
    with genl.Genl() as nl:
        for name, attrs in REQUESTS.items():
            for cmd in COMMANDS:
                nl.ask(genl.FLUSH)
                nl.add("10.0.0.6", id=77, flags=SUBFLOW)
                found[f"{name}: {cmd}"] = told(nl.refused(cmd, *attrs))
                if cmd == genl.GET_ADDR:
                    found[f"{name}: dump"] = told(nl.refused(cmd, *attrs, flags=genl.NLM_F_DUMP))
    return found


def of_connection(kernels):
    up()
    sysctl("pm_type", int(not kernels))
    pair = Pair(port=5000)
    found = {}
    good = u32(TOKEN, pair.tokens[0])
    local, remote = {"ip": "127.0.0.1", "port": pair.ports[0]}, address("127.0.0.1", port=5000, kind=ADDR_REMOTE)
    requests = {
        "nothing else": (),
        "a family without address": (nest(V4), remote, u8(LOC_ID, 1)),
        "no family": (nest(IP4), remote, u8(LOC_ID, 1)),
        "ID 0": (address("10.0.0.1", id=0, flags=SIGNAL), u8(LOC_ID, 0)),
        "no signal": (address("10.0.0.1", id=1), remote, u8(LOC_ID, 9)),
        "signal": (address("10.0.0.1", id=1, flags=SIGNAL), remote, u8(LOC_ID, 1)),
        "signal again": (address("10.0.0.1", id=2, flags=SIGNAL), remote, u8(LOC_ID, 2)),
        "the ID again": (address("10.0.0.2", id=1, flags=SIGNAL), remote, u8(LOC_ID, 2)),
        "no remote address": (address(**local), u8(LOC_ID, 3)),
        "a remote address without family": (address(**local), nest(IP4, kind=ADDR_REMOTE)),
        "another family": (address(**local), address("::1", port=5000, kind=ADDR_REMOTE)),
        "IPv6": (address("::1", port=1), address("::1", port=5000, kind=ADDR_REMOTE)),
        "no local port": (address("127.0.0.1"), remote),
        "no remote port": (address(**local), address("127.0.0.1", kind=ADDR_REMOTE)),
        "another port": (address("127.0.0.1", port=1), remote),
    }
    with genl.Genl() as nl:
        for name, attrs in requests.items():
            for cmd in (genl.GET_ADDR, genl.SET_FLAGS, genl.ANNOUNCE, genl.REMOVE, genl.DESTROY):
                # The first subflow is to stay.
                if (name, cmd) == ("ID 0", genl.REMOVE) and not kernels:
                    continue
                found[f"{name}: {cmd}"] = told(nl.refused(cmd, good, *attrs))
            if "address" in name or "family" in name or name == "IPv6" or kernels:
                found[f"{name}: create"] = told(nl.refused(genl.CREATE, good, *attrs))
            found[f"{name}: dump"] = told(nl.refused(genl.GET_ADDR, good, *attrs, flags=genl.NLM_F_DUMP))
    found["is MPTCP"] = mptcp.is_mptcp(pair.client)
    return found


@section("netlink: requests about a connection of user space that are wrong")
def users():
    return of_connection(False)


@section("netlink: requests about a connection of the kernel")
def kernels():
    return of_connection(True)
