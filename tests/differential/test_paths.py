"""What npxc makes of a client's messages is what a model in Python makes of them: the same values are taken for paths, the
same messages are refused, and of the bytes only those values change.

The model reads with Python's json and finds places by their keys; it shares nothing with npxc but the rules.
NPXC_DIFFERENTIAL_SEED and NPXC_DIFFERENTIAL_COUNT change what is made.
"""

import json
import os
import pathlib
import random
import re
import struct
import subprocess

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = pathlib.Path(os.environ.get("NPXC_BUILD", TOP / "build")) / "differential" / "paths"
SEED = int(os.environ.get("NPXC_DIFFERENTIAL_SEED", "20240607"))
COUNT = int(os.environ.get("NPXC_DIFFERENTIAL_COUNT", "20000"))

CONFIG = {"paths": {"strategies": ["config", "schema", "heuristic"]}}
PACKAGE = {"path_arguments": {"t": ["named", "/list/*/file"], "*": ["all"]},
           "non_path_arguments": {"t": ["never", "/deep/0"], "*": ["none"]}, "output_arguments": {"t": ["out"]}}
NODE = {"properties": {"dir": {"type": "string"}, "children": {"items": {"$ref": "#/$defs/node"}}}}
TOOLS = {"tools": [{"name": "t", "inputSchema": {"$defs": {"node": NODE}, "properties": {
    "path": {"type": "string"}, "paths": {"type": "array", "items": {"type": "string"}}, "link": {"type": "string", "format": "uri"},
    "tree": {"$ref": "#/$defs/node"}, "content": {"type": "string", "description": "Text for the path"}}}}]}

STRINGS = ["", "x", "a/b", "./x", "/", "/x", "/x y/\"z\"", "//", "// x", "//x", "/*x*/", "~", "~/x", "~x", "file:///x", "FILE:/x", "https://x/y",
           "data:,x", "memo:x", "/two\nlines", "plain\r", "/\u0000", "/é😀", "é", "\ud800", "/\ud800", "/" + 4094 * "n", "/" + 4095 * "n"]
KEYS = ["named", "list", "file", "all", "never", "deep", "none", "out", "path", "paths", "link", "tree", "dir", "children", "content", "other",
        "arguments", "uri", "requestState", "é"]


class Members(list):
    """An object with all its members."""


def read(text):
    return json.loads(text, object_pairs_hook=Members)


def members(value):
    return value if isinstance(value, Members) else []


def elements(value):
    return value if isinstance(value, list) and not isinstance(value, Members) else []


def last(value, key):
    found = [v for k, v in members(value) if k == key]
    return found[-1] if found else None


# The model: a value is taken when what stands here says so. A place is a tuple of keys and indices below the arguments.

def below(place, *wanted):
    return len(place) >= len(wanted) and all(w in ("*", p) for w, p in zip(wanted, (str(p) for p in place)))


def by_config(place, tool):
    return below(place, "all") or (tool == "t" and (below(place, "named") or below(place, "list", "*", "file") or below(place, "out")))


def never(place, tool):
    return below(place, "none") or (tool == "t" and (below(place, "never") or below(place, "deep", "0")))


def says_schema(place, tool):
    """ "path", "uri" or nothing. A step into `items` fits members as well: the place tells no array from an object. """
    if tool != "t" or not place:
        return None
    if place == ("path",) or (len(place) == 2 and place[0] == "paths"):
        return "path"
    if place == ("link",):
        return "uri"
    if place[0] == "tree":
        rest = place[1:]
        while len(rest) >= 2 and rest[0] == "children":
            rest = rest[2:]
        return "path" if rest == ("dir",) else None
    return None


def is_uri(text):
    return text[:5].lower() == "file:"


def takes(text, place, tool, protocol):
    if text == "" or (not is_uri(text) and (re.match(r"[A-Za-z0-9+.-]+://", text) or text[:5].lower() == "data:")):
        return False
    if place is not None and never(place, tool):
        return False
    if protocol and is_uri(text):
        return True
    one_line = "\n" not in text and "\r" not in text
    if place is not None and by_config(place, tool):
        return True
    said = says_schema(place, tool) if place is not None else None
    if one_line and (said == "path" or (said == "uri" and is_uri(text))):
        return True
    if not one_line or len(text.encode("utf-8", "surrogatepass")) > 4095:
        return False
    if text.startswith("/"):
        return not (text in ("/", "//") or text[1:2] in ("*", " ") or text.startswith("// "))
    return text.startswith("~/") or text[:7].lower() == "file://"


class Model:
    """Numbers all strings that are values in the order of the text, and keeps those that are paths and the keys on their way."""

    def __init__(self):
        self.number = 0
        self.found = set()
        self.refused = False

    def skip(self, value):
        self.look(value, lambda *_: None)

    def look(self, value, take, place=(), way=()):
        if isinstance(value, Members):
            keys = [k for k, _ in value]
            for k, v in value:
                self.look(v, take, place + (k,), way + ((keys.count(k) > 1),))
        elif isinstance(value, list):
            for i, v in enumerate(value):
                self.look(v, take, place + (i,), way)
        elif isinstance(value, str):
            if take(value, place, way):
                self.found.add(self.number)
                self.refused = self.refused or any(way)
            self.number += 1

    def message(self, message):
        if not isinstance(message, Members):
            return self.skip(message)
        before = len(self.found)
        keys = [k for k, _ in message]
        method, params = last(message, "method"), last(message, "params")
        tool = last(params, "name") if method == "tools/call" else None
        tool = tool if isinstance(tool, str) else None
        if tool is not None and re.search("[\ud800-\udfff]", tool):
            self.refused = True
        self.look(message, lambda text, place, way: self.take(message, place, text, method, tool))
        if len(self.found) > before:
            known = [k for k in keys if k in ("id", "method", "params", "result", "error")]
            self.refused = self.refused or len(known) != len(set(known))
            if method == "tools/call":
                self.refused = self.refused or [k for k, _ in members(params)].count("name") > 1

    def take(self, message, place, text, method, tool):
        here, protocol = None, False
        rest = place[1:]
        if method is None:
            # Of two results the one on the way is told by what it is, not by its place: one is generated at most.
            if "params" in place[:1] or place[:1] != ("result",):
                return False
            return self.answer(last(message, "result"), rest, text)
        if place[:1] != ("params",) or not rest:
            return False
        if rest[0] == "inputResponses" and len(rest) > 2:
            return self.answer(last(last(last(message, "params"), "inputResponses"), rest[1]), rest[2:], text)
        if method == "tools/call" and rest[0] == "arguments":
            here = rest[1:]
        elif method == "prompts/get" and rest[0] == "arguments":
            here = rest[1:]
        elif method == "completion/complete":
            if rest[:2] == ("argument", "value"):
                name = last(last(last(message, "params"), "argument"), "name")
                here = ((name,) if isinstance(name, str) else ()) + rest[2:]
            elif rest[:2] == ("context", "arguments"):
                here = rest[2:]
            elif rest == ("ref", "uri"):
                protocol = True
            else:
                return False
        elif method in ("resources/read", "resources/subscribe", "resources/unsubscribe"):
            if rest != ("uri",):
                return False
            protocol = True
        elif method == "subscriptions/listen":
            listed = last(last(last(message, "params"), "notifications"), "resourceSubscriptions")
            if not (len(rest) == 3 and rest[:2] == ("notifications", "resourceSubscriptions") and elements(listed)):
                return False
            protocol = True
        else:
            return False
        return takes(text, here, tool, protocol)

    def answer(self, answer, place, text):
        keys = [k for k, _ in members(answer)]
        if "action" in keys:
            return place[:1] == ("content",) and takes(text, place[1:], None, False)
        if "role" in keys or "roots" not in keys or place[:1] != ("roots",):
            return False
        return len(place) == 3 and isinstance(place[1], int) and place[2] in ("uri", "name") and takes(text, None, None, True)


TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?', re.DOTALL)


def expected(text):
    try:
        value = read(text)
    except ValueError:
        return b"F"
    model = Model()
    # Only a list is a batch; of the messages in it one that is refused decides for the line.
    for message in elements(value) if elements(value) else [value]:
        model.message(message)
    if model.refused:
        return b"R"
    out, at, number, replaced = "", 0, 0, 0
    for token in TOKEN.finditer(text):
        if token.group(1) is not None:
            continue
        if number in model.found:
            out += text[at:token.start()] + f'"/workspace/{replaced}/\\"\\\\\\u000aé"'
            at = token.end()
            replaced += 1
        number += 1
    line = (out + text[at:]).encode("utf-8", "surrogatepass")
    return b"O" + struct.pack("<I", len(line)) + line


# What is made: messages with their parts at their places and elsewhere.

def string(r):
    text = r.choice(STRINGS)
    out = json.dumps(text, ensure_ascii=True if re.search("[\ud800-\udfff]", text) else r.random() < 0.5)
    if r.random() < 0.2:
        out = out.replace("/", "\\/" if r.random() < 0.5 else "\\u002f")
    return out


def key(r, name):
    if r.random() < 0.1 and name:
        return '"\\u%04x%s"' % (ord(name[0]), name[1:])
    return json.dumps(name, ensure_ascii=False)


def space(r):
    return r.choice(["", "", "", "", " ", "\t", "\r\n "])


def an_object(r, pairs):
    pairs = list(pairs)
    if pairs and r.random() < 0.04:
        pairs.append((r.choice(pairs)[0], value(r, 1)))
    if r.random() < 0.3:
        r.shuffle(pairs)
    return "{" + ",".join(f"{space(r)}{key(r, k)}{space(r)}:{space(r)}{v}{space(r)}" for k, v in pairs) + "}"


def value(r, depth):
    kind = r.randrange(8)
    if depth <= 0 or kind < 4:
        return string(r) if kind != 3 else r.choice(["9007199254740993", "-0.0e+1", "true", "null", "{}", "[]"])
    if kind < 6:
        return an_object(r, [(k, value(r, depth - 1)) for k in r.sample(KEYS, r.randrange(4))])
    return "[" + ",".join(space(r) + value(r, depth - 1) for _ in range(r.randrange(4))) + "]"


def arguments(r):
    if r.random() < 0.05:
        return value(r, 2)
    return an_object(r, [(k, value(r, r.randrange(4))) for k in r.sample(KEYS, r.randrange(6))])


def answer(r):
    kind = r.randrange(3)
    if kind == 0:
        root = lambda: an_object(r, [("uri", string(r)), ("name", string(r)), ("other", string(r))])
        return an_object(r, [("roots", "[" + ",".join(root() for _ in range(r.randrange(3))) + "]"), ("other", string(r))])
    if kind == 1:
        return an_object(r, [("action", '"accept"'), ("content", arguments(r)), ("other", string(r))])
    return an_object(r, [("tools", value(r, 3)), ("uri", string(r))])


def params(r, method):
    out = [("_meta", value(r, 2)), ("requestState", string(r))] if r.random() < 0.3 else []
    if method in ("tools/call", "prompts/get"):
        out += [("name", r.choice(['"t"', '"\\u0074"', '"u"', "7", '"\\ud800"'] + 8 * ['"t"'])), ("arguments", arguments(r))]
    elif method == "completion/complete":
        out += [("ref", an_object(r, [("type", '"ref/resource"'), ("uri", string(r))])),
                ("argument", an_object(r, [("name", json.dumps(r.choice(KEYS))), ("value", string(r))])),
                ("context", an_object(r, [("arguments", arguments(r)), ("other", string(r))]))]
    elif method == "subscriptions/listen":
        out += [("notifications", an_object(r, [("resourceSubscriptions", "[" + ",".join(string(r) for _ in range(3)) + "]"), ("x", string(r))]))]
    else:
        out += [("uri", string(r)), ("cursor", string(r))]
    if r.random() < 0.2:
        out.append(("inputResponses", an_object(r, [(k, answer(r)) for k in r.sample(KEYS, 2)])))
    return an_object(r, out)


METHODS = ["tools/call", "tools/call", "tools/call", "prompts/get", "completion/complete", "subscriptions/listen", "resources/read",
           "resources/subscribe", "resources/unsubscribe", "tools/list"]


def message(r):
    if r.random() < 0.2:
        return an_object(r, [("jsonrpc", '"2.0"'), ("id", r.choice(["1", '"/id"'])), ("result", answer(r))])
    method = r.choice(METHODS)
    out = [("jsonrpc", '"2.0"'), ("id", r.choice(["1", '"/id"', "1.0"])), ("method", f'"{method}"')]
    return an_object(r, out + [("params", params(r, method))])


def line(r):
    if r.random() < 0.1:
        return "[" + ",".join(message(r) if r.random() < 0.9 else value(r, 1) for _ in range(r.randrange(1, 4))) + "]"
    return space(r) + message(r) + space(r)


def is_decided(text):
    """Where a key that leads on occurs twice npxc goes through both; the model looks only at the last, so it decides nothing."""
    def doubled(value, depth=0):
        if isinstance(value, Members):
            keys = [k for k, _ in value]
            structure = ("params", "result", "method", "inputResponses", "notifications", "resourceSubscriptions", "argument", "context", "ref",
                         "roots", "action", "role")
            if any(keys.count(k) > 1 for k in structure) or ("value" in keys and keys.count("name") > 1):
                return True
            answers = [k for k, _ in members(last(value, "inputResponses"))]
            if len(answers) != len(set(answers)):
                return True
            return any(doubled(v) for _, v in value)
        return any(doubled(v) for v in value) if isinstance(value, list) else False
    return not doubled(read(text))


def run(lines):
    documents = [json.dumps(d).encode() for d in (CONFIG, PACKAGE, TOOLS)] + lines
    sent = b"".join(struct.pack("<I", len(d)) + d for d in documents)
    done = subprocess.run([PROGRAM], input=sent, stdout=subprocess.PIPE, timeout=300, check=True)
    out, at = [], 0
    while at < len(done.stdout):
        end = at + 1
        if done.stdout[at:end] == b"O":
            end += 4 + struct.unpack_from("<I", done.stdout, end)[0]
        out.append(done.stdout[at:end])
        at = end
    assert len(out) == len(lines)
    return out


@pytest.mark.parametrize("part", range(4))
def test_made_messages(part):
    r = random.Random(SEED + part)
    texts = [t for t in (line(r) for _ in range(COUNT // 8)) if is_decided(t)]
    lines = [t.encode("utf-8") for t in texts]
    same = changed = refused = 0
    for text, sent, got in zip(texts, lines, run(lines)):
        want = expected(text)
        assert got == want, text
        refused += want == b"R"
        same += want[5:] == sent
        changed += want[:1] == b"O" and want[5:] != sent
    # All three have to occur often, or nothing was compared.
    assert min(same, changed, refused) > len(texts) // 100, (same, changed, refused)


def test_no_path_no_change():
    """Where nothing is a path, a message's bytes are its own, whatever its white space, escapes, numbers and equal keys."""
    r = random.Random(SEED)

    def harmless(token):
        keep = token.group(1) is not None or read(token.group(0)) in METHODS
        return token.group(0) if keep else '"https:\\/\\/h/\\u006f"'

    lines = [TOKEN.sub(harmless, line(r)).encode("utf-8") for _ in range(COUNT // 10)]
    for sent, got in zip(lines, run(lines)):
        assert got[:1] == b"O" and got[5:] == sent


def test_what_is_no_json_is_forwarded():
    assert run([b"", b"{", b'{"a":"/x"} x', b"{\"a\":\"\xff\"}", b"Server started"]) == [b"F"] * 5
