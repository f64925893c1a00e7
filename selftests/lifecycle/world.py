# SPDX-License-Identifier: GPL-2.0
"""Where a test of a socket's life takes place: who speaks what, and helpers.

A test is a function of a World. It runs once with TCP at both ends, and then with
MPTCP at both ends or at one, and has to observe the same: what it returns is
compared. What it expects of itself, it says with expect() and equal().
"""

import array
import ctypes
import errno
import hashlib
import os
import select
import socket
import struct
import subprocess
import threading
import time

import mptcp
from tap import expect

TESTS = []
# Python does not know it.
CLOCK_MONOTONIC_COARSE = 6
LIBC = ctypes.CDLL(None, use_errno=True)


def test(name, seconds=20, compare=True, c_differs=None, modes=None):
    """Registers a test. c_differs: why the in-tree implementation does not pass."""

    def register(function):
        TESTS.append(
            {
                "name": name,
                "function": function,
                "seconds": seconds,
                "compare": compare,
                "c_differs": c_differs,
                "modes": modes,
            }
        )
        return function

    return register


def outcome(function, *args):
    """What a call gives: its value, or the name of its error."""
    try:
        value = function(*args)
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))
    if isinstance(value, bytes) and len(value) > 64:
        return [len(value), hashlib.sha256(value).hexdigest()]
    return value


def raw(name, *args):
    """A call of libc, without Python's own handling of signals: value or error's name."""
    value = getattr(LIBC, name)(*args)
    return errno.errorcode[ctypes.get_errno()] if value < 0 else value


def poll_mask(sock, milliseconds=0, wanted=None):
    """What poll() says of a socket, as a list of names."""
    names = {
        "IN": select.POLLIN,
        "PRI": select.POLLPRI,
        "OUT": select.POLLOUT,
        "ERR": select.POLLERR,
        "HUP": select.POLLHUP,
        "RDHUP": select.POLLRDHUP,
    }
    poll = select.poll()
    mask = 0
    for name in wanted or names:
        mask |= names[name]
    poll.register(sock, mask)
    events = poll.poll(milliseconds)
    mask = events[0][1] if events else 0
    return [name for name, bit in names.items() if mask & bit]


def wait_mask(sock, *names, seconds=5):
    """Wait until poll() says all of these; returns all that it says then."""
    end = time.monotonic() + seconds
    while not set(names) <= set(mask := poll_mask(sock)):
        expect(time.monotonic() < end, f"poll() never said {names}, but {mask}")
        time.sleep(0.005)
    return mask


def until(condition, text, seconds=5):
    """Wait for it."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        expect(time.monotonic() < end, f"never came: {text}")
        time.sleep(0.005)
    return value


def take(sock, count):
    """Exactly so many bytes, or what came before the end."""
    data = bytearray()
    while len(data) < count and (piece := sock.recv(min(count - len(data), 1 << 18))):
        data += piece
    return bytes(data)


def take_all(sock):
    """Everything, up to the end of the stream."""
    data = bytearray()
    while piece := sock.recv(1 << 18):
        data += piece
    return bytes(data)


def pattern(count, seed=0):
    """Bytes that tell their position. Without a Python object for each number at a time: a debug kernel needs
    longer for the memory of these than for the transfer."""
    words = (count + 7) // 8
    start = seed << 40
    data = array.array("Q", range(start, start + words))
    data.byteswap()
    return data.tobytes()[:count]


def ticks():
    """Seconds by the clock of ticks, as the kernel's timeouts: a busy host holds it up, and the others not."""
    return time.clock_gettime(CLOCK_MONOTONIC_COARSE)


def timed(function, *args):
    """An outcome, and the seconds that it took."""
    start = ticks()
    return outcome(function, *args), ticks() - start


def in_thread(function, *args):
    """Start it; the returned function waits for the outcome."""
    box = []
    thread = threading.Thread(target=lambda: box.append(outcome(function, *args)), daemon=True)
    thread.start()

    def result(seconds=15):
        thread.join(seconds)
        expect(not thread.is_alive(), f"{function.__name__} does not return")
        return box[0]

    result.thread = thread.native_id
    return result


def await_call(waiting, number):
    """Until a thread of in_thread() sleeps in the system call of this number (x86-64)."""
    def there():
        with open(f"/proc/self/task/{waiting.thread}/syscall", encoding="ascii") as file:
            return file.read().split()[0] == str(number)
    until(there, f"the thread in system call {number}")


def timeout_option(seconds):
    return struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))


def linger_option(seconds):
    return struct.pack("@ii", 1, seconds)


def reset(sock):
    """Close it with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_option(0))
    sock.close()


def so_error(sock):
    """SO_ERROR by name; reading it clears it."""
    number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    return errno.errorcode.get(number, number)


def fill(sock, block=65536, tries=50):
    """Send without blocking until the buffer stays full; returns how much went in.

    It stays full when neither the peer's acknowledgements nor TCP's tuning make room any more, nor the probe of a
    window that is smaller than a segment, more than 200 ms later. Tries are counted, not the time: who is held up
    makes none.
    """
    sock.setblocking(False)
    data = pattern(block)
    total = refused = 0
    while refused < tries:
        sent = outcome(sock.send, data)
        if isinstance(sent, str):
            expect(sent == "EAGAIN", f"send() gave {sent}")
            refused += 1
            time.sleep(0.01)
        else:
            total += sent
            refused = 0
    return total


def own_network(**sysctls):
    """A network namespace of its own for this test; net.ipv4.NAME=VALUE there."""
    os.unshare(os.CLONE_NEWNET)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for name, value in sysctls.items():
        with open(f"/proc/sys/net/ipv4/{name}", "w", encoding="ascii") as file:
            file.write(str(value))


def segments_sent():
    """TCP segments that left, by this network namespace's counter."""
    with open("/proc/net/snmp", encoding="ascii") as file:
        names, values = [line.split() for line in file if line.startswith("Tcp:")]
    return int(values[names.index("OutSegs")])


class World:
    """Loopback, and who speaks which protocol over which family."""

    def __init__(self, client, server, version):
        self.client_protocol = mptcp.PROTOCOLS[client]
        self.server_protocol = mptcp.PROTOCOLS[server]
        self.version = version
        self.family = mptcp.FAMILIES[version]
        self.host = "127.0.0.1" if version == 4 else "::1"
        self.is_mptcp = client == server == "mptcp"
        self.keep = []

    def client(self):
        sock = mptcp.stream(self.family, self.client_protocol)
        self.keep.append(sock)
        return sock

    def server(self, backlog=16, **options):
        """A listening socket on a port of the kernel's choice."""
        sock = mptcp.stream(self.family, self.server_protocol)
        for option, value in options.items():
            sock.setsockopt(socket.SOL_SOCKET, getattr(socket, option), value)
        sock.bind((self.host, 0))
        sock.listen(backlog)
        self.keep.append(sock)
        return sock

    def address(self, sock):
        """Where to connect to, to reach a socket of ours."""
        return (self.host, sock.getsockname()[1])

    def pair(self, server=None, client=None, check=True):
        """A connection: the end that connected, the end that accepted."""
        listener = server or self.server()
        client = client or self.client()
        client.connect(self.address(listener))
        accepted = listener.accept()[0]
        self.keep.append(accepted)
        if not server:
            listener.close()
        if check:
            self.check_kind(client, accepted)
        return client, accepted

    def check_kind(self, *socks):
        """MPTCP where both speak it: a fallback would pass unseen, as TCP is what it is compared with."""
        for sock in socks:
            expect(mptcp.is_mptcp(sock) == self.is_mptcp,
                   f"{'no ' if self.is_mptcp else ''}MPTCP on {sock}: {mptcp.info(sock)}")


def process(function, *args):
    """Run it in a child process; the returned function waits for its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            status = function(*args) or 0
        except BaseException:
            status = 99
        os._exit(status)
    return pid
