"""Bytes between client and server."""

import os
import pathlib
import re

from evidence import Evidence
from scenarios.base import EVERYWHERE, REPLY, REQUEST, scenario, tell, world_of
from templates import filled

NASTY = [
    b'{"jsonrpc":"2.0","method":"m","params":{"n":9007199254740993,"f":1.0,"e":1E+2,"z":-0}}\n',
    b'{"method":"twice","method":"again","jsonrpc":"2.0","params":{}}\n',
    b'{ "jsonrpc" : "2.0" ,\t"method":"spaces" , "params" : { } }\n',
    b'{"jsonrpc":"2.0","method":"esc","params":{"a":"\\u00e9\\/\\u0000\\ud83d\\ude00\\"\\\\"}}\n',
    '{"jsonrpc":"2.0","method":"utf8","params":{"a":"é漢字😀"}}\n'.encode(),
    b'{"jsonrpc":"2.0","method":"crlf","params":{}}\r\n',
    b'\xef\xbb\xbf{"jsonrpc":"2.0","method":"mark","params":{}}\n',
    b'{"z":1,"jsonrpc":"2.0","a":2,"method":"order","params":{"b":[],"a":{}}}\n',
]


@scenario(*EVERYWHERE)
def nasty_lines(lab, runtime):
    package = {"network": {"mode": "none"}}
    with world_of(lab, runtime, "nasty_lines", package) as world:
        session = world.start("echo", world.marker)
        for line in NASTY:
            session.send(line)
        session.await_output(NASTY[-1])
        session.close()
        session.finish()
        return world.evidence(session)


@scenario(*EVERYWHERE, alone=True)
def large_line(lab, runtime):
    """64 MiB to the server and the same back."""
    size = 64 << 20
    head, tail = b'{"jsonrpc":"2.0","method":"large","params":{"a":"', b'"}}\n'
    with world_of(lab, runtime, "large_line", {"network": {"mode": "none"}}) as world:
        session = world.start("echo", world.marker)
        piece = bytes(range(97, 113)) * (1 << 16)
        session.send(head)
        for _ in range(size // len(piece)):
            if not session.send(piece):
                break
        session.send(tail)
        session.await_output(tail)
        peak = max([peak_kib(pid) for pid in group_members(session.process.pid)] or [0])
        session.close()
        session.finish()
        out = bytes(session.out)
        session.out.clear()
        evidence = world.evidence(session)
        evidence.sent, evidence.out = b"", b""
        evidence.seen = {"wanted bytes": len(head) + size + len(tail), "bytes": len(out), "peak_kib": peak,
                         "same": out == head + piece * (size // len(piece)) + tail}
        return evidence


def group_members(group):
    found = []
    for entry in os.listdir("/proc"):
        try:
            fields = pathlib.Path("/proc", entry, "stat").read_text().rsplit(")", 1)[1].split() if entry.isdigit() else None
        except OSError:
            continue
        if fields and int(fields[2]) == group:
            found.append(int(entry))
    return found


def peak_kib(pid):
    """Of a process's private memory; what it maps of its own program and libraries is not its buffers."""
    try:
        text = pathlib.Path("/proc/%d/status" % pid).read_text()
        command = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
    except OSError:
        return 0
    if any(program + b"\0run" in command for program in (b"container", b"podman", b"docker")):
        return 0  # the CLI is the runtime's, not the launcher's
    found = re.search(r"VmHWM:\s*(\d+)", text)
    return int(found[1]) if found else 0


@scenario(*EVERYWHERE)
def piped(lab, runtime):
    """printf requests | launcher package"""
    count = 500
    with world_of(lab, runtime, "piped", {"network": {"mode": "none"}}) as world:
        session = world.start("answer", world.marker)
        session.send(b"".join(REQUEST % n for n in range(1, count + 1)))
        session.close()
        session.finish()
        evidence = world.evidence(session)
        evidence.seen["requests"] = count
        return evidence


ARGUMENTS = ["a b", "--", "-y", "--json", "", "$HOME", "*", "é", "--flag=x", "-p", "--network", "open", "'", "\\", "-e", "A=1"]


@scenario(*EVERYWHERE)
def arguments(lab, runtime):
    with world_of(lab, runtime, "arguments", {"network": {"mode": "none"}}) as world:
        session = world.start("args", *ARGUMENTS, world.marker)
        session.await_output(b"]}}\n")
        session.close()
        session.finish()
        evidence = world.evidence(session)
        evidence.seen["wanted"] = ARGUMENTS + [world.marker]
        return evidence


# ---- what is not forwarded ----

# (id as it stands in the message, arguments, has it to be refused?): a file that nobody copies, and others
OUT = b'{"path":"<<huge.bin>>"}'
CALLS = [(identity, OUT, None) for identity in (b"0", b"1", b'"1"', b"-7", b"9007199254740993", b'"a\\u00e9\\/\\"b"', b'"\xc3\xa9"', b'""')] + [
    (b"100", b'{"path":"<<a.txt>>"}', False), (b"101", b'{"path":"<<not-there.txt>>"}', None),
    (b"102", b'{"path":"<<a.txt>>","all":["/etc/passwd"]}', None), (b"103", b'{"path":"/etc/passwd","path":"<<a.txt>>"}', None)]
CALL = b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"t","arguments":%s}}'
IN_BATCH = [(b"200", OUT, None), (b"201", b'{"path":"<<a.txt>>"}', None), (b'"202"', OUT, None)]
BATCH = b"[" + b",".join(CALL % call[:2] for call in IN_BATCH) + b"]\n"
NOTED = b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"t","arguments":%s}}\n' % OUT


@scenario(*EVERYWHERE)
def refusals(lab, runtime):
    """Requests that a launcher may fail to serve, with ids of every kind, and one that it has to forward."""
    evidence = tell(lab, runtime, "refusals", [CALL % call[:2] + b"\n" for call in CALLS] + [BATCH, NOTED])
    evidence.seen["calls"] = [(identity, refused) for identity, _, refused in CALLS + IN_BATCH]
    return evidence


# ---- what a server prints beside messages ----

@scenario(*EVERYWHERE)
def chatter(lab, runtime):
    whole = Evidence("chatter", runtime.name)
    for label, package in (("guarded", {}), ("not guarded", {"stdout_guard": False})):
        with world_of(lab, runtime, "chatter", {"network": {"mode": "none"}, **package}) as world:
            session = world.start("chatty", world.marker)
            for number in range(1, 4):
                session.send(REQUEST % number)
                session.await_output(REPLY % number)
            # who ends a server too soon is no concern of this one
            session.await_(lambda: (session.out + session.err).count(b"done: [1]") == 3 or session.over, 5)
            session.close()
            session.finish()
            whole.parts[label] = world.evidence(session)
    return whole


# ---- both eras ----

HANDSHAKE = [
    b'{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{"roots":'
    b'{"listChanged":true},"sampling":{}},"clientInfo":{"name":"c","version":"1"}}}\n',
    b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n',
    b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}\n',
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"_meta":{"progressToken":"p"},"name":"t","arguments":'
    b'{"path":"<<a.txt>>"}}}\n',
    b'{"jsonrpc":"2.0","id":"s1","result":{"role":"assistant","content":{"type":"text","text":"yes"},"model":"m"}}\n',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":99}}\n',
    b'{"jsonrpc":"2.0","id":3,"method":"ping"}\n',
]
HANDSHAKE_SAID = {
    0: [b'{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":'
        b'{"name":"s","version":"1"},"instructions":"none"}}\n'],
    1: [b'{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"t","inputSchema":{"type":"object"}}]}}\n'],
    2: [b'{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":"p","progress":1}}\n',
        b'{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"maxTokens":1,"messages":'
        b'[{"role":"user","content":{"type":"text","text":"<<>>?"}}]}}\n',
        b'{"jsonrpc":"2.0","id":2,"result":{"content":[{"type":"text","text":"<<>>"}]}}\n'],
    3: [b'{"jsonrpc":"2.0","id":3,"result":{}}\n'],
}
META = (b'"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":'
        b'{"name":"c","version":"1"},"io.modelcontextprotocol/clientCapabilities":{"elicitation":{}}}')
STATELESS = [
    b'{"jsonrpc":"2.0","id":1,"method":"server/discover","params":{%s}}\n' % META,
    b'{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{%s,"name":"t","arguments":{"path":"<<a.txt>>"}}}\n' % META,
]
AGAIN = (b'{"jsonrpc":"2.0","id":%%d,"method":"tools/call","params":{%s,"name":"t","inputResponses":{"q":{"action":"accept",'
         b'"content":{"part":"first"}}},"requestState":"%%s","arguments":{"path":"<<a.txt>>"}}}\n' % META)
STATELESS_SAID = {
    1: [b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":'
        b'{"tools":{}},"serverInfo":{"name":"s","version":"1"}}}\n'],
    2: [b'{"jsonrpc":"2.0","id":2,"result":{"resultType":"input_required","inputRequests":{"q":{"method":"elicitation/create",'
        b'"params":{"message":"which part of <<>>?","requestedSchema":{"type":"object","properties":{}}}}},'
        b'"requestState":"<<>>"}}\n'],
    4: [b'{"jsonrpc":"2.0","id":4,"result":{"resultType":"complete","content":[{"type":"text","text":"<<>>"}]}}\n'],
}


@scenario(*EVERYWHERE)
def eras(lab, runtime):
    """A conversation of each era. In the second a state that looks like a path goes to and fro."""
    def go_on(world, session):
        session.await_output(b'"requestState"')
        found = re.search(rb'"requestState":"([^"]*)"', bytes(session.out))
        sent = [AGAIN % (3, found[1] if found else b""), AGAIN % (4, b"<<a.txt>>")]
        for template in sent:
            session.send(filled(template, world.project))
        return sent
    whole = Evidence("eras", runtime.name)
    whole.parts = {"handshake": tell(lab, runtime, "eras", HANDSHAKE, HANDSHAKE_SAID),
                   "stateless": tell(lab, runtime, "eras", STATELESS, STATELESS_SAID, go_on)}
    return whole
