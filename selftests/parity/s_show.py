# SPDX-License-Identifier: GPL-2.0
"""Sockets as ss shows them, and as diag tells of them."""

import os
import re
import socket
import struct
import subprocess

import genl
from genl import SIGNAL, SUBFLOW
import mptcp
from scene import PORT, Scene, carry, section, subflows
from world import NOBODY

# Numbers of which only the name is compared: they begin at random, or tell the time, or what TCP has measured.
ANY = {"token", "write_seq", "snd_una", "rcv_nxt", "last_data_sent", "last_data_recv", "last_ack_recv", "ino", "sk",
       "rto", "rtt", "ato", "cwnd", "lastsnd", "lastrcv", "lastack", "pacing_rate", "delivery_rate", "busy", "rcv_rtt",
       "rcv_space", "minrtt", "send", "timer", "seq", "sfseq", "ssnoff", "maplen", "segs_out", "segs_in",
       "data_segs_out", "data_segs_in", "delivered", "bytes_sent_tcp", "rcv_wnd", "snd_wnd", "rcv_ooopack",
       "rcv_ssthresh", "ssthresh", "unacked", "notsent", "app_limited", "reord_seen", "rehash", "backoff"}
TCP = {"cubic", "reno", "ts", "sack", "wscale", "mss", "pmtu", "rcvmss", "advmss", "ecn"}


def ss(host, options, *expression):
    with host:
        done = subprocess.run(["ss", "-HOn" + options, *expression], capture_output=True, text=True, check=False)
    return done.stdout.splitlines() if done.returncode == 0 else [f"error {' '.join(done.stderr.split())} . . ."]


def value(name, text, mptcp_line):
    if name == "skmem":
        return {part.rstrip("0123456789"): int(part.lstrip("rbtfwold")) for part in text.strip("()").split(",")}
    if name == "token" and "/" in text:
        return re.sub(r"(?<![0-9a-f])[0-9a-f]{5,8}\(", "any(", text)
    if name in ANY and not (mptcp_line and name.startswith("bytes")):
        return "any"
    return text


def fields(line, mptcp_line):
    """The fields of a line: name and value, or the word."""
    state, receive, send, local, peer, *rest = line.split()
    told = {"state": state, "Recv-Q": receive != "0", "Send-Q": send != "0"}
    if state == "LISTEN":
        told.update({"Recv-Q": receive, "Send-Q": send})
    words = iter(rest)
    for word in words:
        match = re.match(r"([A-Za-z_0-9]+):(.*)$", word)
        if match:
            told[match[1]] = value(match[1], match[2], mptcp_line)
        elif word in ("send", "pacing_rate", "delivery_rate"):
            next(words)
            told[word] = "any"
        else:
            told[word] = "is there"
    return re.sub(r":[56]\d{4}(?!\d)", ":any", f"{local} {peer}"), told


def shown(host, options, *expression):
    """Lines of ss, by the addresses."""
    return dict(fields(line, "M" in options) for line in ss(host, options, *expression))


def tcp_part(host):
    """What ss -ti shows of the ULP, and the options that MPTCP has a part in."""
    told = {}
    for name, line in shown(host, "tai").items():
        # Who sends its FIN first is a race.
        if line["state"] == "TIME-WAIT":
            continue
        told[name] = {key: what for key, what in line.items() if key in
                      ("state", "token", "seq", "sfseq", "ssnoff", "maplen", "flags", "mss", "tcp-ulp-mptcp")}
        told[name]["names"] = sorted(key for key in line if key in TCP or key in told[name])
    return told


@section("ss: connections and listeners")
def connections():
    scene, told = Scene(), {}
    scene.limits(2, 1)
    listener = scene.listener()
    other_listener = scene.listener(family=socket.AF_INET6, port=PORT + 1)

    def look(name):
        scene.settle()
        told[name] = {}
        for who, host in scene.hosts.items():
            told[name][who] = {options: shown(host, options) for options in ("Mai", "Mae", "Mam", "Ml", "M4", "M6")}
            told[name][who]["tcp"] = tcp_part(host)

    look("listeners")
    one, other = scene.connect(listener)
    look("a connection without data")
    carry(one, other, 3000)
    carry(other, one, 5000)
    look("with data")
    waiting = scene.make("client")
    waiting.bind(("", 40003))
    waiting.connect(("10.0.1.2", PORT))
    look("one waits to be accepted")
    waiting.close()
    listener.accept()[0].close()
    scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
    scene.endpoint("server", "10.0.2.2", flags=SIGNAL)
    subflows(2, one, other)
    carry(one, other, 3000)
    look("with three subflows")
    two, four = scene.open(other_listener, "fd00:1::2", socket.AF_INET6, port=40001)
    mapped = scene.open(other_listener, "10.0.1.2", port=40002)
    look("with IPv6")
    for sock in (two, four, *mapped):
        sock.close()
    one.shutdown(socket.SHUT_WR)
    other.recv(1)
    look("half closed")
    for sock in (one, other, listener, other_listener):
        sock.close()
    look("closed")
    return told


@section("ss: filters")
def filters():
    scene, told = Scene(), {}
    listener, six = scene.listener(), scene.listener(family=socket.AF_INET6, port=PORT + 1)
    os.makedirs("/sys/fs/cgroup/parity", exist_ok=True)

    def cgroup(path):
        with open(f"/sys/fs/cgroup/{path}cgroup.procs", "w", encoding="ascii") as file:
            file.write(str(os.getpid()))

    marked = scene.open(listener, port=40000,
                        before=lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7))
    bound = scene.open(listener, "10.0.2.2", port=40001,
                       before=lambda sock: sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth2"))
    cgroup("parity/")
    grouped = scene.open(listener, port=40002)
    cgroup("")
    v6 = scene.open(six, "fd00:1::2", socket.AF_INET6, port=40003)
    half = scene.open(listener, port=40004)
    half[0].shutdown(socket.SHUT_WR)
    half[1].recv(1)
    scene.settle()
    for text in ("", "sport = :40001", "dport = :5000", "dport != :5000", "sport > :40001", "dport le :5000",
                 "dst 10.0.2.2", "src 10.0.1.0/24", "dst [fd00:1::2]", "dst 10.0.1.2:5000", "not dst 10.0.1.2",
                 "dev = eth2", "dev != eth2", "fwmark = 7", "fwmark = 0x7/0x7", "fwmark = 8", "cgroup = /parity",
                 "cgroup != /parity", "autobound", "state established", "state listening", "state fin-wait-2",
                 "state close-wait", "state connected", "exclude established", "state all",
                 "sport = :40000 or sport = :40003", "( sport = :40000 or dport = :5000 ) and dst 10.0.2.2"):
        for options in ("M", "Ma", "Ml", "M4a", "M6a"):
            for who, host in scene.hosts.items():
                lines = [line.split() for line in ss(host, options, *text.split())]
                told[f"ss -{options} {text}: {who}"] = sorted([line[0], *line[3:5]] for line in lines)
    del marked, bound, grouped, v6
    return told


SOCK_DIAG_BY_FAMILY, NETLINK_SOCK_DIAG, REQ_PROTOCOL = 20, 4, 3


class Diag:
    """Requests to diag that ss does not make."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self.sock.settimeout(5)

    def ask(self, flags, family=socket.AF_INET, states=0xffffffff, ports=(0, 0), cookie=(0, 0), ext=0xff,
            addresses=(bytes(16), bytes(16)), protocol=True, kind=SOCK_DIAG_BY_FAMILY):
        """The answers: header and attributes; or the error."""
        wanted = struct.pack("=BBBBI", family, 0 if protocol else mptcp.IPPROTO_MPTCP & 0xff, ext, 0, states)
        wanted += struct.pack("!HH", *ports) + addresses[0] + addresses[1] + struct.pack("=III", 0, *cookie)
        if protocol:
            wanted += genl.u32(REQ_PROTOCOL, mptcp.IPPROTO_MPTCP)
        self.sock.send(struct.pack("=IHHII", 16 + len(wanted), kind, 1 | flags, 1, 0) + wanted)
        answers = []
        while True:
            data = self.sock.recv(1 << 16)
            while data:
                size, what, how, _, _ = struct.unpack_from("=IHHII", data)
                message, data = data[16:size], data[(size + 3) & ~3:]
                if what == 2:
                    return os.strerror(-struct.unpack_from("=i", message)[0])
                if what == 3:
                    return answers
                answers.append(message)
                if not how & 2:
                    return answers


def attributes(message):
    """Of an answer: the sizes of attributes, by number, and what is the same each time."""
    family, state, timer, retrans = message[:4]
    return {"family": family, "state": state, "timer": timer, "retrans": retrans,
            "uid": struct.unpack_from("=I", message, 64)[0], "inode": struct.unpack_from("=I", message, 68)[0] != 0,
            "cookie": any(message[44:52]), "if": struct.unpack_from("=I", message, 40)[0],
            "attributes": {kind: len(data) for kind, data in genl.attributes(message[72:]).items()}}


@section("diag: attributes, and requests for one socket")
def diag():
    scene, told = Scene(), {}
    listener = scene.listener()
    one, other = scene.open(listener)
    token = int.from_bytes(one.getsockopt(mptcp.SOL_MPTCP, mptcp.MPTCP_INFO, 96)[12:16], "little")
    scene.settle()
    for who, host in scene.hosts.items():
        with host:
            nl = Diag()
        for ext in (0, 1, 2, 4, 8, 16, 32, 64, 0xff):
            told[f"{who}, all, {ext}"] = sorted((attributes(one) for one in nl.ask(0x300, ext=ext)), key=str)
        for family in (0, socket.AF_INET6, 77):
            answers = nl.ask(0x300, family=family)
            told[f"{who}, family {family}"] = answers if isinstance(answers, str) else len(answers)
        for name, how in {"the token": {"cookie": (token, 0)}, "no token": {"cookie": (token ^ 1, 0)},
                          "nothing": {}}.items():
            answers = nl.ask(0, **how)
            told[f"{who}, one, {name}"] = answers if isinstance(answers, str) else attributes(answers[0])
    with scene.client:
        nl = Diag()
    os.setuid(NOBODY)
    told["of nobody"] = sorted((attributes(one) for one in nl.ask(0x300)), key=str)
    del other
    return told
