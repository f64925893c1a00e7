# SPDX-License-Identifier: GPL-2.0
"""The picture as a PNG file."""

from . import Problem, picture

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.collections import LineCollection
except ImportError:
    raise Problem("a PNG file needs matplotlib: apt install python3-matplotlib") from None

DASHES = {"solid": "-", "dashed": "--", "dotted": ":"}
MARKERS = {"closed": "x", "stale": "+", "timeout": "1", "dropped": "v", "filled": "2", "unknown": "."}


def add(axes, curve):
    if curve.kind == "bars":
        lines = [((x, y), (x, y + h)) for x, y, h in zip(curve.x, curve.y, curve.height)]
        axes.add_collection(LineCollection(lines, colors=curve.color, linewidths=2.5, label=curve.name, zorder=3))
    elif curve.kind == "points":
        axes.plot(curve.x, curve.y, MARKERS[curve.style], color=curve.color, markersize=5, label=curve.name, zorder=4)
    else:
        axes.plot(curve.x, curve.y, DASHES[curve.style], color=curve.color, linewidth=1.1, label=curve.name,
                  drawstyle="steps-post" if curve.kind == "step" else "default", zorder=2)


def limits(axes, panel):
    """The data decides what is seen, not a window far above it."""
    top = max((y + (h or 0) for c in panel.curves if c.kind == "bars"
               for y, h in zip(c.y, c.height)), default=None)
    if top:
        reach = max((y for c in panel.curves for y in c.y), default=top)
        axes.set_ylim(-0.02 * top, min(reach * 1.03, top * 1.25))
    else:
        axes.set_ylim(bottom=0)
        axes.autoscale_view(scalex=False)


def mark(axes, panel):
    last = None
    for time, text, color in panel.marks:
        axes.axvline(time, color=color, linewidth=0.8, linestyle=":", zorder=1)
        # Those that are close would be written over each other.
        span = axes.get_xlim()[1] - axes.get_xlim()[0]
        level = last[1] + 1 if last and time - last[0] < 0.12 * span else 0
        axes.annotate(text, (time, 1), xycoords=("data", "axes fraction"), xytext=(3, -9 - 9 * (level % 6)),
                      textcoords="offset points", fontsize=7, color=color)
        last = time, level


def draw(connection, path):
    panels = picture.panels(connection)
    if not panels:
        raise Problem(f"no data of token {connection.token:08x} was recorded: there is nothing to draw")
    shares = [panel.share for panel in panels]
    figure, rows = pyplot.subplots(len(panels), 1, sharex=True, figsize=(12, 1.2 + 1.6 * sum(shares)), squeeze=False,
                                   gridspec_kw={"height_ratios": shares}, layout="constrained")
    last = connection.end - connection.start
    for (axes,), panel in zip(rows, panels):
        axes.set_xlim(0, last * 1.005)
        for curve in panel.curves:
            add(axes, curve)
        limits(axes, panel)
        mark(axes, panel)
        axes.set_ylabel(f"{panel.title}\n{panel.unit}")
        axes.grid(alpha=0.25)
        if panel.share > 2:
            axes.legend(loc="lower right", fontsize=8, framealpha=0.9)
    rows[-1][0].set_xlabel("seconds")
    figure.suptitle(picture.title(connection), fontsize=12)
    try:
        figure.savefig(path, format="png", dpi=110)
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from None
    pyplot.close(figure)
