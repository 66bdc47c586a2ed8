"""The scanner of messages reads what Python's json reads and refuses what that refuses, on made and mutated documents.

Python is laxer in three ways, which are taken out of it here: it takes NaN and Infinity, turns numbers into values, and
keeps the last of equal keys. NPXC_DIFFERENTIAL_SEED and NPXC_DIFFERENTIAL_COUNT change what is made.
"""

import json
import os
import pathlib
import random
import struct
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("NPXC_BUILD", TOP / "build")) / "differential" / "json"
SEED = int(os.environ.get("NPXC_DIFFERENTIAL_SEED", "20240607"))
COUNT = int(os.environ.get("NPXC_DIFFERENTIAL_COUNT", "20000"))

WORDS = ["", "a", "path", "method", "/home/u/a b.txt", "\\", '"', "/", "\n\t\r\b\f", "\x00", "\x1f", "\x7f", "\x80", "é", "€",
         "\ud7ff", "\ue000", "\ufffd", "\uffff", "😀", "\U0010ffff", "\ud83d", "\ude00", "\ud83d\ude00x", "12345678", "0123456\"9"]
NUMBERS = ["0", "-0", "1", "-1", "9007199254740993", "1.5", "-0.0", "1e5", "1E+5", "2.50e-10", "1e999", "123456789012345678901234567890"]
PIECES = [b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b"\\u", b"\\ud800", b"\\u0000", b"0", b"-", b".", b"e", b"+", b"true", b"nul",
          b"NaN", b"Infinity", b"-Infinity", b" ", b"\t", b"\n", b"\r", b"\x0b", b"\x0c", b"\x00", b"\x1f", b"\xa0", b"\xc2\xa0", b"\xef\xbb\xbf",
          b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80\xa8", b"\xff", b"//", b"/**/", b"'", b"\xd9\xa1", b"\\/", b"\\x41"]


class Raw(str):
    """A number or literal in its own characters."""


class Members(list):
    """An object with all its members."""


def refuse(word):
    raise ValueError(word)


def read(document):
    """As Python reads it, or None."""
    try:
        return json.loads(document.decode("utf-8"), object_pairs_hook=Members, parse_int=Raw, parse_float=Raw, parse_constant=refuse)
    except (ValueError, RecursionError):
        return None


def characters(text):
    """The code points, with pairs of surrogates (which Python joins only within one escape sequence) as they stand."""
    return "s" + "".join(f"{ord(c):x}." for c in text)


def form(value):
    if isinstance(value, Members):
        return "{" + "".join(f"{characters(k)}:{form(v)}," for k, v in value) + "}"
    if isinstance(value, list):
        return "[" + "".join(f"{form(v)}," for v in value) + "]"
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, str):
        return characters(value)
    return {True: "true", False: "false", None: "null"}[value]


def make_string(r):
    text = "".join(r.choice(WORDS) for _ in range(r.randrange(4)))
    out = '"'
    for c in text:
        how = r.randrange(4)
        if how == 0 or 0xD800 <= ord(c) <= 0xDFFF or ord(c) < 0x20:
            out += json.dumps(c)[1:-1] if r.randrange(2) or ord(c) > 0xFFFF else f"\\u{ord(c):04X}"
        elif c in '"\\':
            out += "\\" + c
        elif c == "/" and how == 1:
            out += "\\/"
        else:
            out += c
    return out + '"'


def space(r):
    return "" if r.randrange(3) else r.choice([" ", "\t", "\r\n", "  \n "])


def make(r, depth):
    kind = r.randrange(7 if depth > 0 else 4)
    if kind == 0:
        text = make_string(r)
    elif kind == 1:
        text = r.choice(NUMBERS)
    elif kind == 2:
        text = r.choice(["true", "false", "null"])
    elif kind == 3:
        text = r.choice(["{}", "[]", "{ }", "[\n]"])
    elif kind < 6:
        members = [space(r) + make_string(r) + space(r) + ":" + make(r, depth - 1) for _ in range(r.randrange(5))]
        text = "{" + (",".join(members) or space(r)) + "}"
    else:
        text = "[" + (",".join(make(r, depth - 1) for _ in range(r.randrange(5))) or space(r)) + "]"
    return space(r) + text + space(r)


def mutate(r, document):
    out = bytearray(document)
    for _ in range(r.randrange(1, 4)):
        at = r.randrange(len(out) + 1)
        how = r.randrange(5)
        if how == 0:
            out[at:at] = r.choice(PIECES)
        elif how == 1:
            del out[at:at + r.randrange(1, 4)]
        elif how == 2 and at < len(out):
            out[at] = r.randrange(256)
        elif how == 3:
            out[at:at + 1] = r.choice(PIECES)
        else:
            start = r.randrange(len(out) + 1)
            out[at:at] = out[start:start + r.randrange(8)]
    return bytes(out)


def scan(documents):
    sent = b"".join(struct.pack("<I", len(d)) + d for d in documents)
    done = subprocess.run([PROGRAM], input=sent, stdout=subprocess.PIPE, timeout=300, check=True)
    lines = done.stdout.decode("utf-8").split("\n")
    assert lines.pop() == "" and len(lines) == len(documents)
    return lines


def expected(document):
    value = read(document)
    if value is None and document.strip(b" \t\r\n") != b"null":
        return "refused"
    return form(value)


def compare(documents):
    refused = 0
    for document, got in zip(documents, scan(documents)):
        want = expected(document)
        refused += want == "refused"
        assert got == want, document
    return refused


@pytest.mark.parametrize("part", range(4))
def test_scanner_and_model_agree_on_made_and_mutated_documents(part):
    r = random.Random(SEED + part)
    made = [make(r, r.randrange(6)).encode("utf-8") for _ in range(COUNT // 8)]
    assert compare(made) == 0
    refused = compare([mutate(r, d) for d in made])
    # Both kinds have to occur, or nothing was compared.
    assert len(made) // 10 < refused < len(made)


def test_scanner_and_model_agree_on_every_pair_of_pieces():
    """Every two pieces, alone, in a string, as a value and as a key."""
    documents = [p % (a + b) for a in PIECES for b in PIECES for p in (b"%s", b'"%s"', b'[%s]', b'{%s:1}', b'{"a":%s}')]
    assert 0 < compare(documents) < len(documents)


def test_the_scanner_refuses_what_is_deeper_than_its_ceiling():
    """The one place where the scanner is stricter: its ceiling."""
    for opening, closing, levels in ((b"[", b"]", 1), (b'{"a":', b"}", 1), (b'[{"a":', b"}]", 2)):
        fits, deeper = (opening * n + b"1" + closing * n for n in (256 // levels, 256 // levels + 1))
        assert scan([fits, deeper]) == [expected(fits), "refused"]
        assert expected(deeper) != "refused"
