#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""That no two constants of a module, or of a type, are the same bit.

Two changes that each take the next free one merge without a conflict.
"""

import pathlib
import re
import sys

SCOPE = re.compile(r"^( *)(?:(?:pub(?:\([^)]*\))? )?mod|impl)\b(.*) \{$")
BIT = re.compile(r"\bconst (\w+): \w+ = (?:Self\(|Self::of\()?1 << (\d+)")


def problems(path):
    names, seen = [], {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        scope = SCOPE.match(line)
        if scope:
            names.append(scope.groups())
        elif names and line == names[-1][0] + "}":
            names.pop()
        bit = BIT.search(line)
        if bit:
            place = tuple(names), bit.group(2)
            if place in seen:
                yield f"{path}:{number}: {bit.group(1)} is the same bit as {seen[place]}"
            seen[place] = bit.group(1)


def main():
    found = [problem for path in sorted(pathlib.Path("rust").rglob("*.rs")) if "target" not in path.parts
             for problem in problems(path)]
    print("\n".join(found))
    return 1 if found else 0


sys.exit(main())
