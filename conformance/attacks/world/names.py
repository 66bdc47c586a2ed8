"""A name server's answers: just enough of DNS, and every trick that a hostile zone knows."""

import ipaddress
import struct

TYPES = {1: "A", 28: "AAAA", 5: "CNAME", 15: "MX", 16: "TXT", 33: "SRV", 64: "SVCB", 65: "HTTPS", 255: "ANY"}
NXDOMAIN, NOERROR = 3, 0


def wire(name):
    return b"".join(bytes([len(label)]) + label.encode() for label in name.rstrip(".").split(".") if label) + b"\0"


def query(name, kind="A", number=0x1234, raw=None):
    """A question as a stub resolver sends it; `raw`: the name in bytes instead."""
    number_of = {word: key for key, word in TYPES.items()}[kind]
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + (wire(name) if raw is None else raw) + struct.pack(">HH", number_of, 1)


def read_name(message, at):
    labels = []
    while message[at]:
        size = message[at]
        if size & 0xc0:
            raise ValueError("compressed")
        labels.append(message[at + 1:at + 1 + size].decode("latin-1"))
        at += 1 + size
    return ".".join(labels), at + 1


class Zone:
    """name -> {"A": [...], "AAAA": [...], "CNAME": name, "turns": [[...], ...], "silent": true}. A name that begins with
    "*." answers for everything below it. "turns": one list of addresses (of both families) after the other, the last
    one for ever, counted per type."""

    def __init__(self, entries):
        self.entries = entries
        self.asked = {}

    def entry(self, name):
        name = name.lower().rstrip(".")
        if name in self.entries:
            return self.entries[name]
        labels = name.split(".")
        for at in range(1, len(labels)):
            if "*." + ".".join(labels[at:]) in self.entries:
                return self.entries["*." + ".".join(labels[at:])]
        return None

    def addresses(self, name, entry, kind):
        found = entry.get(kind, [])
        if "turns" in entry:
            turn = self.asked.get((name, kind), 0)
            self.asked[name, kind] = turn + 1
            found = [text for text in entry["turns"][min(turn, len(entry["turns"]) - 1)] if (":" in text) == (kind == "AAAA")]
        return found

    def records(self, name, kind):
        """[(owner, type, rdata)], or None: there is no such name."""
        found = []
        for _ in range(8):
            entry = self.entry(name)
            if entry is None:
                return found or None
            if "CNAME" in entry:
                found.append((name, 5, wire(entry["CNAME"])))
                name = entry["CNAME"]
                continue
            number = {"A": 1, "AAAA": 28}.get(kind)
            if number:
                found += [(name, number, ipaddress.ip_address(text).packed) for text in self.addresses(name, entry, kind)]
            return found
        return found

    def answer(self, message):
        """(name, type, answer or None)"""
        try:
            number, flags, questions = struct.unpack(">HHH", message[:6])
            name, at = read_name(message, 12)
            kind = TYPES.get(struct.unpack(">H", message[at:at + 2])[0], "other")
            question = message[12:at + 4]
        except (ValueError, IndexError, struct.error):
            return None, None, None
        if flags & 0x8000 or questions != 1:
            return None, None, None
        if (self.entry(name) or {}).get("silent"):
            return name, kind, None
        records = self.records(name, kind)
        code = NXDOMAIN if records is None else NOERROR
        body = b"".join(wire(owner) + struct.pack(">HHIH", number_of, 1, 0, len(data)) + data
                        for owner, number_of, data in records or [])
        return name, kind, struct.pack(">HHHHHH", number, 0x8580 | flags & 0x0100 | code, 1, len(records or []), 0, 0) + question + body
