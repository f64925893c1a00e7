#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""mptcpd as Debian has it, with its own configuration, manages paths; mptcpize converts programs.

    run.py [WORD...]    only the tests whose name has one of the words

$MPTCPD_PLUGINS is a folder with the plugins of mptcpd, which the daemon finds in its own place.
"""

import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [*(os.path.join(os.path.dirname(HERE), name) for name in ("lib", "pm"))]
sys.dont_write_bytecode = True

import genl  # noqa: E402
from genl import ADDR_REMOTE, CREATE, SIGNAL, SUBFLOW, TOKEN, address, u32  # noqa: E402
import mptcp  # noqa: E402
import tap  # noqa: E402
from tap import expect  # noqa: E402
from world import Pair, hosts, wait_for  # noqa: E402

DAEMON = "/usr/libexec/mptcpd"
PLUGINS = "/usr/lib/x86_64-linux-gnu/mptcpd"
# As the configuration has it as a comment. With check_route an address is told of when its link has a default route,
# for which it has 30 ms. It takes that where subflows leave from the address: the kernel tells of an address before it
# can be bound to, and a daemon that is quick makes an endpoint of which the first subflow fails with EADDRNOTAVAIL.
NOTIFY = "--notify-flags=existing,skip_link_local,skip_loopback"
NOTIFY_ROUTED = NOTIFY + ",check_route"
SLOW = 4 if os.environ.get("KERNEL") == "debug" else 1
PATIENCE = 90 * SLOW


class Mptcpd:
    """The daemon on a host. It is told nothing but `options`."""

    def __init__(self, host, *options):
        self.log = tempfile.NamedTemporaryFile("w+", suffix=".log")
        with host:
            self.process = subprocess.Popen([DAEMON, "--debug", *options], stdout=self.log, stderr=self.log)
        wait_for(lambda: self.alive() and "path manager initialized" in self.said(), "the start of mptcpd", PATIENCE)

    def said(self):
        with open(self.log.name, encoding="utf-8", errors="replace") as file:
            return file.read()

    def alive(self):
        expect(self.process.poll() is None, f"mptcpd has ended:\n{self.said()}")
        return True

    def stop(self):
        """As systemd does; it has to go by itself, in peace with the kernel."""
        self.alive()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(PATIENCE)
        expect(status == 0, f"mptcpd ended with {status}:\n{self.said()}")


def until(condition, what, *daemons):
    """Waits; if in vain, with what the daemons have said."""
    try:
        wait_for(condition, what, PATIENCE)
    except tap.Failed as err:
        said = "\n".join("\n".join(daemon.said().splitlines()[-25:]) for daemon in daemons)
        raise tap.Failed(f"{err}\n{said}") from err


def limits(*all_hosts):
    for host in all_hosts:
        with host, genl.Genl() as nl:
            nl.ask(genl.SET_LIMITS, u32(genl.SUBFLOWS, 8), u32(genl.RCV_ADD_ADDRS, 8))


def endpoints(host):
    """Flags of the IPv4 endpoints there, by address."""
    with host, genl.Genl() as nl:
        return {one[1]: one[3] for one in nl.endpoints() if "." in one[1]}


def carrier(host, *devices):
    """mptcpd passes over addresses of a link that does not run yet, for good: those come later, as with DHCP."""
    def runs(dev):
        with host:
            return "state UP" in subprocess.run(["ip", "-o", "link", "show", dev], capture_output=True, text=True,
                                                check=True).stdout
    wait_for(lambda: all(runs(dev) for dev in devices), f"that {devices} run", PATIENCE)


def running_hosts(links):
    client, server = hosts(links)
    for host in (client, server):
        carrier(host, *(f"eth{number}" for number in range(1, links + 1)))
    return client, server


def batch(host, *commands):
    """One `ip` for several commands, so that little time passes between them."""
    with host:
        subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def default_route(number):
    """What a client gets with its address on a link."""
    return f"route add default via 10.0.{number}.2 dev eth{number} metric {100 + number}"


def link(client, server, number):
    """A link more: 10.0.number.1, with a default route, and 10.0.number.2."""
    dev = f"eth{number}"
    client.ip("link", "add", dev, "type", "veth", "peer", "name", dev, "netns", f"/proc/{os.getpid()}/fd/{server.fd}")
    for host in (server, client):
        host.ip("link", "set", dev, "up")
    for host in (server, client):
        carrier(host, dev)
    server.ip("address", "add", f"10.0.{number}.2/24", "dev", dev)
    batch(client, f"address add 10.0.{number}.1/24 dev {dev}", default_route(number))


def subflows(pair, count, *daemons):
    ends = pair.client, pair.server

    def told():
        return [mptcp.info(sock)["subflows"] for sock in ends]
    try:
        until(lambda: told() == [count, count], f"{count} subflows", *daemons)
    except tap.Failed as err:
        raise tap.Failed(f"{err}\nsubflows of client and server: {told()}") from err


def exchange(pair):
    for one, other in ((pair.client, pair.server), (pair.server, pair.client)):
        one.sendall(b"y" * 5000)
        got = b""
        while len(got) < 5000:
            piece = other.recv(5000)
            expect(piece, "the connection has ended")
            got += piece


def untouched():
    client, _ = running_hosts(1)
    daemon = Mptcpd(client)
    expect("family appeared" in daemon.said(), daemon.said())
    for _ in range(2):
        client.ip("address", "add", "10.0.7.1/24", "dev", "eth1")
        until(lambda: endpoints(client).get("10.0.7.1") == 0, "an endpoint for the new address", daemon)
        client.ip("address", "delete", "10.0.7.1/24", "dev", "eth1")
        until(lambda: "10.0.7.1" not in endpoints(client), "its end", daemon)
    daemon.stop()


def addr_adv_client():
    client, server = running_hosts(1)
    limits(server)
    batch(client, default_route(1))
    daemon = Mptcpd(client, "--addr-flags=subflow", NOTIFY_ROUTED)
    until(lambda: endpoints(client) == {"10.0.1.1": SUBFLOW}, "an endpoint for the first link", daemon)
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    exchange(pair)
    for _ in range(3):
        link(client, server, 2)
        until(lambda: endpoints(client) == {"10.0.1.1": SUBFLOW, "10.0.2.1": SUBFLOW}, "one for the second", daemon)
        subflows(pair, 1, daemon)
        exchange(pair)
        # mptcpd forgets a link that is down, and with it to withdraw its addresses: those go first, as with a lease.
        client.ip("address", "delete", "10.0.2.1/24", "dev", "eth2")
        client.ip("link", "delete", "eth2")
        until(lambda: endpoints(client) == {"10.0.1.1": SUBFLOW}, "its end", daemon)
        until(lambda: mptcp.info(pair.client)["subflows"] == 0, "the end of the subflow", daemon)
        exchange(pair)
    link(client, server, 2)
    link(client, server, 3)
    until(lambda: mptcp.info(pair.client)["subflows"] == 2, "a subflow on each link", daemon)
    exchange(pair)
    daemon.stop()


def addr_adv_server():
    client, server = running_hosts(2)
    limits(client)
    daemon = Mptcpd(server, "--addr-flags=signal", NOTIFY)
    until(lambda: endpoints(server) == {"10.0.1.2": SIGNAL, "10.0.2.2": SIGNAL}, "endpoints", daemon)
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    subflows(pair, 1, daemon)
    exchange(pair)
    for _ in range(2):
        server.ip("address", "delete", "10.0.2.2/24", "dev", "eth2")
        until(lambda: endpoints(server) == {"10.0.1.2": SIGNAL}, "the endpoint's end", daemon)
        subflows(pair, 0, daemon)
        exchange(pair)
        server.ip("address", "add", "10.0.2.2/24", "dev", "eth2")
        subflows(pair, 1, daemon)
        exchange(pair)
    daemon.stop()


def sspi(daemons_side):
    """One subflow per interface: a second one is closed."""
    client, server = both = running_hosts(2)
    managed, other = both[daemons_side], both[1 - daemons_side]
    limits(other)
    managed.sysctl("pm_type", 1)
    daemon = Mptcpd(managed, "--path-manager=sspi")
    pair = Pair("10.0.1.2", client=client, server=server, anywhere=True)
    ends = pair.client, pair.server

    def join(ip, to):
        if daemons_side == 0:
            remote = address(to, port=pair.ports[1], kind=ADDR_REMOTE)
            with client, genl.Genl() as nl:
                nl.ask(CREATE, u32(TOKEN, pair.tokens[0]), address(ip, id=int(ip.split(".")[2]) + 50), remote)
        else:
            with client, genl.Genl() as nl:
                nl.add(ip, flags=SUBFLOW)

    # On the other interface there is none yet. (The server is connected to at its first address.)
    if daemons_side == 0:
        join("10.0.2.1", "10.0.2.2")
        subflows(pair, 1, daemon)
        exchange(pair)
    kept = mptcp.info(ends[daemons_side])["subflows"]
    join("10.0.1.1" if daemons_side == 0 else "10.0.2.1", "10.0.2.2")
    until(lambda: "Subflow already exists on network" in daemon.said(), "that mptcpd sees it", daemon)
    until(lambda: [mptcp.info(sock)["subflows"] for sock in ends] == [kept, kept], "the end of what is too much",
          daemon)
    exchange(pair)
    pair.close()
    daemon.stop()


PROGRAMS = {
    "http.server and curl": ("python3 -m http.server --bind 10.0.1.2 --directory {dir} 4000",
                             "curl -sS http://10.0.1.2:4000/file -o {dir}/got"),
    "ncat": ("ncat -l --send-only 10.0.1.2 4000 < {dir}/file", "ncat --recv-only 10.0.1.2 4000 > {dir}/got"),
    "socat": ("socat -u OPEN:{dir}/file TCP-LISTEN:4000,bind=10.0.1.2", "socat -u TCP:10.0.1.2:4000 CREATE:{dir}/got"),
    "openssl": ("openssl s_server -quiet -accept 10.0.1.2:4000 -cert {dir}/cert -key {dir}/key -WWW -chdir {dir}",
                "printf 'GET /file HTTP/1.0\\r\\n\\r\\n' | openssl s_client -quiet -ign_eof -connect 10.0.1.2:4000 "
                "2>/dev/null | tail -c 300000 > {dir}/got"),
}
SIZE = 300000


def mptcpize(name):
    serve, fetch = PROGRAMS[name]
    client, server = hosts(1)
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/file", "wb") as file:
            file.write(os.urandom(SIZE))
        if "openssl" in name:
            serve = serve.replace("-chdir {dir}", "")
            subprocess.run(f"openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=x "
                           f"-keyout {folder}/key -out {folder}/cert 2>/dev/null", shell=True, check=True)
        with server:
            serving = subprocess.Popen(["mptcpize", "run", "bash", "-c", serve.format(dir=folder)], cwd=folder,
                                       stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_for(lambda: subprocess.run(["ss", "-HMtln", "sport", "=", ":4000"], capture_output=True,
                                            check=True).stdout, "that the server listens", PATIENCE)
        with client:
            subprocess.run(["mptcpize", "run", "bash", "-c", fetch.format(dir=folder)], cwd=folder, check=True,
                           timeout=PATIENCE)
        with open(f"{folder}/file", "rb") as file, open(f"{folder}/got", "rb") as got:
            expect(file.read() == got.read(), "other bytes have come")
        expect(client.counters("MPCapableSYNACKRX") == (1,), "the client is not MPTCP")
        expect(server.counters("MPCapableACKRX") == (1,), "the server is not MPTCP")
        serving.terminate()
        serving.wait(PATIENCE)


TESTS = {
    "addr_adv, as it is configured: endpoints for addresses that come and go": untouched,
    "addr_adv, flag subflow: links of the client come and go": addr_adv_client,
    "addr_adv, flag signal: addresses of the server come and go": addr_adv_server,
    "sspi, pm_type 1, client: one subflow per interface": lambda: sspi(0),
    "sspi, pm_type 1, server: one subflow per interface": lambda: sspi(1),
    **{f"mptcpize: {name}": (lambda name=name: mptcpize(name)) for name in PROGRAMS},
}


def main(words):
    os.makedirs(PLUGINS, exist_ok=True)
    for plugin in glob.glob(os.environ["MPTCPD_PLUGINS"] + "/*.so"):
        shutil.copy(plugin, PLUGINS)
    report = tap.Report()
    for name, function in TESTS.items():
        if not words or any(word in name for word in words):
            report.tell(name, tap.call(function, 300 * SLOW).problem)
    return report.plan()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
