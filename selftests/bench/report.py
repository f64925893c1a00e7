#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""report.py FOLDER KERNEL: the figures of two guests, as a table.

FOLDER has c/figures and ours/figures, lines 'ROW WHO KEY VALUE...'. Prints Markdown, and leaves it in
bench.md and bench.json there.
"""

import json
import sys

# Row, its title, the key of its figure, digits, and what ours must reach: of TCP, and of C. In a figure of
# time or memory less is better, in a rate more.
ROWS = (
    ("bulk1", "bulk, one subflow, Mbit/s", "mbits", 0, 0.97, 1.0),
    ("bulk2", "bulk, two subflows, Mbit/s", "mbits", 0, None, 1.0),
    ("bulk4", "bulk, four subflows, Mbit/s", "mbits", 0, None, 1.0),
    ("rr", "64-byte request and response, us", "us", 2, 1.20, None),
    ("connect", "connect, 1 byte each way, close; per s", "rate", 0, 0.65, None),
    ("idle", "idle connection, both ends: bytes of slab", "slab_bytes", 0, None, 1.0),
    ("idle", "idle connection, both ends: pages of slab", "slab_pages", 2, None, 1.0),
    ("idle", "idle connection, both ends: pages in all", "pages", 2, None, 1.0),
)
LESS_IS_BETTER = ("us", "slab_bytes", "slab_pages", "pages")


def read_figures(path):
    """Figures by row, who and key; slab caches by row and who."""
    figures, caches = {}, {}
    with open(path, encoding="ascii") as file:
        for line in file:
            row, who, key, *values = line.split()
            if key == "cache":
                cache = {"name": values[0], "size": int(values[1]), "objects": float(values[2])}
                caches.setdefault(who, []).append(cache)
            else:
                figures[row, who, key] = float(values[0])
    return figures, caches


def reached(value, base, factor, key):
    return value <= base * factor if key in LESS_IS_BETTER else value >= base * factor


def judge(row):
    """Whether the targets are reached, and what they are."""
    wanted, verdicts, key = [], [], row["key"]
    sign = "<=" if key in LESS_IS_BETTER else ">="
    for base, factor, name in ((row["tcp"], row["of_tcp"], "TCP"), (row["c"], row["of_c"], "C")):
        if factor and base and row["ours"]:
            wanted.append(f"{sign} {factor:.2f} of {name}" if factor != 1 else f"{sign} {name}")
            verdicts.append(reached(row["ours"], base, factor, key))
    return " and ".join(wanted), all(verdicts) if verdicts else None


def build(figures):
    rows = []
    for name, title, key, digits, of_tcp, of_c in ROWS:
        row = {"row": name, "title": title, "key": key, "digits": digits, "of_tcp": of_tcp, "of_c": of_c}
        for column, who in (("tcp", "tcp-ours"), ("tcp_c", "tcp-c"), ("c", "c"), ("ours", "ours")):
            row[column] = figures.get((name, who, key))
        if row["c"] is None and row["ours"] is None:
            continue
        # Each compared with TCP in its own kernel.
        row["c_tcp"] = row["c"] / row["tcp_c"] if row["c"] and row["tcp_c"] else None
        row["ours_tcp"] = row["ours"] / row["tcp"] if row["ours"] and row["tcp"] else None
        row["target"], row["reached"] = judge(row)
        rows.append(row)
    return rows


def number(value, digits):
    return "" if value is None else f"{value:.{digits}f}"


def table(rows):
    yield "| | TCP | C MPTCP | ours | C / TCP | ours / TCP | ours must be | reached |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | --- | --- |"
    for row in rows:
        cells = [row["title"]]
        cells += [number(row[column], row["digits"]) for column in ("tcp", "c", "ours")]
        cells += [number(row[column], 3) for column in ("c_tcp", "ours_tcp")]
        cells += [row["target"], {True: "yes", False: "**no**", None: ""}[row["reached"]]]
        yield "| " + " | ".join(cells) + " |"


def cache_table(caches):
    """Objects of slab caches that a connection holds, both ends."""
    whos = [who for who in ("tcp-ours", "c", "ours") if who in caches]
    sizes, objects = {}, {}
    for who in whos:
        for cache in caches[who]:
            name = cache["name"]
            sizes.setdefault(name, {})[who] = cache["size"]
            objects.setdefault(name, {})[who] = cache["objects"]
    titles = {"tcp-ours": "TCP", "c": "C MPTCP", "ours": "ours"}
    yield "| slab objects of an idle connection | " + " | ".join(titles[who] for who in whos) + " |"
    yield "| --- |" + " ---: |" * len(whos)
    for name in sorted(objects, key=lambda n: -max(sizes[n].values())):
        cells = [f"{objects[name][who]:.2f} of {sizes[name][who]}" if who in objects[name] else ""
                 for who in whos]
        yield f"| `{name}` | " + " | ".join(cells) + " |"


def main():
    folder, kernel = sys.argv[1:]
    figures, caches = {}, {}
    for kind in ("c", "ours"):
        more, held = read_figures(f"{folder}/{kind}/figures")
        figures.update(more)
        caches.update(held)
    rows = build(figures)
    lines = [f"Kernel: {kernel}. One CPU, a nanosecond an instruction.", ""] + list(table(rows))
    if caches:
        lines += [""] + list(cache_table(caches))
    text = "\n".join(lines)
    print(text)
    with open(f"{folder}/bench.md", "w", encoding="ascii") as file:
        file.write(text + "\n")
    with open(f"{folder}/bench.json", "w", encoding="ascii") as file:
        json.dump({"kernel": kernel, "rows": rows, "caches": caches}, file, indent=1)
        file.write("\n")


main()
