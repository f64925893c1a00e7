#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Whether two ends of a transfer (results of xfer.py) tell the same story.

    judge.py CLIENT.json SERVER.json [--mptcp|--fallback] [--size CLIENT SERVER]

--mptcp: both ends were MPTCP to the end, and no counter of either says that
something fell back. --fallback: neither end is MPTCP any more.
"""

import argparse
import json
import sys

from tap import expect

FALLBACKS = ("MPCapableFallbackACK", "MPCapableFallbackSYNACK", "MPFallbackTokenInit",
             "DSSCorruptionFallback", "DSSCorruptionReset", "InfiniteMapTx", "InfiniteMapRx",
             "DSSNoMatchTCP", "DSSNotMatching", "DataCsumErr", "MPFailTx", "MPFailRx", "Blackhole",
             "MPCapableDataFallback", "DssFallback", "SimultConnectFallback", "FallbackFailed")


def load(path):
    with open(path, encoding="ascii") as file:
        return json.loads(file.read().splitlines()[-1])


class Wanted:
    """What each end has sent, and whether it has to be MPTCP to the end."""

    fallback = False

    def __init__(self, size, mptcp):
        self.size = size if isinstance(size, tuple) else (size, size)
        self.mptcp = mptcp


def sound(ends, size, allowed=(), mptcp=True):
    """Both ends have got everything, over MPTCP, and no counter but those `allowed` tells of a violation. `size`: what
    each has sent, or a pair of what the client and the server have. Not `mptcp`: whatever it was sent over. Gives the
    ends back."""
    for end in ends:
        for name in allowed:
            end.get("counters", {}).pop(name, None)
    found = list(faults(*ends, Wanted(size, mptcp)))
    expect(not found, "\n".join(found) + f"\n{ends}")
    return ends


def faults(client, server, args):
    ends = {"client": client, "server": server}
    for name, end in ends.items():
        if end["error"]:
            yield f"{name}: {end['error']}"
    if any(end["error"] for end in ends.values()):
        return
    for source, sink in (("client", "server"), ("server", "client")):
        one, other = ends[source], ends[sink]
        if one["sent"] != other["received"]:
            yield f"{source} sent {one['sent']} bytes, {sink} received {other['received']}"
        elif one["sent_sha256"] != other["received_sha256"]:
            yield f"what {source} sent is not what {sink} received (SHA-256)"
    for name, size in zip(ends, args.size or ()):
        if ends[name]["sent"] != size:
            yield f"{name} sent {ends[name]['sent']} bytes instead of {size}"
    for name, end in ends.items():
        yield from kind_faults(name, end, args)


def kind_faults(name, end, args):
    if args.mptcp:
        if not end["mptcp"]:
            yield f"{name} fell back, MPTCP_INFO says: {end['info']}"
        for counter in FALLBACKS:
            if end["counters"].get(counter):
                yield f"{name}: counter {counter} rose by {end['counters'][counter]}"
    if args.fallback and end["mptcp"]:
        yield f"{name} says that it is still MPTCP: {end['info']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("client")
    parser.add_argument("server")
    parser.add_argument("--mptcp", action="store_true")
    parser.add_argument("--fallback", action="store_true")
    parser.add_argument("--size", type=int, nargs=2)
    args = parser.parse_args()
    client, server = load(args.client), load(args.server)
    found = list(faults(client, server, args))
    for fault in found:
        print(fault)
    for name, end in (("client", client), ("server", server)):
        if found and "counters" in end:
            print(f"{name}: counters {end['counters']}")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
