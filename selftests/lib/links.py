# SPDX-License-Identifier: GPL-2.0
"""Links that are shaped, and what is sent on them: in the debug kernel both are less.

A path is only used when those before it are full, and the debug kernel does not fill the links of a test: there they
carry so much less that it does.
"""

import os
import re

DEBUG = os.environ.get("KERNEL") == "debug"
# How much longer than usual something may take.
SLOW = 5 if DEBUG else 1
# How much slower links are.
SLOWER = 20 if DEBUG else 1
# The unit of what is transferred: so much that on slower links it takes SLOW times as long.
MIB = (1 << 20) * SLOW // SLOWER


def netem(shape):
    """What netem is to do in this kernel: rate and queue of `shape` are those of the default one."""
    shape = re.sub(r"rate (\d+)mbit", lambda m: f"rate {int(m[1]) * 1000 // SLOWER}kbit", shape)
    return re.sub(r"limit (\d+)", lambda m: f"limit {max(int(m[1]) // SLOWER, 40)}", shape)
