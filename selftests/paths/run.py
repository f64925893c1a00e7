#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Transfers over several paths, and what may happen to these.

    run.py [WORD...]    only the tests whose name has one of the words

Two hosts, joined by as many links as a test wants. The server announces its address on each; the client
connects to them. Both send at the same time, and what they send is compared.
"""

import os
import re
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
LIB = os.path.join(os.path.dirname(HERE), "lib")
sys.path[:0] = [HERE, LIB]
sys.dont_write_bytecode = True

import dropped  # noqa: E402
import small  # noqa: E402
import tap  # noqa: E402
import windows  # noqa: E402
import wire  # noqa: E402
from tap import equal, expect  # noqa: E402
from world import (CLIENT, MIB, PATH, SERVER, SLOW, SLOWER, TESTS, Hosts, on, over, sound, subflows,  # noqa: E402
                   test, transfer)

del dropped, small, windows  # Their tests are in TESTS.


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
    # A full queue may drop an announcement, which is said again.
    on(SERVER, "sysctl", "-qw", "net.mptcp.add_addr_timeout=1")
    before = hosts.carried()
    client, _ = sound(transfer(16 * MIB), 16 * MIB)
    equal(client["counters"].get("MPJoinSynAckRx"), 7, "subflows that have joined")
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(min(used.values()) > MIB // 16, f"bytes on each link: {used}")


@test("a fast and a slow path")
def asymmetric():
    # A machine that fills neither of them does not need the slow one: half of both, in a kernel that checks everything.
    part = 1 if SLOWER == 1 else 2
    hosts = Hosts([f"delay 10ms rate {100 // part}mbit limit 1000", f"delay 50ms rate {20 // part}mbit limit 1000"])
    before = hosts.carried()
    # Long enough for the congestion window of a long path to grow. One way only: behind the data of the other
    # direction, ACKs come so late that TCP's slow start takes it for a queue and ends at a fraction of the path.
    size = 64 * MIB // part
    client, server = transfer(size, server_words=("--size", "1000"))
    sound((client, server), (size, 1000))
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(used[2] > size // 8, f"bytes on each link: {used}")
    # 90 % of what both links carry together, the headers included. Slower links are other links: of few packets.
    if SLOWER == 1:
        expect(client["seconds"] < size / (0.9 * 15e6 * 1448 / 1514), f"it took {client['seconds']} s")
    # And both ways at once, every byte all the same.
    sound(transfer(16 * MIB), 16 * MIB)


def lengths(recordings):
    """Of each segment with data in some recordings, how much that is."""
    return [length for path in recordings for _, _, length in wire.read(path) if length]


@test("a stream over two paths goes in whole segments")
def segments():
    # TCP may keep a short one until something is acknowledged: what went the other way would wait for it at the peer.
    hosts = Hosts(["delay 10ms rate 100mbit limit 1000", "delay 50ms rate 20mbit limit 1000"])
    links = [f"eth{number}" for number in hosts.links]
    for link in links:
        # What TSO leaves together would count as one.
        on(CLIENT, "ip", "link", "set", link, "gso_max_segs", "1")
    watch = wire.Watch(links, CLIENT)
    sound(transfer(8 * MIB, server_words=("--size", "1000", "--rcvbuf", "300000")), (8 * MIB, 1000))
    # What waits in its ring tcpdump reads once a second.
    time.sleep(2)
    sent = watch.end(lengths)
    expect(len(sent) > 8 * MIB // 1500, f"{len(sent)} segments were seen")
    short = sum(length < max(sent) for length in sent)
    expect(short < len(sent) // 200, f"{short} of {len(sent)} segments are short")


@test("in turn, each subflow carries its part")
def in_turn():
    hosts = Hosts([PATH, PATH])
    for host in (CLIENT, SERVER):
        on(host, "sysctl", "-qw", "net.mptcp.scheduler=roundrobin")
    before = hosts.carried()
    sound(transfer(16 * MIB), 16 * MIB)
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(min(used.values()) > 6 * MIB, f"bytes on each link: {used}")


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
    shape = "delay 5ms rate 40mbit limit 200"
    hosts = Hosts([shape, shape])
    cuts = []

    def during():
        while not over.is_set():
            hosts.cut(2)
            cuts.append(time.monotonic())
            over.wait(1)
            hosts.mend(2, shape)
            over.wait(1)
    sound(transfer(40 * MIB, during, joins=1), 40 * MIB)
    expect(len(cuts) >= 2, f"it was cut {len(cuts)} times only")


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


@test("a backup is not used because the other path has enough for now")
def lowat():
    hosts = Hosts([PATH, PATH], backup=(2,))
    for host in (CLIENT, SERVER):
        # The congestion window is larger than what is paced out, and little may wait for that.
        on(host, "sysctl", "-qw", "net.ipv4.tcp_congestion_control=bbr", "net.ipv4.tcp_notsent_lowat=16384")
    before = hosts.carried()
    sound(transfer(8 * MIB), 8 * MIB)
    used = hosts.carried()[2] - before[2]
    expect(used < MIB // 2, f"{used} bytes on the backup")


@test("the only path that is no backup is lost, and comes back")
def returns():
    hosts = Hosts([PATH, PATH], backup=(2,))
    told = {}

    def wait_for_bytes(number, bytes):
        goal = hosts.carried()[number] + bytes
        end = time.monotonic() + 30 * SLOW
        while hosts.carried()[number] < goal:
            expect(time.monotonic() < end and not over.is_set(),
                   f"link {number} did not carry {bytes} more bytes: {hosts.carried()}")
            time.sleep(0.02)

    def during():
        wait_for_bytes(1, MIB)
        hosts.cut(1)
        wait_for_bytes(2, 2 * MIB)
        hosts.mend(1, PATH)
        # What the backup was given it delivers; nothing new after that.
        wait_for_bytes(1, 4 * MIB)
        before = hosts.carried()
        wait_for_bytes(1, 8 * MIB)
        told.update({n: bytes - before[n] for n, bytes in hosts.carried().items()})
    sound(transfer(64 * MIB, during, joins=1), 64 * MIB)
    expect(told[2] < MIB, f"bytes on each link after the first was back: {told}")


@test("packets overtake each other on either path, and between the paths")
def reordered():
    hosts = Hosts(["delay 1ms rate 40mbit limit 400", "delay 40ms 10ms reorder 5% rate 40mbit limit 1000"])
    before = hosts.carried()
    ends = sound(transfer(16 * MIB), 16 * MIB)
    for end in ends:
        expect(end["counters"].get("OFOQueue", 0) > 0, f"nothing came out of order: {end['counters']}")
    used = {n: bytes - before[n] for n, bytes in hosts.carried().items()}
    expect(min(used.values()) > MIB, f"bytes on each link: {used}")


@test("paths that lose, delay and reorder packets")
def lossy():
    shape = "delay 10ms 5ms loss 1% reorder 10% rate 50mbit limit 1000"
    Hosts([shape, shape, shape])
    ends = transfer(4 * MIB)
    if ends[1]["counters"].get("MPCapableFallbackACK"):
        # The third ACK was lost and the first data overtaken: that is plain TCP. Not twice, and without a fault.
        sound(ends, 4 * MIB, mptcp=False)
        ends = transfer(4 * MIB)
    sound(ends, 4 * MIB)


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
    # Not over before the filter is there.
    size = (16 if SLOWER == 1 else 48) * MIB
    client, server = sound(transfer(size, during, joins=1), size,
                           allowed=("DataCsumErr", "MPFailTx", "MPFailRx", "MPRstTx", "MPRstRx"))
    equal(client["counters"].get("MPFailRx"), server["counters"].get("MPFailTx"), "MP_FAILs that came")
    stat = on(CLIENT, "tc", "-s", "filter", "show", "dev", "eth2", "egress")
    expect("Sent 0 bytes 0 pkt" not in stat, f"nothing was changed: {stat}")
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    expect(re.search(r"mptcp: connection [0-9a-f]+: data was changed on its way", log), "the log says nothing of it")


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
