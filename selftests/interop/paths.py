#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Several paths between our implementation and C MPTCP in the other guest, each in both roles.

    paths.py [WORD...]    only the tests whose name has one of the words

Both send at the same time unless said otherwise; SHA-256 of both directions, what each link carried, and both
ends' counters decide.
"""

import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

from world import MIB, OURS, SHAPE, SLOW, TESTS, THEIRS, World, addresses, joined, sound, test  # noqa: E402

import tap  # noqa: E402
from tap import equal, expect  # noqa: E402

import hardships  # noqa: E402
from proof import proof  # noqa: E402

del hardships  # Its tests are in TESTS.


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
    counters = sound(world.end(), 8 * MIB)
    joined(counters)
    used = world.used()
    expect(min(used) > 3 * MIB, f"bytes on each link: {world.since(world.before)}; counters: {counters}")


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
    # On a busy machine some seconds pass until the path is cut: there has to be enough left.
    world.start(size=32 * MIB)
    world.wait_for_bytes(0, 4 * MIB)
    used = world.used()[1]
    expect(used < MIB, f"{used} bytes on the backup")
    world.shape(0, "loss 100%")
    joined(sound(world.end(), 32 * MIB))
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
    report.tell("a mapping that differs would be seen", tap.call(proof, 60).problem)
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
