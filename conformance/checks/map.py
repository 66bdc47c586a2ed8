"""From configuration to policy."""

import json
import re

from checks.base import (
    NETWORKED, check, drop_calls, makes_no_network, managed, network_is, network_is_open, nothing_left,
    only_loopback, option, parts, set_, spoil_parts, worked)
from evidence import Call


@check("map-default-none", "unconfigured", on=NETWORKED, spoil=[option("--network", "default")])
def map_default_none_on_networked(e):
    return network_is(e, "none") + makes_no_network(e)


@check("map-default-none", "precedence", on=("bwrap",), spoil=[lambda e: e.parts.clear()])
def map_default_none_on_bwrap(e):
    # no configuration at all is not among the cases: none is, where only other words stand below it
    cases = {name: part for name, part in e.parts.items() if e.seen["wanted"][name] == "none"}
    return (["no case"] if not cases else []) + [
        "%s: the server shares the host's network" % name for name, part in cases.items() if part.seen["own network"] is not True]


@check("map-mode-none", "none", on=NETWORKED, spoil=[option("--network", "default")])
def map_mode_none_on_networked(e):
    return network_is(e, "none")


@check("map-mode-none", "none", on=("bwrap",),
       spoil=[lambda e: e.seen.update(interfaces={"ok": True, "value": ["eth0"]})])
def map_mode_none_on_bwrap(e):
    return worked(e) + only_loopback(e)


@check("map-mode-open", "open_network", on=NETWORKED, spoil=[option("--network", "none")])
def map_mode_open_on_networked(e):
    return network_is_open(e) + makes_no_network(e)


@check("map-mode-open", "precedence", on=("bwrap",),
       spoil=[lambda e: [part.seen.update({"own network": True}) for part in e.parts.values()]])
def map_mode_open_on_bwrap(e):
    return ["%s: a network namespace of its own" % name for name, part in e.parts.items()
            if e.seen["wanted"][name] == "open" and part.seen["own network"] is not False]


@check("map-mode-named", "named", on=NETWORKED, spoil=[option("--network", "default")])
def map_mode_named(e):
    return network_is(e, e.foreign[0])


@check("map-mode-allowlist", "allowlist", on=NETWORKED,
       spoil=[option("--network", "default"), drop_calls("network create")])
def map_mode_allowlist(e):
    return managed(e)


def place(word, part):
    if word == "open":
        return network_is_open(part) + makes_no_network(part)
    if word == "allowlist":
        return managed(part)
    return network_is(part, word) + makes_no_network(part)


@check("map-precedence", "precedence", on=("replay",),
       spoil=[lambda e: e.seen["wanted"].update({name: "other" for name in e.seen["wanted"]}), lambda e: e.parts.clear()])
def map_precedence_on_replay(e):
    wrong = [] if e.parts else ["no case"]
    for name, part in e.parts.items():
        wrong += ["%s: %s" % (name, what) for what in
                  ([part.problem] if part.problem else place(e.seen["wanted"][name], part))]
    return wrong


@check("map-precedence", "precedence", on=("bwrap",),
       spoil=[lambda e: [part.seen.update({"own network": not part.seen["own network"]}) for part in e.parts.values()]])
def map_precedence_on_bwrap(e):
    wrong = parts(e, worked)
    for name, part in e.parts.items():
        if not part.problem and part.seen["own network"] != (e.seen["wanted"][name] == "none"):
            wrong.append("%s: not %s" % (name, e.seen["wanted"][name]))
    return wrong


def bad_rule(e):
    wrong = nothing_left(e)
    if e.status != 1:
        wrong.append("exit status %s, not 1" % e.status)
    lines = [line for line in e.error_lines() if e.seen["key"] in line and e.seen["file"] in line]
    if not lines:
        wrong.append("no line names %s and %s: %s" % (e.seen["file"], e.seen["key"], e.err.strip()[:200]))
    if e.calls:
        wrong.append("the runtime was asked first: %s" % e.calls[0].words)
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    return wrong


@check("map-bad-rule-early", "bad_configuration", on=("replay", "bwrap"),
       spoil=[spoil_parts(set_(status=0)), spoil_parts(set_(err="npxc: configuration error\n")),
              spoil_parts(lambda e: e.calls.append(Call(["cli", "--version"], 1, 2)))])
def map_bad_rule_early(e):
    return parts(e, bad_rule)


def agrees(e):
    try:
        plan = json.loads(e.seen["plan"])["argv"]
    except (ValueError, KeyError, TypeError):
        return ["inspect --json printed no argument list: %s" % (e.seen["plan"][:100] or e.err.strip()[-200:])]
    if not e.seen["argv"]:
        return ["no argument list of a run was seen: %s" % e.err.strip()[-200:]]
    wrong = worked(e)
    if len(plan) != len(e.seen["argv"]):
        wrong.append("inspect prints %d words, the run has %d" % (len(plan), len(e.seen["argv"])))
    random = {}
    for planned, real in zip(plan, e.seen["argv"]):
        pattern = "(.+)".join(re.escape(piece) for piece in re.split("<session>|<network>|<dir>", planned))
        match = re.fullmatch(pattern, real)
        if not match:
            wrong.append("inspect prints %s where the run has %s" % (planned, real))
            continue
        for hole, value in zip(re.findall("<session>|<network>|<dir>", planned), match.groups()):
            if random.setdefault(hole, value) != value:
                wrong.append("%s is %s and %s" % (hole, random[hole], value))
    return wrong


def other_argument(e):
    e.seen["argv"][-1] += "x"


@check("map-inspect-agrees", "inspected",
       spoil=[spoil_parts(other_argument), spoil_parts(lambda e: e.seen["argv"].insert(2, "--debug")),
              spoil_parts(lambda e: e.seen.update(plan="{}"))])
def map_inspect_agrees(e):
    return parts(e, agrees)
