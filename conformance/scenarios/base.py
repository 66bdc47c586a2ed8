"""What a scenario is, and how most of them are played. It plays one or several runs on one runtime and returns what was
seen; it judges nothing. Faults of a CLI are edits of the release's cassette, so only replay has those scenarios.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import subprocess

from evidence import Evidence
from templates import filled, said, sed
from worlds import EVERYWHERE, LIVE, NETWORKED, PATIENCE, PROBE, World, paths_below, processes_with  # noqa: F401: families, for the areas

SCENARIOS = {}
ALLOWLIST = {"network": {"mode": "allowlist", "link": "gateway", "allow": ["example.org"]}}
REQUEST = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n'
REPLY = b'{"jsonrpc":"2.0","id":%d,"result":{}}\n'


class Scenario:
    def __init__(self, function, families, timed, alone):
        self.name, self.function, self.families = function.__name__, function, families
        self.timed = timed  # its figures depend on an idle machine
        self.alone = alone  # it makes the machine busy

    def play(self, lab, runtime):
        try:
            return self.function(lab, runtime)
        except (AssertionError, OSError, subprocess.TimeoutExpired) as why:
            return Evidence(self.name, runtime.name, problem="%s: %s" % (type(why).__name__, why))


def scenario(*families, timed=False, alone=False):
    def register(function):
        SCENARIOS[function.__name__] = Scenario(function, families, timed, alone)
        return function
    return register


def world_of(lab, runtime, name, package=None, edit=None, cli=None, fault=None):
    world = World(lab, runtime, name)
    runtime.prepare(world, edit, cli, fault)
    if package is not None:
        world.configure_package(package)
    return world


def converse(world, session, patience=PATIENCE):
    """One request and its reply: from here on the session is up."""
    session.send(REQUEST % 1)
    return session.await_output(REPLY % 1, patience)


def plain(lab, runtime, name, package=None, edit=None, fault=None, flags=(), env=None, settle=10, before=None,
          patience=PATIENCE, **run):
    """One session as a client that behaves plays it: a request, its reply, end of input."""
    with world_of(lab, runtime, name, package, edit, fault=fault) as world:
        if before:
            before(world)
        session = world.start("answer", world.marker, flags=flags, env=env, **run)
        converse(world, session, patience)
        session.close()
        session.finish(35 if lab.quick else PATIENCE)
        return world.evidence(session, min(settle, 5) if lab.quick else settle)


def of(cassette, identity):
    return next(i for i in cassette["interactions"] if i["id"] == identity)


def answering(identity, **answer):
    """An edit: this interaction answers otherwise."""
    def edit(cassette):
        of(cassette, identity)["answer"] = {"from": "edited for a scenario", **answer}
    return edit


def nothing_happens(cassette, identity):
    for key in ("effects", "refusals"):
        of(cassette, identity).pop(key, None)


def first_call(identity, **answer):
    """An edit: the first call of this kind answers otherwise, and nothing happens."""
    def edit(cassette):
        one = json.loads(json.dumps(of(cassette, identity)))
        one.update(id=identity + "-first", plays={"least": 0, "most": 1},
                   answer={"from": "edited for a scenario", **answer})
        one.pop("effects", None)
        one.pop("refusals", None)
        cassette["interactions"].insert(0, one)
    return edit


def parallel(lab, runtime, name, jobs, width=8):
    """Several runs of which each mostly waits: (name, function) -> parts."""
    whole = Evidence(name, runtime.name)
    with concurrent.futures.ThreadPoolExecutor(width) as pool:
        futures = {label: pool.submit(job) for label, job in jobs}
        whole.parts = {label: future.result() for label, future in futures.items()}
    return whole


def ask_probe(world, questions, flags=(), env=None, while_up=None):
    """Calls of the probe's tools in one session: {tool or label: result}."""
    session = world.start(world.marker, flags=flags, env=env, server=PROBE)
    answers = {}
    hello = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "conformance", "version": "0"}}}
    session.send(json.dumps(hello).encode() + b"\n")
    if session.await_output(b'"id":0'):
        for number, question in enumerate(questions, 1):
            name, given, label = (*question, question[0])[:3]
            session.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call",
                                     "params": {"name": name, "arguments": given}}).encode() + b"\n")
            if not session.await_output(b'"id":%d,' % number):
                answers[label] = {"ok": False, "code": "no answer"}
                break
            line = next(line for line in bytes(session.out).splitlines() if b'"id":%d,' % number in line)
            try:
                answers[label] = json.loads(json.loads(line)["result"]["content"][0]["text"])
            except (ValueError, KeyError, IndexError) as why:
                answers[label] = {"ok": False, "code": "%s: %s" % (why, line[:100])}
        if while_up:
            answers["while up"] = while_up(session)
    session.close()
    session.finish()
    answers["status"] = session.process.poll()
    answers["stderr"] = bytes(session.err).decode(errors="replace")
    return answers


def sandbox_arguments(world, session):
    """The argument list of the launcher's own child that is the sandbox."""
    for pid in processes_with(world.marker):
        try:
            argv = pathlib.Path("/proc/%d/cmdline" % pid).read_bytes().decode(errors="replace").split("\0")[:-1]
            parent = int(pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(")", 1)[1].split()[1])
        except (OSError, ValueError):
            continue
        if argv and parent == session.process.pid and os.path.basename(argv[0]) == "bwrap":
            return argv
    return None


def mounted_at(world, target):
    """What a process of the sandbox has mounted there, as the kernel says it: a descriptor in the argument list names nothing."""
    for pid in processes_with(world.marker):
        try:
            lines = pathlib.Path("/proc/%d/mountinfo" % pid).read_text().splitlines()
        except OSError:
            continue
        for words in map(str.split, lines):
            if words[4] == target:
                return "%s %s" % (words[2], words[3])  # device, and the directory in its file system
    return None


FILES = {"a.txt": "content of a\n", "sub/b c.txt": "content of b\n", 'sub/odd "näme" \\.txt': "content of odd\n",
         "sub/relative.txt": "content of relative\n", "late/late.txt": "content of late\n",
         "unnamed.txt": "NOT NAMED\n", "sub/unnamed.txt": "NOT NAMED\n"}
WRITE = b'{"jsonrpc":"2.0","method":"write"}\n'
LOOK = b'{"jsonrpc":"2.0","method":"look"}\n'


def make_project(world):
    """Files to be named, others beside them, and secrets outside to which links lead."""
    for name, text in FILES.items():
        (world.project / name).parent.mkdir(exist_ok=True)
        (world.project / name).write_text(text)
    for name in ("outside", "project2"):
        (world.home / name).mkdir()
        (world.home / name / "secret").write_text("SECRET\n")
    (world.project / "link").symlink_to(world.home / "outside" / "secret")
    (world.project / "middle").symlink_to("../outside")
    with open(world.project / "huge.bin", "wb") as file:
        file.truncate((1 << 30) + 1)  # more than anybody copies, and no block on the disk


def copies(world):
    """Files elsewhere than in the project that hold what one of it does."""
    texts = {text.encode() for text in FILES.values()}
    found = []
    for path in paths_below(world.home):
        with contextlib.suppress(OSError):  # gone since it was listed
            if world.project not in path.parents and path.is_file() and path.stat().st_size < 100 and path.read_bytes() in texts:
                found.append(str(path.relative_to(world.home)))
    return found


def tell(lab, runtime, name, lines, answers=None, act=None):
    """A session with a server that tells what it sees. `lines`: templates, or a function of the world; `answers`: what
    the server says to which call; `act` goes on after the lines."""
    with world_of(lab, runtime, name, {"network": {"mode": "none"}}) as world:
        make_project(world)
        sent = list(lines(world) if callable(lines) else lines)
        session = world.start("tell", sed((answers(world) if callable(answers) else answers) or {}), world.marker)
        for template in sent:
            session.send(filled(template, world.project))
        if act:
            sent += act(world, session)
        session.send(LOOK)
        session.await_output(b"notifications/shown")
        session.send(WRITE)
        session.await_output(b"notifications/wrote")
        session.close()
        session.finish()
        evidence = world.evidence(session)
        told, other = said(evidence.out)
        evidence.seen = {**told, "answers": other, "sent": sent, "project": str(world.project), "copies": copies(world),
                         "rooted": "live" in runtime.decides}
        return evidence
