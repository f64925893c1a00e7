#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""That the documentation speaks of what there is.

- A relative link leads to a file, and its anchor to a heading.
- In the tables of rfc8684.md, `path#name` is a file and something that it contains, `path` a file or folder. Every
  row that is not about something absent names code and a test.
- mib.md has the counters of rust/observe/mib.rs, sysctl.md the variables of rust/sysctl.rs, in the same order.
"""

import pathlib
import re
import sys

NOT_OURS = {"target", "corpus", "artifacts", ".git"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`]+)`")


def documents():
    for path in sorted(pathlib.Path(".").rglob("*.md")):
        if not NOT_OURS & set(path.parts):
            yield path


def prose(path):
    """The lines of a document with their numbers; blocks of code are left out."""
    fenced = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    "):
            yield number, line


def anchors(path):
    """What a heading may be linked by."""
    for _, line in prose(path):
        if line.startswith("#"):
            text = re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower())
            yield text.replace(" ", "-")


def dead_links(path):
    for number, line in prose(path):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            to = path.parent / name if name else path
            if not to.exists():
                yield f"{path}:{number}: {target} is not there"
            elif anchor and to.suffix == ".md" and anchor not in anchors(to):
                yield f"{path}:{number}: {to} has no heading {anchor}"


def rows(path):
    """The rows of a document's tables, without heads: line number and cells."""
    lines = list(prose(path))
    for at, (number, line) in enumerate(lines):
        head = at + 1 < len(lines) and re.fullmatch(r"\|[ :|-]+\|", lines[at + 1][1])
        if line.startswith("|") and not head and not re.fullmatch(r"\|[ :|-]+\|", line):
            yield number, [cell.strip() for cell in re.split(r"(?<= )\|(?= )", line[1:-1])]


def missing(reference):
    """What is wrong with a reference of the RFC's tables, or None."""
    name, _, inside = reference.partition("#")
    path = pathlib.Path(name)
    if not path.exists():
        return f"{name} is not there"
    if inside and not re.search(rf"(?<!\w){re.escape(inside)}(?!\w)", path.read_text()):
        return f"{name} has no {inside}"
    return None


def dead_references(path):
    """The tables' columns: section, what the RFC asks for, state, code, tests."""
    for number, cells in rows(path):
        if len(cells) == 2:
            continue
        if len(cells) != 5:
            yield f"{path}:{number}: {len(cells)} cells in place of 5"
            continue
        state = re.match(r"yes$|core$|no$|part \(.+\)$", cells[2])
        if not state:
            yield f"{path}:{number}: a state '{cells[2]}' is not explained"
        for cell in cells[3:]:
            problems = (missing(reference) for reference in CODE.findall(cell))
            yield from (f"{path}:{number}: {problem}" for problem in problems if problem)
            if cells[2] != "no" and not cell:
                yield f"{path}:{number}: code or tests are not named"


def first_cells(path):
    """The names in the first cells of a document's tables."""
    return [name for _, cells in rows(path) for name in CODE.findall(cells[0])]


def differences(path, names):
    """What a document's tables have too much, too little, or elsewhere."""
    told = first_cells(path)
    for name in told:
        if name not in names:
            yield f"{path}: there is no {name}"
    for name in names:
        if name not in told:
            yield f"{path}: {name} is missing"
    if sorted(told) == sorted(names) and told != names:
        yield f"{path}: in another order than the code"


def main():
    problems = [problem for path in documents() for problem in dead_links(path)]
    folder = pathlib.Path("Documentation")
    if (folder / "rfc8684.md").exists():
        problems += dead_references(folder / "rfc8684.md")
    if (folder / "mib.md").exists():
        mib = pathlib.Path("rust/observe/mib.rs").read_text()
        problems += differences(folder / "mib.md", re.findall(r'^    \w+ => "(\w+)",', mib, re.M))
    if (folder / "sysctl.md").exists():
        sysctl = pathlib.Path("rust/sysctl.rs").read_text().partition("ENTRIES")[2]
        problems += differences(folder / "sysctl.md", re.findall(r'c_str!\("(\w+)"\)', sysctl))
    print("\n".join(problems))
    return 1 if problems else 0


sys.exit(main())
