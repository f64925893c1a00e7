# SPDX-License-Identifier: GPL-2.0
"""What events tell, against what is known otherwise."""

import os
import socket
import struct
import time

from hosts import LONG_PATH, Hosts, quiet, transfer
from tap import equal
from world import CLIENT, KIB, MIB, PATH, PORT, SERVER, SLOW, Trace, expect, following, joined, on


def nothing_when_off():
    Hosts([PATH])
    with Trace() as trace:
        transfer(64 * KIB)
    equal(trace.events, [], "events")


def sent_bytes(trace, told, size):
    """That every byte was told of when it was given to a subflow, once and in order. Returns the first number."""
    new = trace.of("mptcp_mapping_added", token=told["info"]["token"], again=0)
    new = [e for e in new if e["how"] != "received"]
    following([(e["dsn"], e["len"]) for e in new])
    equal(sum(e["len"] for e in new), size, "bytes that were told of")
    for number in {e["subflow"] for e in new}:
        of = trace.of("mptcp_mapping_added", token=told["info"]["token"], subflow=number)
        of = [(e["ssn"], e["len"]) for e in of if e["how"] != "received"]
        following(of)
        equal(of[0][0], 1, f"the first byte of subflow {number}")
    return new[0]["dsn"]


def received_bytes(trace, told, first, size):
    """That the mappings that have come are of all bytes."""
    of = trace.of("mptcp_mapping_added", token=told["info"]["token"], how="received")
    equal(joined([(e["dsn"], e["len"]) for e in of]), [(first, size)], "mappings that have come")
    front = [(e["ssn"], e["len"]) for e in of if e["subflow"] == 1]
    equal(front[0][0], 1, "the first byte of subflow 1")


def acknowledged(trace, told, first, size):
    """That DATA_ACKs go up to the DATA_FIN, as MPTCP_INFO says."""
    token = told["info"]["token"]
    acks = trace.of("mptcp_data_acked", token=token)
    # Two CPUs may tell of theirs in another order.
    last = max(e["snd_una"] for e in acks)
    equal(last, first + size + 1, "what was acknowledged in the end")
    expect(any(e["snd_una"] == told["info"]["snd_una"] for e in acks), "MPTCP_INFO's snd_una was never told")
    for e in acks:
        expect(e["data_ack"] <= e["snd_una"] <= e["snd_nxt"] + 1 <= e["wnd_end"] + 2, f"{e}")
        expect(e["cwnd"] >= 1000 and e["srtt_us"] >= 5000, f"{e}")
    plain = trace.of("ack_update_msk")
    expect(any(e["new_snd_una"] == last for e in plain), "ack_update_msk has not told the last one")
    equal([e for e in plain if e["msk_wnd_end"] < e["new_wnd_end"]], [], "windows that were not taken")


def announced(trace, told, first, size):
    windows = trace.of("mptcp_window", token=told["info"]["token"])
    edges = [e["right_edge"] for e in windows]
    # Those of two CPUs may be told in another order.
    expect(all(b >= a - MIB for a, b in zip(edges, edges[1:])), "a right edge moves left")
    for e in windows:
        expect(e["right_edge"] >= e["data_ack"] + e["window"], f"{e}")
    equal(max(e["data_ack"] for e in windows), first + size + 1, "the last DATA_ACK")


def scheduled(trace, token):
    """That each decision follows its candidates, which are both subflows."""
    candidates = []
    for event in trace.events:
        if event.fields.get("token") not in (token, 0):
            continue
        if event.name == "mptcp_sched_candidate":
            candidates.append(event.fields)
        elif event.name == "mptcp_sched_decision":
            equal(event.fields["candidates"], len(candidates), "candidates")
            picked = [e["subflow"] for e in candidates if e["picked"]]
            equal(picked, [event.fields["subflow"]] if event.fields["subflow"] else [], "subflow")
            expect(bool(picked) == (event.fields["burst"] > 0), f"{event}")
            expect(event.fields["burst"] <= event.fields["pending"], f"{event}")
            candidates = []
    decided = trace.of("mptcp_sched_decision", token=token)
    expect(any(e["candidates"] == 2 and e["subflow"] for e in decided), "nobody has chosen of two")
    for e in trace.of("mptcp_sched_candidate", token=token):
        expect(e["cwnd"] >= 1000 and e["srtt_us"] < 10_000_000 and not e["backup"], f"{e}")


def managed(trace, client, server, ports):
    """The path managers' decisions, from the first subflow to the second."""
    ours, theirs = client["info"]["token"], server["info"]["token"]

    def the(action, token):
        found = trace.of("mptcp_pm", action=action, token=token)
        equal(len(found), 1, f"{action} of {token:08x}")
        return found[0]
    first, second = ports
    for token, here, there, at in ((ours, "10.0.1.1", "10.0.1.2", first), (theirs, "10.0.1.2", "10.0.1.1", first[::-1])):
        created = the("created", token)
        equal((created["saddr"], created["daddr"]), (f"::ffff:{here}", f"::ffff:{there}"), "addresses")
        equal((created["sport"], created["dport"]), at, "ports")
    told = the("add-addr", theirs)
    equal((told["saddr"], told["loc_id"]), ("::ffff:10.0.2.2", 1), "what is announced")
    told = the("add-addr-echo", ours)
    equal((told["daddr"], told["rem_id"]), ("::ffff:10.0.2.2", 1), "what is confirmed")
    told = the("connect", ours)
    equal((told["daddr"], told["dport"], told["rem_id"], told["result"]), ("::ffff:10.0.2.2", PORT, 1, 0), "connect")
    for action, token, at in (("established", ours, second), ("accept", theirs, second[::-1]),
                              ("established", theirs, second[::-1])):
        told = the(action, token)
        equal((told["sport"], told["dport"]), at, f"ports of {action}")


def told_of(sock_side):
    return sorted(int(local.rsplit(":", 1)[1]) for local, _ in sock_side)


def two_subflows():
    Hosts([LONG_PATH] * 2)
    size, seen = 3 * MIB, []
    with Trace("*") as trace:
        client, server = transfer(size, seen.extend, joins=1)
        quiet()
    equal((client["error"], server["error"]), (None, None), "errors")
    expect(client["mptcp"] and server["mptcp"], "it is plain TCP")
    tokens = {client["info"]["token"], server["info"]["token"]}
    equal({e.fields["token"] for e in trace.events if e.fields.get("token")}, tokens, "tokens")
    flows = {(e["subflow"], e["sport"], e["dport"], e["loc_id"], e["rem_id"])
             for e in trace.of("mptcp_mapping_added", token=client["info"]["token"])}
    equal(len(flows), 2, f"subflows of the client in {flows}")
    ports = [(flow[1], flow[2]) for flow in sorted(flows)]
    equal(sorted(port for port, _ in ports), told_of(seen), "ports, as ss tells them")
    equal([flow[4] for flow in sorted(flows)], [0, 1], "remote IDs")
    for here, there in ((client, server), (server, client)):
        first = sent_bytes(trace, here, size)
        received_bytes(trace, there, first, size)
        acknowledged(trace, here, first, size)
        announced(trace, there, first, size)
        scheduled(trace, here["info"]["token"])
    managed(trace, client, server, ports)
    in_tree(trace, size)


def in_tree(trace, size):
    """The events of the in-tree implementation, which do not say whose they are."""
    maps = {(e["data_seq"], e["data_len"]) for e in trace.of("get_mapping_status", use_map=1)}
    covered = sum(length for _, length in joined([(seq, length) for seq, length in maps]))
    # Two directions; a DATA_FIN counts as one byte more.
    expect(2 * size <= covered <= 2 * size + 2, f"mappings of {covered} bytes have come")
    frags = trace.of("mptcp_sendmsg_frag")
    expect(frags and all(e["use_map"] and e["dsn64"] and e["data_len"] for e in frags), "mappings sent")
    expect({(e["data_seq"]) for e in frags} >= {seq for seq, _ in maps} - {e["data_seq"] for e in
           trace.of("get_mapping_status", mpc_map=1)}, "what has come was never sent")
    asked = trace.of("mptcp_subflow_get_send")
    expect(asked and all(e["active"] in (0, 1) and not e["backup"] for e in asked), "subflows that were asked")
    expect(any(e["active"] and e["free"] and e["snd_wnd"] > 10_000 and e["pace"] > 10_000 for e in asked), "figures")
    status = {e["mapping_status"] for e in trace.of("subflow_check_data_avail")}
    equal(status, {"MAPPING_OK", "MAPPING_EMPTY"}, "states of the receive queue")


def cut_link():
    hosts = Hosts([LONG_PATH] * 2)
    with Trace("mptcp_reinject", "mptcp_mapping_added") as trace:
        client, server = transfer(6 * MIB, lambda _: hosts.cut(1), joins=1)
    equal((client["error"], server["error"]), (None, None), "errors")
    causes, again = set(), 0
    for end in (client, server):
        token = end["info"]["token"]
        marked = trace.of("mptcp_reinject", token=token)
        repeated = [e for e in trace.of("mptcp_mapping_added", token=token, again=1)]
        for e in repeated:
            # Of another subflow, but for the rest of a mapping that it had announced itself.
            ranges = joined([(m["dsn"], m["len"]) for m in marked if m["subflow"] != e["subflow"]])
            expect(e["how"] == "fill" or any(start <= e["dsn"] and e["dsn"] + e["len"] <= start + length
                                             for start, length in ranges), f"{e} was sent again, and is not in {ranges}")
        causes |= {e["cause"] for e in marked if e["subflow"] == 1}
        again += len(repeated)
        sent = [e for e in trace.of("mptcp_mapping_added", token=token, again=0) if e["how"] != "received"]
        equal(sum(e["len"] for e in sent), 6 * MIB, "bytes that are new")
    expect(again and causes and causes <= {"timeout", "stale", "closed"}, f"causes {causes}, {again} times")
    expect("timeout" in causes or "stale" in causes, f"causes {causes}")


def killed_subflow():
    Hosts([LONG_PATH] * 2)

    def during(there):
        time.sleep(0.3)
        local, remote = there[0]
        on(CLIENT, "ss", "-K", "src", local, "dst", remote)
        during.port = int(local.rsplit(":", 1)[1])
    with Trace("mptcp_reinject", "mptcp_pm") as trace:
        client, server = transfer(6 * MIB, during, joins=1)
    equal((client["error"], server["error"]), (None, None), "errors")
    closed = [e for e in trace.of("mptcp_pm", action="closed")
              if during.port in (e["sport"], e["dport"])]
    expect({e["token"] for e in closed} == {client["info"]["token"], server["info"]["token"]},
           f"who has told of the end: {closed}")
    again = trace.of("mptcp_reinject", cause="closed")
    expect(again and all(during.port in (e["sport"], e["dport"]) and e["len"] > 0 for e in again), f"{again}")


def fallback():
    Hosts([PATH])
    with Trace("mptcp_fallback") as trace:
        transfer(64 * KIB, server_options=("--proto", "tcp"))
    told, = trace.of("mptcp_fallback")
    equal((told["cause"], told["subflow"], told["dport"]), ("syn-ack-without-capable", 1, PORT), "the client's")
    # MPTCP_INFO does not tell it any more.
    expect(told["token"], "the connection has no token")
    with Trace("mptcp_fallback") as trace:
        transfer(64 * KIB, client_options=("--proto", "tcp"))
    told, = trace.of("mptcp_fallback")
    equal((told["token"], told["cause"], told["sport"]), (0, "syn-without-capable", PORT), "the server's")


def stripped():
    """Options vanish once the connection is there, at the first data: the cause is another."""
    Hosts([PATH])
    for rule in (("add", "table", "inet", "strip"),
                 ("add", "chain", "inet", "strip", "out", "{ type filter hook output priority 0; }"),
                 ("add", "rule", "inet", "strip", "out", "tcp", "flags", "!= syn", "tcp", "dport", str(PORT),
                  "reset", "tcp", "option", "mptcp")):
        on(CLIENT, "nft", *rule)
    with Trace("mptcp_fallback") as trace:
        transfer(64 * KIB)
    causes = {e["cause"] for e in trace.of("mptcp_fallback", sport=PORT)}
    equal(causes, {"ack-without-capable"}, "what the server says")
    told = trace.of("mptcp_fallback", dport=PORT)
    expect(len(told) == 1 and told[0]["token"] and told[0]["cause"] == "no-dss", f"what the client says: {told}")


def endpoints():
    """Endpoints come, change and go while a connection is there."""
    Hosts([PATH, PATH])

    def during(_):
        on(SERVER, "ip", "mptcp", "endpoint", "change", "id", "1", "backup")
        time.sleep(0.5 * SLOW)
        on(SERVER, "ip", "mptcp", "endpoint", "delete", "id", "1")
        time.sleep(0.5 * SLOW)
    with Trace("mptcp_pm") as trace:
        client, server = transfer(24 * MIB, during, joins=1)
    equal((client["error"], server["error"]), (None, None), "errors")
    theirs = {e["action"]: e for e in trace.of("mptcp_pm", token=server["info"]["token"])}
    equal((theirs["prio"]["backup"], theirs["prio"]["loc_id"]), (1, 1), "the priority")
    equal(theirs["rm-addr"]["loc_id"], 1, "what is withdrawn")
    equal((theirs["close"]["loc_id"], theirs["close"]["saddr"]), (1, "::ffff:10.0.2.2"), "what is closed")
    closed = [e for e in trace.of("mptcp_pm", token=client["info"]["token"], action="closed") if e["rem_id"] == 1]
    expect(closed, "the client does not tell that it is closed")


def refused():
    """A subflow too many."""
    Hosts([PATH, PATH])
    on(SERVER, "ip", "mptcp", "limits", "set", "subflows", "0")
    on(CLIENT, "ip", "mptcp", "endpoint", "add", "10.0.2.1", "dev", "eth2", "subflow")
    with Trace("mptcp_pm") as trace:
        client, server = transfer(2 * MIB)
    connects = trace.of("mptcp_pm", token=client["info"]["token"], action="connect")
    expect(connects and all(e["result"] == 0 for e in connects), f"{connects}")
    equal(trace.of("mptcp_pm", action="accept"), [], "subflows that were taken")
    refused_ones = trace.of("mptcp_pm", token=server["info"]["token"], action="refuse")
    expect(refused_ones and all(e["sport"] == PORT for e in refused_ones), f"{refused_ones}")


def filtered():
    """What is asked for by token is all that is told."""
    Hosts([PATH])
    server = socket_of(SERVER)
    server.bind(("10.0.1.2", PORT))
    server.listen()
    one, other = socket_of(CLIENT), socket_of(CLIENT)
    for sock in (one, other):
        sock.connect(("10.0.1.2", PORT))
    token = struct.unpack_from("=I", one.getsockopt(284, 1, 64), 12)[0]
    trace = Trace()
    with trace:
        trace.write("events/mptcp/mptcp_mapping_added/filter", f"token == {token:#x}")
        trace.write("events/mptcp/mptcp_mapping_added/enable", "1")
        one.sendall(b"x" * 1000)
        other.sendall(b"x" * 2000)
    equal([(e["token"], e["len"]) for e in trace.of("mptcp_mapping_added")], [(token, 1000)], "events")
    for sock in (one, other, server):
        sock.close()


def socket_of(host):
    """An MPTCP socket in the namespace of a host."""

    with open("/proc/self/ns/net", "rb") as here, open(f"/run/netns/{host}", "rb") as there:
        os.setns(there.fileno())
        try:
            return socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        finally:
            os.setns(here.fileno())


TESTS = [
    ("nothing is told while events are off", nothing_when_off),
    ("two subflows: every byte, acknowledgement, window and decision", two_subflows),
    ("a cut link: what is sent again, and why", cut_link),
    ("a killed subflow: what is sent again, and why", killed_subflow),
    ("fallback in the handshake, and why", fallback),
    ("fallback behind the handshake, and why", stripped),
    ("endpoints change and go", endpoints),
    ("a subflow is refused", refused),
    ("events of one connection only", filtered),
]
