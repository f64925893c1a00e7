#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Fallback to plain TCP when a connection is set up (RFC 8684 section 3.7).

    run.py [WORD...]    only the tests whose name has one of the words

Each test has two hosts of its own, and a middlebox between them that changes options. Data goes both
ways; in which order matters, because whoever sends first finds out first.
"""

import argparse
import os
import socket
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import blackhole  # noqa: E402
import damage  # noqa: E402
import mptcp  # noqa: E402
import tap  # noqa: E402
import xfer  # noqa: E402
from middle import CASES  # noqa: E402
from path import SERVER, Path  # noqa: E402
from tap import equal, expect  # noqa: E402

SIZE = 300_000
PORT = 5000
SLOW = 6 if os.environ.get("KERNEL") == "debug" else 1

# Counters that say that something fell back, or went wrong; all others are not looked at.
TELLING = {"MPCapableSYNTXDrop", "MPFallbackTokenInit", "MPCapableFallbackACK", "MPCapableFallbackSYNACK",
           "MPCapableDataFallback", "DssFallback", "DSSCorruptionFallback", "DSSCorruptionReset",
           "DSSNotMatching", "DSSNoMatchTCP", "DataCsumErr", "FallbackFailed", "MPFailTx", "MPFailRx",
           "MPRstTx", "MPRstRx", "InfiniteMapRx", "MPFastcloseTx", "MPFastcloseRx"}

# Who waits for all of the other's data before it sends its own.
ORDERS = {"both at once": (False, False), "client first": (False, True), "server first": (True, False)}


def exchange(sock, patient, seed, before):
    """Both directions of a connection; returns what xfer.py tells of one end."""
    args = argparse.Namespace(file=None, size=SIZE, seed=seed, timeout=20 * SLOW, progress=0,
                              slow=0, hold=None, abort=0)
    if not patient:
        return xfer.exchange(sock, args, before)
    args.size = 0
    # Not even an end of data goes out before everything has come.
    xfer.limit_waits(sock, args.timeout)
    received = bytearray()
    while piece := sock.recv(1 << 16):
        received += piece
    args.size = SIZE
    told = xfer.exchange(sock, args, before)
    equal(told["received"], 0, "received after the end")
    told["received"], told["received_sha256"] = len(received), xfer.hashlib.sha256(received).hexdigest()
    return told


class End(threading.Thread):
    """One end of the connection, in its own namespace for good."""

    def __init__(self, host, work):
        super().__init__(daemon=True)
        self.host, self.work = host, work
        self.told = {"error": "did not end"}
        self.start()

    def run(self):
        os.setns(self.host.namespace, os.CLONE_NEWNET)
        try:
            self.told = self.work(mptcp.counters())
        except (OSError, tap.Failed) as e:
            self.told = {"error": f"{type(e).__name__}: {e}"}


def run_ends(path, case, version, order):
    """The connection; returns what client and server tell."""
    family = mptcp.FAMILIES[version]
    ready = threading.Event()

    def serve(before):
        with mptcp.stream(family, mptcp.PROTOCOLS[case.server]) as listener:
            listener.bind(("", PORT))
            listener.listen(5)
            listener.settimeout(20 * SLOW)
            ready.set()
            sock = listener.accept()[0]
        return exchange(sock, order[1], 2, before)

    def connect(before):
        ready.wait()
        with mptcp.stream(family, mptcp.PROTOCOLS[case.client]) as sock:
            sock.settimeout(20 * SLOW)
            sock.connect((SERVER[version], PORT))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return exchange(sock, order[0], 1, before)

    ends = [End(path.client, connect), End(path.server, serve)]
    for end in ends:
        end.join(45 * SLOW)
    return [end.told for end in ends]


def telling(counters):
    """Those that tell, with one name for the two ways to find options missing."""
    found = {k: v for k, v in counters.items() if k in TELLING}
    late = sum(found.pop(name, 0) for name in ("MPCapableDataFallback", "DssFallback"))
    return found | ({"late": late} if late else {})


def check(case, client, server, path):
    """Both ends' stories, and what their counters have to say."""
    for name, end in (("client", client), ("server", server)):
        expect(not end["error"], f"{name}: {end['error']}\nclient: {client}\nserver: {server}\n"
               f"{path.problem or ''}")
    for name, one, other in (("client", client, server), ("server", server, client)):
        equal(one["sent"], SIZE, f"bytes that the {name} sent")
        equal(other["received_sha256"], one["sent_sha256"], f"SHA-256 of what the {name} sent")
        if case.mptcp is not None:
            equal(one["mptcp"], case.mptcp, f"the {name} is MPTCP")
            equal(telling(one["counters"]), case.counters[name], f"counters of the {name}")
        current = one["counters"].get("MPCurrEstab", 0)
        expect(current <= 1, f"MPCurrEstab of the {name}: {current}")


def run(case, version, order):
    with Path(case.middle()) as path:
        client, server = run_ends(path, case, version, order)
        check(case, client, server, path)
        for host in (path.client, path.server):
            host.await_quiet(10 * SLOW)
            with host.inside():
                equal(mptcp.counters().get("MPCurrEstab", 0), 0, "MPCurrEstab at last")
        expect(not path.problem, f"the middlebox: {path.problem}")


def main():
    report = tap.Report()
    words = sys.argv[1:]
    for case in CASES:
        for version in (4, 6):
            for label, order in ORDERS.items():
                name = f"{case.name}, {label}, v{version}"
                if label not in case.orders or words and not any(word in name for word in words):
                    continue
                outcome = tap.call(lambda: run(case, version, order), 60 * SLOW)
                report.tell(name, outcome.problem)
    for name, function in damage.TESTS.items():
        if not words or any(word in name for word in words):
            report.tell(name, tap.call(function, 90 * SLOW).problem)
    for label, function in blackhole.TESTS.items():
        # The longest of them has nothing to do with addresses.
        for version in (4,) if function is blackhole.doubles else (4, 6):
            name = f"{label}, v{version}"
            if not words or any(word in name for word in words):
                report.tell(name, tap.call(lambda: function(version), 120 * SLOW).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main())
