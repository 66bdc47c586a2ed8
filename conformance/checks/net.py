"""Networks: made, looked at, refused."""

import json
import re

from checks.base import (
    NETWORKED, add_call, check, drop_calls, makes_no_network, managed, network_is, not_started, nothing_left,
    only_loopback, option, parts, set_, spoil_parts, worked)
from evidence import UUID4, Call


@check("net-none-argument", "none", on=NETWORKED,
       spoil=[option("--network", "default"), add_call("network", "create", "--internal", "x"),
              option("--network", None)])
def net_none_argument_on_networked(e):
    return network_is(e, "none") + makes_no_network(e) + only_loopback(e)


@check("net-none-argument", "none", on=("bwrap",),
       spoil=[lambda e: e.seen.update(interfaces={"ok": True, "value": ["lo", "eth0"]})])
def net_none_argument_on_bwrap(e):
    return worked(e) + (only_loopback(e) if "interfaces" in e.seen else ["nothing is known of its interfaces"])


@check("net-named-passthrough", "named", on=NETWORKED,
       spoil=[option("--network", "default"), lambda e: add_call("network", "delete", e.foreign[0])(e),
              lambda e: add_call("network", "create", e.foreign[0])(e), set_(foreign_left=[])])
def net_named_passthrough(e):
    wrong = network_is(e, e.foreign[0]) + makes_no_network(e)
    if e.of("network delete"):
        wrong.append("network delete was called")
    if e.foreign_left != e.foreign:
        wrong.append("the network is gone")
    return wrong


@check("net-allowlist-creates-one", "allowlist", on=NETWORKED,
       spoil=[drop_calls("network create"), option("--network", "other"),
              lambda e: e.of("network create")[0].argv.remove("--internal"),
              lambda e: add_call("network", "create", "--internal", "x", at=0)(e)])
def net_allowlist_creates_one(e):
    wrong = managed(e)
    for call in e.of("network create"):
        if "--internal" not in call.words:
            wrong.append("created without --internal: %s" % call.words)
        if e.run and call.end_us > e.run.start_us:
            wrong.append("created after the server's start")
    return wrong


def rename_network(name):
    def spoil(e, *_):
        old = e.created()[0]
        for call in e.calls:
            call.argv = [name if word == old else word for word in call.argv]
    return spoil


@check("net-name-shape", "allowlist", on=NETWORKED,
       spoil=[rename_network("npxc-0123456789ABCDEF0123456789ABCDEF"), rename_network("npxc-session"),
              rename_network("npxc-0123456789abcdef0123456789abcdef"), drop_calls("network create")])
def net_name_shape(e):
    wrong = [] if e.created() else ["no network was created"]
    return wrong + ["%s is not npxc- and the digits of a random UUID" % name for name in e.created()
                    if not UUID4.fullmatch(name)]


def same_name_twice(e):
    creates = e.of("network create")
    creates[1].argv[-1] = creates[0].argv[-1]


@check("net-name-unique", "swarm", on=("replay",),
       spoil=[same_name_twice, set_(networks_left=["npxc-x"]), lambda e: e.seen.update(failed=[(False, 1, "")]),
              lambda e: e.seen.update(took_us=121000000)])
def net_name_unique(e):
    names = e.created()
    wrong = nothing_left(e)
    if len(set(names)) != len(names):
        wrong.append("%d networks, %d names" % (len(names), len(set(names))))
    if len(names) != e.seen["sessions"]:
        wrong.append("%d sessions made %d networks" % (e.seen["sessions"], len(names)))
    if e.seen["failed"]:
        wrong.append("sessions failed, the first: %s" % (e.seen["failed"][0],))
    if e.seen["took_us"] > 120000000:
        wrong.append("%.0f s for %d sessions, 120 s are allowed" % (e.seen["took_us"] / 1e6, e.seen["sessions"]))
    return wrong


def inspect_other(e):
    e.of("network inspect")[0].argv[-1] = "other"


def inspect_late(e):
    for call in e.of("network inspect"):
        call.start_us, call.end_us = e.run.start_us + 1, e.run.start_us + 2


@check("net-inspect-after-create", "allowlist", on=NETWORKED,
       spoil=[drop_calls("network inspect"), inspect_other, inspect_late])
def net_inspect_after_create(e):
    wrong = managed(e)
    if wrong:
        return wrong
    create = e.of("network create")[0]
    between = [call for call in e.of("network inspect")
               if create.end_us <= call.start_us and call.end_us <= e.run.start_us and call.name == create.name]
    return [] if between else ["no inspect of %s between its creation and the server's start" % create.name]


@check("net-inspect-first-element", "inspect_shapes", on=("replay",),
       spoil=[lambda e: e.seen["wanted"].update({"0.12 compact": False}),
              lambda e: setattr(e.parts["1.x pretty"], "out", b""),
              lambda e: add_call("run", "image", e.parts["first bad"].marker)(e.parts["first bad"])])
def net_inspect_first_element(e):
    wrong = []
    for name, part in e.parts.items():
        if part.problem:
            wrong.append("%s: %s" % (name, part.problem))
        elif e.seen["wanted"][name]:
            wrong += ["%s: %s" % (name, what) for what in worked(part)]
        elif part.run or part.status != 4:
            wrong.append("%s: read although the first element has no status (exit status %s)" % (name, part.status))
    return wrong


def create_failed(name, e):
    wrong = not_started(e)
    names = e.created()
    status = 2 if name == "service down" else 4
    if len(names) != 1:
        wrong.append("%d calls of network create" % len(names))
    if e.status != status:
        wrong.append("exit status %s, not %d" % (e.status, status))
    before = [call for call in e.of("network inspect") if not e.of("network delete")
              or call.start_us < e.of("network delete")[0].start_us]
    if before:
        wrong.append("a network that was not made was inspected")
    other = [call.name for call in e.of("network delete") if call.name not in names]
    if other:
        wrong.append("deleted: %s" % other)
    lines = [line for line in e.error_lines() if "network create" in line]
    quoted = "overlaps an existing network" if name == "refused" else "XPC connection error"
    if len(lines) != 1 or (quoted not in lines[0] and status == 4):
        wrong.append("the error does not quote the command and what it said: %s" % e.err.strip()[:300])
    elif name == "refused" and not re.search(r"(?<! )[ \"'`]?Error: subnet .*existing network(?!  )", lines[0]):
        wrong.append("what it said is not trimmed: %s" % lines[0])
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    return wrong + nothing_left(e)


@check("net-create-failure-stops", "create_failure", on=("replay",),
       spoil=[lambda e: setattr(e.parts["refused"], "status", 2), lambda e: setattr(e.parts["service down"], "status", 4),
              lambda e: setattr(e.parts["refused"], "err", "npxc: runtime error: it failed\n"),
              lambda e: add_call("run", "image", e.parts["refused"].marker)(e.parts["refused"]),
              lambda e: e.parts["refused"].calls.insert(0, Call(["cli", "network", "inspect", "x"], 1, 2)),
              lambda e: add_call("network", "delete", "other")(e.parts["service up"])])
def net_create_failure_stops(e):
    return ["%s: %s" % (name, wrong) for name, part in e.parts.items()
            for wrong in ([part.problem] if part.problem else create_failed(name, part))]


# What the message has to say, loosely: each of them, and no two the same.
SAYS = {"exit 1": r"the network helper died", "nothing": r"nothing|empty|no output|\"\"", "empty array": r"empty|\[\]",
        "text": r"JSON", "truncated": r"JSON", "wrong type": r"ipv4Subnet|\"[sS]ubnet\"", "no status": r"\"(status|subnets|IPAM)\"",
        "no answer": r"answer|timed? ?out|cut off|within|seconds|\d ?m?s\b"}


@check("net-inspect-failure-cleans", "inspect_failure", on=NETWORKED,
       spoil=[lambda e: setattr(e.parts["text"], "networks_left", ["npxc-x"]),
              lambda e: drop_calls("network delete")(e.parts["no answer"]),
              lambda e: setattr(e.parts["nothing"], "err", e.parts["text"].err),
              lambda e: setattr(e.parts["empty array"], "status", 0),
              lambda e: add_call("run", "image", e.parts["no status"].marker)(e.parts["no status"])])
def net_inspect_failure_cleans(e):
    wrong, messages = [], {}
    for name, part in e.parts.items():
        found = [part.problem] if part.problem else inspect_failed(part)
        if not found and name in SAYS:  # what is said when helpers were killed is left open
            if part.status != 4:
                found.append("exit status %s, not 4" % part.status)
            message = " ".join(part.error_lines()).replace(part.created()[0], "NETWORK")
            if not re.search(SAYS[name], message):
                found.append("the error does not say what happened: %s" % message[:200])
            if message in messages:
                found.append("the error is the same as for %s" % messages[message])
            messages[message] = name
        wrong += ["%s: %s" % (name, what) for what in found]
    return wrong


def inspect_failed(e):
    wrong = not_started(e) + nothing_left(e)
    created = e.created()
    if len(created) != 1:
        return wrong + ["%d calls of network create" % len(created)]
    if created[0] not in [call.name for call in e.of("network delete")]:
        wrong.append("the network was not deleted")
    if not e.status:
        wrong.append("exit status %s" % e.status)
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    return wrong


def missing_cli(e):
    wrong = []
    if e.status != 2:
        wrong.append("exit status %s, not 2" % e.status)
    if e.seen["cli"] not in e.err:
        wrong.append("the error does not name %s: %s" % (e.seen["cli"], e.err.strip()[:200]))
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    return wrong + nothing_left(e)


@check("net-cli-missing", "cli_missing", on=("replay", "bwrap"),
       spoil=[spoil_parts(set_(status=4)), spoil_parts(set_(err="npxc: no\n"))])
def net_cli_missing(e):
    return parts(e, missing_cli)


def json_error(e):
    for line in e.error_lines():
        try:
            return json.loads(line)["error"]
        except (ValueError, KeyError, TypeError):
            continue
    return None


@check("net-error-kinds", "errors_as_json", on=("replay",),
       spoil=[lambda e: setattr(e.parts["json json"], "err", e.parts["runtime json"].err),
              lambda e: setattr(e.parts["json text"], "err", "npxc: runtime error: not JSON\n"),
              lambda e: setattr(e.parts["unavailable json"], "err", e.parts["unavailable text"].err)])
def net_error_kinds(e):
    wrong, kinds, words = parts(e, lambda part: ["exit status 0"] if part.status == 0 else []), {}, {}
    for which in ("runtime", "json", "unavailable"):
        error = json_error(e.parts[which + " json"])
        if not isinstance(error, dict) or not isinstance(error.get("kind"), str):
            wrong.append("%s: no error object with a kind: %s" % (which, e.parts[which + " json"].err.strip()[:200]))
        else:
            kinds.setdefault(error["kind"], []).append(which)
        lines = [line for line in e.parts[which + " text"].error_lines() if ": " in line]
        word = ":".join(lines[-1].split(":")[:2]) if lines else ""
        words.setdefault(word, []).append(which)
    wrong += ["%s have the same kind, %s" % (" and ".join(which), kind) for kind, which in kinds.items() if len(which) > 1]
    wrong += ["%s begin with the same words, %s" % (" and ".join(which), word) for word, which in words.items() if len(which) > 1]
    return wrong


@check("net-odd-version", "too_old", on=("replay",),
       spoil=[set_(status=1), set_(err="npxc: too old\n"), lambda e: add_call("network", "create", "--internal", "x")(e)])
def net_odd_version(e):
    wrong = not_started(e) + makes_no_network(e) + nothing_left(e)
    if e.status != 2:
        wrong.append("exit status %s, not 2" % e.status)
    if "0.9.0" not in e.err or "0.12" not in e.err:
        wrong.append("the error does not name the version found and the one needed: %s" % e.err.strip()[:200])
    return wrong
