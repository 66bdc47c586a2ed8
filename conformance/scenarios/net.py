"""Networks: made, looked at, refused."""

import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal

from evidence import Evidence
from scenarios.base import (
    ALLOWLIST, EVERYWHERE, NETWORKED, answering, ask_probe, converse, first_call, nothing_happens, parallel,
    plain, scenario, world_of)
from worlds import PATIENCE, World, now_us, processes_with, wait_until


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
                  "podman": '[{"name":"${network}","internal":true,"subnets":[{"subnet":7,"gateway":"10.89.0.1"}]}]\n',
                  "docker": '[{"Name":"${network}","Internal":true,"IPAM":{"Config":[{"Subnet":7,"Gateway":"172.18.0.1"}]}}]\n'}
    no_status = {"apple": '[{"id":"${network}","configuration":{"mode":"hostOnly"}}]\n',
                 "podman": '[{"name":"${network}","internal":true}]\n',
                 "docker": '[{"Name":"${network}","Internal":true}]\n'}
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
            cli, before = world.home / "no-such-cli", []
            if runtime.family == "bwrap":
                if label == "no program":
                    continue
                # A launcher may know usual places besides PATH: where bwrap is, there is none.
                before = [shutil.which("bwrap"), "--dev-bind", "/", "/"]
                before += ["--dev-bind", "/dev/null", os.path.realpath(before[0])]
                wanted = "bwrap"
            else:
                if label == "no program":
                    cli.write_text("no program\n")
                world.configure_defaults(container_cli=str(cli))
                wanted = "no-such-cli"
            session = world.start("answer", world.marker, before=before)
            session.close()
            session.finish()
            part = world.evidence(session)
            part.seen["cli"] = wanted
            whole.parts[label] = part
    return whole


@scenario("replay")
def too_old(lab, runtime):
    return plain(lab, runtime, "too_old", ALLOWLIST)
