# SPDX-License-Identifier: GPL-2.0
"""mptcp-trace: what it records, draws and complains of."""

import html.parser
import json
import os
import struct
import subprocess
import time
import zlib

from hosts import LONG_PATH, Hosts, quiet, remove, transfer
from tap import equal
from world import MIB, SLOW, TESTS as TESTS_DIR, expect

TOOL = os.path.join(os.path.dirname(TESTS_DIR), "scripts", "mptcp-trace")
FILE, NUMBERS = "/tmp/test.trace", "/tmp/test.json"


def tool(*arguments, wrap=()):
    return subprocess.run([*wrap, TOOL, *arguments], capture_output=True, text=True, cwd="/tmp")


def good(*arguments):
    done = tool(*arguments)
    expect(done.returncode == 0, f"{arguments}: {done.stderr}")
    return done.stdout


def bad(word, *arguments, wrap=()):
    """It fails, in one line that has the word."""
    done = tool(*arguments, wrap=wrap)
    expect(done.returncode == 1, f"{arguments}: status {done.returncode}")
    lines = done.stderr.splitlines()
    expect(len(lines) == 1 and word in lines[0], f"{arguments}: {done.stderr}")


def is_on(event):
    if not os.path.exists(event):
        return False
    with open(event, encoding="ascii") as file:
        return file.read().startswith("1")


def recorded():
    """A transfer over two links, one of which is cut and mended."""
    hosts = Hosts([LONG_PATH] * 2)
    recorder = subprocess.Popen([TOOL, "record", "-o", FILE, "--seconds", str(10_000)], stderr=subprocess.PIPE, text=True)
    # The last of the events that it switches on.
    last = f"/sys/kernel/tracing/instances/mptcp-trace-{recorder.pid}/events/mptcp/mptcp_pm/enable"
    end = time.monotonic() + 30 * SLOW
    while not is_on(last):
        expect(recorder.poll() is None, "it has ended")
        expect(time.monotonic() < end, "it does not record")
        time.sleep(0.05)

    def during(_):
        time.sleep(0.2)
        hosts.cut(1)
        time.sleep(2)
        hosts.mend(1, LONG_PATH)
    client, server = transfer(4 * MIB, during, joins=1)
    quiet()
    recorder.send_signal(2)
    _, said = recorder.communicate(timeout=60)
    equal(recorder.returncode, 0, f"exit status; it said {said}")
    expect("events in" in said and "missing" not in said, said)
    token = f"{client['info']['token']:08x}"
    listed = good("list", FILE)
    expect(token in listed and f"{server['info']['token']:08x}" in listed, listed)
    good("draw", FILE, "--token", token, "--json", NUMBERS)
    check_numbers(numbers(), client)
    bad("knows no token", "draw", FILE, "--token", "12345678", "--json", "/tmp/none.json")
    bad("nothing to draw to", "draw", FILE)


def numbers():
    with open(NUMBERS, encoding="utf-8") as file:
        return json.load(file)


def check_numbers(drawn, client):
    equal(drawn["token"], f"{client['info']['token']:08x}", "token")
    equal(sorted(drawn["subflows"]), ["1", "2"], "subflows")
    equal([drawn["subflows"][n]["addresses"] for n in "12"], [["10.0.1.1", "10.0.1.2"], ["10.0.2.1", "10.0.2.2"]],
          "addresses")
    new = [s for s in drawn["sends"] if not s["again"]]
    equal(sum(s["len"] for s in new), client["sent"], "bytes sent")
    equal({s["subflow"] for s in new}, {1, 2}, "subflows that have sent")
    equal(max(s["seq"] + s["len"] for s in new), client["sent"], "the last byte")
    expect(sum(r["len"] for r in drawn["receives"]) >= client["received"], "bytes received")
    equal(max(a["una"] for a in drawn["acks"]), client["sent"] + 1, "bytes acknowledged")
    again = [s for s in drawn["sends"] if s["again"]]
    equal([s for s in again if not s["cause"]], [], "data that was sent again and nobody knows why")
    expect(all(0 <= s["time"] <= drawn["seconds"] for s in drawn["sends"]), "times")
    expect(any(m["text"] == "established" and m["subflow"] == 2 for m in drawn["marks"]), f"{drawn['marks']}")


def png():
    """A PNG that is whole, of a good size, and not blank."""
    good("draw", FILE, "--token", numbers()["token"], "--png", "/tmp/t.png")
    with open("/tmp/t.png", "rb") as file:
        data = file.read()
    equal(data[:8], b"\x89PNG\r\n\x1a\n", "signature")
    at, chunks = 8, {}
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8:at + 8 + length]
        equal(struct.unpack_from(">I", data, at + 8 + length)[0], zlib.crc32(kind + body), f"checksum of {kind}")
        chunks[kind] = chunks.get(kind, b"") + body
        at += 12 + length
    width, height, depth, color = struct.unpack_from(">IIBB", chunks[b"IHDR"])
    expect(1000 <= width <= 2500 and 800 <= height <= 2500, f"{width} x {height}")
    equal((depth, color), (8, 6), "8 bits of RGBA")
    pixels = zlib.decompress(chunks[b"IDAT"])
    equal(len(pixels), height * (1 + 4 * width), "bytes of pixels")
    # Much is white, and there is a lot that is not.
    expect(len(set(pixels)) > 100 and b"IEND" in chunks, f"{len(set(pixels))} values")


class Page(html.parser.HTMLParser):
    """Elements that end where they should, and what they would fetch."""

    EMPTY = {"meta", "link", "br", "img", "input", "hr", "base"}
    FETCHING = {"src", "href", "srcset", "data", "poster", "action"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.fetched = [], [], []
        self.feed(text)
        self.close()
        equal(self.open, [], "elements that do not end")

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.fetched += [(tag, value) for name, value in attrs if name in self.FETCHING]
        if tag not in self.EMPTY:
            self.open.append(tag)

    # A slash there ends nothing in HTML.
    handle_startendtag = handle_starttag

    def handle_endtag(self, tag):
        expect(self.open and self.open[-1] == tag, f"</{tag}> ends one of {self.open}")
        self.open.pop()


def figure(page):
    """What the page has plotly draw: curves and layout."""
    rest = page.rsplit("Plotly.newPlot(", 1)[1]
    found = []
    for _ in range(3):
        value, end = json.JSONDecoder().raw_decode(rest := rest.lstrip(" \n,"))
        found.append(value)
        rest = rest[end:]
    return found[1:]


def page():
    """A page that brings plotly along, is well-formed, has the curves, and asks nobody for anything."""
    drawn = numbers()
    good("draw", FILE, "--token", drawn["token"], "--html", "/tmp/t.html")
    with open("/tmp/t.html", encoding="utf-8") as file:
        text = file.read()
    expect("Plotly.newPlot" in text and len(text) > 1_000_000, "plotly is not in the page")
    parsed = Page(text)
    equal([parsed.seen.count(tag) for tag in ("html", "head", "title", "body")], [1, 1, 1, 1], "parts of the page")
    equal(parsed.fetched, [], "what the page fetches")
    curves, layout = figure(text)
    expect(all(len(curve["x"]) == len(curve["y"]) > 0 for curve in curves), "curves of pairs")
    axes = {"yaxis" + curve["yaxis"][1:] for curve in curves}
    expect(axes <= set(layout), f"axes {axes} of {sorted(layout)}")
    names = {curve["name"] for curve in curves}
    for subflow in drawn["subflows"].values():
        expect(f"subflow {subflow['name']}" in names, f"there is no curve of subflow {subflow['name']}: {names}")


def gone():
    """The hosts, and what their connections may yet have done."""
    remove()
    time.sleep(1)


def unprivileged():
    """Somebody else, who cannot even see the checkout of root."""
    there = "/tmp/tool"
    os.makedirs(there, exist_ok=True)
    subprocess.run(["cp", "-r", TOOL, os.path.join(os.path.dirname(TOOL), "mptcptrace"), "-t", there], check=True)
    done = subprocess.run(["setpriv", "--reuid=65534", "--clear-groups", f"{there}/mptcp-trace", "record", "-o",
                           "/tmp/none.trace", "true"], capture_output=True, text=True, cwd="/tmp")
    equal(done.returncode, 1, f"exit status; it said {done.stderr}")
    expect(len(done.stderr.splitlines()) == 1 and "needs root" in done.stderr, done.stderr)


def complaints():
    gone()
    here = "/tmp/none.trace"
    bad("no event was seen", "record", "-o", here, "true")
    bad("nothing was seen of token 0badf00d", "record", "-o", here, "--token", "badf00d", "true")
    bad("No such file", "record", "-o", here, "/nowhere/at/all")
    bad("No such file", "record", "-o", "/nowhere/at/all", "true")
    bad("either --seconds or a command", "record", "-o", here, "--seconds", "1", "true")
    unprivileged()
    bad("tracefs is not mounted", "record", "-o", here, "true",
        wrap=("unshare", "-m", "sh", "-c", 'umount -l /sys/kernel/tracing /sys/kernel/debug 2>/dev/null; exec "$@"', "sh"))
    bad("is it a recording?", "list", "/etc/passwd")
    bad("No such file", "draw", "/nowhere/at/all", "--png", "/tmp/x.png")
    equal(tool("draw", FILE, "--token", "xyz").returncode, 2, "status of a call that makes no sense")
    left = [name for name in os.listdir("/sys/kernel/tracing/instances") if name.startswith("mptcp-trace")]
    equal(left, [], "buffers that were left")


def status_of_command():
    """A command's exit status is passed on."""
    program = ("import socket, sys\n"
               "kind = socket.AF_INET, socket.SOCK_STREAM, 262\n"
               "one, two = socket.socket(*kind), socket.socket(*kind)\n"
               "one.bind(('127.0.0.1', 5001))\n"
               "one.listen()\n"
               "two.connect(('127.0.0.1', 5001))\n"
               "two.sendall(b'x' * 5000)\n"
               "sys.exit(7)")
    done = tool("record", "-o", "/tmp/one.trace", "--all", "python3", "-c", program)
    equal(done.returncode, 7, f"exit status; it said {done.stderr}")
    good("draw", "/tmp/one.trace", "--json", "/tmp/one.json")
    with open("/tmp/one.json", encoding="utf-8") as file:
        equal(sum(s["len"] for s in json.load(file)["sends"]), 5000, "bytes sent")


def not_loaded():
    run = subprocess.run
    gone()
    for _ in range(60):
        if run(["rmmod", "mptcp"], capture_output=True).returncode == 0:
            break
        time.sleep(0.5)
    bad("the module mptcp is not loaded", "record", "-o", "/tmp/none.trace", "true")
    run(["insmod", os.environ["MPTCP_MODULE"]], check=True)


TESTS = [
    ("mptcp-trace records a transfer, and tells its numbers", recorded),
    ("mptcp-trace draws a picture", png),
    ("mptcp-trace draws a page", page),
    ("mptcp-trace says what is wrong", complaints),
    ("mptcp-trace passes on how the command has ended", status_of_command),
    ("mptcp-trace without the module", not_loaded),
]
