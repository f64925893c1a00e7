# SPDX-License-Identifier: GPL-2.0
"""Recording, by way of tracefs: an instance of its own, so that nobody else's tracing is disturbed."""

import glob
import os
import select
import signal
import subprocess
import sys
import threading
import time

from . import Problem

TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
DRAWN = ("mptcp_mapping_added", "mptcp_data_acked", "mptcp_reinject", "mptcp_window", "mptcp_fallback", "mptcp_pm")


def write(path, text):
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
    except OSError as e:
        raise Problem(f"{path}: {e.strerror}") from None


def tracefs():
    """Where it is, usable."""
    found = [path for path in TRACEFS if os.path.exists(f"{path}/trace_pipe") or os.path.isdir(f"{path}/events")]
    if not found:
        if os.geteuid() != 0:
            raise Problem("tracefs cannot be seen: this needs root")
        raise Problem("tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing "
                      "(if that fails, the kernel has no CONFIG_FTRACE)")
    if not os.access(f"{found[0]}/instances", os.W_OK):
        raise Problem(f"no permission to write to {found[0]}: this needs root")
    return found[0]


def events(where, everything):
    """The names of the events to be recorded."""
    there = sorted(os.path.basename(os.path.dirname(path)) for path in glob.glob(f"{where}/events/mptcp/*/enable"))
    if not there:
        with open("/proc/modules", encoding="ascii") as modules:
            loaded = any(line.startswith("mptcp ") for line in modules)
        raise Problem("the module mptcp was built for a kernel without CONFIG_TRACEPOINTS" if loaded else
                      "the module mptcp is not loaded: modprobe mptcp")
    missing = sorted(set(DRAWN) - set(there))
    if missing:
        raise Problem(f"this MPTCP has no event {missing[0]}: it is not the one of the module")
    return there if everything else list(DRAWN)


class Instance:
    """A set of buffers of our own."""

    def __init__(self, where, kib):
        self.path = f"{where}/instances/mptcp-trace-{os.getpid()}"
        try:
            os.mkdir(self.path)
        except OSError as e:
            raise Problem(f"{self.path}: {e.strerror}") from None
        try:
            write(f"{self.path}/buffer_size_kb", str(kib))
        except Problem:
            self.close()
            raise

    def enable(self, names, token):
        for name in names:
            event = f"{self.path}/events/mptcp/{name}"
            if token is not None:
                with open(f"{event}/format", encoding="ascii") as file:
                    if " token;" not in file.read():
                        continue
                write(f"{event}/filter", f"token == {token:#x}")
            write(f"{event}/enable", "1")

    def disable(self):
        try:
            write(f"{self.path}/events/mptcp/enable", "0")
        except Problem:
            # The module is gone, and its events with it.
            pass

    def lost(self):
        """How many events had no room."""
        count = 0
        for path in glob.glob(f"{self.path}/per_cpu/cpu*/stats"):
            with open(path, encoding="ascii") as stats:
                count += sum(int(line.split(":")[1]) for line in stats if line.startswith(("overrun", "dropped")))
        return count

    def close(self):
        for _ in range(50):
            try:
                return os.rmdir(self.path)
            except OSError:
                # A reader that has just left.
                time.sleep(0.1)
        return None


class Copier(threading.Thread):
    """Copies what the kernel prints to a file, until it is told to stop and nothing is left."""

    def __init__(self, path, file):
        super().__init__(daemon=True)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self.file, self.lines, self.stopped, self.error = file, 0, threading.Event(), None

    def run(self):
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        try:
            while True:
                # Whether it was to stop is asked before what is left is looked for.
                last = self.stopped.is_set()
                try:
                    data = os.read(self.fd, 1 << 16)
                except BlockingIOError:
                    data = b""
                if data:
                    self.file.write(data)
                    self.lines += data.count(b"\n")
                elif last:
                    break
                else:
                    poll.poll(100)
        except OSError as e:
            self.error = e
        os.close(self.fd)


def header(args):
    """What was recorded where, for who finds the file."""
    told = [f"mptcp-trace of {time.strftime('%Y-%m-%d %H:%M:%S %z')}", "kernel " + os.uname().release]
    if args.token is not None:
        told.append(f"token {args.token:08x}")
    if args.command:
        told.append("command " + " ".join(args.command))
    return "".join(f"# {line}\n" for line in told).encode()


def wait(args):
    """Until what is recorded is over. The exit status that this ends with."""
    if args.command:
        try:
            return subprocess.run(args.command, check=False).returncode
        except OSError as e:
            raise Problem(f"{args.command[0]}: {e.strerror}") from None
    try:
        time.sleep(args.seconds if args.seconds is not None else 1e9)
    except KeyboardInterrupt:
        pass
    return 0


def run(args):
    if args.command[:1] == ["--"]:
        del args.command[0]
    if args.command and args.seconds is not None:
        raise Problem("either --seconds or a command: it is recorded for as long as the command runs")
    where = tracefs()
    names = events(where, args.all)
    try:
        file = open(args.output, "wb")
    except OSError as e:
        raise Problem(f"{args.output}: {e.strerror}") from None
    if args.command:
        # It is the command that an interrupt ends, and then there is something to be drawn.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    instance = Instance(where, args.buffer)
    try:
        with file:
            file.write(header(args))
            copier = Copier(f"{instance.path}/trace_pipe", file)
            copier.start()
            try:
                instance.enable(names, args.token)
                status = wait(args)
            finally:
                instance.disable()
                copier.stopped.set()
                copier.join()
            lost = instance.lost()
    finally:
        instance.close()
    return told(args, copier, lost, status)


def told(args, copier, lost, status):
    """Says how it went."""
    if copier.error:
        raise Problem(f"{args.output}: {copier.error.strerror}")
    if not copier.lines:
        if args.token is not None:
            raise Problem(f"nothing was seen of token {args.token:08x}: `ss -Mni` shows the tokens of this host, "
                          "the peer's are others")
        raise Problem("no event was seen: no MPTCP connection has done anything meanwhile "
                      "(does the program ask for MPTCP? try mptcpize run)")
    print(f"{copier.lines} events in {args.output}", file=sys.stderr)
    if lost:
        print(f"mptcp-trace: {lost} events are missing: --buffer {2 * args.buffer} may help", file=sys.stderr)
    return status
