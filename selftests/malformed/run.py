#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Malformed segments, forged at live connections: these survive or are reset as RFC 8684 says, the data is
right, and nothing is left behind.

    run.py [--seed N] [WORD...]     only the tests whose name has one of the words

All that is random follows from the seed. At the end: how many segments of each kind there were, and what the
kernel has kept of all that; the module is unloaded for it.
"""

import argparse
import collections
import functools
import os
import random
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(os.path.dirname(HERE), "lib")]
sys.dont_write_bytecode = True

import handshake  # noqa: E402
import lies  # noqa: E402
import options  # noqa: E402
import spoil  # noqa: E402
import tap  # noqa: E402
from kept import Kept  # noqa: E402
from live import SLOW, Reception, World, outcome, story, undisturbed  # noqa: E402
from options import ignored  # noqa: E402
from tap import expect  # noqa: E402
from wire import NAMES, REAL_PORTS, Spot, Watch, bare, with_options  # noqa: E402

# How many segments this has to be in all.
WANTED = 10_000

TESTS = {}


def test(name, seconds):
    """Registers `function(version, rng)`, which gives a count of what was injected."""

    def register(function):
        for version in (4, 6):
            TESTS[f"{name}, v{version}"] = (functools.partial(function, version), seconds)
        return function

    return register


class Injector:
    """A middlebox that lets everything pass, and puts forged segments beside it while it has any."""

    def __init__(self, plans, forge, rate, begin):
        self.plans, self.forge, self.rate, self.begin = plans, forge, rate, begin
        self.watch = Watch()
        self.count = collections.Counter()
        self.done = threading.Event()

    def __call__(self, packet, to_server):
        if self.watch.see(packet, to_server) != "later" or not self.begin(self.watch):
            return [packet]
        plan = self.plans[to_server]
        front, back = [], []
        for _ in range(min(self.rate, len(plan))):
            entry = plan.pop()
            forged, first = self.forge(entry, Spot(self.watch, packet, to_server))
            (front if first else back).append(forged)
            self.count[entry.name] += 1
        if not any(self.plans.values()):
            self.done.set()
        return front + [packet] + back


def inject(version, plans, forge, rate=6, limits=0):
    """One connection that lasts until everything was injected, and may have so many further subflows."""
    injector = Injector(plans, forge, rate, Watch.confirmed)
    with World(version, injector) as world:
        if limits:
            world.limit_subflows(limits)
        client, server = world.talk(enough=injector.done.is_set, least=0)
        undisturbed(client, server, alone=not limits)
        expect(injector.done.is_set(), f"not everything was injected: {story(client, server)}")
        world.finish()
    return injector.count


def beside(rng, entry, spot):
    """A copy of the packet behind it, or a segment without data, with the entry's options."""
    alone = entry.bare or rng.random() < 0.5
    packet = bare(spot.packet) if alone else spot.packet
    return with_options(packet, entry.area(spot)), False


@test("options that mean nothing", 240)
def meaningless(version, rng):
    plans = {True: ignored(rng), False: ignored(rng)}
    return inject(version, plans, functools.partial(beside, rng))


@test("options that mean nothing, in other IP packets", 60)
def legal(version, rng):
    plans = {True: ignored(rng)[:200], False: ignored(rng)[:200]}

    def forge(entry, spot):
        packet, first = beside(rng, entry, spot)
        return spoil.exotic(packet, rng), first

    return inject(version, plans, forge)


@test("options that mean nothing, at the end of connections", 120)
def closing(version, rng):
    total = collections.Counter()
    entries = ignored(rng)
    for _ in range(25):
        plans = {True: entries[:8], False: entries[8:16]}
        del entries[:16]
        injector = Injector(plans, functools.partial(beside, rng), 3, lambda watch: watch.ending and watch.confirmed())
        with World(version, injector) as world:
            undisturbed(*world.talk(least=5000))
            world.finish()
        total += injector.count
    return total


@test("announcements that make no sense", 120)
def announcements(version, rng):
    plans = {True: options.announcements(rng), False: options.announcements(rng)}
    return inject(version, plans, functools.partial(beside, rng), rate=1, limits=8)


@test("segments that TCP does not accept", 120)
def unacceptable(version, rng):
    plans = {True: list(spoil.unacceptable(rng, 600)), False: list(spoil.unacceptable(rng, 600))}
    return inject(version, plans, lambda entry, spot: (entry.make(spot), rng.random() < 0.5))


def lie(world, chosen, to_server):
    """One connection with one lie; what is wrong with what became of it."""
    world.middle = liar = lies.Liar(Watch(), chosen, to_server)
    # A lie for good is about data that no mapping covers which was told before: that may be as long as one can be.
    least = 60_000 if chosen.once else 150_000
    client, server = world.talk(enough=lambda: liar.done, least=least)
    world.count[chosen.count] += liar.done
    expect(liar.done, f"the moment never came\n{story(client, server)}")
    became = outcome(client, server, chosen.lies)
    expect(became in chosen.allowed, f"became {became}, allowed {chosen.allowed}\n{story(client, server)}")


def each(version, connections):
    """All of these, (name, function) each, over one path; tells of every one that fails."""
    problems = []
    with World(version) as world:
        for name, function in connections:
            try:
                function(world)
            except tap.Failed as e:
                problems.append(f"{name}: {e}")
        try:
            world.finish()
        except tap.Failed as e:
            problems.append(f"at the end: {e}")
    expect(not problems, f"{len(problems)} of {len(connections)} failed\n" + "\n".join(problems))
    return world.count


def tell_lies(about, version, rng):
    return each(version, [
        (f"{case.name}, to the {'server' if to_server else 'client'}",
         functools.partial(lie, chosen=case, to_server=to_server))
        for case in lies.GROUPS[about] for to_server in (True, False)])


for _about in lies.GROUPS:
    test(_about, 120)(functools.partial(tell_lies, _about))


def forge(world, forgery, first):
    """One connection with one forgery in its handshake."""
    world.middle = forger = handshake.Forger(forgery, first)
    client, server = world.talk(least=3000)
    world.count[forgery.count] += forger.done
    expect(forger.done, f"the moment never came\n{story(client, server)}")
    became = outcome(client, server, lies="reset" in forgery.allowed)
    expect(became in forgery.allowed, f"became {became}, allowed {forgery.allowed}\n{story(client, server)}")


@test("forged SYN-ACKs, third ACKs and first data", 200)
def handshakes(version, rng):
    return each(version, [
        (f"{forgery.name}, {'before' if first else 'behind'}", functools.partial(forge, forgery=forgery, first=first))
        for forgery in handshake.forgeries(rng) for first in (True, False)])


@test("SYNs of many kinds", 200)
def strangers(version, rng, cookies=False):
    plan = list(handshake.syns(rng))
    rng.shuffle(plan)
    watch, done = Watch(), threading.Event()
    crowd = handshake.Strangers(watch, rng)

    def middle(packet, to_server):
        if not to_server and packet.dport < REAL_PORTS:
            for answer in crowd.answered(packet):
                world.send(answer, True)
            return []
        watch.see(packet, to_server)
        knocks = []
        while to_server and watch.confirmed() and plan and len(knocks) < 3 and crowd.room():
            knocks.append(crowd.knock(plan.pop(), packet))
        if not plan:
            done.set()
        return [packet] + knocks

    with World(version) as world:
        world.middle = middle
        world.server.sysctl("net/ipv4/tcp_syncookies", 2 if cookies else 1)
        with Reception(version, world) as reception:
            client, server = world.talk(enough=done.is_set, listener=reception)
            for reset in crowd.silent:
                world.send(reset, True)
        undisturbed(client, server, alone=False)
        print(f"# answers to {sum(crowd.answers.values())} SYNs: {dict(crowd.answers)}, accepted {reception.guests}",
              flush=True)
        expect(not crowd.problems, f"{len(crowd.problems)} wrong answers\n" + "\n".join(crowd.problems))
        world.finish()
    return crowd.count


@test("SYNs of many kinds, answered with SYN cookies", 200)
def cookies(version, rng):
    return strangers(version, rng, cookies=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("words", nargs="*")
    args = parser.parse_args()
    report, total = tap.Report(), collections.Counter()
    kept = Kept()
    for name, (function, seconds) in TESTS.items():
        if args.words and not any(word in name for word in args.words):
            continue
        rng = random.Random(f"{args.seed} {name}")
        result = tap.call(lambda: function(rng), seconds * SLOW)
        total += result.value or {}
        report.tell(name, result.problem and f"seed {args.seed}\n{result.problem}")
    for kind, count in sorted(total.items()):
        print(f"# {count:6} {kind}")
    if not args.words:
        tell_total(report, total)
    report.tell("nothing is left behind", tap.call(kept.check, 60 * SLOW).problem)
    return report.plan()


def tell_total(report, total):
    missing = [name for name in NAMES if not total[name]]
    problem = f"none of {missing}" if missing else None
    if sum(total.values()) < WANTED:
        problem = f"only {sum(total.values())} were injected"
    report.tell(f"{sum(total.values())} malformed segments, at least {WANTED}, all subtypes", problem)


if __name__ == "__main__":
    sys.exit(main())
