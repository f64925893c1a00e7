# SPDX-License-Identifier: GPL-2.0
"""Two hosts with shaped links, and a transfer in both directions between them."""

import json
import os
import subprocess
import threading
import time

from world import CLIENT, PORT, SERVER, SLOW, TESTS, expect, on, run, tap

# Slow enough for ss and the like to be done before a transfer is.
LONG_PATH = "delay 5ms rate 10mbit limit 400"
XFER = os.path.join(TESTS, "lib", "xfer.py")


def remove():
    """The hosts go, and what TCP would yet send for a minute on links that are gone: it would hold the module."""
    for host in (CLIENT, SERVER):
        subprocess.run(["ip", "netns", "exec", host, "ss", "-HtK", "state", "all"], capture_output=True)
        subprocess.run(["ip", "netns", "del", host], capture_output=True)


class Hosts:
    """`links`: what netem is to do on both ends of each. The server announces all but the first."""

    def __init__(self, links):
        remove()
        for host in (CLIENT, SERVER):
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
            on(host, "ip", "mptcp", "limits", "set", "subflows", "4", "add_addr_accepted", "4")
        for number, shape in enumerate(links, 1):
            name = f"eth{number}"
            run("ip", "link", "add", name, "netns", CLIENT, "type", "veth", "peer", "name", name,
                "netns", SERVER)
            for end, host in enumerate((CLIENT, SERVER), 1):
                run("ip", "-n", host, "addr", "add", f"10.0.{number}.{end}/24", "dev", name)
                run("ip", "-n", host, "link", "set", name, "up")
                on(host, "tc", "qdisc", "add", "dev", name, "root", "netem", *shape.split())
            if number > 1:
                on(SERVER, "ip", "mptcp", "endpoint", "add", f"10.0.{number}.2", "dev", name, "signal")

    @staticmethod
    def cut(number):
        """Packets vanish on the way, and neither host is told."""
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", "loss", "100%")

    @staticmethod
    def mend(number, shape):
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", *shape.split())


def subflows():
    """The client's established TCP connections to the server: (local, remote)."""
    lines = on(CLIENT, "ss", "-tnH", "state", "established", f"( dport = :{PORT} )").splitlines()
    return [tuple(line.split()[2:4]) for line in lines if len(line.split()) >= 4]


def wait_for_subflows(count):
    end = time.monotonic() + 15 * SLOW
    while True:
        found = subflows()
        if len(found) >= count:
            return found
        expect(time.monotonic() < end, f"{len(found)} subflows instead of {count}")
        time.sleep(0.05)


def quiet():
    """Until no connection is left but in TIME_WAIT: the last DATA_ACK has come."""
    end = time.monotonic() + 30 * SLOW
    while any(on(host, "ss", "-tnH", "state", "connected", "exclude", "time-wait").strip()
              for host in (CLIENT, SERVER)):
        expect(time.monotonic() < end, "connections are left")
        time.sleep(0.05)


def transfer(size, during=None, joins=0, client_options=(), server_options=()):
    """`size` bytes each way; `during` is called when the subflows are there, and given them. Returns what both ends
    tell."""
    result = f"/tmp/trace.{os.getpid()}.json"
    env = dict(os.environ, PYTHONPATH=os.path.dirname(XFER))
    common = ["--port", str(PORT), "--size", str(size), "--timeout", str(40 * SLOW)]
    subprocess.run(["ip", "netns", "exec", SERVER, "python3", XFER, "serve", "--background", result, "--seed", "2",
                    *common, *server_options], env=env, check=True)
    client = subprocess.Popen(["ip", "netns", "exec", CLIENT, "python3", XFER, "connect", "10.0.1.2", "--seed", "1",
                               *common, *client_options], env=env, stdout=subprocess.PIPE, text=True)
    problem, thread = [], None
    if during:
        def act():
            try:
                during(wait_for_subflows(joins + 1))
            except tap.Failed as e:
                problem.append(e)
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
    out, _ = client.communicate()
    end = time.monotonic() + 60 * SLOW
    while not os.path.exists(result) and time.monotonic() < end:
        time.sleep(0.1)
    if thread:
        thread.join(30 * SLOW)
    if problem:
        raise problem[0]
    expect(os.path.exists(result), "the server did not end")
    with open(result, encoding="ascii") as file:
        ends = json.loads(out.splitlines()[-1]), json.loads(file.read())
    os.unlink(result)
    return ends
