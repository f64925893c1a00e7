# SPDX-License-Identifier: GPL-2.0
"""A path manager in user space: its commands, and the events of connections that it manages.

Client and server of a connection are in one namespace, and so are the events of both.
"""

import os
import socket

import genl
from genl import (ADDR_REMOTE, ANNOUNCE, BACKUP, CREATE, DESTROY, GET_ADDR, LOC_ID, REMOVE,
                  SET_FLAGS, SIGNAL, SUBFLOW, TOKEN, address, u8, u32)
from tap import equal, expect
from world import Pair, counters, new_namespace, sysctl, test, up, wait_for

LOOP = {4: "127.0.0.1", 6: "::1"}
ENDS = ("saddr", "daddr", "sport", "dport")


def managed():
    up()
    sysctl("pm_type", 1)
    return genl.Monitor()


def token_of(pair, side):
    return u32(TOKEN, pair.tokens[side])


def established(events, pair):
    """Passes the events over that come with a connection."""
    told = events.take(5)
    equal(sorted(one["event"] for one in told),
          ["created", "created", "established", "established", "listener_created"])
    equal({one["token"] for one in told if "token" in one}, set(pair.tokens))
    return told


def life(version):
    events = managed()
    sysctl("allow_join_initial_addr_port", 0)
    pair = Pair(LOOP[version])
    family = {4: socket.AF_INET, 6: socket.AF_INET6}[version]
    told = established(events, pair)
    client_port, server_port = pair.ports
    listener = next(one for one in told if one["event"] == "listener_created")
    equal(listener, {"event": "listener_created", "family": family, "sport": server_port,
                     "saddr": LOOP[version]})
    for side, ports in ((0, (client_port, server_port)), (1, (server_port, client_port))):
        for name in ("created", "established"):
            one = next(one for one in told
                       if one["event"] == name and one["token"] == pair.tokens[side])
            equal(one, {"event": name, "token": pair.tokens[side], "server_side": side,
                        "flags": 1, "family": family, "saddr": LOOP[version],
                        "daddr": LOOP[version], "sport": ports[0], "dport": ports[1],
                        "loc_id": 0, "rem_id": 0})
    pair.close()
    told = [one for one in events.take(3) if one["event"] != "sub_closed"]
    while len(told) < 3:
        told += [one for one in events.take(1) if one["event"] != "sub_closed"]
    told.sort(key=lambda one: one["event"])
    equal([one["event"] for one in told], ["closed", "closed", "listener_closed"])
    equal({one["token"] for one in told[:2]}, set(pair.tokens))
    equal(told[2], {"event": "listener_closed", "family": family, "sport": server_port,
                    "saddr": LOOP[version]})


@test("events of a connection's life, IPv4")
def life4():
    life(4)


@test("events of a connection's life, IPv6")
def life6():
    life(6)


@test("addresses are announced and withdrawn")
def announce():
    events = managed()
    pair = Pair()
    established(events, pair)
    with genl.Genl() as nl:
        for side in (0, 1):
            mine, peers = token_of(pair, side), pair.tokens[1 - side]
            for id, ip, port in ((5, "10.0.0.1", 0), (6, "10.0.0.1", 4000), (7, "2001:db8::1", 0)):
                before = counters("AddAddrTx", "AddAddr", "EchoAddTx", "EchoAdd")
                nl.ask(ANNOUNCE, mine, address(ip, id=id, flags=SIGNAL, port=port))
                equal(events.next(), {"event": "announced", "token": peers, "rem_id": id,
                                      "daddr": ip, "dport": port or pair.ports[side]})
                after = tuple(n + 1 for n in before)
                wait_for(lambda: counters("AddAddrTx", "AddAddr", "EchoAddTx", "EchoAdd") == after,
                         "the echo")
            for id in (6, 7, 5):
                nl.ask(REMOVE, mine, u8(LOC_ID, id))
                equal(events.next(), {"event": "removed", "token": peers, "rem_id": id})
                equal(genl.errno_of(nl.refused(REMOVE, mine, u8(LOC_ID, id))), "EINVAL")
        events.quiet()


@test("an address has one ID, and an ID one address")
def clash():
    with managed() as events, genl.Genl() as nl:
        pair = Pair()
        established(events, pair)
        token = token_of(pair, 0)

        def outcome(cmd, *attrs):
            return genl.errno_of(nl.refused(cmd, token, *attrs))

        equal(outcome(ANNOUNCE, address("10.0.0.1", id=5, flags=SIGNAL)), None)
        equal(outcome(ANNOUNCE, address("10.0.0.1", id=6, flags=SIGNAL)), "EINVAL")
        equal(outcome(ANNOUNCE, address("10.0.0.2", id=5, flags=SIGNAL)), "EINVAL")
        equal(outcome(ANNOUNCE, address("10.0.0.2", id=0, flags=SIGNAL)), "EINVAL")
        equal(outcome(ANNOUNCE, address("10.0.0.2", flags=SIGNAL)), "EINVAL")
        equal(outcome(ANNOUNCE, address("10.0.0.2", id=6, flags=SUBFLOW)), "EINVAL")
        equal(outcome(ANNOUNCE, address("10.0.0.2", id=6)), "EINVAL")
        equal(outcome(ANNOUNCE, address(id=6, flags=SIGNAL)), "EINVAL")
        remote = address("10.0.0.9", port=99, kind=ADDR_REMOTE)
        equal(outcome(CREATE, address("10.0.0.1", id=6), remote), "EINVAL")
        equal(outcome(CREATE, address("10.0.0.3", id=5), remote), "EINVAL")
        equal(outcome(REMOVE, u8(LOC_ID, 6)), "EINVAL")


@test("addresses of a connection are shown")
def shown():
    with managed() as events, genl.Genl() as nl:
        pair = Pair()
        established(events, pair)
        token = token_of(pair, 1)
        equal(nl.dump(GET_ADDR, token), [])
        given = []
        for n in range(40):
            ip = f"2001:db8::{n + 1:x}" if n % 2 else f"10.0.0.{n + 1}"
            nl.ask(ANNOUNCE, token, address(ip, id=200 - n, flags=SIGNAL, port=n, ifindex=1))
            given.append((200 - n, ip, n, SIGNAL, 1))
        equal([genl.entry(data) for data in nl.dump(GET_ADDR, token)], given)
        equal(nl.dump(GET_ADDR, token_of(pair, 0)), [], "of the peer's")
        equal(genl.entry(nl.ask(GET_ADDR, token, address(id=180))[0]), given[20])
        equal(genl.errno_of(nl.refused(GET_ADDR, token, address(id=7))), "EINVAL")
        equal(nl.endpoints(), [], "endpoints")


@test("subflows that cannot be opened or closed")
def subflows():
    with managed() as events, genl.Genl() as nl:
        pair = Pair()
        established(events, pair)
        token = token_of(pair, 0)
        client, server = pair.ports

        def outcome(cmd, local, remote, **of_remote):
            remote = address(remote, kind=ADDR_REMOTE, **of_remote)
            return genl.errno_of(nl.refused(cmd, token, address(**local), remote))

        here, there = {"ip": "127.0.0.1", "id": 3}, "127.0.0.1"
        equal(outcome(CREATE, {**here, "flags": SIGNAL}, there, port=server), "EINVAL", "signal")
        equal(outcome(CREATE, here, "::1", port=server), "EINVAL", "families")
        equal(outcome(CREATE, {"ip": "::1", "id": 3}, "::1", port=server), "EINVAL", "IPv6 of IPv4")
        equal(outcome(CREATE, {"id": 3}, there, port=server), "EINVAL", "no local address")
        equal(outcome(CREATE, here, None, port=server), "EINVAL", "no remote address")
        equal(nl.dump(GET_ADDR, token), [], "what was refused is not kept")
        local = {"ip": "127.0.0.1", "port": client}
        equal(outcome(DESTROY, local, there, port=client), "ESRCH", "another port")
        equal(outcome(DESTROY, {**local, "ip": "127.0.0.2"}, there, port=server), "ESRCH")
        equal(outcome(DESTROY, local, "::1", port=server), "EINVAL", "families")
        equal(outcome(DESTROY, local, there), "EINVAL", "no remote port")
        equal(outcome(DESTROY, {"ip": "127.0.0.1"}, there, port=server), "EINVAL", "no local port")
        equal(outcome(DESTROY, {"port": client}, there, port=server), "EINVAL", "no local address")


@test("the priority of a subflow is changed")
def prio():
    with managed() as events, genl.Genl() as nl:
        pair = Pair()
        established(events, pair)
        token = token_of(pair, 0)
        client, server = pair.ports

        def change(flags, local=client, remote=server, ip="127.0.0.1"):
            return genl.errno_of(nl.refused(SET_FLAGS, token,
                                            address("127.0.0.1", port=local, flags=flags),
                                            address(ip, port=remote, kind=ADDR_REMOTE)))

        for backup in (1, 0, 1):
            before = counters("MPPrioTx", "MPPrioRx")
            equal(change(BACKUP if backup else 0), None)
            equal(events.next(), {"event": "sub_priority", "token": pair.tokens[1],
                                  "backup": backup, "family": socket.AF_INET,
                                  "saddr": "127.0.0.1", "daddr": "127.0.0.1", "sport": server,
                                  "dport": client, "loc_id": 0, "rem_id": 0})
            equal(counters("MPPrioTx", "MPPrioRx"), tuple(n + 1 for n in before))
        equal(change(BACKUP, local=0, remote=0), None, "without ports")
        events.next()
        equal(change(BACKUP, remote=client), "EINVAL")
        equal(change(BACKUP, local=server), "EINVAL")
        equal(change(BACKUP, ip="127.0.0.2"), "EINVAL")
        equal(change(BACKUP, ip=None), "EINVAL")
        equal(genl.errno_of(nl.refused(SET_FLAGS, token, address("127.0.0.1"))), "EINVAL")


def all_refused(nl, token):
    local, remote = address("127.0.0.1", id=1, flags=SIGNAL, port=1), \
        address("127.0.0.1", port=2, kind=ADDR_REMOTE)
    for cmd, attrs in ((ANNOUNCE, (local,)), (REMOVE, (u8(LOC_ID, 1),)), (CREATE, (local, remote)),
                       (DESTROY, (local, remote)), (SET_FLAGS, (local, remote)),
                       (GET_ADDR, (local,))):
        refused = nl.refused(cmd, token, *attrs)
        equal(genl.errno_of(refused), "EINVAL", f"command {cmd}")
        expect(refused.message, "the answer does not say what is wrong")
    equal(genl.errno_of(nl.refused(GET_ADDR, token, flags=genl.NLM_F_DUMP)), "EINVAL", "dump")


@test("a token of another namespace")
def other_namespace():
    with managed() as events:
        pair = Pair()
        established(events, pair)
        new_namespace()
        with genl.Genl() as nl:
            for side in (0, 1):
                all_refused(nl, token_of(pair, side))
        equal(pair.server.send(b"x"), 1)
        equal(pair.client.recv(1), b"x")


@test("a token of a connection that the kernel manages")
def kernels():
    up()
    pair = Pair()
    # Whoever began in the kernel stays there.
    sysctl("pm_type", 1)
    with genl.Genl() as nl:
        for side in (0, 1):
            all_refused(nl, token_of(pair, side))


@test("the tokens of sockets that are no connections")
def no_connection():
    with managed() as events, genl.Genl() as nl:
        pair = Pair()
        established(events, pair)
        pair.close()
        for side in (0, 1):
            token = token_of(pair, side)
            wait_for(lambda: nl.refused(GET_ADDR, token, flags=genl.NLM_F_DUMP), "the end")
            all_refused(nl, token_of(pair, side))
        all_refused(nl, u32(TOKEN, 0))


@test("without a path manager that listens announcements are ignored")
def nobody_listens():
    up()
    sysctl("pm_type", 1)
    pair = Pair()
    with genl.Genl() as nl:
        nl.ask(ANNOUNCE, token_of(pair, 0), address("10.0.0.1", id=5, flags=SIGNAL))
        wait_for(lambda: counters("AddAddr", "AddAddrDrop") == (1, 1), "the announcement")
        equal(counters("EchoAddTx", "EchoAdd"), (0, 0))


@test("an announcement without an echo is sent again, three times")
def again():
    up()
    sysctl("pm_type", 1)
    sysctl("add_addr_timeout", 1)
    pair = Pair()
    with genl.Genl() as nl:
        nl.ask(ANNOUNCE, token_of(pair, 0), address("10.0.0.1", id=5, flags=SIGNAL))
        wait_for(lambda: counters("AddAddrTx", "AddAddr") == (4, 4), "four of them", 8)
        os.system("sleep 2")
        equal(counters("AddAddrTx", "AddAddr", "EchoAdd"), (4, 4, 0))
        # The next one is withdrawn before it is sent again.
        sysctl("add_addr_timeout", 4)
        nl.ask(ANNOUNCE, token_of(pair, 0), address("10.0.0.1", id=5, flags=SIGNAL))
        wait_for(lambda: counters("AddAddr") == (5,), "another one")
        nl.ask(REMOVE, token_of(pair, 0), u8(LOC_ID, 5))
        os.system("sleep 6")
        equal(counters("AddAddr", "RmAddr"), (5, 1), "withdrawn, and sent no more")
