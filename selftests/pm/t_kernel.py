# SPDX-License-Identifier: GPL-2.0
"""The path manager in the kernel: announcements.

On the client nothing is accepted, so that what is announced leads to no subflow.
"""

import subprocess
import time

import genl
from genl import ADD_ADDR, DEL_ADDR, FLUSH, SET_FLAGS, SIGNAL, address
import mptcp
from tap import equal, expect
from world import Pair, hosts, new_namespace, test, users, wait_for

ADDED = ("AddAddrTx", "EchoAdd")
HEARD = ("AddAddr", "EchoAddTx")


def endpoints(host, *ips, flags=SIGNAL):
    with host, genl.Genl() as nl:
        for ip in ips:
            nl.add(ip, flags=flags)


def ask(host, cmd, *attrs):
    with host, genl.Genl() as nl:
        nl.ask(cmd, *attrs)


def heard(client, server, count):
    """So many announcements of the server were heard and answered."""
    wait_for(lambda: client.counters(*HEARD) == server.counters(*ADDED) == (count, count),
             f"{count} announcements")


@test("endpoints are announced, one after the other")
def announced():
    client, server = hosts(1)
    endpoints(server, "10.0.2.2", "10.0.3.2", "fd00:2::2", "10.0.4.2")
    pair = Pair("10.0.1.2", client=client, server=server)
    heard(client, server, 4)
    told = mptcp.info(pair.server)
    equal(told["add_addr_signal"], 4)
    equal(told["add_addr_signal_max"], 4)
    equal(mptcp.info(pair.client)["add_addr_accepted"], 0)
    # The next connection has its own.
    other = Pair("10.0.1.2", client=client, server=server)
    heard(client, server, 8)
    expect(other.tokens != pair.tokens)


@test("both sides announce at once")
def both():
    client, server = hosts(1)
    endpoints(server, "10.0.2.2", "10.0.3.2")
    endpoints(client, "10.0.2.1", "10.0.3.1", "10.0.4.1")
    pair = Pair("10.0.1.2", client=client, server=server)
    wait_for(lambda: client.counters("AddAddr", "EchoAdd") == (2, 3), "the client's")
    wait_for(lambda: server.counters("AddAddr", "EchoAdd") == (3, 2), "the server's")


@test("an endpoint that is added later is announced, and withdrawn")
def later():
    client, server = hosts(1)
    pair = Pair("10.0.1.2", client=client, server=server)
    with client, genl.Monitor() as events:
        for round in range(3):
            endpoints(server, "10.0.2.2")
            heard(client, server, round + 1)
            one = events.next()
            equal((one["event"], one["daddr"], one["dport"]),
                  ("announced", "10.0.2.2", pair.ports[1]))
            ask(server, DEL_ADDR, address(id=one["rem_id"]))
            equal(events.next(), {"event": "removed", "token": pair.tokens[0],
                                  "rem_id": one["rem_id"]})
            equal(mptcp.info(pair.server)["add_addr_signal"], 0)
        # The event is told when the option is read, the counter moves when that is acted upon.
        wait_for(lambda: client.counters("RmAddr") == (3,), "the client's counter")
        equal(server.counters("RmAddrTx"), (3,))


@test("a flush withdraws all")
def flushed():
    client, server = hosts(1)
    endpoints(server, "10.0.2.2", "10.0.3.2", "fd00:2::2", "10.0.4.2")
    pair = Pair("10.0.1.2", client=client, server=server)
    heard(client, server, 4)
    with client, genl.Monitor() as events:
        ask(server, FLUSH)
        told = events.take(4)
        equal(sorted(one["rem_id"] for one in told), [1, 2, 3, 4])
        equal({one["event"] for one in told}, {"removed"})
    equal(mptcp.info(pair.server)["add_addr_signal"], 0)
    endpoints(server, "10.0.2.2")
    heard(client, server, 5)


@test("the address of the first subflow is not announced")
def zero():
    client, server = hosts(1)
    endpoints(server, "10.0.1.2", "10.0.2.2")
    with client, genl.Monitor() as events:
        pair = Pair("10.0.1.2", client=client, server=server)
        told = [one for one in events.take(3) if one["event"] == "announced"]
        equal([(one["rem_id"], one["daddr"]) for one in told], [(2, "10.0.2.2")])
        events.quiet()
        equal(mptcp.info(pair.server)["add_addr_signal"], 1)


@test("a port is announced with the address")
def port():
    client, server = hosts(2)
    with server, genl.Genl() as nl:
        nl.add("10.0.2.2", flags=SIGNAL, port=4000)
        nl.add("10.0.2.2", flags=SIGNAL)
        # With timestamps there is no room for this one.
        nl.add("fd00:2::2", flags=SIGNAL, port=4000)
    with client, genl.Monitor() as events:
        pair = Pair("10.0.1.2", client=client, server=server)
        told = [events.next() for _ in range(4)]
        announced = [(one["daddr"], one["dport"]) for one in told if one["event"] == "announced"]
        expect(("10.0.2.2", 4000) in announced, f"{announced}")
        equal(len(announced), 2)
        equal(client.counters("PortAdd", "AddAddr"), (1, 2))
    wait_for(lambda: server.counters("AddAddrTxDrop") == (1,), "the drop")


@test("a change of flags sends MP_PRIO")
def flags():
    client, server = hosts(1)
    endpoints(client, "10.0.1.1", "10.0.9.9", flags=genl.SUBFLOW)
    pair = Pair("10.0.1.2", client=client, server=server)
    for flag in (genl.BACKUP, 0, genl.BACKUP):
        before = server.counters("MPPrioRx")[0]
        ask(client, SET_FLAGS, address("10.0.1.1", flags=flag))
        ask(client, SET_FLAGS, address("10.0.1.1", flags=flag))
        ask(client, SET_FLAGS, address("10.0.9.9", flags=flag))
        wait_for(lambda: server.counters("MPPrioRx") == (before + 1,), "MP_PRIO")
    time.sleep(0.2)
    equal(client.counters("MPPrioTx"), server.counters("MPPrioRx"))


@test("a first subflow from a backup endpoint says so")
def backup():
    client, server = hosts(1)
    endpoints(client, "10.0.1.1", flags=genl.BACKUP)
    first = Pair("10.0.1.2", client=client, server=server)
    time.sleep(0.2)
    # Only who has something to announce or to open looks at endpoints.
    equal(server.counters("MPPrioRx"), (0,))
    endpoints(client, "10.0.7.7", flags=SIGNAL)
    wait_for(lambda: server.counters("MPPrioRx") == (1,), "MP_PRIO of the first")
    second = Pair("10.0.1.2", client=client, server=server)
    wait_for(lambda: server.counters("MPPrioRx") == (2,), "MP_PRIO of the second")
    equal(client.counters("MPPrioTx"), (2,))
    expect(first.tokens != second.tokens)


@test("a connection announces although nobody has accepted it yet")
def unaccepted():
    client, server = hosts(1)
    endpoints(server, "10.0.2.2")
    with server:
        listener = mptcp.stream(2, mptcp.IPPROTO_MPTCP)
    listener.bind(("10.0.1.2", 0))
    listener.listen()
    with client:
        sock = mptcp.stream(2, mptcp.IPPROTO_MPTCP)
    sock.connect(listener.getsockname())
    time.sleep(0.5)
    accepted = listener.accept()[0]
    accepted.sendall(b"x")
    equal(sock.recv(1), b"x")
    heard(client, server, 1)


@test("unaccepted and abandoned connections with announcements")
def abandoned():
    client, server = hosts(1)
    endpoints(server, "10.0.2.2", "10.0.3.2")
    with server:
        listener = mptcp.stream(2, mptcp.IPPROTO_MPTCP)
    listener.bind(("10.0.1.2", 0))
    listener.listen()
    socks = []
    for _ in range(20):
        with client:
            socks.append(mptcp.stream(2, mptcp.IPPROTO_MPTCP))
        socks[-1].connect(listener.getsockname())
    listener.close()
    endpoints(server, "10.0.4.2")
    ask(server, FLUSH)


@test("a namespace goes away with connections, announcements and timers", module_only=True)
def gone():
    before = users()
    for _ in range(3):
        client, server = hosts(2)
        endpoints(server, "10.0.2.2", "10.0.3.2")
        with server, genl.Genl() as nl:
            nl.add("10.0.2.2", flags=SIGNAL, port=4000)
        server.sysctl("add_addr_timeout", 1)
        for host in (client, server):
            host.sysctl("close_timeout", 1)
        pairs = [Pair("10.0.1.2", client=client, server=server) for _ in range(5)]
        # From now on nobody answers.
        client.ip("link", "set", "eth1", "down")
        endpoints(server, "10.0.4.2")
        time.sleep(1.2)
        del pairs
        for host in (client, server):
            host.close()
    new_namespace()
    wait_for(lambda: users() <= before, f"the module has more users than {before}", 60)


def limits(host, subflows, accepted=0):
    ask(host, genl.SET_LIMITS, genl.u32(genl.SUBFLOWS, subflows),
        genl.u32(genl.RCV_ADD_ADDRS, accepted))


@test("a source that gets nowhere makes room for the next")
def next_source():
    client, server = hosts(3)
    limits(client, 1)
    limits(server, 1)
    with server:
        subprocess.run(["iptables", "-A", "INPUT", "-s", "10.0.2.1", "-p", "tcp", "-j", "REJECT"],
                       check=True)
    endpoints(client, "10.0.2.1", flags=genl.SUBFLOW)
    pair = Pair("10.0.1.2", client=client, server=server)
    wait_for(lambda: mptcp.info(pair.client)["subflows"] == 0 and
             client.counters("MPJoinSynTx") == (1,), "the failure")
    endpoints(client, "10.0.3.1", flags=genl.SUBFLOW)
    wait_for(lambda: mptcp.info(pair.server)["subflows"] == 1, "the other one")
    equal(mptcp.info(pair.client)["subflows"], 1)
