"""The situations in which a launcher is watched. A scenario plays one or several runs on one runtime and returns what
was seen; it judges nothing. Faults of a CLI are edits of the release's cassette, so only replay has those scenarios.
"""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import time

from evidence import Evidence
from worlds import LIGHT, PATIENCE, PROBE, World, now_us, processes_with, wait_until

SCENARIOS = {}
ALLOWLIST = {"network": {"mode": "allowlist", "link": "gateway", "allow": ["example.org"]}}
REQUEST = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n'
REPLY = b'{"jsonrpc":"2.0","id":%d,"result":{}}\n'
BUSY = "failed to delete network: cannot delete subnet ${network} with referring containers: somebody-elses"
FAULTS = ("exit1", "exit1-done", "killed", "empty", "truncated", "hang")


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


EVERYWHERE = ("replay", "podman", "apple", "bwrap")
NETWORKED = ("replay", "podman", "apple")


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


# ---- networks ----

@scenario(*EVERYWHERE)
def unconfigured(lab, runtime):
    return plain(lab, runtime, "unconfigured")


@scenario(*EVERYWHERE)
def none(lab, runtime):
    """Package mode none, although the defaults say otherwise."""
    def before(world):
        world.configure_defaults(network="open")
    evidence = plain(lab, runtime, "none", {"network": {"mode": "none"}}, before=before)
    return with_interfaces(lab, runtime, evidence, {"network": {"mode": "none"}})


@scenario(*EVERYWHERE)
def open_network(lab, runtime):
    evidence = plain(lab, runtime, "open_network", {"network": {"mode": "open"}})
    return with_interfaces(lab, runtime, evidence, {"network": {"mode": "open"}})


def with_interfaces(lab, runtime, evidence, package):
    """Where the sandbox is real, what a server sees of networks."""
    if "live" in runtime.decides:
        with World(lab, runtime, evidence.scenario) as world:
            runtime.prepare(world)
            world.configure_package(package, "npxc-probe")
            evidence.seen["interfaces"] = ask_probe(world, [("interfaces", {})]).get("interfaces")
    return evidence


@scenario(*NETWORKED)
def named(lab, runtime):
    """A network that somebody else made, and a container of theirs."""
    def before(world):
        world.foreign = ["lab-%s" % world.marker[-8:].replace("_", "x").lower()]
        world.runtime.cli(world, "network", "create", "--internal", world.foreign[0])
        world.configure_package({"network": {"mode": world.foreign[0]}})
    with world_of(lab, runtime, "named") as world:
        before(world)
        try:
            session = world.start("answer", world.marker)
            converse(world, session)
            session.close()
            session.finish()
            return world.evidence(session)
        finally:
            world.runtime.cli(world, "network", "rm", world.foreign[0])


@scenario(*NETWORKED)
def allowlist(lab, runtime):
    return plain(lab, runtime, "allowlist", ALLOWLIST)


@scenario("replay", alone=True)
def swarm(lab, runtime):
    """Many sessions, fifty at a time, each with a network of its own."""
    count = 12 if lab.quick else 1000
    whole = Evidence("swarm", runtime.name)
    began = now_us()
    with world_of(lab, runtime, "swarm", ALLOWLIST) as world:
        def one(number):
            session = world.start("answer", world.marker)
            try:
                answered = converse(world, session)
                session.close()
                session.finish(PATIENCE * 3)
                return answered, session.process.poll(), bytes(session.err[-300:]).decode(errors="replace")
            finally:
                world.sessions.remove(session)
                if not session.over:
                    session.process.kill()
                for thread in session.threads:
                    thread.join(5)
                session.process.stdout.close()
                session.process.stderr.close()

        with concurrent.futures.ThreadPoolExecutor(50) as pool:
            results = list(pool.map(one, range(count)))
        took = now_us() - began
        evidence = world.evidence(None, settle=30)
        evidence.scenario = "swarm"
        evidence.seen = {"sessions": count, "took_us": took,
                         "failed": [result for result in results if result[:2] != (True, 0)][:3]}
        return evidence


def shapes(runtime):
    """Inspect outputs of the releases that are accepted, and what only a reader of the first element can take. Each:
    (name, elements, dumped how, may a session start)."""
    new = {"configuration": {"mode": "hostOnly", "name": "${network}", "labels": {}, "options": {},
                             "plugin": "container-network-vmnet", "creationDate": "2026-06-10T09:15:42Z"},
           "id": "${network}",
           "status": {"ipv4Gateway": "192.168.${octet}.1", "ipv4Subnet": "192.168.${octet}.0/24",
                      "ipv6Subnet": "fd8f:2f6b:9a41:1::/64"}}
    old = {"status": {"ipv6Subnet": "fd8f:2f6b:9a41:1::/64", "ipv4Subnet": "192.168.${octet}.0/24",
                      "ipv4Gateway": "192.168.${octet}.1"}, "state": "running", "id": "${network}",
           "config": {"id": "${network}", "labels": {}, "mode": "hostOnly", "creationDate": 799578942.31,
                      "pluginInfo": {"plugin": "container-network-vmnet", "variant": "reserved"}}}

    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(list(value))}
        return value

    def compact(value):
        return json.dumps(value, separators=(",", ":")) + "\n"

    def escaped(value):
        return compact(value).replace("/", "\\/")

    def pretty(value):
        return json.dumps(value, indent=2, separators=(",", " : ")).replace("/", "\\/") + "\n"

    bad = {key: value for key, value in new.items() if key != "status"}
    return [("0.12 compact", escaped([old]), True), ("0.12 turned", compact([turned(old)]), True),
            ("0.12 pretty", pretty([old]), True), ("1.x pretty", pretty([new]), True),
            ("1.x turned", pretty([turned(new)]), True), ("1.x compact", escaped([new]), True),
            ("first good", escaped([new, bad]), True), ("first bad", escaped([bad, new]), False)]


def parallel(lab, runtime, name, jobs):
    """Several runs of which each mostly waits: (name, function) -> parts."""
    whole = Evidence(name, runtime.name)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        futures = {label: pool.submit(job) for label, job in jobs}
        whole.parts = {label: future.result() for label, future in futures.items()}
    return whole


@scenario("replay")
def inspect_shapes(lab, runtime):
    def job(text):
        return lambda: plain(lab, runtime, "inspect_shapes", ALLOWLIST, answering("network-inspect", stdout=text))
    whole = parallel(lab, runtime, "inspect_shapes", [(name, job(text)) for name, text, _ in shapes(runtime)])
    whole.seen["wanted"] = {name: wanted for name, _, wanted in shapes(runtime)}
    return whole


@scenario("replay")
def create_failure(lab, runtime):
    def failing(text, **more):
        return lambda: plain(lab, runtime, "create_failure", ALLOWLIST, create_fails(text, **more))

    def create_fails(text, down=False):
        def edit(cassette):
            answering("network-create-internal", stderr=text, exit=1)(cassette)
            nothing_happens(cassette, "network-create-internal")
            if down:
                answering("system-status-json", stdout='{"status":"not running"}\n', exit=1)(cassette)
                answering("system-status", stdout="apiserver is not running and not registered with launchd\n",
                          exit=1)(cassette)
        return edit

    xpc = ('Error: interrupted: "XPC connection error: Connection invalid"\n'
           "Ensure container system service has been started with `container system start`.\n")
    return parallel(lab, runtime, "create_failure", [
        ("refused", failing("  Error: subnet 192.168.64.0/24 overlaps an existing network  \n\n")),
        ("service up", failing(xpc)), ("service down", failing(xpc, down=True))])


def inspect_failures(flag):
    """What `network inspect` may come to, once: {name: answer}. The look after it, if any, gets the truth."""
    wrong_type = {"apple": '[{"id":"${network}","configuration":{"mode":"hostOnly"},'
                           '"status":{"ipv4Subnet":7,"ipv4Gateway":"192.168.65.1"}}]\n',
                  "podman": '[{"name":"${network}","internal":true,"subnets":[{"subnet":7,"gateway":"10.89.0.1"}]}]\n'}
    no_status = {"apple": '[{"id":"${network}","configuration":{"mode":"hostOnly"}}]\n',
                 "podman": '[{"name":"${network}","internal":true}]\n'}
    return {
        "exit 1": dict(stderr="Error: the network helper died\n", exit=1),
        "nothing": dict(stdout=""),
        "empty array": dict(stdout="[]\n"),
        "text": dict(stdout="network ready\n"),
        "truncated": dict(stdout=wrong_type[flag][:60]),
        "wrong type": dict(stdout=wrong_type[flag]),
        "no status": dict(stdout=no_status[flag]),
        "no answer": dict(hang=True),
    }


@scenario(*NETWORKED)
def inspect_failure(lab, runtime):
    def job(name, answer):
        how = dict(edit=first_call("network-inspect", **answer)) if runtime.family == "replay" else \
            dict(fault={"name": name, "words": ["network", "inspect"], **answer})
        return lambda: plain(lab, runtime, "inspect_failure", ALLOWLIST, **how)
    jobs = [(name, job(name, answer)) for name, answer in inspect_failures(runtime.flag).items()]
    if runtime.family == "replay":
        jobs.append(("helpers killed", lambda: helpers_killed(lab, runtime)))
    return parallel(lab, runtime, "inspect_failure", jobs)


def helpers_killed(lab, runtime):
    """The inspection fails, and whatever process the launcher keeps beside itself has been killed in the meantime."""
    edit = first_call("network-inspect", stdout="[]\n", delay_ms=1500)
    with world_of(lab, runtime, "inspect_failure", ALLOWLIST, edit) as world:
        session = world.start("answer", world.marker)
        wait_until(lambda: world.runtime.networks(world) or session.over, 20, 0.01)
        for pid in forked_from(session):
            os.kill(pid, signal.SIGKILL)
        session.close()
        session.finish()
        return world.evidence(session, 5)


def forked_from(session):
    """Processes of the same program with the same words as the launcher."""
    def words(pid):
        with contextlib.suppress(OSError):
            return pathlib.Path("/proc/%d/cmdline" % pid).read_bytes()
    own = words(session.process.pid)
    return [pid for pid in processes_with(session.world.marker)
            if own and pid != session.process.pid and words(pid) == own]


@scenario("replay")
def errors_as_json(lab, runtime):
    """One failure of each kind, as text and with --json."""
    text = answering("network-inspect", stdout="network ready\n")

    def refused(cassette):
        answering("network-create-internal", stderr="Error: no\n", exit=1)(cassette)
        nothing_happens(cassette, "network-create-internal")

    def missing(flags):
        with world_of(lab, runtime, "errors_as_json", ALLOWLIST, cli="/nonexistent/container-cli") as world:
            session = world.start("answer", world.marker, flags=flags)
            session.close()
            session.finish()
            return world.evidence(session)

    jobs = []
    for label, flags in (("text", ()), ("json", ("--json",))):
        jobs += [("runtime " + label, lambda flags=flags: plain(lab, runtime, "errors_as_json", ALLOWLIST, refused, flags=flags)),
                 ("json " + label, lambda flags=flags: plain(lab, runtime, "errors_as_json", ALLOWLIST, text, flags=flags)),
                 ("unavailable " + label, lambda flags=flags: missing(flags))]
    return parallel(lab, runtime, "errors_as_json", jobs)


@scenario("replay", "bwrap")
def cli_missing(lab, runtime):
    """A CLI that is not there, and one that is no program."""
    whole = Evidence("cli_missing", runtime.name)
    for label in ("not there", "no program"):
        with world_of(lab, runtime, "cli_missing") as world:
            cli = world.home / "no-such-cli"
            if runtime.family == "bwrap":
                if label == "no program":
                    continue
                empty = world.home / "empty"
                empty.mkdir()
                for name in ("node", "npm", "env", "python3", "sh"):
                    if shutil.which(name, path=world.path):
                        (empty / name).symlink_to(shutil.which(name, path=world.path))
                world.path, wanted = str(empty), "bwrap"
            else:
                if label == "no program":
                    cli.write_text("no program\n")
                world.configure_defaults(container_cli=str(cli))
                wanted = "no-such-cli"
            session = world.start("answer", world.marker)
            session.close()
            session.finish()
            part = world.evidence(session)
            part.seen["cli"] = wanted
            whole.parts[label] = part
    return whole


@scenario("replay")
def too_old(lab, runtime):
    return plain(lab, runtime, "too_old", ALLOWLIST)


# ---- policy ----

@scenario("replay", "bwrap")
def precedence(lab, runtime):
    """The same words in all three places, each of which must count alone."""
    words = ("none", "open") if runtime.family == "bwrap" else ("none", "open", "lab-net", "allowlist")
    cases = []
    for mode in (None, "none", "open"):
        for runtime_word in (None, *words):
            for default in (None, *words):
                places = [word for word in (mode, runtime_word, default) if word is not None]
                # enough to tell the places apart: neighbours that say the same decide nothing
                if len(set(places)) == len(places) and (len(places) >= 2 or "allowlist" in places or default):
                    cases.append((mode, runtime_word, default))
    if lab.quick:
        cases = [case for case in cases if case in (("none", "open", None), ("open", "none", None), (None, "none", "open"),
                                                    (None, "open", "lab-net"), (None, None, "lab-net"), (None, "none", "lab-net"),
                                                    (None, "lab-net", "open"), (None, None, "allowlist"), (None, "allowlist", "none"))]

    def job(mode, runtime_word, default):
        def play():
            package = {"network": {"link": "gateway", "allow": ["example.org"]}} if runtime.family != "bwrap" else {}
            if mode:
                package.setdefault("network", {})["mode"] = mode
            if runtime_word:
                package["runtime"] = {"network": runtime_word}
            with world_of(lab, runtime, "precedence", package) as world:
                if default:
                    world.configure_defaults(network=default)
                if runtime.family == "replay":
                    world.foreign = ["lab-net"]
                    runtime.cli(world, "network", "create", "--internal", "lab-net")
                session = world.start("answer", world.marker)
                converse(world, session)
                namespace = own_network(world)
                session.close()
                session.finish()
                part = world.evidence(session)
                part.seen["own network"] = namespace
                return part
        return play

    whole = parallel(lab, runtime, "precedence", [("%s > %s > %s" % case, job(*case)) for case in cases])
    whole.seen["wanted"] = {"%s > %s > %s" % case: next(word for word in case if word) for case in cases}
    return whole


def own_network(world):
    """Whether the server's process has a network namespace of its own; None where that cannot be seen."""
    if world.runtime.family != "bwrap":
        return None
    ours = os.readlink("/proc/self/ns/net")
    try:
        return [os.readlink("/proc/%d/ns/net" % pid) != ours for pid in world.server_processes()][-1]
    except (OSError, IndexError):
        return None


BAD_CONFIGURATIONS = {
    "malformed rule": ({"network": {"mode": "allowlist", "link": "gateway", "allow": ["exa mple.org"]}}, "allow"),
    "unknown key": ({"network": {"mode": "none", "alow": []}}, "alow"),
    "wrong type": ({"network": {"mode": 7}}, "mode"),
    "unknown key in npxc.json": ("defaults", "netwrok"),
}


@scenario("replay", "bwrap")
def bad_configuration(lab, runtime):
    def job(package, key):
        def play():
            with world_of(lab, runtime, "bad_configuration") as world:
                if package == "defaults":
                    world.configure_defaults(netwrok="none")
                else:
                    world.configure_package(package)
                session = world.start("answer", world.marker)
                session.close()
                session.finish()
                part = world.evidence(session)
                part.seen["key"] = key
                part.seen["file"] = "npxc.json" if package == "defaults" else "npxc-light.json"
                return part
        return play
    return parallel(lab, runtime, "bad_configuration", [(name, job(*what)) for name, what in BAD_CONFIGURATIONS.items()])


@scenario("replay", "podman", "apple", "bwrap")
def inspected(lab, runtime):
    """`inspect --json`, then a run with the same words."""
    def job(package):
        def play():
            with world_of(lab, runtime, "inspected", package) as world:
                flags = ("-e", "DECLARED")
                env = {"DECLARED": "value-of-declared"}
                session = world.start("inspect", "--json", *flags, str(LIGHT), "answer", world.marker, env=env, server=None)
                session.close()
                session.finish()
                plan = bytes(session.out).decode(errors="replace")
                session = world.start("answer", world.marker, flags=flags, env=env)
                converse(world, session)
                processes = sandbox_arguments(world, session)
                session.close()
                session.finish()
                part = world.evidence(session)
                part.seen.update(plan=plan, argv=processes if runtime.family == "bwrap" else
                                 (part.run.argv if part.run else None), marker=str(world.home))
                return part
        return play
    jobs = [("none", job({"network": {"mode": "none"}}))]
    if runtime.family != "bwrap":
        jobs.append(("allowlist", job(ALLOWLIST)))
    return parallel(lab, runtime, "inspected", jobs)


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


# ---- ends ----

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
        if runtime.family == "podman":  # what looks for strays has to see those of a session that is up
            was_up = was_up and wait_until(lambda: len(runtime.strays(world)) == 2, 10, 0.1)
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


def busy(**how):
    def edit(cassette):
        of(cassette, "network-delete")["busy"] = {
            **how, "key": "${network}", "answer": {"from": "edited for a scenario", "stderr": BUSY + "\n", "exit": 1}}
    return edit


def signal_scenario(name, number):
    def function(lab, runtime):
        jobs = [(mode, lambda mode=mode: signalled(lab, runtime, name, number, mode=mode)) for mode in ("answer", "stubborn")]
        if runtime.family == "replay":
            jobs.append(("busy network", lambda: signalled(lab, runtime, name, number, edit=busy(for_ms=600000))))
        return parallel(lab, runtime, name, jobs)
    function.__name__ = name
    return scenario(*EVERYWHERE, timed=True)(function)


sigterm = signal_scenario("sigterm", signal.SIGTERM)
sigint = signal_scenario("sigint", signal.SIGINT)
sighup = signal_scenario("sighup", signal.SIGHUP)


@scenario(*EVERYWHERE, timed=True)
def sigkill(lab, runtime):
    return parallel(lab, runtime, "sigkill", [
        ("%s, %s" % (mode, "group" if group else "launcher"),
         lambda mode=mode, group=group: signalled(lab, runtime, "sigkill", signal.SIGKILL, group, mode))
        for mode in ("answer", "stubborn") for group in (False, True)])


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


# ---- retry ----

@scenario("replay", timed=True)
def busy_forever(lab, runtime):
    """Busy until the launcher has gone and a bit longer; then free."""
    with world_of(lab, runtime, "busy_forever", ALLOWLIST, busy(for_ms=600000)) as world:
        session = world.start("answer", world.marker)
        converse(world, session)
        session.close()
        session.finish()
        time.sleep(1)  # still busy: whoever gives up now does not come back
        session.mark("free")
        runtime.load(world)
        if wait_until(world.networks_are_gone, 8 if lab.quick else 65, 0.02):
            session.mark("network gone")
        evidence = world.evidence(session)
        return evidence


@scenario("replay", timed=True)
def busy_then_free(lab, runtime):
    return parallel(lab, runtime, "busy_then_free", [
        (str(times), lambda times=times: plain(lab, runtime, "busy_then_free", ALLOWLIST, busy(times=times)))
        for times in (1, 2, 3, 4)])


@scenario("replay")
def gone_already(lab, runtime):
    """Somebody else deletes it in the same moment: the CLI fails and says that there is no such network."""
    def edit(cassette):
        delete = of(cassette, "network-delete")
        delete["effects"] = delete["effects"] * 2
    return plain(lab, runtime, "gone_already", ALLOWLIST, edit)


@scenario("replay")
def delete_hangs(lab, runtime):
    """The first delete never returns and ignores being told to end."""
    return plain(lab, runtime, "delete_hangs", ALLOWLIST, first_call("network-delete", hang=True, deaf=True))


# ---- relay ----

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


# ---- sandbox ----

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
            answers[label] = json.loads(json.loads(line)["result"]["content"][0]["text"])
        if while_up:
            answers["while up"] = while_up(session)
    session.close()
    session.finish()
    answers["status"] = session.process.poll()
    answers["stderr"] = bytes(session.err).decode(errors="replace")
    return answers


SECRET = "s3cret-of-%s"


@scenario(*EVERYWHERE)
def sandbox(lab, runtime):
    """What the command line asks for, and where the sandbox is real what a server sees of it."""
    with world_of(lab, runtime, "sandbox", {"network": {"mode": "none"}}) as world:
        # The probe is asked about paths inside the sandbox, which are none of the host's.
        world.configure_package({"network": {"mode": "none"}, "non_path_arguments": {"*": ["path"]}}, "npxc-probe")
        secret = SECRET % world.marker
        env = {"FORWARDED": secret, "NOT_FORWARDED": "x", "AWS_PROFILE": "x", "LD_LIBRARY_PATH": "/nowhere"}
        hidden = hide_secrets(world)

        def holders(session):
            found = ["argument list of process %d" % pid for pid in processes_with_argument(secret)]
            for root, _, names in os.walk(world.home):
                if "state" in pathlib.Path(root).relative_to(world.home).parts[:1]:
                    continue  # the shim's own world, not the launcher's
                for name in names:
                    try:
                        with open(os.path.join(root, name), "rb") as file:
                            if secret.encode() in file.read():
                                found.append("file %s" % os.path.relpath(os.path.join(root, name), world.home))
                    except OSError:
                        pass
            if secret.encode() in session.err:
                found.append("stderr")
            return found

        if "live" in runtime.decides:
            questions = [("status", {}, "process"), ("whoami", {}), ("env", {}), ("mounts", {}), ("processes", {}), ("interfaces", {})]
            for path in ("/x", "/usr/x", "/etc/x", "/opt/x", "/opt/npxc/package/x", "/var/x", "/proc/sys/kernel/core_pattern"):
                questions.append(("write", {"path": path, "text": "x"}, "write " + path))
            for path in ("/tmp/x", "/run/x"):
                questions.append(("write", {"path": path, "text": "x"}, "write " + path))
            questions.append(("spawn", {"command": "sh", "args": ["-c", 'echo x > "$HOME/x" && echo "$HOME"']}, "home"))
            for path in hidden:
                questions.append(("read", {"path": path}, "read " + path))
            answers = ask_probe(world, questions, ("-e", "FORWARDED"), env, holders)
            evidence = world.evidence(None)
            evidence.seen = {"live": answers, "holders": answers.pop("while up", ["the session did not start"]),
                             "secret": secret, "hidden": hidden, "home": str(world.home),
                             "host has x": [path for path in ("/tmp/x", "/run/x", str(world.home / "x")) if take_away(path)]}
            evidence.status, evidence.err = answers["status"], answers["stderr"]
            return evidence
        session = world.start("args", world.marker, flags=("-e", "FORWARDED"), env=env)
        session.await_output(b"]}}\n")
        found = holders(session)
        session.close()
        session.finish()
        evidence = world.evidence(session)
        evidence.seen = {"holders": found, "secret": secret, "home": str(world.home)}
        return evidence


def take_away(path):
    """True when it was there: a server that is in no sandbox wrote it."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def hide_secrets(world):
    paths = []
    for name in (".ssh/id_ed25519", ".npmrc", "other/project/file", "project/not-named.txt"):
        path = world.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret\n")
        paths.append(str(path))
    return paths + ["/etc/shadow", "/root/.npmrc", "/proc/%d/environ" % os.getpid()]


def processes_with_argument(text):
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and text.encode() in pathlib.Path("/proc", entry, "cmdline").read_bytes():
                found.append(int(entry))
        except OSError:
            pass
    return found


@scenario("bwrap", "podman", alone=True)
def limits(lab, runtime):
    """More memory and more processes than the configuration gives."""
    with world_of(lab, runtime, "limits") as world:
        world.configure_package({"network": {"mode": "none"}, "runtime": {"memory": "256m", "cpus": 1}}, "npxc-probe")
        memory = ask_probe(world, [("allocate", {"mib": 900})])
        many = "i=0; while [ $i -lt 900 ]; do sleep 5 > /dev/null 2>&1 & i=$((i+1)); done; echo started"
        processes = ask_probe(world, [("spawn", {"command": "sh", "args": ["-c", many]})])
        session = world.start("inspect", "--json", str(PROBE), server=None)
        session.close()
        session.finish()
        evidence = world.evidence(None)
        evidence.seen = {"memory": memory, "processes": processes, "plan": bytes(session.out).decode(errors="replace"),
                         "said": memory["stderr"]}
        return evidence


# ---- names ----

@scenario("replay", "bwrap")
def two_packages(lab, runtime):
    """@a/b-c and @a-b/c, each with data that it keeps."""
    whole = Evidence("two_packages", runtime.name)
    with world_of(lab, runtime, "two_packages") as world:
        for name in ("@a/b-c", "@a-b/c"):
            directory = world.home / name.replace("/", "+")
            shutil.copytree(LIGHT, directory)
            package = json.loads((directory / "package.json").read_text())
            package["name"] = name
            package["bin"] = {"light": "light.sh"}
            (directory / "package.json").write_text(json.dumps(package))
            world.configure_package({"network": {"mode": "none"}, "storage": {"persist": True}}, name)
            before = len(world.runtime.calls(world))
            session = world.start("answer", world.marker, server=directory)
            converse(world, session)
            argv = sandbox_arguments(world, session)
            session.close()
            session.finish()
            part = world.evidence(session)
            part.calls = part.calls[before:]
            part.seen["argv"] = argv if runtime.family == "bwrap" else (part.run.argv if part.run else None)
            part.seen["home"] = str(world.home)
            whole.parts[name] = part
    return whole
