# SPDX-License-Identifier: GPL-2.0
"""What tshark decodes of the packets that make an MPTCP connection."""

import subprocess

CAPABLE, JOIN, DSS, ADD_ADDR = 0, 1, 2, 3
OPTION = "tcp.options.mptcp."
FIELDS = ("ip.src", "tcp.flags.syn", "tcp.flags.ack", "tcp.len") + tuple(OPTION + name for name in (
    "subtype", "version", "sendkey", "recvkey", "recvtok", "sendrand", "sendtrunchmac", "sendhmac",
    "addrid", "ipv4", "rawdataseqno", "rawdataack", "datalvllen"))


class Packet:
    """The fields of one packet; those of an option that is not there are empty."""

    def __init__(self, line):
        fields = dict(zip(FIELDS, line.split(";")))
        self.source, self.length = fields["ip.src"], int(fields["tcp.len"] or 0)
        self.syn, self.ack = (fields[f"tcp.flags.{name}"] in ("1", "True") for name in ("syn", "ack"))
        self.options = {int(number, 0) for number in fields[OPTION + "subtype"].split(",") if number}
        self.told = {name.removeprefix(OPTION): value for name, value in fields.items()}

    def kind(self):
        return "SYN/ACK" if self.syn and self.ack else "SYN" if self.syn else "ACK"

    def tell(self, option, **names):
        """In a line, with the fields in `names` under these names."""
        told = ", ".join(f"{name.replace('_', ' ')} {self.number(field)}" for name, field in names.items()
                         if self.told[field])
        return f"{self.source}  {self.kind():<7}  {option + ' ' + told}"

    def number(self, field):
        """Keys, tokens, nonces and sequence numbers in hexadecimal, HMACs cut short."""
        value = self.told[field].split(",")[0]
        if field in ("version", "addrid", "ipv4", "datalvllen"):
            return value
        if "hmac" in field:
            return value.removeprefix("0x").replace(":", "")[:16] + "..."
        return f"{int(value, 0):x}"


def read(path):
    command = ["tshark", "-r", path, "-T", "fields", "-E", "separator=;"]
    for field in FIELDS:
        command += ["-e", field]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [Packet(line) for line in done.stdout.splitlines()]


# What has to be seen: its name, which packet it is, and what is told of it.
FIRST = (
    ("the SYN with MP_CAPABLE", lambda p: p.kind() == "SYN" and CAPABLE in p.options,
     lambda p: p.tell("MP_CAPABLE", version="version")),
    ("the SYN/ACK with MP_CAPABLE", lambda p: p.kind() == "SYN/ACK" and CAPABLE in p.options,
     lambda p: p.tell("MP_CAPABLE", version="version", key="sendkey")),
    ("the ACK with both keys",
     lambda p: not p.syn and CAPABLE in p.options and p.told["sendkey"] and p.told["recvkey"],
     lambda p: p.tell("MP_CAPABLE", key="sendkey", peer="recvkey")),
    ("ADD_ADDR", lambda p: ADD_ADDR in p.options and p.told["ipv4"],
     lambda p: p.tell("ADD_ADDR  ", address="ipv4", id="addrid")),
)
JOINED = (
    ("the SYN with MP_JOIN", lambda p: p.kind() == "SYN" and JOIN in p.options,
     lambda p: p.tell("MP_JOIN   ", token="recvtok", nonce="sendrand", id="addrid")),
    ("the SYN/ACK with MP_JOIN", lambda p: p.kind() == "SYN/ACK" and JOIN in p.options,
     lambda p: p.tell("MP_JOIN   ", HMAC="sendtrunchmac", nonce="sendrand", id="addrid")),
    ("the ACK with MP_JOIN", lambda p: not p.syn and JOIN in p.options,
     lambda p: p.tell("MP_JOIN   ", HMAC="sendhmac")),
)
DATA = (
    ("data with a mapping",
     lambda p: DSS in p.options and p.length and p.told["rawdataseqno"],
     lambda p: p.tell("DSS       ", sequence="rawdataseqno", length="datalvllen", ack="rawdataack")),
)


def steps(path, joined):
    """Lines about the first packet of each step, and the names of steps that are not there."""
    packets = read(path)
    seen, missing = [], []
    for name, wanted, tell in (JOINED if joined else FIRST) + DATA:
        found = next((packet for packet in packets if wanted(packet)), None)
        if found:
            seen.append((packets.index(found), tell(found)))
        else:
            missing.append(name)
    return [line for _, line in sorted(seen)], missing
