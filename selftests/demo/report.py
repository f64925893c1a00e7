#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What the demo has measured and captured, told and drawn.

    report.py RESULTS

RESULTS is the folder that selftests/demo/run has filled in the guest. Makes demo.png in it.
"""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import picture  # noqa: E402
import wire  # noqa: E402


def say(name, text):
    print(f"  {name:<10} {text}", flush=True)


def mib(count):
    return f"{count / 2**20:.0f} MiB"


def at(samples, time, what):
    """The value of the last sample up to a time."""
    return [what(sample) for sample in samples if sample["at"] <= time][-1]


def figures(client):
    """How fast it was, and what each link has carried; yields what should not be so."""
    samples, (cut, mended) = client["samples"], client["cut"]
    say("goodput", f"{client['received'] * 8e-6 / client['seconds']:.0f} Mbit/s over "
        f"{client['seconds']:.1f} s, from connect to the last byte")
    say("carried", ", ".join(f"{mib(count)} by link {number}"
                             for number, count in enumerate(samples[-1]["links"], 1)))
    if mended is None:
        yield "the transfer ended before the second link was back"
        return
    during = at(samples, mended, lambda s: s["received"]) - at(samples, cut, lambda s: s["received"])
    after = samples[-1]["links"][1] - at(samples, mended, lambda s: s["links"][1])
    say("cut", f"link 2 for {mended - cut:.1f} s: {mib(during)} came by link 1 meanwhile, "
        f"{mib(after)} by link 2 afterwards")
    say("stall", f"{client['stall']:.2f} s at most without data while it was cut")
    if during <= 0:
        yield "nothing came while the second link was cut"
    if after <= 0:
        yield "the second link carried nothing after it was mended"


def handshake(results):
    """The packets that make the connection, as tshark reads them; yields what is missing."""
    say("wire", "what tshark reads in the first packets of each link")
    for number in (1, 2):
        seen, missing = wire.steps(os.path.join(results, f"wire{number}.pcap"), joined=number > 1)
        for line in seen:
            print(f"             link {number}  {line}")
        if missing:
            yield f"not seen on link {number}: {', '.join(missing)}"


def main():
    results = sys.argv[1]
    with open(os.path.join(results, "client.json"), encoding="ascii") as file:
        client = json.loads(file.read())
    faults = list(figures(client)) + list(handshake(results))
    picture.draw(client, os.path.join(results, "demo.png"))
    for fault in faults:
        say("FAILED", fault)
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main())
