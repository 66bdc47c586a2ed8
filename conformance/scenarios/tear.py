"""The ends of a session."""

import signal
import subprocess

from evidence import Evidence
from scenarios.base import (
    ALLOWLIST, EVERYWHERE, NETWORKED, REQUEST, answering, converse, nothing_happens, parallel, plain, scenario,
    world_of)
from scenarios.retry import busy
from worlds import PATIENCE, now_us, wait_until

STRAYS = {"podman": 2, "docker": 1}  # of a session that is up


def ending(lab, runtime, name, mode, act, package=None, settle=10, flags=()):
    if package is None and runtime.family != "bwrap":
        package = ALLOWLIST
    with world_of(lab, runtime, name, package) as world:
        session = world.start(*mode, world.marker, flags=flags)
        act(world, session)
        session.finish()
        return world.evidence(session, settle)


@scenario(*EVERYWHERE)
def client_eof(lab, runtime):
    """The replies are due only after the end of input."""
    def act(world, session):
        session.send(b"".join(REQUEST % n for n in range(1, 6)))
        session.await_errors(b"light ready")
        session.close()
    return ending(lab, runtime, "client_eof", ("late",), act)


@scenario(*EVERYWHERE)
def server_exit(lab, runtime):
    return ending(lab, runtime, "server_exit", ("exit", "3"), lambda _, session: session.send(REQUEST % 1))


@scenario(*EVERYWHERE)
def server_crash(lab, runtime):
    return ending(lab, runtime, "server_crash", ("crash",), lambda _, session: session.send(REQUEST % 1))


@scenario(*EVERYWHERE)
def start_failure(lab, runtime):
    if runtime.family == "bwrap":
        return start_failure_bwrap(lab, runtime)
    if "live" in runtime.decides:
        return start_failure_live(lab, runtime)

    def early(cassette):
        answering("run", stderr="Error: image not found: docker.io/library/node:lts-slim\n", exit=1)(cassette)
        nothing_happens(cassette, "run")

    def late(cassette):  # the record stays: --rm does not cover what never started
        answering("run", stderr='Error: failed to bootstrap container (cause: "internalError: "no VM"")\n', exit=1)(cassette)
    return parallel(lab, runtime, "start_failure", [
        (name, lambda edit=edit: plain(lab, runtime, "start_failure", ALLOWLIST, edit))
        for name, edit in (("early", early), ("late", late))])


def start_failure_live(lab, runtime):
    """The real CLI refuses to start the server: the way to run it that it is given does not exist."""
    with world_of(lab, runtime, "start_failure", ALLOWLIST) as world:
        runtime.prepare(world, fault={"name": "no such runtime", "words": [world.marker],
                                      "insert": ["--runtime", "/nonexistent/runtime"]})
        session = world.start("answer", world.marker)
        session.close()
        session.finish()
        return Evidence("start_failure", runtime.name, parts={"late": world.evidence(session)})


def start_failure_bwrap(lab, runtime):
    """A bwrap that says no, found before the real one."""
    with world_of(lab, runtime, "start_failure") as world:
        directory = world.home / "cli"
        directory.mkdir()
        fake = directory / "bwrap"
        fake.write_text("#!/bin/sh\n[ \"$1\" = --version ] && exec /usr/bin/bwrap --version\n"
                        "echo 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        fake.chmod(0o755)
        world.path = "%s:%s" % (directory, world.path)
        session = world.start("answer", world.marker)
        session.close()
        session.finish()
        return Evidence("start_failure", runtime.name, parts={"early": world.evidence(session)})


def signalled(lab, runtime, name, number, group=False, mode="answer", edit=None):
    package = ALLOWLIST if runtime.family != "bwrap" else None
    with world_of(lab, runtime, name, package, edit) as world:
        session = world.start(mode, world.marker)
        if mode == "stubborn":
            was_up = session.await_output(b"ready")
        else:
            was_up = converse(world, session)
        was_up = was_up and not world.sandbox_is_gone()
        if strays := STRAYS.get(runtime.family):  # what looks for them has to see those of a session that is up
            was_up = was_up and wait_until(lambda: len(runtime.strays(world)) == strays, 10, 0.1)
        session.signal(number, group)
        patience = 4 if lab.quick else 20
        if wait_until(world.sandbox_is_gone, patience, 0.005):
            session.mark("sandbox gone")
        session.finish(patience)
        if edit is not None:  # the network was busy; now it is free
            wait_until(lambda: now_us() - session.marks["signal"] > 3500000, 10)
            session.mark("free")
            runtime.load(world)
        if wait_until(world.networks_are_gone, 5 if lab.quick else 70, 0.02):
            session.mark("network gone")
        if wait_until(world.is_clean, patience, 0.02):
            session.mark("clean")
        evidence = world.evidence(session, 0)
        evidence.seen["was up"] = was_up
        return evidence


def each_server(lab, runtime, name, number):
    jobs = [(mode, lambda mode=mode: signalled(lab, runtime, name, number, mode=mode)) for mode in ("answer", "stubborn")]
    if runtime.family == "replay":
        jobs.append(("busy network", lambda: signalled(lab, runtime, name, number, edit=busy(for_ms=600000))))
    return parallel(lab, runtime, name, jobs)


@scenario(*EVERYWHERE, timed=True)
def sigterm(lab, runtime):
    return each_server(lab, runtime, "sigterm", signal.SIGTERM)


@scenario(*EVERYWHERE, timed=True)
def sigint(lab, runtime):
    return each_server(lab, runtime, "sigint", signal.SIGINT)


@scenario(*EVERYWHERE, timed=True)
def sighup(lab, runtime):
    return each_server(lab, runtime, "sighup", signal.SIGHUP)


@scenario(*EVERYWHERE, timed=True)
def sigkill(lab, runtime):
    return parallel(lab, runtime, "sigkill", [
        ("%s, %s" % (mode, "group" if group else "launcher"),
         lambda mode=mode, group=group: signalled(lab, runtime, "sigkill", signal.SIGKILL, group, mode))
        for mode in ("answer", "stubborn") for group in (False, True)])


FAULTS = ("exit1", "exit1-done", "killed", "empty", "truncated", "hang")

# A start that never comes to an end looks like one that fetches an image; only the client can give up on it. This one
# does so after as many seconds, and the launcher's time is bounded with these in it.
PATIENT_CLIENT = 10


@scenario("replay")
def torture(lab, runtime):
    """The same session again and again, its k-th call of the CLI failing in each way."""
    whole = Evidence("torture", runtime.name)
    calm = plain(lab, runtime, "torture", ALLOWLIST)
    whole.parts["calm"] = calm
    count = len(calm.calls)
    faults = FAULTS if not lab.quick else ("exit1", "exit1-done", "empty")
    jobs = []
    for number in range(1, count + 1):
        for fault in faults:
            if lab.quick and (number + faults.index(fault)) % 2 and calm.calls[number - 1].kind != "rm":
                continue
            jobs.append(("%d:%s" % (number, fault),
                         lambda fault="%d:%s" % (number, fault):
                         plain(lab, runtime, "torture", ALLOWLIST, fault=fault, settle=30, patience=PATIENT_CLIENT)))
    whole.parts.update(parallel(lab, runtime, "torture", jobs).parts)
    whole.seen["calls"] = [call.kind for call in calm.calls]
    return whole


@scenario(*NETWORKED)
def foreign(lab, runtime):
    """Networks and a container that are not npxc's but look as if, through a session that ends well, one that fails
    and one that is killed."""
    whole = Evidence("foreign", runtime.name)
    own = ["npxc-0b5e9f7c3d214a68%s" % "8f00aa11bb22cc33", "npxc-other-1a2b3c4d", "lab-net"]

    def job(how):
        def play():
            edit = answering("network-inspect", stdout="[]\n") if how == "fails" else None
            with world_of(lab, runtime, "foreign", ALLOWLIST, edit) as world:
                for name in own:
                    runtime.cli(world, "network", "create", "--internal", name)
                keeper = None
                if runtime.family == "replay":
                    keeper = subprocess.Popen(
                        [str(world.home / "cli" / "container"), "run", "--rm", "-i", "--name", "npxc-light-0badcafe",
                         "--network", own[0], "node:lts-slim", "sh", "-c", "echo up; cat"],
                        env={"PATH": "/usr/bin:/bin", "HOME": str(world.home), "CONFORMANCE_FOREIGN": "1"},
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
                    keeper.stdout.readline()
                world.foreign = own + (["npxc-light-0badcafe"] if keeper else [])
                try:
                    session = world.start("answer", world.marker)
                    if how != "fails":
                        converse(world, session)
                    if how == "killed":
                        session.signal(signal.SIGKILL, group=True)
                    session.close()
                    session.finish()
                    wait_until(lambda: world.sandbox_is_gone() and world.networks_are_gone(), 10)
                    evidence = world.evidence(session, settle=0)
                    evidence.processes_left = []  # the foreign container's are among them
                    return evidence
                finally:
                    if keeper:
                        keeper.stdin.close()
                        keeper.wait(PATIENCE)
                        keeper.stdout.close()
                    for name in own:
                        runtime.cli(world, "network", "rm", name)
        return play
    hows = ("ends", "fails", "killed") if runtime.family == "replay" else ("ends", "killed")
    whole.parts = {how: job(how)() for how in hows}
    return whole
