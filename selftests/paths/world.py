# SPDX-License-Identifier: GPL-2.0
"""Two hosts with links between them, and transfers between the hosts."""

import json
import os
import subprocess
import threading
import time

import tap
from judge import sound  # noqa: F401
from links import MIB, SLOW, SLOWER, netem  # noqa: F401
from tap import equal, expect

LIB = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "lib")
CLIENT, SERVER = "client", "server"
PORT = 5000


def run(*command):
    done = subprocess.run(command, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout


def on(host, *command):
    return run("ip", "netns", "exec", host, *command)


class Hosts:
    """Two hosts and `links` between them: what netem is to do on each, on both ends."""

    def __init__(self, links, backup=(), checksum=False):
        self.links = range(1, len(links) + 1)
        for host in (CLIENT, SERVER):
            subprocess.run(["ip", "netns", "del", host], capture_output=True)
            run("ip", "netns", "add", host)
            run("ip", "-n", host, "link", "set", "lo", "up")
            on(host, "ip", "mptcp", "limits", "set", "subflows", "8", "add_addr_accepted", "8")
            on(host, "sysctl", "-qw", f"net.mptcp.checksum_enabled={int(checksum)}")
        for number, shape in zip(self.links, links):
            name = f"eth{number}"
            run("ip", "link", "add", name, "netns", CLIENT, "type", "veth", "peer", "name", name,
                "netns", SERVER)
            for end, host in enumerate((CLIENT, SERVER), 1):
                run("ip", "-n", host, "addr", "add", f"10.0.{number}.{end}/24", "dev", name)
                run("ip", "-n", host, "link", "set", name, "up")
                if shape:
                    on(host, "tc", "qdisc", "add", "dev", name, "root", "netem", *netem(shape).split())
            if number > 1:
                flags = ["signal"] + (["backup"] if number in backup else [])
                on(SERVER, "ip", "mptcp", "endpoint", "add", f"10.0.{number}.2", "dev", name, *flags)

    def cut(self, number):
        """Packets vanish on the way, and neither host is told."""
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", "loss", "100%")

    def mend(self, number, shape):
        for host in (CLIENT, SERVER):
            on(host, "tc", "qdisc", "replace", "dev", f"eth{number}", "root", "netem", *netem(shape).split())

    def carried(self):
        """Bytes that the client has sent on each link."""
        told = {}
        for number in self.links:
            path = f"/sys/class/net/eth{number}/statistics/tx_bytes"
            told[number] = int(on(CLIENT, "cat", path))
        return told


# Whether the client has ended, for those that do something all the time.
over = threading.Event()


def transfer(size, during=None, joins=None, client_words=(), server_words=()):
    """`size` bytes each way; `during` is called when the subflows are there. Returns what both ends tell.

    The words are options for xfer.py on either end.
    """
    over.clear()
    result = f"/tmp/paths.{os.getpid()}.json"
    env = dict(os.environ, PYTHONPATH=LIB)
    common = ["--port", str(PORT), "--size", str(size), "--timeout", str(40 * SLOW)]
    xfer = os.path.join(LIB, "xfer.py")
    served = subprocess.run(
        ["ip", "netns", "exec", SERVER, "python3", xfer, "serve", "--background", result,
         "--seed", "2", *common, *server_words], env=env)
    equal(served.returncode, 0, "status of the server")
    client = subprocess.Popen(
        ["ip", "netns", "exec", CLIENT, "python3", xfer, "connect", "10.0.1.2", "--seed", "1", *common,
         *client_words], env=env, stdout=subprocess.PIPE, text=True)
    problem = []
    thread = None
    if during:
        def act():
            try:
                if joins:
                    wait_for_subflows(joins + 1)
                during()
            except tap.Failed as e:
                problem.append(e)
        thread = threading.Thread(target=act, daemon=True)
        thread.start()
    out, _ = client.communicate()
    over.set()
    end = time.monotonic() + 60 * SLOW
    while not os.path.exists(result) and time.monotonic() < end:
        time.sleep(0.1)
    expect(os.path.exists(result), "the server did not end")
    if thread:
        thread.join(30 * SLOW)
    if problem:
        raise problem[0]
    with open(result, encoding="ascii") as file:
        return json.loads(out.splitlines()[-1]), json.loads(file.read())


def subflows():
    """The client's established TCP connections to the server: (local, remote)."""
    lines = on(CLIENT, "ss", "-tnH", "state", "established", f"( dport = :{PORT} )").splitlines()
    return [tuple(line.split()[2:4]) for line in lines if len(line.split()) >= 4]


def wait_for_subflows(count):
    end = time.monotonic() + 15 * SLOW
    while (found := len(subflows())) < count:
        expect(time.monotonic() < end, f"{found} subflows instead of {count}")
        time.sleep(0.05)


TESTS = []


def test(name):
    def add(function):
        TESTS.append((name, function))
        return function
    return add


PATH = "delay 5ms rate 100mbit limit 400"
