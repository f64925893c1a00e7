# SPDX-License-Identifier: GPL-2.0
"""Receivers that have little room, or none: the window is the connection's, whatever path it is told on."""

import os
import subprocess
import time

from tap import equal, expect
from world import MIB, PATH, SERVER, SLOW, Hosts, over, sound, test, transfer

LIMIT = 30 * SLOW


def on_each(hosts):
    return [hosts.carried()[number] for number in hosts.links]


def quiet(hosts):
    """Wait until the client sends no more data: half a second with only probes."""
    end = time.monotonic() + LIMIT
    while True:
        before = sum(on_each(hosts))
        time.sleep(0.5)
        sent = sum(on_each(hosts)) - before
        if sent < 10000:
            return
        expect(time.monotonic() < end, f"{sent} bytes in half a second, to one who does not read")


def held(lose_update):
    """A server that reads half, then nothing until it is told to; the client sends into its window."""
    size, go = 16 * MIB, "/tmp/paths.go"
    if os.path.exists(go):
        os.unlink(go)
    hosts = Hosts([PATH, PATH])

    def during():
        quiet(hosts)
        # Time for some probes, which are told of a window of zero.
        watch = ["ip", "netns", "exec", SERVER, "timeout", str(10 * SLOW), "tcpdump", "-n", "-c", "1", "-i", "any",
                 "src port 5000 and tcp[14:2] = 0 and tcp[13] & 4 = 0"]
        seen = subprocess.run(watch, capture_output=True, text=True)
        if seen.returncode:
            open(go, "w", encoding="ascii").close()
        expect(seen.returncode == 0, f"no window of zero is told: {seen.stderr}")
        time.sleep(1)
        if lose_update:
            for number in hosts.links:
                hosts.cut(number)
        open(go, "w", encoding="ascii").close()
        if lose_update:
            time.sleep(1)
            for number in hosts.links:
                hosts.mend(number, PATH)
    words = ("--hold", go, "--rcvbuf", str(MIB))
    sound(transfer(size, during, joins=1, server_words=words), size)


@test("a window that closes, and opens again")
def closes():
    held(lose_update=False)


@test("a window that opens again, which is lost on every path")
def opens_unseen():
    held(lose_update=True)


@test("windows of a few kilobytes")
def tiny_windows():
    Hosts(["delay 1ms rate 100mbit", "delay 2ms rate 100mbit"])
    words = ("--rcvbuf", "6000")
    client, _ = sound(transfer(MIB // 2, client_words=words, server_words=words), MIB // 2)
    equal(client["counters"].get("MPJoinSynAckRx"), 1, "subflows that have joined")


@test("send buffers of a few kilobytes")
def tiny_send_buffers():
    Hosts(["delay 1ms rate 100mbit", "delay 2ms rate 100mbit"])
    words = ("--sndbuf", "6000")
    client, _ = sound(transfer(MIB // 2, client_words=words, server_words=words), MIB // 2)
    equal(client["counters"].get("MPJoinSynAckRx"), 1, "subflows that have joined")


@test("a reader that is slower than the paths")
def slow_reader():
    hosts = Hosts([PATH, PATH])
    size, speed = 6 * MIB, 2 * MIB
    words = ("--slow", str(speed), "--rcvbuf", str(MIB // 2))
    client, server = sound(transfer(size, server_words=words), size)
    expect(server["seconds"] > 0.8 * size / speed, f"it was not slow: {server['seconds']} s")
    # It is the window that waits, not the paths: next to nothing is sent twice.
    sent = sum(on_each(hosts))
    expect(sent < 1.3 * size, f"{sent} bytes sent for {size}: {client['counters']}")


class Shortage:
    """Less memory for TCP than is in use: a socket gets the least that it needs to go on."""

    limits = "/proc/sys/net/ipv4/tcp_mem"

    def __init__(self):
        with open(self.limits, encoding="ascii") as file:
            self.usual = file.read()

    def __enter__(self):
        self.limit("8 8 8")

    def __exit__(self, *exception):
        self.limit(self.usual)

    def limit(self, pages):
        with open(self.limits, "w", encoding="ascii") as file:
            file.write(pages)


def kept(ends, size):
    """All is there, and no subflow was given up."""
    for end in sound(ends, size):
        equal([end["counters"].get(name, 0) for name in ("MPRstTx", "MPRstRx")], [0, 0], "resets sent and seen")


@test("TCP's memory is short for a time")
def short_of_memory():
    Hosts([PATH, PATH])

    def during():
        with Shortage():
            time.sleep(2)
    kept(transfer(16 * MIB, during, joins=1), 16 * MIB)


@test("TCP's memory is short again and again, on lossy paths, to the end")
def often_short_of_memory():
    Hosts([f"{PATH} loss 3%"] * 2)

    def during():
        while not over.is_set():
            with Shortage():
                time.sleep(0.3)
            time.sleep(0.2)
    kept(transfer(4 * MIB, during), 4 * MIB)
