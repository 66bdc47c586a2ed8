"""Bytes between client and server."""

import os
import pathlib
import re

from scenarios.base import EVERYWHERE, REQUEST, scenario, world_of


NASTY = [
    b'{"jsonrpc":"2.0","method":"m","params":{"n":9007199254740993,"f":1.0,"e":1E+2,"z":-0}}\n',
    b'{"method":"twice","method":"again","jsonrpc":"2.0","params":{}}\n',
    b'{ "jsonrpc" : "2.0" ,\t"method":"spaces" , "params" : { } }\n',
    b'{"jsonrpc":"2.0","method":"esc","params":{"a":"\\u00e9\\/\\u0000\\ud83d\\ude00\\"\\\\"}}\n',
    '{"jsonrpc":"2.0","method":"utf8","params":{"a":"é漢字😀"}}\n'.encode(),
    b'{"jsonrpc":"2.0","method":"crlf","params":{}}\r\n',
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
    if b"container\0run" in command or b"podman\0run" in command:
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
