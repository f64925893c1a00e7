# SPDX-License-Identifier: GPL-2.0
"""What there is before there is a connection: names of counters, sysctls, the netlink family."""

import os
import struct

import genl
import mptcp
from scene import section
from world import new_namespace

SYSCTLS = "/proc/sys/net/mptcp"
VALUES = ("-1", "0", "1", "2", "3", "17", "255", "256", "2147483", "2147483647", "2147483648",
          "4294967295", "4294967296", "-2147483648", "default", "nothing", "")


@section("counters: names and order")
def names():
    return list(mptcp.counters())


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read().rstrip("\n")


def write(path, value):
    """The error, or what is read then."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(value)
    except OSError as err:
        return err.strerror
    return read(path)


@section("sysctls: names, defaults, ranges, namespaces")
def sysctls():
    told = {}
    for name in sorted(os.listdir(SYSCTLS)):
        path = f"{SYSCTLS}/{name}"
        default = read(path)
        one = told[name] = {"mode": oct(os.stat(path).st_mode), "default": default, "written": {}}
        if os.stat(path).st_mode & 0o200:
            for value in VALUES:
                one["written"][value] = write(path, value)
            write(path, "1")
    new_namespace()
    for name, one in told.items():
        one["in a new namespace"] = read(f"{SYSCTLS}/{name}")
    return told


def policies(nl, number):
    """The answer to CTRL_CMD_GETPOLICY: for each command its policy, with that of nests inside."""
    tables, commands = {}, {}
    for data in nl.ask(10, struct.pack("=HHHH", 6, 1, number, 0), flags=genl.NLM_F_DUMP, family=16):
        parts = genl.attributes(data)
        for index, table in genl.attributes(parts.get(8, b"")).items():
            for attr, what in genl.attributes(table).items():
                tables.setdefault(index, {})[attr] = {
                    key: int.from_bytes(value, "little") for key, value in genl.attributes(what).items()}
        for cmd, which in genl.attributes(parts.get(9, b"")).items():
            commands[cmd] = {key: int.from_bytes(value, "little") for key, value in genl.attributes(which).items()}

    def whole(index):
        table = {}
        for attr, what in tables.get(index, {}).items():
            table[attr] = dict(what)
            # NL_POLICY_TYPE_ATTR_POLICY_IDX
            if 10 in what:
                table[attr][10] = whole(what[10])
        return table

    return {cmd: {how: whole(index) for how, index in which.items()} for cmd, which in commands.items()}


@section("netlink: the family, its commands, policies and groups")
def family():
    with genl.Genl() as nl:
        told = genl.attributes(nl.ask(3, genl.attr(2, b"mptcp_pm\0"), family=16)[0])
        commands = {}
        for data in genl.attributes(told[6]).values():
            parts = genl.attributes(data)
            commands[int.from_bytes(parts[1], "little")] = int.from_bytes(parts[2], "little")
        return {"version": told[3].hex(), "header": told[4].hex(), "most": told[5].hex(), "commands": commands,
                "groups": sorted(nl.groups), "policies": policies(nl, nl.family)}
