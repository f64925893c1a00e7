# SPDX-License-Identifier: GPL-2.0
"""Messages that are not as they should be: the right error, and the answer says where."""

import socket

import genl
from genl import (A_ADDR4, A_ADDR6, A_FAMILY, A_FLAGS, A_ID, A_PORT, ADD_ADDR, ADDR, ADDR_REMOTE,
                  ANNOUNCE, CREATE, DEL_ADDR, DESTROY, FLUSH, GET_ADDR, GET_LIMITS, LOC_ID, NESTED,
                  RCV_ADD_ADDRS, REMOVE, SET_FLAGS, SET_LIMITS, SUBFLOWS, TOKEN, address, attr, u8,
                  u16, u32)
from tap import equal, expect
from world import outcome, refusal, test

V4 = u16(A_FAMILY, socket.AF_INET)
V6 = u16(A_FAMILY, socket.AF_INET6)
IP4 = attr(A_ADDR4, socket.inet_aton("10.0.0.1"))
IP6 = attr(A_ADDR6, socket.inet_pton(socket.AF_INET6, "2001:db8::1"))
# Behind the headers of netlink and generic netlink.
FIRST = 20


def nest(*inner, kind=ADDR):
    return attr(kind | NESTED, inner)


def explained(refused, number, offset=None):
    equal(genl.errno_of(refused), number, "error")
    expect(refused.message, "the answer does not say what is wrong")
    if offset is not None:
        equal(refused.offset, offset, "the offset of the attribute that is wrong")


@test("no address where one has to be")
def no_address():
    for cmd in (ADD_ADDR, DEL_ADDR, GET_ADDR, SET_FLAGS):
        explained(refusal(cmd), "EINVAL")
    equal(outcome(FLUSH), None, "flush, which needs none")


@test("an address without its family")
def no_family():
    explained(refusal(ADD_ADDR, nest(IP4)), "EINVAL", FIRST)
    explained(refusal(ADD_ADDR, nest()), "EINVAL", FIRST)
    explained(refusal(ADD_ADDR, nest(u8(A_ID, 7))), "EINVAL", FIRST)


@test("a family without its address")
def no_ip():
    for inner in ([V4], [V6], [V4, IP6], [V6, IP4]):
        explained(refusal(ADD_ADDR, nest(*inner)), "EINVAL", FIRST)


@test("families that no address has")
def other_family():
    for family in (socket.AF_UNSPEC, socket.AF_UNIX, 0xffff):
        refused = refusal(ADD_ADDR, nest(u16(A_FAMILY, family), IP4, IP6))
        explained(refused, "EINVAL")
        # The address, or in it the family.
        expect(refused.offset in (FIRST, FIRST + 4), "the offset is in the address")


@test("attributes that are too short")
def short():
    for bad in (attr(A_FAMILY, b"\2"), attr(A_ID, b""), attr(A_ADDR4, b"\1\2"),
                attr(A_ADDR6, bytes(15)), attr(A_PORT, b"\1"), attr(A_FLAGS, b"\1\2\3")):
        refused = refusal(ADD_ADDR, nest(bad, V4, IP4))
        equal(genl.errno_of(refused), "ERANGE", f"attribute {bad[2]}")
        equal(refused.offset, FIRST + 4, "offset")
    for cmd, bad in ((SET_LIMITS, attr(RCV_ADD_ADDRS, b"\1\2")), (SET_LIMITS, attr(SUBFLOWS, b"")),
                     (GET_ADDR, attr(TOKEN, b"\1")), (REMOVE, attr(LOC_ID, b""))):
        refused = refusal(cmd, bad)
        equal(genl.errno_of(refused), "ERANGE", f"command {cmd}")
        equal(refused.offset, FIRST, "offset")


@test("attributes that are too long")
def long():
    equal(outcome(ADD_ADDR, nest(V6, attr(A_ADDR6, bytes(17)))), "ERANGE", "17 bytes of IPv6")
    # Numbers have always been taken from the front.
    with genl.Genl() as nl:
        nl.ask(ADD_ADDR, nest(attr(A_FAMILY, b"\2\0\0\0\0\0"), attr(A_ID, b"\5junkjunk"),
                              attr(A_ADDR4, socket.inet_aton("10.0.0.1") + b"junk")))
        equal(nl.endpoints(), [(5, "10.0.0.1", 0, 0, 0)])
        nl.ask(SET_LIMITS, attr(SUBFLOWS, b"\3\0\0\0junk"))
        equal(nl.limits(), (0, 3))


@test("an attribute twice: the last one counts")
def twice():
    with genl.Genl() as nl:
        nl.ask(ADD_ADDR, nest(u8(A_ID, 3), u8(A_ID, 9), V6, V4, IP4))
        equal(nl.endpoints(), [(9, "10.0.0.1", 0, 0, 0)])
        nl.ask(DEL_ADDR, address(id=3), address(id=9))
        equal(nl.endpoints(), [])
        nl.ask(SET_LIMITS, u32(SUBFLOWS, 99), u32(SUBFLOWS, 4))
        equal(nl.limits(), (0, 4))


@test("nests that are cut off, not flagged or empty")
def nests():
    with genl.Genl() as nl:
        # As older programs write them.
        nl.ask(ADD_ADDR, attr(ADDR, [V4, IP4]))
        equal(nl.endpoints(), [(1, "10.0.0.1", 0, 0, 0)])
    # The last attribute claims more than there is: it is not seen.
    cut = attr(ADDR | NESTED, [V4, attr(A_ADDR4, b"\12\0\0\2", length=40)])
    explained(refusal(ADD_ADDR, cut), "EINVAL", FIRST)
    # A header that is shorter than a header.
    explained(refusal(ADD_ADDR, nest(attr(A_FAMILY, b"\2\0", length=3), IP4)), "EINVAL", FIRST)
    # The nest claims more than the message has.
    explained(refusal(ADD_ADDR, attr(ADDR | NESTED, [V4, IP4], length=400)), "EINVAL")
    # A number where a nest should be.
    equal(outcome(ADD_ADDR, attr(ADDR, b"\1\2")), "ERANGE")
    # A nest in a nest, which is taken for a family: either of the two may be named.
    refused = refusal(ADD_ADDR, nest(nest(V4, IP4)))
    explained(refused, "EINVAL")
    expect(refused.offset in (FIRST, FIRST + 4), "the offset is in the address")


@test("attributes that nobody knows are passed over")
def unknown():
    with genl.Genl() as nl:
        nl.ask(ADD_ADDR, u32(60, 1), nest(u32(44, 2), V4, IP4, u32(8, 1)), u32(7, 1))
        equal(nl.endpoints(), [(1, "10.0.0.1", 0, 0, 0)])


@test("attributes of other commands are passed over")
def others():
    with genl.Genl() as nl:
        nl.ask(ADD_ADDR, address("10.0.0.1"), u32(TOKEN, 5), u32(SUBFLOWS, 900))
        nl.ask(SET_LIMITS, address("10.0.0.2"), u32(SUBFLOWS, 1), u32(TOKEN, 5))
        equal((len(nl.endpoints()), nl.limits()), (1, (0, 1)))


@test("commands that there are not")
def commands():
    for cmd in (0, 12, 255):
        equal(outcome(cmd), "EOPNOTSUPP", f"command {cmd}")
    with genl.Genl() as nl:
        for cmd in (GET_LIMITS, ADD_ADDR):
            equal(genl.errno_of(nl.refused(cmd, flags=genl.NLM_F_DUMP)), "EOPNOTSUPP", "dump")
        equal(genl.errno_of(nl.refused(0, raw=b"")), "EINVAL", "no generic header")
        # The version in a request has never been looked at.
        equal(genl.errno_of(nl.refused(GET_LIMITS, version=77)), None)


@test("limits beyond the highest: none is changed")
def limits():
    with genl.Genl() as nl:
        equal(nl.limits(), (0, 2), "at first")
        for bad in (9, 255, 256, 0xffffffff):
            for attrs in ([u32(RCV_ADD_ADDRS, 1), u32(SUBFLOWS, bad)],
                          [u32(RCV_ADD_ADDRS, bad), u32(SUBFLOWS, 1)], [u32(SUBFLOWS, bad)]):
                explained(nl.refused(SET_LIMITS, *attrs), "EINVAL")
                equal(nl.limits(), (0, 2))
        nl.ask(SET_LIMITS, u32(RCV_ADD_ADDRS, 8))
        nl.ask(SET_LIMITS)
        equal(nl.limits(), (8, 2))


@test("commands about connections that lack something")
def incomplete():
    token, id = u32(TOKEN, 1), u8(LOC_ID, 1)
    local, remote = address("10.0.0.1", id=1), address("10.0.0.2", kind=ADDR_REMOTE)
    for cmd, parts in ((ANNOUNCE, (token, local)), (REMOVE, (token, id)),
                       (CREATE, (token, local, remote)), (DESTROY, (token, local, remote))):
        for left_out in parts:
            explained(refusal(cmd, *(part for part in parts if part != left_out)), "EINVAL")


@test("a token that no connection has")
def no_connection():
    token = u32(TOKEN, 0x12345678)
    local, remote = address("10.0.0.1", id=1, flags=genl.SIGNAL), \
        address("10.0.0.2", kind=ADDR_REMOTE)
    for cmd, parts in ((ANNOUNCE, (local,)), (REMOVE, (u8(LOC_ID, 1),)), (CREATE, (local, remote)),
                       (DESTROY, (local, remote)), (SET_FLAGS, (local, remote)),
                       (GET_ADDR, (local,))):
        explained(refusal(cmd, token, *parts), "EINVAL", FIRST)
    with genl.Genl() as nl:
        explained(nl.refused(GET_ADDR, token, flags=genl.NLM_F_DUMP), "EINVAL")
