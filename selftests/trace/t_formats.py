# SPDX-License-Identifier: GPL-2.0
"""What events look like, what they cost, and that they come and go with the module."""

import glob
import gzip
import os
import re
import subprocess

from hosts import Hosts, transfer
from tap import equal
from world import KIB, PATH, TESTS as TESTS_DIR, TRACEFS, Trace, expect, run

TOP = os.path.dirname(TESTS_DIR)
EVENTS = f"{TRACEFS}/events/mptcp"


def in_tree_header():
    found = glob.glob(f"{os.environ['MPTCP_CACHE']}/source-*/include/trace/events/mptcp.h")
    expect(found, "the kernel's source is not in the cache")
    with open(max(found, key=os.path.getmtime), encoding="ascii") as file:
        return file.read()


def in_tree_events():
    """Name, fields (type and name) and what is printed, of each event."""
    text, classes, found = in_tree_header(), {}, {}
    block = re.compile(r"^(TRACE_EVENT|DECLARE_EVENT_CLASS)\((\w+),(.*?)^\);", re.M | re.S)
    for kind, name, body in block.findall(text):
        fields = re.findall(r"__field\(([^,]+), (\w+)\)", body)
        printed = re.search(r'TP_printk\(("(?:[^"\\]|\\.)*")', body).group(1)
        (found if kind == "TRACE_EVENT" else classes)[name] = fields, printed
    for kind, name in re.findall(r"^DEFINE_EVENT\((\w+), (\w+)", text, re.M):
        found[name] = classes[kind]
    return found


def fields(name):
    """Those of an event of the running kernel."""
    with open(f"{EVENTS}/{name}/format", encoding="ascii") as file:
        text = file.read()
    own = [f for f in re.findall(r"field:(.+?);\toffset", text) if " common_" not in f]
    return [tuple(f.rsplit(" ", 1)) for f in own], re.search(r'print fmt: ("(?:[^"\\]|\\.)*")', text).group(1)


def same_as_in_tree():
    wanted = in_tree_events()
    expect(len(wanted) >= 5, f"{sorted(wanted)} is not all that the kernel has")
    for name, told in wanted.items():
        expect(os.path.isdir(f"{EVENTS}/{name}"), f"there is no event {name}")
        equal(fields(name), told, name)


def names_a_connection():
    """Events of ours say whose they are."""
    ours = [os.path.basename(os.path.dirname(p)) for p in glob.glob(f"{EVENTS}/*/format")]
    ours = sorted(set(ours) - set(in_tree_events()))
    equal(len(ours), 8, f"events of ours, {ours}")
    for name in ours:
        told = [field for _, field in fields(name)[0]]
        for field in ("token", "sport", "dport", "loc_id", "rem_id"):
            expect(field in told, f"{name} has no {field}")


def kebab(name):
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def words_of_code():
    """The words that stand for numbers are the names of the Rust enums."""
    for event, file, enum in (
            ("mptcp_mapping_added", "rust/observe/trace.rs", "How"),
            ("mptcp_reinject", "rust/observe/trace.rs", "Reinject"),
            ("mptcp_pm", "rust/observe/trace.rs", "PmAction"),
            ("mptcp_fallback", "rust/proto/fallback.rs", "FallbackCause")):
        with open(f"{TOP}/{file}", encoding="ascii") as source:
            body = re.search(rf"pub enum {enum} \{{(.*?)^\}}", source.read(), re.S | re.M).group(1)
        variants = [kebab(name) for name in re.findall(r"^    (\w+),$", body, re.M)]
        with open(f"{EVENTS}/{event}/format", encoding="ascii") as file:
            told = re.findall(r'\{ (\d+), "([\w-]+)" \}', file.read())
        equal(told, [(str(number), name) for number, name in enumerate(variants)], f"words of {event}")


def config(option):
    with gzip.open("/proc/config.gz", "rt") as lines:
        return f"CONFIG_{option}=y\n" in lines


def no_call():
    """Whether an event is on is asked in place, where the toolchain can link C and Rust before it optimises."""
    with open("/proc/kallsyms", encoding="ascii") as lines:
        asked = [line.split()[2] for line in lines if re.search(r" mrs_trace_\w+_on\s+\[mptcp\]", line)]
    if os.environ.get("KERNEL") == "debug":
        expect(asked, "the debug kernel's module is not linked so, and has none of them")
    else:
        equal(asked, [], "functions that ask whether an event is on")


def documented():
    with open(f"{TOP}/Documentation/tracing.md", encoding="utf-8") as file:
        text = file.read()
    for path in glob.glob(f"{EVENTS}/*/format"):
        name = os.path.basename(os.path.dirname(path))
        expect(f"`{name}`" in text, f"tracing.md does not know {name}")
        for _, field in fields(name)[0]:
            expect(f"`{field.split('[')[0]}`" in text, f"tracing.md does not know {field} of {name}")


def unloaded():
    """The module goes while its events are on, and comes back with them."""
    Hosts([PATH])
    with Trace("*") as trace:
        transfer(64 * KIB)
        for host in ("client", "server"):
            run("ip", "netns", "del", host)
        # Sockets that are closed are not over at once.
        done = None
        for _ in range(60):
            done = subprocess.run(["rmmod", "mptcp"], capture_output=True, text=True)
            if done.returncode == 0:
                break
            subprocess.run(["sleep", "0.5"])
        expect(done.returncode == 0, f"rmmod: {done.stderr}")
        expect(not os.path.exists(EVENTS), "the events are still there")
    run("insmod", os.environ["MPTCP_MODULE"])
    Hosts([PATH])
    with Trace("*") as trace:
        transfer(64 * KIB)
    expect(trace.of("mptcp_mapping_added"), "no event from the module that was loaded again")
    with open("/proc/sys/kernel/tainted", encoding="ascii") as file:
        # Bits for a warning and an oops.
        equal(int(file.read()) & (1 << 9 | 1 << 7), 0, "the kernel's taint")


TESTS = [
    ("the in-tree implementation's events, field by field", same_as_in_tree),
    ("events of ours name connection and subflow", names_a_connection),
    ("words of events are those of the code", words_of_code),
    ("asking whether an event is on costs no call", no_call),
    ("every event and field is documented", documented),
]
LAST = [("the module is unloaded while its events are on", unloaded)]
