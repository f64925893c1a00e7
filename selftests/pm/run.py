#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The netlink family mptcp_pm, and what it must not let pass.

    run.py [WORD...]    only the tests whose name has one of the words

Everything but what is about the module itself is true of the in-tree implementation as well:

    scripts/guest -n -k stock -- bash -c 'cp -r selftests/{lib,pm} /tmp && python3 /tmp/pm/run.py'
"""

import glob
import importlib
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import tap  # noqa: E402
from world import TESTS, new_namespace  # noqa: E402


def alone(function):
    new_namespace()
    function()


def main(words):
    for path in sorted(glob.glob(os.path.join(HERE, "t_*.py"))):
        importlib.import_module(os.path.basename(path)[:-3])
    report = tap.Report()
    module = os.path.exists("/sys/module/mptcp/refcnt")
    for test in TESTS:
        if words and not any(word in test["name"] for word in words):
            continue
        if test["module_only"] and not module:
            report.tell(test["name"], directive=" # SKIP there is no module")
            continue
        function = test["function"]
        report.tell(test["name"], tap.call(lambda: alone(function), 120).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
