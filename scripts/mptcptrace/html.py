# SPDX-License-Identifier: GPL-2.0
"""The picture as a page to zoom and ask in, which needs nothing from the network."""

from . import Problem, picture

try:
    from plotly.io import to_html
except ImportError:
    raise Problem("an HTML file needs plotly: apt install python3-plotly") from None

DASHES = {"solid": "solid", "dashed": "dash", "dotted": "dot"}
MARKERS = {"closed": "x-thin-open", "stale": "cross-thin-open", "timeout": "y-down-open", "dropped": "triangle-down", "filled": "y-up-open",
           "unknown": "circle"}
# With more points than this, the browser draws by way of WebGL.
MANY = 20000


def trace(curve, row, kind, legend):
    entry = {
        "type": kind, "name": curve.name, "legendgroup": curve.name.split(",")[0], "showlegend": legend,
        "xaxis": "x", "yaxis": "y" if row == 0 else f"y{row + 1}",
        "hovertemplate": "%{x:.4f} s, %{y:.3f}<extra>" + curve.name + "</extra>",
    }
    if curve.kind == "bars":
        xs, ys = [], []
        for x, y, h in zip(curve.x, curve.y, curve.height):
            xs += [x, x, None]
            ys += [y, y + h, None]
        return dict(entry, x=xs, y=ys, mode="lines", line={"color": curve.color, "width": 3})
    if curve.kind == "points":
        return dict(entry, x=curve.x, y=curve.y, mode="markers",
                    marker={"color": curve.color, "symbol": MARKERS[curve.style], "size": 8})
    shape = "hv" if curve.kind == "step" else "linear"
    return dict(entry, x=curve.x, y=curve.y, mode="lines",
                line={"color": curve.color, "width": 1.2, "dash": DASHES[curve.style], "shape": shape})


def figure(connection, panels):
    """As plotly.js wants it."""
    count = sum(len(curve.x) for panel in panels for curve in panel.curves)
    kind = "scattergl" if count > MANY else "scatter"
    layout = {
        "title": {"text": picture.title(connection)}, "hovermode": "closest",
        "xaxis": {"title": {"text": "seconds"}, "anchor": "free", "position": 0, "gridcolor": "#e5e5e5",
                  "range": [0, (connection.end - connection.start) * 1.005]},
        "plot_bgcolor": "white", "shapes": [], "annotations": [], "height": 250 + 130 * sum(p.share for p in panels),
    }
    data, seen, gap = [], set(), 0.04
    left = 1.0
    unit = (1 - gap * (len(panels) - 1)) / sum(panel.share for panel in panels)
    for row, panel in enumerate(panels):
        name = "y" if row == 0 else f"y{row + 1}"
        layout[name.replace("y", "yaxis")] = {
            "domain": [max(left - unit * panel.share, 0), left], "gridcolor": "#e5e5e5",
            "title": {"text": f"{panel.title}, {panel.unit}".replace("\n", "<br>")},
        }
        left -= unit * panel.share + gap
        for curve in panel.curves:
            data.append(trace(curve, row, kind, curve.name not in seen))
            seen.add(curve.name)
        for level, (time, text, color) in enumerate(panel.marks):
            layout["shapes"].append({"type": "line", "x0": time, "x1": time, "y0": 0, "y1": 1, "xref": "x",
                                     "yref": f"{name} domain", "line": {"color": color, "width": 1, "dash": "dot"}})
            layout["annotations"].append({"x": time, "y": 1 - 0.05 * (level % 4), "xref": "x", "yref": f"{name} domain",
                                          "text": text, "showarrow": False, "xanchor": "left",
                                          "font": {"size": 10, "color": color}})
    return {"data": data, "layout": layout}


def draw(connection, path):
    panels = picture.panels(connection)
    if not panels:
        raise Problem(f"no data of token {connection.token:08x} was recorded: there is nothing to draw")
    page = to_html(figure(connection, panels), include_plotlyjs=True, full_html=True, validate=False,
                   config={"displaylogo": False, "scrollZoom": True})
    page = page.replace("<head>", f"<head><title>{picture.title(connection)}</title>", 1)
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(page)
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from None
