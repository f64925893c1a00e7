#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Transfers over several paths, and what may happen to these.

    run.py [WORD...]    only the tests whose name has one of the words

Two hosts, joined by as many links as a test wants. The server announces its address on each; the client
connects to them. Both send at the same time, and what they send is compared.
"""

import json
import os
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(os.path.dirname(HERE), "lib")
sys.path[:0] = [HERE, LIB]
sys.dont_write_bytecode = True

import judge  # noqa: E402
import tap  # noqa: E402
from tap import equal, expect  # noqa: E402

SLOW = 5 if os.environ.get("KERNEL") == "debug" else 1
MIB = 1 << 20
CLIENT, SERVER = "client", "server"
PORT = 5000


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def on(host, *command):
    return run("ip", "netns", "exec", host, *command)


class Hosts:
    """Two hosts and `links` between them: what netem is to do on each, on both ends."""

    def __init__(self, links, backup=(), checksum=False):
        self.links = range(1, len(links) + 1)
        for host in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", host], capture_output=True)
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
            on(host, "ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
            on(host, "sysctl", "-qw", f"net.mptcp.checksum_enabled={int(checksum)}")
        for number, shape in zip(self.links, links):
            name = f"eth{number}"
            run("ip", "link", "add", name, "netns", CLIENT, "type", "veth", "peer", "name", name,
                "netns", SERVER)
            for end, host in enumerate((CLIENT, SERVER), 1):
                run("ip", "-n", host, "addr", "add", f"10.0.{number}.{end}/24", "dev", name)
                run("ip", "-n", host, "link", "set", name, "up")
                if shape:
                    on(host, "tc", "qdisc", "add", "dev", name, "root", "netem", *shape.split())
            if number > 1:
                flags = ["signal"] + (["backup"] if number in backup else [])
                on(SERVER, "ip", "mptcp", "endpoint", "add", f"10.0.{number}.2", "dev", name, *flags)

    def cut(self, number):
        """Packets vanish on the way, and neither host is told."""
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", "loss", "100%")

    def mend(self, number, shape):
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", *shape.split())

    def carried(self):
        """Bytes that the client has sent on each link."""
        told = {}
        for number in self.links:
            path = f"/sys/class/net/eth{number}/statistics/tx_bytes"
            told[number] = int(on(CLIENT, "cat", path))
        return told


def transfer(size, during=None, joins=None):
    """`size` bytes each way; `during` is called when the subflows are there. Returns what both ends tell."""
    result = f"/tmp/paths.{os.getpid()}.json"
    env = dict(os.environ, PYTHONPATH=LIB)
    common = ["--port", str(PORT), "--size", str(size), "--timeout", str(40 * SLOW)]
    xfer = os.path.join(LIB, "xfer.py")
    served = subprocess.run(
        ["ip", "netns", "exec", SERVER, "python3", xfer, "serve", "--background", result,
         "--seed", "2", *common], env=env)
    equal(served.returncode, 0, "status of the server")
    client = subprocess.Popen(
        ["ip", "netns", "exec", CLIENT, "python3", xfer, "connect", "10.0.1.2", "--seed", "1", *common],
        env=env, stdout=subprocess.PIPE, text=True)
    problem = []
    thread = None
    if during:
        def act():
            try:
                if joins:
                    wait_for_subflows(joins + 1)
                during()
            except tap.Failed as e:
                problem.append(e)
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
    out, _ = client.communicate()
    end = time.monotonic() + 60 * SLOW
    while not os.path.exists(result) and time.monotonic() < end:
        time.sleep(0.1)
    expect(os.path.exists(result), "the server did not end")
    if thread:
        thread.join(30 * SLOW)
    if problem:
        raise problem[0]
    with open(result, encoding="ascii") as file:
        return json.loads(out.splitlines()[-1]), json.loads(file.read())


def subflows():
    """The client's established TCP connections to the server: (local, remote)."""
    lines = on(CLIENT, "ss", "-tnH", "state", "established", f"( dport = :{PORT} )").splitlines()
    return [tuple(line.split()[2:4]) for line in lines if len(line.split()) >= 4]


def wait_for_subflows(count):
    end = time.monotonic() + 15 * SLOW
    while len(subflows()) < count:
        expect(time.monotonic() < end, f"{len(subflows())} subflows instead of {count}")
        time.sleep(0.05)


class Judge:
    mptcp, fallback, size = True, False, None


def sound(ends, size, allowed=()):
    """Both ends have got everything, over MPTCP, and no counter but those `allowed` tells of a violation."""
    rules = Judge()
    rules.size = (size, size)
    for end in ends:
        for name in allowed:
            end.get("counters", {}).pop(name, None)
    found = list(judge.faults(*ends, rules))
    expect(not found, "\n".join(found) + f"\n{ends}")
    return ends


TESTS = []


def test(name):
    def add(function):
        TESTS.append((name, function))
        return function
    return add


PATH = "delay 5ms rate 100mbit limit 400"


@test("two subflows carry a transfer together")
def two():
    hosts = Hosts([PATH, PATH])
    before = hosts.carried()
    client, server = sound(transfer(24 * MIB), 24 * MIB)
    equal(client["counters"].get("MPJoinSynAckRx"), 1, "subflows that have joined")
    equal(server["counters"].get("MPJoinAckRx"), 1, "subflows that have joined")
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(min(used.values()) > 4 * MIB, f"bytes on each link: {used}")


@test("eight subflows carry a transfer together")
def eight():
    shape = "delay 5ms rate 20mbit limit 400"
    hosts = Hosts([shape] * 8)
    before = hosts.carried()
    client, _ = sound(transfer(16 * MIB), 16 * MIB)
    equal(client["counters"].get("MPJoinSynAckRx"), 7, "subflows that have joined")
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(min(used.values()) > MIB // 16, f"bytes on each link: {used}")


@test("a fast and a slow path")
def asymmetric():
    hosts = Hosts(["delay 10ms rate 100mbit limit 1000", "delay 50ms rate 20mbit limit 1000"])
    before = hosts.carried()
    sound(transfer(24 * MIB), 24 * MIB)
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(used[2] > MIB, f"bytes on each link: {used}")


@test("a path that dies while it carries data")
def dies():
    hosts = Hosts([PATH, PATH])
    client, server = sound(transfer(32 * MIB, lambda: hosts.cut(1), joins=1), 32 * MIB)
    again = client["counters"].get("MPTCPRetrans", 0) + server["counters"].get("MPTCPRetrans", 0)
    expect(again > 0, "nothing was sent again")
    for who, end in (CLIENT, client), (SERVER, server):
        stale = end["counters"].get("SubflowStale", 0) - end["counters"].get("SubflowRecover", 0)
        equal(stale, 1, f"stale subflows of the {who}")


@test("a path that comes and goes every second")
def flaps():
    hosts = Hosts([PATH, PATH])

    def during():
        for _ in range(4):
            hosts.cut(2)
            time.sleep(1)
            hosts.mend(2, PATH)
            time.sleep(1)
    sound(transfer(48 * MIB, during, joins=1), 48 * MIB)


@test("each subflow is killed in turn")
def killed():
    Hosts([PATH, PATH, PATH])

    def during():
        # The last one has to stay: nothing would bring another.
        for local, remote in subflows()[:2]:
            time.sleep(0.3)
            on(CLIENT, "ss", "-K", "src", local, "dst", remote)
    ends = transfer(32 * MIB, during, joins=2)
    sound(ends, 32 * MIB, allowed=("MPRstTx", "MPRstRx"))


@test("a backup is used when the other path dies, and only then")
def backup():
    hosts = Hosts([PATH, PATH], backup=(2,))
    before = hosts.carried()
    sound(transfer(8 * MIB), 8 * MIB)
    used = hosts.carried()[2] - before[2]
    expect(used < MIB // 2, f"{used} bytes on the backup")
    before = hosts.carried()
    sound(transfer(24 * MIB, lambda: hosts.cut(1), joins=1), 24 * MIB)
    used = hosts.carried()[2] - before[2]
    expect(used > 2 * MIB, f"{used} bytes on the backup")


@test("paths that lose, delay and reorder packets")
def lossy():
    shape = "delay 10ms 5ms loss 1% reorder 10% rate 50mbit limit 1000"
    Hosts([shape, shape, shape])
    sound(transfer(4 * MIB), 4 * MIB)


@test("checksums over two subflows")
def checksums():
    Hosts([PATH, PATH], checksum=True)
    client, server = sound(transfer(16 * MIB), 16 * MIB)
    equal(client["counters"].get("MPJoinSynAckRx"), 1, "subflows that have joined")
    equal(server["counters"].get("DataCsumErr", 0), 0, "wrong checksums")


@test("a listener that keeps nothing of a SYN is joined")
def cookies():
    Hosts([PATH, PATH, PATH])
    on(SERVER, "sysctl", "-qw", "net.ipv4.tcp_syncookies=2")
    client, server = sound(transfer(8 * MIB), 8 * MIB)
    equal(client["counters"].get("MPJoinSynAckRx"), 2, "subflows that have joined")
    equal(server["counters"].get("MPJoinAckRx"), 2, "subflows that have joined")


@test("a path that changes data: its subflow ends, the transfer does not")
def corrupted():
    hosts = Hosts([PATH, PATH], checksum=True)

    def during():
        # One byte of the payload, and TCP's checksum mended behind it.
        on(CLIENT, "tc", "qdisc", "add", "dev", "eth2", "clsact")
        on(CLIENT, "tc", "filter", "add", "dev", "eth2", "egress", "protocol", "ip", "prio", "1", "u32",
           "match", "u16", "0x0500", "0xff00", "at", "2",
           "action", "pedit", "munge", "offset", "148", "u8", "invert", "pipe",
           "action", "csum", "tcp", "index", "100")
    client, server = sound(transfer(16 * MIB, during, joins=1), 16 * MIB,
                           allowed=("DataCsumErr", "MPFailTx", "MPFailRx", "MPRstTx", "MPRstRx"))
    equal(client["counters"].get("MPFailRx"), server["counters"].get("MPFailTx"), "MP_FAILs that came")
    stat = on(CLIENT, "tc", "-s", "filter", "show", "dev", "eth2", "egress")
    expect("Sent 0 bytes 0 pkt" not in stat, f"nothing was changed: {stat}")


def main():
    words = sys.argv[1:]
    report = tap.Report()
    for name, function in TESTS:
        if words and not any(word in name for word in words):
            continue
        started = time.monotonic()
        outcome = tap.call(function, 120 * SLOW)
        report.tell(name, outcome.problem)
        print(f"# {time.monotonic() - started:.1f} s", flush=True)
    for host in (CLIENT, SERVER):
        subprocess.run(["ip", "netns", "del", host], capture_output=True)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
