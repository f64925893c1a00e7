#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Where `unsafe` may be, and that each use of it says why it is sound.

In the module, `unsafe` is for rust/sys and rust/bindings. There, an unsafe block or impl has a
`// SAFETY:` comment in or directly above its statement, and an unsafe function has
a `# Safety` section in its documentation. What the kernel calls back (`unsafe extern
"C" fn`) is called by its contract with the kernel and needs none.
"""

import pathlib
import re
import sys

# A KUnit suite calls into the kernel by itself: it is not part of the module.
ALLOWED = ("rust/sys/", "rust/bindings/", "kunit/")
STRING_OR_COMMENT = re.compile(r'"(?:\\.|[^"\\])*"|//.*')


def code(line):
    """The line without strings and comments."""
    return STRING_OR_COMMENT.sub("", line)


def attributes(line):
    return line.startswith(("#[", "#![")) or line in ("", ")]")


def explained(lines, at, mark):
    """Whether a comment with the mark belongs to the statement of a line."""
    if mark in lines[at]:
        return True
    above = at - 1
    while above >= 0:
        line = lines[above].strip()
        if line.startswith("//") or attributes(line) and line:
            if mark in line:
                return True
        elif not line or code(line).rstrip().endswith((";", "{", "}")):
            return False
        above -= 1
    return False


def problems(path):
    lines = path.read_text().splitlines()
    for at, line in enumerate(lines):
        text = code(line)
        if not re.search(r"\bunsafe\b", text) or "lint" in text:
            continue
        where = f"{path}:{at + 1}: "
        if not str(path).startswith(ALLOWED):
            yield where + "unsafe outside rust/sys and rust/bindings"
        elif re.search(r"\bunsafe fn +\w", text):
            if not explained(lines, at, "# Safety"):
                yield where + "unsafe function without a '# Safety' section"
        elif re.search(r"\bunsafe( impl\b| trait\b| *\{| *$)", text):
            if not explained(lines, at, "SAFETY:") and not explained(lines, at, "# Safety"):
                yield where + "unsafe without a '// SAFETY:' comment"


def main():
    found = 0
    for top in ("rust", "kunit"):
        for path in sorted(pathlib.Path(top).rglob("*.rs")):
            if "target" in path.parts or "generated" in path.name:
                continue
            for problem in problems(path):
                print(problem)
                found += 1
    return 1 if found else 0


sys.exit(main())
