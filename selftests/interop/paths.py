#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Several paths between our implementation and C MPTCP in the other guest, each in both roles.

    paths.py [WORD...]    only the tests whose name has one of the words

Both send at the same time unless said otherwise; SHA-256 of both directions, what each link carried, and both
ends' counters decide.
"""

import json
import os
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(os.path.dirname(HERE), "lib")
sys.path.insert(0, LIB)
sys.dont_write_bytecode = True

import judge  # noqa: E402
import tap  # noqa: E402
from tap import equal, expect  # noqa: E402

SLOW = 5 if os.environ.get("KERNEL") == "debug" else 1
MIB = 1 << 20
SHAPE = "delay 5ms rate 25mbit limit 40"
LINKS = (0, 1)
XFER = os.path.join(LIB, "xfer.py")


class Host:
    """One of the guests: how to run a command there, and its addresses."""

    def __init__(self, name, number, *prefix):
        self.name, self.number, self.prefix = name, number, prefix

    def __str__(self):
        return self.name

    def address(self, link):
        return f"10.0.{link}.{self.number}"

    def run(self, *command, may_fail=False):
        done = subprocess.run([*self.prefix, *command], capture_output=True, text=True, check=False)
        expect(may_fail or done.returncode == 0,
               f"{self}: {' '.join(command)}: {done.stdout.strip()} {done.stderr.strip()}")
        return done.stdout

    def shell(self, text, may_fail=False):
        return self.run("bash", "-c", text, may_fail=may_fail)

    def carried(self):
        """Bytes sent on each link."""
        told = self.run("cat", *(f"/sys/class/net/link{n}/statistics/tx_bytes" for n in LINKS))
        return [int(word) for word in told.split()]


OURS = Host("ours", 1)
THEIRS = Host("C", 2, "peer")


def addresses():
    for host in (OURS, THEIRS):
        host.shell("; ".join(f"ip addr add {host.address(n)}/24 dev link{n}; ip link set link{n} up"
                             for n in LINKS))


class World:
    """Two hosts with shaped links, one of them the client; nothing configured of an earlier test."""

    port = 7000

    def __init__(self, client, server, checksum=False, client_endpoint="", server_endpoint=""):
        self.client, self.server = client, server
        World.port += 1
        for host, endpoint in ((client, client_endpoint), (server, server_endpoint)):
            host.shell(f"ip mptcp endpoint flush; ip mptcp limits set subflows 4 add_addr_accepted 4; "
                       f"sysctl -qw net.mptcp.checksum_enabled={int(checksum)}; {self.netem(SHAPE)}")
            if endpoint:
                host.shell(f"ip mptcp endpoint add {host.address(1)} dev link1 {endpoint}")
        self.before = self.carried()

    @staticmethod
    def netem(shape, links=LINKS):
        return "; ".join(f"tc qdisc replace dev link{n} root netem {shape}" for n in links)

    def shape(self, link, shape):
        for host in (self.client, self.server):
            host.shell(self.netem(shape, (link,)))

    def carried(self):
        """Of each link, what both have sent."""
        return [sum(pair) for pair in zip(self.client.carried(), self.server.carried())]

    def used(self):
        return [after - before for after, before in zip(self.carried(), self.before)]

    def start(self, client_words=(), server_words=(), size=0):
        """Starts a server and then a client, both in the background."""
        common = ["--port", str(World.port), "--timeout", str(60 * SLOW)]
        for host in (self.client, self.server):
            host.run("rm", "-f", self.result("client"), self.result("server"))
        sizes = ["--size", str(size)]
        self.server.run("env", f"PYTHONPATH={LIB}", "PYTHONDONTWRITEBYTECODE=1", "python3", XFER, "serve",
                        "--seed", "2", "--background", self.result("server"), *common, *sizes, *server_words)
        words = ["connect", self.server.address(0), "--seed", "1", *common, *sizes, *client_words]
        result = self.result("client")
        self.client.shell(f"PYTHONPATH={LIB} PYTHONDONTWRITEBYTECODE=1 setsid -f bash -c 'python3 {XFER} "
                          f"{' '.join(words)} >{result}.new 2>&1; mv {result}.new {result}' >/dev/null 2>&1")

    @staticmethod
    def result(role):
        return f"/tmp/paths.{role}.{World.port}"

    def end(self):
        """What both ends tell."""
        ends = []
        for role, host in (("client", self.client), ("server", self.server)):
            text = host.shell(f"for i in $(seq {600 * SLOW}); do [[ -s {self.result(role)} ]] && break; "
                              f"sleep 0.1; done; cat {self.result(role)}")
            try:
                ends.append(json.loads(text.splitlines()[-1]))
            except (ValueError, IndexError):
                raise tap.Failed(f"{host}, the {role}: {text}") from None
        return ends

    def wait(self, what, wanted):
        """Until `wanted()`; a test that waits in vain fails."""
        end = time.monotonic() + 30 * SLOW
        while not wanted():
            expect(time.monotonic() < end, f"{what}: not within {30 * SLOW} s, used {self.used()}")

    def wait_for_bytes(self, link, count):
        goal = self.carried()[link] + count
        self.wait(f"{count} bytes on link {link}", lambda: self.carried()[link] >= goal)


class Rules:
    mptcp, fallback, size = True, False, None


def sound(ends, size):
    rules = Rules()
    rules.size = (size, size)
    found = list(judge.faults(*ends, rules))
    expect(not found, "\n".join(found) + f"\n{ends}")
    client, server = (end["counters"] for end in ends)
    return client, server


TESTS = []


def test(name):
    def add(function):
        TESTS.append((name, function))
        return function
    return add


def joined(counters, count=1):
    client, server = counters
    equal(client.get("MPJoinSynAckRx"), count, f"joins that the client has made, {counters}")
    equal(server.get("MPJoinAckRx"), count, f"joins that the server has seen, {counters}")


@test("the server announces an address: two subflows")
def announced(client, server):
    world = World(client, server, server_endpoint="signal")
    world.start(size=8 * MIB)
    counters = sound(world.end(), 8 * MIB)
    joined(counters)
    equal((counters[0].get("AddAddr"), counters[1].get("EchoAdd")), (1, 1), "ADD_ADDR and its echo")
    used = world.used()
    expect(min(used) > 3 * MIB, f"bytes on each link: {used}")


@test("the client joins from a second address: two subflows")
def from_client(client, server):
    world = World(client, server, client_endpoint="subflow")
    world.start(size=8 * MIB)
    joined(sound(world.end(), 8 * MIB))
    used = world.used()
    expect(min(used) > 3 * MIB, f"bytes on each link: {used}")


@test("checksums over two subflows")
def checksums(client, server):
    world = World(client, server, checksum=True, server_endpoint="signal")
    world.start(size=8 * MIB)
    joined(sound(world.end(), 8 * MIB))
    expect(min(world.used()) > 2 * MIB, f"bytes on each link: {world.used()}")


@test("the first link dies")
def dies(client, server):
    world = World(client, server, server_endpoint="signal")
    world.start(size=16 * MIB)
    world.wait_for_bytes(1, MIB)
    world.shape(0, "loss 100%")
    joined(sound(world.end(), 16 * MIB))


@test("the second link dies and is mended")
def mended(client, server):
    world = World(client, server, server_endpoint="signal")
    world.start(size=40 * MIB)
    world.wait_for_bytes(1, MIB)
    world.shape(1, "loss 100%")
    world.wait_for_bytes(0, 3 * MIB)
    world.shape(1, SHAPE)
    before = world.carried()[1]
    joined(sound(world.end(), 40 * MIB))
    expect(world.carried()[1] - before > MIB, f"{world.carried()[1] - before} bytes after it was mended")


@test("a backup is used when the other path dies, and only then")
def backup(client, server):
    world = World(client, server, server_endpoint="signal backup")
    # Backup is what one says of what it wants to receive; either end says it.
    client.run("ip", "mptcp", "endpoint", "add", client.address(1), "dev", "link1", "backup")
    world.start(size=16 * MIB)
    world.wait_for_bytes(0, 4 * MIB)
    used = world.used()[1]
    expect(used < MIB, f"{used} bytes on the backup")
    world.shape(0, "loss 100%")
    joined(sound(world.end(), 16 * MIB))
    used = world.used()[1]
    expect(used > 4 * MIB, f"{used} bytes on the backup")


@test("an address is withdrawn: its subflow ends, the transfer does not")
def withdrawn(client, server):
    world = World(client, server, server_endpoint="signal")
    world.start(size=24 * MIB)
    world.wait_for_bytes(1, MIB)
    server.shell("ip mptcp endpoint flush")
    time.sleep(0.5)
    before = world.carried()
    counters = sound(world.end(), 24 * MIB)
    equal((counters[1].get("RmAddrTx"), counters[0].get("RmAddr")), (1, 1), "RM_ADDR sent and seen")
    after = [now - then for now, then in zip(world.carried(), before)]
    expect(after[0] > 4 * MIB > MIB > after[1], f"bytes on each link after that: {after}")


def aborted(client, server, by_client):
    world = World(client, server, server_endpoint="signal")
    quitter, other = ("client", "server") if by_client else ("server", "client")
    words = {quitter: ["--size", "0", "--abort", str(2 * MIB)], other: ["--size", str(24 * MIB)]}
    world.start(words["client"], words["server"])
    ends = dict(zip(("client", "server"), world.end()))
    equal(ends[quitter]["error"], None, "error of who has closed")
    expect("Connection reset" in (ends[other]["error"] or "") or "Broken pipe" in (ends[other]["error"] or ""),
           f"error of the other: {ends[other]}")
    sent, seen = ends[quitter]["counters"].get("MPFastcloseTx", 0), ends[other]["counters"].get("MPFastcloseRx", 0)
    expect(sent > 0 and seen > 0, f"MP_FASTCLOSE sent {sent}, seen {seen}: {ends}")
    for host in (client, server):
        world.wait("no connection is left", lambda host=host: not host.run(
            "ss", "-tnH", "state", "connected", "exclude", "time-wait", f"( sport = :{World.port} or "
            f"dport = :{World.port} )").strip())


@test("the client closes at once: MP_FASTCLOSE")
def aborted_by_client(client, server):
    aborted(client, server, True)


@test("the server closes at once: MP_FASTCLOSE")
def aborted_by_server(client, server):
    aborted(client, server, False)


def main():
    words = sys.argv[1:]
    addresses()
    report = tap.Report()
    for client, server in ((OURS, THEIRS), (THEIRS, OURS)):
        for name, function in TESTS:
            if words and not any(word in name for word in words):
                continue
            started = time.monotonic()
            World.port += 1
            outcome = tap.call(lambda f=function, c=client, s=server: f(c, s), 150 * SLOW)
            report.tell(f"{client} connects to {server}: {name}", outcome.problem)
            print(f"# {time.monotonic() - started:.1f} s", flush=True)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
