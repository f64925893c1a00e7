# SPDX-License-Identifier: GPL-2.0
"""Subflows that path managers open and close, between two namespaces."""

import socket
import time

import genl
from genl import (ADDR_REMOTE, ANNOUNCE, BACKUP, CREATE, DEL_ADDR, DESTROY, FLUSH, FULLMESH, LOC_ID,
                  REMOVE, SIGNAL, SUBFLOW, TOKEN, address, u8, u32)
import mptcp
from t_kernel import ask, endpoints, limits
from tap import equal, expect
from world import Pair, hosts, new_namespace, test, users, wait_for


def connect(links=2):
    """Two hosts that may do everything, to be connected over their first link."""
    client, server = hosts(links)
    for host in (client, server):
        limits(host, 8, 8)
    return client, server


def subflows(pair, count):
    wait_for(lambda: [mptcp.info(sock)["subflows"] for sock in (pair.client, pair.server)] ==
             [count, count], f"{count} subflows")


def exchange(pair):
    """Data in both directions."""
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
        one.sendall(b"y" * 5000)
        got = b""
        while len(got) < 5000:
            piece = other.recv(5000)
            expect(piece, "the connection has ended")
            got += piece


@test("an endpoint of the client opens a subflow, and closes it")
def source():
    client, server = connect()
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    for _ in range(3):
        with client, genl.Genl() as nl:
            nl.add("10.0.2.1", flags=SUBFLOW)
            id = nl.endpoints()[0][0]
        subflows(pair, 1)
        exchange(pair)
        ask(client, DEL_ADDR, address(id=id))
        subflows(pair, 0)
        exchange(pair)
    equal(client.counters("MPJoinSynTx", "RmSubflow"), (3, 3))
    equal(server.counters("RmAddr"), (3,))


@test("an endpoint of the server is connected to, and left")
def announced():
    client, server = connect()
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    for _ in range(3):
        endpoints(server, "10.0.2.2")
        subflows(pair, 1)
        exchange(pair)
        ask(server, FLUSH)
        subflows(pair, 0)
        exchange(pair)
    equal(client.counters("RmAddr"), (3,))


@test("fullmesh: from every address to every address")
def fullmesh():
    client, server = connect(3)
    endpoints(server, "10.0.2.2")
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    subflows(pair, 1)
    endpoints(client, "10.0.3.1", flags=SUBFLOW | FULLMESH)
    subflows(pair, 3)
    exchange(pair)


@test("a join to the port of an endpoint, which takes nothing else")
def port():
    client, server = connect()
    with server, genl.Genl() as nl:
        nl.add("10.0.2.2", flags=SIGNAL, port=4000)
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    subflows(pair, 1)
    exchange(pair)
    equal(server.counters("MPJoinPortSynRx", "MPJoinPortAckRx"), (1, 1))
    equal(client.counters("MPJoinPortSynAckRx"), (1,))
    for number, protocol in enumerate((mptcp.IPPROTO_MPTCP, socket.IPPROTO_TCP), 1):
        with client:
            sock = mptcp.stream(socket.AF_INET, protocol)
        with sock:
            try:
                sock.connect(("10.0.2.2", 4000))
                expect(False, "a connection to the endpoint")
            except ConnectionRefusedError:
                pass
        equal(server.counters("MPCapableEndpAttempt"), (number,))
    # The subflow is no less for the end of the socket that it came by.
    ask(server, DEL_ADDR, address(id=1))
    subflows(pair, 0)
    exchange(pair)


@test("a path manager in user space opens and closes a subflow")
def user():
    client, server = connect()
    for host in (client, server):
        host.sysctl("pm_type", 1)
    with server:
        theirs = genl.Monitor()
    with client, genl.Monitor() as ours, genl.Genl() as nl:
        pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
        equal([one["event"] for one in ours.take(2)], ["created", "established"])
        expect(theirs.take(3))
        token = u32(TOKEN, pair.tokens[0])
        remote = address("10.0.2.2", port=pair.ports[1], kind=ADDR_REMOTE)
        nl.ask(CREATE, token, address("10.0.2.1", id=9, flags=BACKUP), remote)
        one = ours.next()
        local_port = one.pop("sport")
        equal(one, {"event": "sub_established", "token": pair.tokens[0], "family": socket.AF_INET,
                    "loc_id": 9, "rem_id": one["rem_id"], "saddr": "10.0.2.1",
                    "daddr": "10.0.2.2", "dport": pair.ports[1], "backup": 0})
        other = theirs.next()
        equal((other["event"], other["rem_id"], other["backup"], other["dport"]),
              ("sub_established", 9, 1, local_port))
        subflows(pair, 1)
        exchange(pair)
        local = address("10.0.2.1", port=local_port)
        nl.ask(DESTROY, token, local, remote)
        one = ours.next()
        equal((one["event"], one["sport"], one["loc_id"]), ("sub_closed", local_port, 9))
        equal(theirs.next()["event"], "sub_closed")
        subflows(pair, 0)
        exchange(pair)
        equal(genl.errno_of(nl.refused(DESTROY, token, local, remote)), "ESRCH")


@test("the first subflow's address is withdrawn, and the connection goes on")
def first():
    client, server = connect()
    for host in (client, server):
        host.sysctl("pm_type", 1)
    with server:
        theirs = genl.Monitor()
    with client, genl.Monitor() as ours, genl.Genl() as nl:
        pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
        token = u32(TOKEN, pair.tokens[0])
        remote = address("10.0.2.2", port=pair.ports[1], kind=ADDR_REMOTE)
        nl.ask(CREATE, token, address("10.0.2.1", id=9), remote)
        subflows(pair, 1)
        expect(ours.take(3) and theirs.take(4))
        nl.ask(REMOVE, token, u8(LOC_ID, 0))
        equal(theirs.next(), {"event": "removed", "token": pair.tokens[1], "rem_id": 0})
        one = theirs.next()
        equal((one["event"], one["daddr"], one["rem_id"]), ("sub_closed", "10.0.1.1", 0))
        one = ours.next()
        equal((one["event"], one["saddr"], one["loc_id"]), ("sub_closed", "10.0.1.1", 0))
        exchange(pair)
        # It can be had again.
        again = address("10.0.1.2", port=pair.ports[1], kind=ADDR_REMOTE)
        nl.ask(CREATE, token, address("10.0.1.1", id=0), again)
        one = ours.next()
        equal((one["event"], one["saddr"], one["loc_id"]), ("sub_established", "10.0.1.1", 0))
        exchange(pair)


@test("a server in user space has the client connect to what it announces")
def roles():
    client, server = connect()
    server.sysctl("pm_type", 1)
    with server, genl.Monitor() as events, genl.Genl() as nl:
        pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
        expect(events.take(3))
        nl.ask(ANNOUNCE, u32(TOKEN, pair.tokens[1]), address("10.0.2.2", id=4, flags=SIGNAL))
        one = events.next()
        equal((one["event"], one["loc_id"], one["saddr"]), ("sub_established", 4, "10.0.2.2"))
        subflows(pair, 1)
        exchange(pair)


@test("a namespace goes away with subflows of all kinds", module_only=True)
def gone():
    before = users()
    for _ in range(3):
        client, server = connect(3)
        endpoints(client, "10.0.2.1", flags=SUBFLOW)
        with server, genl.Genl() as nl:
            nl.add("10.0.3.2", flags=SIGNAL, port=4000)
        for host in (client, server):
            host.sysctl("close_timeout", 1)
        pairs = [Pair("10.0.1.2", client=client, server=server, anywhere=True) for _ in range(5)]
        for pair in pairs:
            subflows(pair, 2)
        for link in (1, 2, 3):
            client.ip("link", "set", f"eth{link}", "down")
        del pair, pairs
        time.sleep(0.1)
        for host in (client, server):
            host.close()
    new_namespace()
    wait_for(lambda: users() <= before, f"the module has more users than {before}", 60)
