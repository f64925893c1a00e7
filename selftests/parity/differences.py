# SPDX-License-Identifier: GPL-2.0
"""What may differ from the in-tree implementation, and why.

A path (the section's name, then the names of what is in it), what has to be true of both values, and the reason.
"""

REFUSED = "Operation not supported"


def more(theirs, ours):
    """The in-tree implementation does not say, and ours does."""
    return theirs in (None, False) and ours not in (None, False)


def only_ours(theirs, _):
    return theirs is None


def only_theirs(_, ours):
    return ours in (None, {})


def readable(theirs, ours):
    return theirs == REFUSED and ours != REFUSED


def reserved(theirs, ours):
    return None not in (theirs, ours) and int(theirs) - int(ours) in (0, 28)


DIFFERENCES = [
    ("netlink: requests *: */missing", more, "the answer names the attribute that is missing"),
    ("netlink: requests *: */offset", more, "the answer names the attribute that is wrong"),
    ("netlink: requests *: */message", more, "the answer says what is wrong"),
    ("netlink: requests that are wrong/*: ?/offset", lambda theirs, ours: (theirs, ours) == (20, 24),
     "the family is what is wrong, not the whole address"),
    ("*/MPTCP_INFO/-1/*", None, "a negative length is invalid, as it is with TCP's options"),
    ("getsockopt: */TCP/*", readable, "more options of TCP can be read"),
    ("getsockopt: */TCP/35", None, "TCP_ZEROCOPY_RECEIVE would take data that is the connection's"),
    ("*/events/*\"closed\"*", only_ours,
     "a path manager that was told of a connection is told of its end, by MP_FASTCLOSE too"),
    ("plain TCP on one side/*, closed/*/events*", only_theirs,
     "of a connection that it was not told of, a path manager is not told the end"),
    ("an endpoint with a port*/a connection to it/*/events*", only_theirs, "the same: this one was refused"),
    ("fast close/*/sockets/left/token", None, "the token is that of the connection until the socket is closed"),
    ("fast close/*, closed by */counters/MPRst*", None,
     "whether the peer resets a subflow before it hears of its reset is a race"),
    ("fast close/two subflows, closed by */counters/MPFastclose[RT]x", None,
     "the same; and of what is sent, a connection is counted and not its subflows"),
    ("joins that are not let in/*/client/counters/MPRstTx", only_theirs, "a RST is not answered with a RST"),
    ("joins that are not let in/*/client/events/*\"error\"*", only_ours, "the error is told: the peer has reset it"),
    ("joins that are not let in/*/client/events/*\"sub_closed\"*", only_theirs, "the same, without it"),
    ("a path manager in user space/withdrawn/sockets/server/local_addr_used", None,
     "an address that was withdrawn is not in use"),
    ("sysctls: */available_schedulers/*", lambda theirs, ours: (theirs, ours) == ("default", "default roundrobin"),
     "there is a second scheduler to choose"),
    ("ss: connections and listeners/*/mss", reserved,
     "28 bytes of every segment are kept for the DSS"),
    ("ss: connections and listeners/*/skmem/tb", None,
     "the send buffer holds the data of all subflows once, and grows with what they have on their way"),
]
