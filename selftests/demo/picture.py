# SPDX-License-Identifier: GPL-2.0
"""The demo's picture: goodput of each subflow over time."""

import os
import tempfile

os.environ.setdefault("MPLCONFIGDIR", tempfile.mkdtemp(prefix="mpl-"))

import matplotlib  # noqa: E402

matplotlib.use("Agg")

import numpy  # noqa: E402
from matplotlib import pyplot  # noqa: E402

# Seconds over which a rate is taken.
STEP = 0.25
COLOURS = ("#3b75af", "#ef8636")


def rates(samples, what):
    """Mbit/s in each interval of STEP, from what had been counted at each sample."""
    times = numpy.array([sample["at"] for sample in samples])
    counts = numpy.array([what(sample) for sample in samples], dtype=float)
    grid = numpy.arange(0, times[-1] + STEP, STEP)
    return grid[1:] - STEP / 2, numpy.diff(numpy.interp(grid, times, counts)) * 8e-6 / STEP


def draw(client, path):
    samples, (cut, mended) = client["samples"], client["cut"]
    figure, axes = pyplot.subplots(figsize=(9, 4.2), dpi=100)
    links = [rates(samples, lambda sample, n=n: sample["links"][n]) for n in range(2)]
    at = links[0][0]
    carried = [sample / 2**20 for sample in samples[-1]["links"]]
    axes.stackplot(at, *(rate for _, rate in links), colors=COLOURS, alpha=0.9,
                   labels=[f"subflow {n} on link {n}: {count:.0f} MiB" for n, count in enumerate(carried, 1)])
    # The application gets what lies in order: after a gap is filled, much at once.
    top = max(250, 1.15 * max(a + b for a, b in zip(links[0][1], links[1][1])))
    for level, label in ((100, "one link"), (200, "both links")):
        axes.axhline(level, color="#444444", linewidth=0.8, linestyle="--")
        axes.annotate(f"{label}: {level} Mbit/s", (1, level), xycoords=("axes fraction", "data"),
                      xytext=(-4, 3), textcoords="offset points", ha="right", fontsize=8, color="#444444")
    if cut is not None:
        end = mended if mended is not None else samples[-1]["at"]
        axes.axvspan(cut, end, color="#bb2222", alpha=0.12, linewidth=0, zorder=0)
        for time in (cut, end):
            axes.axvline(time, color="#bb2222", linewidth=1)
        axes.text((cut + end) / 2, top * 0.97, "link 2 is cut", ha="center", va="top", color="#bb2222")
    axes.set(xlim=(0, samples[-1]["at"]), ylim=(0, top), xlabel="seconds since connect()",
             ylabel="goodput, Mbit/s (stacked)",
             title=f"{client['received'] / 2**20:.0f} MiB over one Multipath TCP connection: "
                   f"{client['received'] * 8e-6 / client['seconds']:.0f} Mbit/s")
    axes.legend(loc="upper left", framealpha=0.9, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path)
