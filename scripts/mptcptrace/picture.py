# SPDX-License-Identifier: GPL-2.0
"""What is drawn, whoever draws it: curves and marks in panels above one axis of time."""

import collections

COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#bcbd22", "#e377c2")
AGAIN, ACKED, EDGE = "#d62728", "#444444", "#9a9a9a"
CAUSES = {
    "closed": "its subflow has ended",
    "stale": "its subflow is stale",
    "timeout": "timeout on its subflow",
    "dropped": "the peer has dropped it",
    "filled": "it was announced there",
    None: "why is not recorded",
}

# `kind` is "line", "step", "bars" (upright, from y to y + height) or "points".
Curve = collections.namedtuple("Curve", "name color kind x y height style")
Panel = collections.namedtuple("Panel", "title unit share curves marks")
BINS = 100


def curve(name, color, kind, x, y, height=None, style="solid"):
    return Curve(name, color, kind, list(x), list(y), height and list(height), style)


def scale(values):
    """A unit in which the largest of some byte counts is readable, and its divisor."""
    top = max((abs(v) for v in values), default=0)
    for unit, by in (("MB", 1e6), ("kB", 1e3)):
        if top >= 2 * by:
            return unit, by
    return "byte", 1


def colors(connection):
    numbers = sorted(connection.subflows)
    return {number: COLORS[i % len(COLORS)] for i, number in enumerate(numbers)}


def names(connection):
    return {number: f"subflow {subflow.name}" for number, subflow in connection.subflows.items()}


def marks(connection):
    """Times at which subflows came and went, with words, the colour of the subflow."""
    by = colors(connection)
    last = connection.end - connection.start
    found = []
    for mark in connection.marks:
        # At the end all subflows are closed, which goes without saying.
        if mark.text != "closed" or mark.time < last * 0.98:
            text = f"{mark.subflow} {mark.text}" if mark.subflow else mark.text
            found.append((mark.time, text, by.get(mark.subflow, ACKED)))
    return found


def sent(connection):
    """Data sequence over time, of what was sent."""
    unit, by = scale([s.seq + s.len for s in connection.sends])
    curves, label, color = [], names(connection), colors(connection)
    # What the peer has room for may be far away: as far as the data is near.
    edges = [(a.time, a.edge) for a in connection.acks]
    curves.append(curve("right edge of the peer's window", EDGE, "step", [t for t, _ in edges],
                        [e / by for _, e in edges]))
    curves.append(curve("acknowledged", ACKED, "step", [a.time for a in connection.acks],
                        [a.una / by for a in connection.acks], style="dashed"))
    for number in sorted(connection.subflows):
        of = [s for s in connection.sends if s.subflow == number and not s.again]
        if of:
            curves.append(curve(label[number], color[number], "bars", [s.time for s in of],
                                [s.seq / by for s in of], [s.len / by for s in of]))
    again = [s for s in connection.sends if s.again]
    for cause in sorted({s.cause for s in again}, key=str):
        of = [s for s in again if s.cause == cause]
        curves.append(curve(f"sent again: {CAUSES.get(cause, cause)}", AGAIN, "points", [s.time for s in of],
                            [(s.seq + s.len / 2) / by for s in of], style=cause or "unknown"))
    return Panel("Data sequence, sent", unit, 3, curves, marks(connection))


def received(connection):
    unit, by = scale([r.seq + r.len for r in connection.receives])
    curves, label, color = [], names(connection), colors(connection)
    curves.append(curve("right edge of the window that was announced", EDGE, "step",
                        [w.time for w in connection.windows], [w.edge / by for w in connection.windows]))
    curves.append(curve("in order: the DATA_ACK", ACKED, "step", [w.time for w in connection.windows],
                        [w.ack / by for w in connection.windows], style="dashed"))
    for number in sorted(connection.subflows):
        of = [r for r in connection.receives if r.subflow == number]
        if of:
            curves.append(curve(label[number], color[number], "bars", [r.time for r in of],
                                [r.seq / by for r in of], [r.len / by for r in of]))
    return Panel("Data sequence, received", unit, 3, curves, marks(connection))


def rates(connection, entries):
    """How fast each subflow was, in bins of time."""
    total = connection.end - connection.start
    width = max(total / BINS, 1e-3)
    curves, label, color = [], names(connection), colors(connection)
    for number in sorted(connection.subflows):
        bins = [0] * (int(total / width) + 1)
        for entry in entries:
            if entry.subflow == number:
                bins[int(entry.time / width)] += entry.len
        if any(bins):
            curves.append(curve(label[number], color[number], "line", [(i + 0.5) * width for i in range(len(bins))],
                                [b * 8 / width / 1e6 for b in bins]))
    return Panel("Rate", "Mbit/s", 1, curves, [])


def cwnd(connection):
    unit, by = scale([a.cwnd for a in connection.acks])
    curves, label, color = [], names(connection), colors(connection)
    for number in sorted(connection.subflows):
        of = [a for a in connection.acks if a.subflow == number]
        if of:
            # Below, as it comes down to nothing again and again.
            curves.insert(0, curve(f"{label[number]}, in flight", color[number], "step", [a.time for a in of],
                                   [a.in_flight / by for a in of], style="dotted"))
            curves.append(curve(label[number], color[number], "step", [a.time for a in of],
                                [a.cwnd / by for a in of]))
    return Panel("Congestion window\n(dotted: in flight)", unit, 1.2, curves, [])


def panels(connection):
    """The picture of a connection. A direction without much data is left out."""
    out, into = connection.carried()
    found = []
    if out and out * 20 >= into or not into:
        found += [sent(connection), rates(connection, connection.sends)]
    if into and into * 20 >= out:
        found.append(received(connection))
        if len(found) == 1:
            found.append(rates(connection, connection.receives))
    if out and out * 20 >= into:
        found.append(cwnd(connection))
    return [panel for panel in found if panel.curves]


def title(connection):
    out, into = connection.carried()
    again = sum(s.len for s in connection.sends if s.again)
    text = f"MPTCP connection {connection.token:08x}: {out:,} bytes sent"
    if again:
        text += f" ({again:,} again)"
    if into:
        text += f", {into:,} received"
    return text
