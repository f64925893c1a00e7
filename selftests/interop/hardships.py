# SPDX-License-Identifier: GPL-2.0
"""Links that differ, come and go, reorder or change what passes, and receivers with little room or none."""

import time

from tap import expect
from world import MIB, OURS, SHAPE, SLOW, THEIRS, World, joined, sound, test


def forgive(counters):
    """A fault of C as a server. If a subflow joins while its connection is locked, it takes the subflow in only when
    that is over, and sets its first mapping then, though there may have been data on it: the next segment of that
    mapping does not match, and the subflow is reset. C does so with C, too, if a page fault holds the lock for a round
    trip. That ours are right is seen on the wire, see World.
    """
    wrong = counters.pop("DSSNotMatching", 0)
    expect(wrong <= counters.get("MPRstTx", 0), f"{wrong} mappings did not match, not all of them on a subflow of a "
           f"locked connection: {counters}")


@test("eight subflows")
def eight(client, server):
    world = World(client, server, watched=True)
    # Three more addresses on either link, and the second link's own: with the first one there are eight.
    server.shell("; ".join(f"ip mptcp endpoint add {addr} dev link{link} signal" for link, addr in server.more()))
    server.shell(f"ip mptcp endpoint add {server.address(1)} dev link1 signal")
    # C drops an ADD_ADDR that comes before it is through with the one before, and full queues drop some: those
    # are said again.
    server.shell("sysctl -qw net.mptcp.add_addr_timeout=1")
    world.start(size=16 * MIB)
    ends = world.end()
    if server is THEIRS:
        forgive(ends[1]["counters"])
    joined(sound(ends, 16 * MIB), 7)
    expect(min(world.used()) > 6 * MIB, f"bytes on each link: {world.used()}")


@test("a fast and a slow path")
def asymmetric(client, server):
    world = World(client, server, server_endpoint="signal",
                  shapes=("delay 5ms rate 50mbit limit 400", "delay 25ms rate 10mbit limit 400"))
    world.start(size=24 * MIB)
    ends = world.end()
    joined(sound(ends, 24 * MIB))
    expect(world.used()[1] > MIB, f"bytes on each link: {world.used()}")
    print(f"# {24 * MIB * 8 / 1e6 / max(end['seconds'] for end in ends):.1f} Mbit/s each way, of 60 for both links",
          flush=True)


@test("a path that comes and goes every second")
def flaps(client, server):
    world = World(client, server, server_endpoint="signal", watched=True)
    world.start(size=40 * MIB)
    world.wait_for_bytes(1, MIB)
    cuts = 0
    while not world.over():
        world.shape(1, "loss 100%")
        cuts += 1
        time.sleep(1)
        world.shape(1, SHAPE)
        time.sleep(1)
    joined(sound(world.end(), 40 * MIB))
    expect(cuts >= 2, f"it was cut {cuts} times only")


@test("each subflow is killed in turn")
def killed(client, server):
    world = World(client, server, server_endpoint="signal", watched=True)
    # A third one, of which nobody is told that it may not stay.
    link, addr = server.more()[0]
    server.shell(f"ip mptcp endpoint add {addr} dev link{link} signal")
    # As above: what a full queue drops is said again.
    server.shell("sysctl -qw net.mptcp.add_addr_timeout=1")
    world.start(size=24 * MIB)
    world.wait_for_bytes(1, MIB)
    port = f"( sport = :{world.port} or dport = :{world.port} )"

    def subflows():
        return [line.split()[2:4] for line in OURS.run("ss", "-tnH", "state", "established", port).splitlines()]
    world.wait("three subflows", lambda: len(subflows()) == 3)
    for local, remote in subflows()[:2]:
        time.sleep(0.3)
        OURS.run("ss", "-K", "src", local, "dst", remote)
    joined(sound(world.end(), 24 * MIB), 2)


@test("the only path that is no backup is lost, and comes back")
def returns(client, server):
    world = World(client, server, server_endpoint="signal backup")
    client.run("ip", "mptcp", "endpoint", "add", client.address(1), "dev", "link1", "backup")
    world.start(size=64 * MIB)
    world.wait_for_bytes(0, 2 * MIB)
    world.shape(0, "loss 100%")
    world.wait_for_bytes(1, 2 * MIB)
    world.shape(0, SHAPE)
    # What the backup was given it delivers; nothing new after that.
    world.wait_for_bytes(0, 4 * MIB)
    before, sent = world.carried(), world.sent()
    world.wait_for_bytes(0, 8 * MIB)
    used, told = [now - then for now, then in zip(world.carried(), before)], world.since(sent)
    joined(sound(world.end(), 64 * MIB))
    expect(used[1] < MIB, f"bytes on each link after the first was back: {told}")


@test("packets overtake each other on a path, and between the paths")
def reordered(client, server):
    world = World(client, server, server_endpoint="signal",
                  shapes=("delay 1ms rate 25mbit limit 400", "delay 40ms rate 25mbit limit 1000"), watched=True)
    world.start(size=12 * MIB)
    # Not from the beginning: as a client, C resets a subflow whose first data overtakes the fourth ACK of its handshake.
    world.wait_for_bytes(1, MIB // 8)
    world.shape(1, "delay 40ms 10ms reorder 5% rate 25mbit limit 1000")
    counters = sound(world.end(), 12 * MIB)
    joined(counters)
    for told in counters:
        expect(told.get("OFOQueue", 0) > 0, f"nothing came out of order: {told}")
    expect(world.used()[1] > MIB, f"bytes on each link: {world.used()}")


@test("a path that changes data: its subflow ends, the transfer does not")
def corrupted(client, server):
    world = World(client, server, checksum=True, server_endpoint="signal")
    # On a busy machine some seconds pass until the filter is there: enough has to be left.
    world.start(size=48 * MIB)
    world.wait_for_bytes(1, MIB)
    try:
        # One byte of the payload of larger packets, and TCP's checksum mended behind it.
        OURS.shell("tc qdisc add dev link1 clsact; tc filter add dev link1 egress protocol ip prio 1 u32 "
                   "match u16 0x0500 0xff00 at 2 action pedit munge offset 148 u8 invert pipe action csum tcp index 100")
        counters = sound(world.end(), 48 * MIB, allowed=("DataCsumErr", "MPFailTx", "MPFailRx"))
        stat = OURS.run("tc", "-s", "filter", "show", "dev", "link1", "egress")
        expect("Sent 0 bytes 0 pkt" not in stat, f"nothing was changed: {stat}")
    finally:
        OURS.shell("tc qdisc del dev link1 clsact", may_fail=True)
    joined(counters)


def held(client, server, lose_update):
    """A server that reads half, then nothing until it is told to; the client sends into its window."""
    go = f"/tmp/paths.go.{World.port}"
    world = World(client, server, server_endpoint="signal")
    world.start(server_words=("--hold", go, "--rcvbuf", str(MIB)), size=8 * MIB)
    world.wait_for_bytes(1, MIB // 8)

    def quiet():
        before = sum(world.carried())
        time.sleep(0.5)
        return sum(world.carried()) - before < 10000
    world.wait("the window is closed", quiet)
    # Time for some probes, which are told of a window of zero.
    time.sleep(2)
    if lose_update:
        for link in (0, 1):
            world.shape(link, "loss 100%")
    server.run("touch", go)
    if lose_update:
        time.sleep(1)
        for link in (0, 1):
            world.shape(link, SHAPE)
    joined(sound(world.end(), 8 * MIB))


@test("a window that closes, and opens again")
def closes(client, server):
    held(client, server, False)


@test("a window that opens again, which is lost on every path")
def opens_unseen(client, server):
    held(client, server, True)


@test("windows of a few kilobytes")
def tiny(client, server):
    world = World(client, server, server_endpoint="signal", shapes=("delay 1ms rate 100mbit", "delay 2ms rate 100mbit"),
                  watched=True)
    words = ("--rcvbuf", "6000")
    world.start(words, words, size=MIB // 2)
    joined(sound(world.end(), MIB // 2))


@test("a reader that is slower than the paths")
def slow_reader(client, server):
    size, speed = 6 * MIB, 2 * MIB
    world = World(client, server, server_endpoint="signal")
    world.start(server_words=("--slow", str(speed), "--rcvbuf", str(MIB // 2)), size=size)
    ends = world.end()
    joined(sound(ends, size))
    expect(ends[1]["seconds"] > 0.8 * size / speed, f"it was not slow: {ends[1]['seconds']} s")
