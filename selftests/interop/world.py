# SPDX-License-Identifier: GPL-2.0
"""What the tests of several paths between two guests share: the hosts, their links, a transfer, and its judge."""

import json
import os
import subprocess
import sys
import time

LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib")
sys.path.insert(0, LIB)

import judge  # noqa: E402
import tap  # noqa: E402
import wire  # noqa: E402
from links import MIB, SLOW, netem  # noqa: E402, F401
from tap import equal, expect  # noqa: E402

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

    def more(self):
        """Further addresses, as (link, address)."""
        return [(n % len(LINKS), f"10.{n // len(LINKS) + 1}.{n % len(LINKS)}.{self.number}") for n in range(6)]

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
        host.shell("; ".join(f"ip addr add {addr}/24 dev link{n}" for n, addr in host.more()))


class World:
    """Two hosts with shaped links, one of them the client; nothing configured of an earlier test.

    `watched`: at the end, every mapping that we have sent is looked at.
    """

    port = 7000

    def __init__(self, client, server, checksum=False, client_endpoint="", server_endpoint="", shapes=(SHAPE, SHAPE),
                 watched=False):
        self.client, self.server = client, server
        World.port += 1
        # What an earlier test has left in a queue would be in the way of this one's SYN, for seconds.
        links = "; ".join(f"tc qdisc del dev link{n} root 2>/dev/null; {self.shaped(shape, (n,))}"
                          for n, shape in zip(LINKS, shapes))
        for host, endpoint in ((client, client_endpoint), (server, server_endpoint)):
            host.shell(f"ip mptcp endpoint flush; ip mptcp limits set subflows 8 add_addr_accepted 8; "
                       f"sysctl -qw net.mptcp.checksum_enabled={int(checksum)} net.mptcp.add_addr_timeout=120; {links}")
            if endpoint:
                host.shell(f"ip mptcp endpoint add {host.address(1)} dev link1 {endpoint}")
        self.before = self.sent()
        self.watch = wire.Watch([f"link{n}" for n in LINKS]) if watched else None

    @staticmethod
    def shaped(shape, links=LINKS):
        return "; ".join(f"tc qdisc replace dev link{n} root netem {netem(shape)}" for n in links)

    def shape(self, link, shape):
        for host in (self.client, self.server):
            host.shell(self.shaped(shape, (link,)))

    def sent(self):
        """What each has sent, on each link."""
        return {host: host.carried() for host in (self.client, self.server)}

    def carried(self):
        """Of each link, what both have sent."""
        return [sum(pair) for pair in zip(*self.sent().values())]

    def since(self, before):
        """What each has sent since `before`, as text."""
        now = self.sent()
        return ", ".join(f"{host}: {[a - b for a, b in zip(now[host], before[host])]}" for host in now)

    def used(self):
        return [now - sum(then) for now, then in zip(self.carried(), zip(*self.before.values()))]

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
        if self.watch:
            packets, faults = self.watch.end()
            expect(packets, "no packet with data was seen")
            expect(not faults, f"of {packets} packets, {len(faults)} have a wrong mapping: {'; '.join(faults[:5])}")
        return ends

    def wait(self, what, wanted):
        """Until `wanted()`; a test that waits in vain fails."""
        end = time.monotonic() + 30 * SLOW
        while not wanted():
            if time.monotonic() >= end:
                raise tap.Failed(f"{what}: not within {30 * SLOW} s, used {self.used()}; {self.told()}")

    def told(self):
        """What each end has said, or how its connection is."""
        sides = []
        for role, host in (("client", self.client), ("server", self.server)):
            text = host.shell(f"cat {self.result(role)}* || true; ss -tninmH '( sport = :{World.port} or dport = "
                              f":{World.port} )'; ss -MniH", may_fail=True)
            sides.append(f"the {role}, {host}: {' '.join(text.split())}")
        return "; ".join(sides)

    def over(self):
        """Whether the client's end is over."""
        return self.client.shell(f"[[ ! -e {self.result('client')} ]] || echo over").strip() == "over"

    def wait_for_bytes(self, link, count):
        goal = self.carried()[link] + count
        self.wait(f"{count} bytes on link {link}", lambda: self.carried()[link] >= goal)


def sound(ends, size, allowed=()):
    """As judge.sound(). Gives both ends' counters."""
    client, server = (end["counters"] for end in judge.sound(ends, size, allowed))
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


