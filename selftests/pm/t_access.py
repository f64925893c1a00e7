# SPDX-License-Identifier: GPL-2.0
"""Who may do what, and where."""

import os
import subprocess
import tempfile
import time

import genl
from genl import (ADD_ADDR, ADDR_REMOTE, ANNOUNCE, CREATE, DEL_ADDR, DESTROY, FLUSH, LOC_ID, REMOVE,
                  SET_FLAGS, SET_LIMITS, SIGNAL, TOKEN, address, u8, u32)
from tap import equal, expect
from world import (CLONE_NEWNET, CLONE_NEWUSER, NOBODY, enter_namespace, new_namespace, test, up,
                   users)

LOCAL, REMOTE = address("10.0.0.1", id=1, flags=SIGNAL), address("10.0.0.2", kind=ADDR_REMOTE)
CHANGES = (
    (ADD_ADDR, LOCAL), (DEL_ADDR, LOCAL), (FLUSH,), (SET_LIMITS,), (SET_FLAGS, LOCAL),
    (ANNOUNCE, LOCAL, u32(TOKEN, 1)), (REMOVE, u8(LOC_ID, 1), u32(TOKEN, 1)),
    (CREATE, LOCAL, REMOTE, u32(TOKEN, 1)), (DESTROY, LOCAL, REMOTE, u32(TOKEN, 1)),
)


@test("what the family is")
def family():
    with genl.Genl() as nl:
        equal(nl.version, 1, "version")
        equal(sorted(nl.groups), ["mptcp_pm_cmds", "mptcp_pm_events"], "groups")


@test("without CAP_NET_ADMIN nothing can be changed, everything be seen")
def nobody():
    with genl.Genl() as nl:
        nl.add("10.0.0.9", id=9)
    os.setuid(NOBODY)
    with genl.Genl() as nl:
        for cmd, *attrs in CHANGES:
            equal(genl.errno_of(nl.refused(cmd, *attrs)), "EPERM", f"command {cmd}")
        equal([one[0] for one in nl.endpoints()], [9])
        equal(nl.limits(), (0, 2))
        nl.join("mptcp_pm_cmds")
        try:
            nl.join("mptcp_pm_events")
        except PermissionError:
            return
        expect(False, "anybody may listen to events")


@test("the administrator of a user namespace has its network namespace")
def user_namespace():
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    new_namespace(CLONE_NEWUSER | CLONE_NEWNET)
    with genl.Genl() as nl:
        nl.add("10.0.0.1", flags=SIGNAL)
        nl.ask(SET_LIMITS, u32(genl.SUBFLOWS, 5))
        equal((len(nl.endpoints()), nl.limits()), (1, (0, 5)))
        nl.join("mptcp_pm_events")


@test("a socket keeps the namespace that it was made in")
def other_namespace():
    first = os.open("/proc/self/ns/net", os.O_RDONLY)
    with genl.Genl() as here:
        here.add("10.0.0.1", id=1)
        new_namespace()
        with genl.Genl() as there:
            equal((there.endpoints(), there.limits()), ([], (0, 2)), "a new namespace")
            there.add("10.0.0.2", id=2)
            equal([one[0] for one in here.endpoints()], [1])
            enter_namespace(first)
            equal([one[0] for one in there.endpoints()], [2])


@test("a namespace goes away with its endpoints", module_only=True)
def gone():
    before = users()
    for _ in range(20):
        new_namespace()
        up()
        with genl.Genl() as nl:
            for n in range(4):
                nl.add(f"10.0.0.{n + 1}", flags=SIGNAL)
            nl.add("127.0.0.1", flags=SIGNAL, port=4000)
            nl.add("::1", flags=SIGNAL, port=4000)
            nl.ask(SET_LIMITS, u32(genl.SUBFLOWS, 8))
    expect(users() > before, "sockets that listen keep the module")
    new_namespace()
    end = time.monotonic() + 30
    while users() > before:
        expect(time.monotonic() < end, f"the module has {users()} users, {before} before")
        time.sleep(0.1)


@test("a kernel that has the family already keeps the module out", module_only=True)
def taken():
    with open(os.environ["MPTCP_MODULE"], "rb") as file:
        module = file.read()
    # The same module by another name, which the kernel would otherwise take for the loaded one.
    name, other = b"mptcp".ljust(56, b"\0"), b"other".ljust(56, b"\0")
    expect(name in module, "the module's name is not found")
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "other.ko")
        with open(path, "wb") as file:
            file.write(module.replace(name, other))
        subprocess.run(["dmesg", "-C"], check=True)
        done = subprocess.run(["insmod", path], capture_output=True, text=True)
    expect(done.returncode, "it was loaded")
    expect("File exists" in done.stderr, done.stderr)
    log = subprocess.run(["dmesg"], capture_output=True, text=True, check=True).stdout
    # Once in its life, a kernel whose machine was held up says that.
    lines = [line for line in log.splitlines() if "hrtimer: interrupt took" not in line]
    equal(len(lines), 1, f"lines in the log: {lines}")
    expect("another MPTCP" in lines[0] and "mptcp_pm" in lines[0], lines[0])
