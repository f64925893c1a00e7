# SPDX-License-Identifier: GPL-2.0
"""The parts of mptcp-trace."""


class Problem(Exception):
    """Something that the user can do something about: one line that says what."""
