# SPDX-License-Identifier: GPL-2.0
"""Connections, subflows, announcements, ends: counters, events and MPTCP_INFO after each step."""

import socket
import struct
import subprocess

import genl
from genl import (ADDR_REMOTE, ANNOUNCE, BACKUP, CREATE, DEL_ADDR, DESTROY, FLUSH, FULLMESH, LOC_ID, REMOVE,
                  SET_FLAGS, SIGNAL, SUBFLOW, TOKEN, address, u8, u32)
import mptcp
from scene import PORT, Scene, carry, section, subflows


def reset(sock):
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def close(scene, *socks):
    scene.watch.clear()
    for sock in socks:
        sock.close()


def whole(family, ip):
    """The exchange. `ip` makes an address of a link's number and a host's."""
    scene = Scene(3)
    scene.limits(4, 2)
    with scene.step("listen"):
        listener = scene.listener(family=family)
    with scene.step("handshake"):
        one, other = scene.open(listener, ip(1, 2), family)
        scene.watch.update(client=one, server=other)
    with scene.step("join"):
        scene.endpoint("client", ip(2, 1), flags=SUBFLOW, id=5)
        subflows(1, one, other)
    with scene.step("data to the server"):
        carry(one, other, 20000)
    with scene.step("data to the client"):
        carry(other, one, 30000)
    with scene.step("announcement"):
        scene.endpoint("server", ip(3, 2), flags=SIGNAL, id=7)
        subflows(2, one, other)
    with scene.step("priority"):
        scene.ask("client", SET_FLAGS, address(id=5, flags=BACKUP))
    with scene.step("priority back"):
        scene.ask("client", SET_FLAGS, address(id=5))
    with scene.step("removal by the client"):
        scene.ask("client", DEL_ADDR, address(id=5))
        subflows(1, one, other)
    with scene.step("removal by the server"):
        scene.ask("server", DEL_ADDR, address(id=7))
        subflows(0, one, other)
    with scene.step("removal of ID 0"):
        scene.endpoint("client", ip(2, 1), flags=SUBFLOW, id=9)
        subflows(1, one, other)
        scene.ask("client", DEL_ADDR, address(ip(1, 1), id=0))
    with scene.step("data on what is left"):
        carry(one, other, 5000)
        carry(other, one, 5000)
    with scene.step("flush"):
        scene.ask("server", FLUSH)
    with scene.step("half closed"):
        one.shutdown(socket.SHUT_WR)
        other.recv(1)
    with scene.step("closed"):
        close(scene, other, one)
    with scene.step("the listener closed"):
        listener.close()
    return scene.told


@section("IPv4: two subflows, announcements, removal, the end")
def whole4():
    return whole(socket.AF_INET, lambda link, host: f"10.0.{link}.{host}")


@section("IPv6: two subflows, announcements, removal, the end")
def whole6():
    return whole(socket.AF_INET6, lambda link, host: f"fd00:{link}::{host}")


@section("fast close")
def fastclose():
    scene = Scene()
    scene.limits(2, 2)
    listener = scene.listener()
    for number, (name, joined) in enumerate((("one subflow", False), ("two subflows", True)), 1):
        for who in (0, 1):
            with scene.step(f"{name}, open"):
                pair = scene.open(listener, port=40000 + 10 * number + who)
                if joined:
                    scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
                    subflows(1, *pair)
            with scene.step(f"{name}, closed by the {('client', 'server')[who]}"):
                reset(pair[who])
            scene.watch = {"left": pair[1 - who]}
            with scene.step(f"{name}, the other end of it, {who}"):
                try:
                    got = len(pair[1 - who].recv(1))
                except OSError as err:
                    got = err.strerror
            scene.told[f"{name}, the other end of it, {who}"]["received"] = got
            close(scene, pair[1 - who])
            scene.ask("client", FLUSH)
    with scene.step("unread data"):
        one, other = scene.open(listener, port=40100)
        one.sendall(b"x" * 100)
        select_readable(other)
        other.close()
    one.close()
    return scene.told


def select_readable(sock):
    sock.recv(1, socket.MSG_PEEK)


@section("ss -K: subflows are killed")
def killed():
    scene = Scene()
    scene.limits(2, 2)
    listener = scene.listener()
    with scene.step("open"):
        one, other = scene.open(listener)
        scene.watch.update(client=one, server=other)
        scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
        subflows(1, one, other)
    for name, address_of in (("the second", "10.0.2.1"), ("the first", "10.0.1.1")):
        with scene.step(name), scene.client:
            subprocess.run(["ss", "-Kt", "src", address_of], stdout=subprocess.DEVNULL, check=True)
    with scene.step("closed"):
        close(scene, one, other)
    return scene.told


@section("plain TCP on one side")
def plain():
    scene = Scene()
    told = {}
    for name, ours, theirs in (("the server", "mptcp", "tcp"), ("the client", "tcp", "mptcp")):
        listener = scene.listener(protocol=mptcp.PROTOCOLS[theirs])
        with scene.step(name):
            one, other = scene.open(listener, protocol=mptcp.PROTOCOLS[ours])
            carry(one, other, 5000)
            carry(other, one, 5000)
            scene.watch.update(client=one, server=other)
        is_mptcp = []
        for sock in (one, other):
            try:
                is_mptcp.append(sock.getsockopt(socket.SOL_TCP, 43))
            except OSError as err:
                is_mptcp.append(err.strerror)
        scene.told[name]["TCP_IS_MPTCP"] = is_mptcp
        with scene.step(f"{name}, closed"):
            close(scene, one, other, listener)
    return scene.told


@section("checksums, and no joins to the first address")
def agreed():
    scene = Scene()
    scene.limits(2, 2)
    for name in ("checksum_enabled", "allow_join_initial_addr_port"):
        for host in scene.hosts:
            scene.hosts[host].sysctl(name, int(host == "server" and name[0] == "c"))
        listener = scene.listener()
        with scene.step(name):
            one, other = scene.open(listener)
            scene.watch.update(client=one, server=other)
            carry(one, other, 3000)
        with scene.step(f"{name}, a join"):
            scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
        with scene.step(f"{name}, closed"):
            close(scene, one, other, listener)
        scene.ask("client", FLUSH)
        for host in scene.hosts:
            scene.hosts[host].sysctl("checksum_enabled", 0)
    return scene.told


@section("joins that are not let in")
def refused():
    scene = Scene()
    scene.limits(2, 2)
    scene.ask("server", genl.SET_LIMITS, u32(genl.SUBFLOWS, 0))
    listener = scene.listener()
    with scene.step("handshake"):
        one, other = scene.open(listener)
        scene.watch.update(client=one, server=other)
    with scene.step("beyond the limit of the server"):
        scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
    with scene.step("to nobody"):
        scene.ask("client", FLUSH)
        scene.endpoint("server", "10.0.2.2", flags=SIGNAL)
    with scene.step("announced where nobody listens"):
        listener.close()
        scene.ask("server", genl.SET_LIMITS, u32(genl.SUBFLOWS, 4))
        scene.endpoint("client", "10.0.2.1", flags=SUBFLOW)
    with scene.step("closed"):
        close(scene, one, other)
    return scene.told


@section("an endpoint with a port, fullmesh, backup")
def ports():
    scene = Scene(3)
    scene.limits(8, 8)
    listener = scene.listener()
    with scene.step("the endpoint"):
        scene.endpoint("server", "10.0.2.2", flags=SIGNAL, port=5100)
    with scene.step("a join to it"):
        one, other = scene.open(listener)
        scene.watch.update(client=one, server=other)
        subflows(1, one, other)
    with scene.step("a connection to it"):
        sock = scene.make("client")
        try:
            sock.connect(("10.0.2.2", 5100))
        except OSError as err:
            error = err.strerror
        sock.close()
    scene.told["a connection to it"]["error"] = error
    with scene.step("fullmesh"):
        scene.endpoint("client", "10.0.3.1", flags=SUBFLOW | FULLMESH)
    with scene.step("a backup"):
        scene.endpoint("client", "10.0.2.1", flags=SUBFLOW | BACKUP)
    with scene.step("closed"):
        close(scene, one, other)
    with scene.step("flushed"):
        scene.ask("server", FLUSH)
    return scene.told


@section("a path manager in user space")
def user():
    scene = Scene()
    for host in scene.hosts.values():
        host.sysctl("pm_type", 1)
    listener = scene.listener()
    with scene.step("handshake"):
        one, other = scene.open(listener)
        scene.watch.update(client=one, server=other)
    token = [u32(TOKEN, mptcp.info(sock)["token"]) for sock in (one, other)]
    remote = address("10.0.2.2", port=PORT, kind=ADDR_REMOTE)
    with scene.step("announced"):
        scene.ask("server", ANNOUNCE, token[1], address("10.0.2.2", id=4, flags=SIGNAL))
    with scene.step("created"):
        scene.ask("client", CREATE, token[0], address("10.0.2.1", id=9, port=40500), remote)
        subflows(1, one, other)
    with scene.step("data"):
        carry(one, other, 3000)
        carry(other, one, 3000)
    with scene.step("a backup now"):
        scene.ask("client", SET_FLAGS, token[0], address("10.0.2.1", port=40500, flags=BACKUP), remote)
    with scene.step("destroyed"):
        scene.ask("client", DESTROY, token[0], address("10.0.2.1", port=40500), remote)
    with scene.step("withdrawn"):
        scene.ask("server", REMOVE, token[1], u8(LOC_ID, 4))
    with scene.step("closed"):
        close(scene, one, other)
    return scene.told
