# SPDX-License-Identifier: GPL-2.0
"""Endpoints: what can be, and how they are named and numbered."""

import socket

import genl
from genl import (ADD_ADDR, BACKUP, DEL_ADDR, FLUSH, FULLMESH, GET_ADDR, IMPLICIT, SET_FLAGS,
                  SIGNAL, SUBFLOW, address)
from tap import equal, expect
from world import test, up


def said(nl, cmd, *attrs):
    return genl.errno_of(nl.refused(cmd, *attrs))


@test("an endpoint is shown as it was given")
def shown():
    with genl.Genl() as nl:
        given = [(200, "10.0.0.1", 0, SUBFLOW | BACKUP | FULLMESH, 1),
                 (7, "2001:db8::1", 0, SIGNAL, 0),
                 (8, "::ffff:10.0.0.2", 0, SUBFLOW, 1 << 20),
                 (9, "0.0.0.0", 0, 0, 0)]
        for id, ip, _, flags, ifindex in given:
            nl.add(ip, id=id, flags=flags, ifindex=ifindex)
        equal(nl.endpoints(), sorted(given), "all")
        for one in given:
            equal(genl.entry(nl.ask(GET_ADDR, address(id=one[0]))[0]), one, "one")
        equal(said(nl, GET_ADDR, address(id=10)), "EINVAL")


@test("eight endpoints of either family fit into one answer")
def eight():
    with genl.Genl() as nl:
        for n in range(8):
            nl.add(f"2001:db8::{n + 1}", id=255 - n, ifindex=1)
        equal([one[0] for one in nl.endpoints()], list(range(248, 256)))
        equal(said(nl, ADD_ADDR, address("10.0.0.1")), "ERANGE")


@test("flags that contradict each other, or the port")
def contradictions():
    with genl.Genl() as nl:
        for flags, port in ((0, 80), (SUBFLOW, 80), (SUBFLOW | SIGNAL, 80), (BACKUP, 80),
                            (SIGNAL | FULLMESH, 0), (IMPLICIT, 0), (IMPLICIT | SUBFLOW, 0)):
            refused = nl.refused(ADD_ADDR, address("127.0.0.1", flags=flags, port=port))
            equal(genl.errno_of(refused), "EINVAL", f"flags {flags} port {port}")
            expect(refused.message, "the answer does not say what is wrong")
        equal(nl.endpoints(), [])
        nl.add("127.0.0.1", flags=SIGNAL | SUBFLOW, port=0)
        nl.add("127.0.0.2", flags=0xffffffe0)
        equal([one[3] for one in nl.endpoints()], [SIGNAL | SUBFLOW, 0], "unknown flags")


@test("an address or an ID twice")
def doubles():
    with genl.Genl() as nl:
        nl.add("10.0.0.1", id=5)
        equal(said(nl, ADD_ADDR, address("10.0.0.1")), "EEXIST")
        equal(said(nl, ADD_ADDR, address("10.0.0.1", id=6)), "EEXIST")
        equal(said(nl, ADD_ADDR, address("::ffff:10.0.0.1")), "EEXIST")
        equal(said(nl, ADD_ADDR, address("10.0.0.2", id=5)), "EBUSY")
        equal(said(nl, DEL_ADDR, address(id=5)), None)
        equal(said(nl, DEL_ADDR, address(id=5)), "EINVAL")
        nl.add("10.0.0.1")
        equal([one[:2] for one in nl.endpoints()], [(5, "10.0.0.1")])


@test("ID 0 is no endpoint's")
def zero():
    with genl.Genl() as nl:
        nl.add("10.0.0.1", id=0)
        equal([one[0] for one in nl.endpoints()], [1])
        equal(said(nl, DEL_ADDR, address("10.0.0.1", id=0)), None)
        equal(said(nl, DEL_ADDR, address(id=0)), None)
        equal(len(nl.endpoints()), 1)
        equal(said(nl, GET_ADDR, address(id=0)), "EINVAL")


@test("flags are changed by ID or by address")
def change():
    with genl.Genl() as nl:
        nl.add("10.0.0.1", flags=SUBFLOW)
        nl.add("10.0.0.2", flags=SIGNAL)

        def flags():
            return [one[3] for one in nl.endpoints()]

        nl.ask(SET_FLAGS, address(id=1, flags=BACKUP))
        equal(flags(), [SUBFLOW | BACKUP, SIGNAL])
        nl.ask(SET_FLAGS, address("10.0.0.2", flags=BACKUP))
        equal(flags(), [SUBFLOW | BACKUP, SIGNAL | BACKUP])
        nl.ask(SET_FLAGS, address("10.0.0.1", id=2, flags=FULLMESH))
        equal(flags(), [SUBFLOW | FULLMESH, SIGNAL | BACKUP], "the address goes before the ID")
        equal(said(nl, SET_FLAGS, address(id=2, flags=FULLMESH)), "EINVAL")
        equal(said(nl, SET_FLAGS, address(id=3, flags=BACKUP)), "EINVAL")
        equal(said(nl, SET_FLAGS, address("10.0.0.3", flags=BACKUP)), "EINVAL")
        equal(said(nl, SET_FLAGS, address(flags=BACKUP)), "EOPNOTSUPP")
        nl.ask(SET_FLAGS, address(id=1, flags=SIGNAL | IMPLICIT))
        equal(flags(), [SUBFLOW, SIGNAL | BACKUP], "other flags stay as they are")
        nl.ask(SET_FLAGS, address(id=2))
        equal(flags(), [SUBFLOW, SIGNAL])


def listens(ip, port, protocol=socket.IPPROTO_TCP):
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM, protocol) as sock:
        try:
            sock.bind((ip, port))
        except OSError:
            return True
    return False


@test("an endpoint with a port listens until it is removed")
def port():
    up()
    with genl.Genl() as nl:
        for ip in ("127.0.0.1", "::1", "::ffff:127.0.0.2"):
            nl.add(ip, flags=SIGNAL, port=4000)
            expect(listens(ip, 4000), f"nobody listens at {ip}")
            expect(not listens(ip, 4001), f"somebody listens at {ip} on another port")
        equal([one[2] for one in nl.endpoints()], [4000] * 3)
        equal(said(nl, ADD_ADDR, address("127.0.0.1", flags=SIGNAL, port=4000)), "EADDRINUSE")
        equal(said(nl, ADD_ADDR, address("10.9.9.9", flags=SIGNAL, port=4000)), "EADDRNOTAVAIL")
        equal(said(nl, ADD_ADDR, address("127.0.0.1", id=1, flags=SIGNAL, port=4001)), "EBUSY")
        expect(not listens("127.0.0.1", 4001), "what was refused listens")
        nl.add("127.0.0.1", flags=SIGNAL, port=4002)
        nl.add("127.0.0.1", flags=SIGNAL)
        nl.ask(DEL_ADDR, address(id=1))
        expect(not listens("127.0.0.1", 4000), "what was removed listens")
        expect(listens("127.0.0.1", 4002), "what was not removed does not listen")
        nl.ask(FLUSH)
        expect(not listens("127.0.0.1", 4002) and not listens("::1", 4000), "flushed, and listens")


@test("a flush forgets endpoints, and keeps limits")
def flush():
    with genl.Genl() as nl:
        nl.ask(genl.SET_LIMITS, genl.u32(genl.SUBFLOWS, 8), genl.u32(genl.RCV_ADD_ADDRS, 7))
        for n in range(8):
            nl.add(f"10.0.0.{n + 1}", flags=SIGNAL | SUBFLOW)
        nl.ask(FLUSH)
        nl.ask(FLUSH)
        equal((nl.endpoints(), nl.limits()), ([], (7, 8)))
        nl.add("10.0.0.1")
        equal([one[0] for one in nl.endpoints()], [1], "IDs start again")
