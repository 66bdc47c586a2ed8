"""The requirements as functions of evidence. A check returns what is wrong, as a list of sentences; an empty list is a
pass. With each check stand its negative samples: changes to good evidence after which the same check must fail.
"""

import json
import os
import re

from evidence import UUID4, Call, Evidence
from scenarios import ARGUMENTS, NASTY, REPLY

CHECKS = {}


class NotApplicable(Exception):
    """With a reason of REASONS."""


REASONS = {
    "no-networks": "this runtime has no networks that are made, named or deleted",
    "cli-cannot-express": "the runtime's command line cannot say it, so no argument list can show it",
    "needs-live": "only a real runtime can decide it, and this one replays answers",
    "needs-replay": "it needs answers that only the replay shim can give",
    "version-refused": "this release is too old: every session is refused, which net-odd-version decides",
    "version-accepted": "this release is new enough",
    "another-release": "this run was told to decide it on the newest release only (--once)",
    "limit-not-enforced": "the launcher itself says that the limit is not enforced: no cgroup may be made here",
}


class Check:
    def __init__(self, identity, function, needs, families, samples, timed):
        self.identity, self.function, self.needs = identity, function, needs
        self.families, self.samples, self.timed = families, samples, timed

    def judge(self, evidence):
        problems = ["%s: %s" % (name, evidence[name].problem) for name in self.needs if evidence[name].problem]
        return problems or self.function(*[evidence[name] for name in self.needs])


def check(identity, *needs, on=("replay", "podman", "apple", "bwrap"), spoil=(), timed=False):
    """`on`: families of runtimes on which this function decides. `spoil`: negative samples, each a function that
    changes a copy of the evidence in place."""
    def register(function):
        for family in on:
            assert (identity, family) not in CHECKS, identity
            CHECKS[identity, family] = Check(identity, function, needs, on, spoil, timed)
        return function
    return register


NETWORKED = ("replay", "podman", "apple")
CONTAINERS = ("replay", "podman", "apple")


# ---- helpers ----

def worked(e, reply=1):
    """The session took place: a reply came and the launcher ended well."""
    wrong = []
    if (REPLY % reply) not in e.out:
        wrong.append("no reply came back (exit status %s, stderr: %s)" % (e.status, e.err.strip()[-200:]))
    elif e.status != 0:
        wrong.append("exit status %s after the client closed its side" % e.status)
    return wrong


def nothing_left(e):
    wrong = []
    for what, left in (("containers", e.containers_left), ("networks", e.networks_left),
                       ("processes", e.processes_left), ("files", e.files_left)):
        if left:
            wrong.append("%s left behind: %s" % (what, left))
    return wrong


def network_is(e, *words):
    given = e.networks_given()
    wrong = worked(e)
    if e.run is not None and given not in [[word] for word in words]:
        wrong.append("the server got --network %s, not %s" % (given, " or ".join(words)))
    return wrong


def network_is_open(e):
    """The ordinary NAT network: by name, or by saying nothing."""
    given = e.networks_given()
    wrong = worked(e)
    if e.run is not None and given and given not in (["default"], ["podman"], ["bridge"]):
        wrong.append("the server got --network %s, not the runtime's NAT network" % given)
    return wrong


def makes_no_network(e):
    return ["a network was created: %s" % e.created()] if e.created() else []


def only_loopback(e):
    """Where the sandbox is real; `seen` is then filled."""
    if "interfaces" not in e.seen:
        return []
    seen = e.seen["interfaces"] or {}
    if not seen.get("ok"):
        return ["the server could not say which interfaces it has: %s" % seen]
    other = [name for name in seen["value"] if name != "lo"]
    return ["the server sees the interfaces %s" % other] if other else []


def managed(e):
    """The one network that was made for the session."""
    wrong = worked(e)
    creates = e.of("network create")
    if len(creates) != 1:
        return wrong + ["%d calls of network create" % len(creates)]
    if e.run and e.networks_given() != [creates[0].name]:
        wrong.append("the server's --network is %s, the network made is %s" % (e.networks_given(), creates[0].name))
    return wrong


def parts(e, judge):
    return ["%s: %s" % (name, wrong) for name, part in e.parts.items()
            for wrong in ([part.problem] if part.problem else judge(part))]


def not_started(e):
    return ["the server was started"] if e.run else []


def spoil_parts(change):
    """A negative sample for evidence of several runs: the change in one of them is enough."""
    def spoil(e, *_):
        change(next(iter(e.parts.values())))
    return spoil


def set_(**values):
    def spoil(e, *_):
        for name, value in values.items():
            setattr(e, name, value)
    return spoil


def option(name, value):
    """Gives an option of `run` another value; None takes the option away."""
    def spoil(e, *_):
        argv = e.run.argv
        for index, word in enumerate(argv):
            if word == name:
                if value is None:
                    del argv[index:index + 2]
                else:
                    argv[index + 1] = value
                return
        argv[2:2] = [name, value] if value is not None else []
    return spoil


def without(word):
    def spoil(e, *_):
        e.run.argv.remove(word)
    return spoil


def drop_calls(kind):
    def spoil(e, *_):
        e.calls = [call for call in e.calls if call.kind != kind]
    return spoil


def add_call(*words, at=-1):
    def spoil(e, *_):
        place = e.calls[at]
        e.calls.append(Call(["cli", *words], place.end_us + 1, place.end_us + 2, exit=0))
        e.calls.sort(key=lambda call: call.start_us)
    return spoil


# ---- net ----

@check("net-none-argument", "none", on=NETWORKED,
       spoil=[option("--network", "default"), add_call("network", "create", "--internal", "x"),
              option("--network", None)])
def _(e):
    return network_is(e, "none") + makes_no_network(e) + only_loopback(e)


@check("net-none-argument", "none", on=("bwrap",),
       spoil=[lambda e: e.seen.update(interfaces={"ok": True, "value": ["lo", "eth0"]})])
def _(e):
    return worked(e) + (only_loopback(e) if "interfaces" in e.seen else ["nothing is known of its interfaces"])


@check("net-named-passthrough", "named", on=NETWORKED,
       spoil=[option("--network", "default"), lambda e: add_call("network", "delete", e.foreign[0])(e),
              lambda e: add_call("network", "create", e.foreign[0])(e), set_(foreign_left=[])])
def _(e):
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
def _(e):
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
def _(e):
    wrong = [] if e.created() else ["no network was created"]
    return wrong + ["%s is not npxc- and the digits of a random UUID" % name for name in e.created()
                    if not UUID4.fullmatch(name)]


def same_name_twice(e):
    creates = e.of("network create")
    creates[1].argv[-1] = creates[0].argv[-1]


@check("net-name-unique", "swarm", on=("replay",),
       spoil=[same_name_twice, set_(networks_left=["npxc-x"]), lambda e: e.seen.update(failed=[(False, 1, "")]),
              lambda e: e.seen.update(took_us=121000000)])
def _(e):
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
def _(e):
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
def _(e):
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
def _(e):
    return ["%s: %s" % (name, wrong) for name, part in e.parts.items()
            for wrong in ([part.problem] if part.problem else create_failed(name, part))]


# What the message has to say, loosely: each of them, and no two the same.
SAYS = {"exit 1": r"the network helper died", "nothing": r"nothing|empty|no output|\"\"", "empty array": r"empty|\[\]",
        "text": r"JSON", "truncated": r"JSON", "wrong type": r"ipv4Subnet|\"subnet\"", "no status": r"\"(status|subnets)\"",
        "no answer": r"answer|timed? ?out|cut off|within|seconds|\d ?m?s\b"}


@check("net-inspect-failure-cleans", "inspect_failure", on=NETWORKED,
       spoil=[lambda e: setattr(e.parts["text"], "networks_left", ["npxc-x"]),
              lambda e: drop_calls("network delete")(e.parts["no answer"]),
              lambda e: setattr(e.parts["nothing"], "err", e.parts["text"].err),
              lambda e: setattr(e.parts["empty array"], "status", 0),
              lambda e: add_call("run", "image", e.parts["no status"].marker)(e.parts["no status"])])
def _(e):
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
def _(e):
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
def _(e):
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
def _(e):
    wrong = not_started(e) + makes_no_network(e) + nothing_left(e)
    if e.status != 2:
        wrong.append("exit status %s, not 2" % e.status)
    if "0.9.0" not in e.err or "0.12" not in e.err:
        wrong.append("the error does not name the version found and the one needed: %s" % e.err.strip()[:200])
    return wrong


# ---- map ----

@check("map-default-none", "unconfigured", on=NETWORKED, spoil=[option("--network", "default")])
def _(e):
    return network_is(e, "none") + makes_no_network(e)


@check("map-default-none", "precedence", on=("bwrap",), spoil=[lambda e: e.parts.clear()])
def _(e):
    # no configuration at all is not among the cases: none is, where only other words stand below it
    cases = {name: part for name, part in e.parts.items() if e.seen["wanted"][name] == "none"}
    return (["no case"] if not cases else []) + [
        "%s: the server shares the host's network" % name for name, part in cases.items() if part.seen["own network"] is not True]


@check("map-mode-none", "none", on=NETWORKED, spoil=[option("--network", "default")])
def _(e):
    return network_is(e, "none")


@check("map-mode-none", "none", on=("bwrap",),
       spoil=[lambda e: e.seen.update(interfaces={"ok": True, "value": ["eth0"]})])
def _(e):
    return worked(e) + only_loopback(e)


@check("map-mode-open", "open_network", on=NETWORKED, spoil=[option("--network", "none")])
def _(e):
    return network_is_open(e) + makes_no_network(e)


@check("map-mode-open", "precedence", on=("bwrap",),
       spoil=[lambda e: [part.seen.update({"own network": True}) for part in e.parts.values()]])
def _(e):
    return ["%s: a network namespace of its own" % name for name, part in e.parts.items()
            if e.seen["wanted"][name] == "open" and part.seen["own network"] is not False]


@check("map-mode-named", "named", on=NETWORKED, spoil=[option("--network", "default")])
def _(e):
    return network_is(e, e.foreign[0])


@check("map-mode-allowlist", "allowlist", on=NETWORKED,
       spoil=[option("--network", "default"), drop_calls("network create")])
def _(e):
    return managed(e)


def place(word, part):
    if word == "open":
        return network_is_open(part) + makes_no_network(part)
    if word == "allowlist":
        return managed(part)
    return network_is(part, word) + makes_no_network(part)


@check("map-precedence", "precedence", on=("replay",),
       spoil=[lambda e: e.seen["wanted"].update({name: "other" for name in e.seen["wanted"]}), lambda e: e.parts.clear()])
def _(e):
    wrong = [] if e.parts else ["no case"]
    for name, part in e.parts.items():
        wrong += ["%s: %s" % (name, what) for what in
                  ([part.problem] if part.problem else place(e.seen["wanted"][name], part))]
    return wrong


@check("map-precedence", "precedence", on=("bwrap",),
       spoil=[lambda e: [part.seen.update({"own network": not part.seen["own network"]}) for part in e.parts.values()]])
def _(e):
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
def _(e):
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
def _(e):
    return parts(e, agrees)


# ---- tear ----

def ordered(e):
    wrong = managed(e)
    if wrong:
        return wrong
    deletes = e.of("network delete")
    if not deletes:
        return ["the network was never deleted"]
    if e.run.end_us is None or deletes[0].start_us < e.run.end_us:
        wrong.append("network delete began before the container's end")
    for call in e.of("rm", "stop", "kill"):
        if call.start_us < deletes[0].start_us < call.end_us:
            wrong.append("network delete began while the container was being removed")
    late = [call for call in e.of("rm") if call.start_us > deletes[0].start_us]
    if late:
        wrong.append("the container was removed after network delete had begun")
    used = [call for call in deletes if call.refusal == "in-use"]
    if used:
        wrong.append("the runtime refused a delete: the network was still used by the container")
    return wrong


def delete_first(e):
    e.of("network delete")[0].start_us = e.run.end_us - 1


def delete_before_removal(e):
    e.of("network delete")[0].start_us = e.of("rm")[0].start_us - 1


@check("tear-order", "allowlist", "sigterm", "sigkill", on=NETWORKED,
       spoil=[delete_first, lambda e, *_: setattr(e.of("network delete")[0], "refusal", "in-use"),
              lambda e, *_: drop_calls("network delete")(e), lambda e, *_: delete_before_removal(e),
              lambda _, s, k: setattr(s.parts["stubborn"].of("network delete")[0], "refusal", "in-use"),
              lambda _, s, k: setattr(k.parts["answer, group"].of("network delete")[0], "refusal", "in-use")])
def _(e, ended, killed):
    wrong = ordered(e)
    for how, whole in (("SIGTERM", ended), ("SIGKILL", killed)):
        for name, part in whole.parts.items():
            if any(call.refusal == "in-use" for call in part.of("network delete")):
                wrong.append("after %s, %s: network delete was called while the container was there" % (how, name))
    return wrong


LEFTOVERS = [set_(containers_left=["c"]), set_(networks_left=["n"]), set_(processes_left=[1]), set_(files_left=["tmp/x"])]


@check("tear-client-eof", "client_eof",
       spoil=LEFTOVERS + [set_(status=1), set_(out=b""), lambda e: setattr(e, "out", e.out[:-len(REPLY % 5)]),
                          set_(err=""), set_(closed_us=None)])
def _(e):
    wrong = nothing_left(e)
    if e.status != 0:
        wrong.append("exit status %s, not 0: %s" % (e.status, e.err.strip()[-200:]))
    if "light saw the end of input" not in e.err:
        wrong.append("the server saw no end of input")
    if e.out != b"".join(REPLY % n for n in range(1, 6)):
        wrong.append("5 replies were due after the end of input, these came: %r" % e.out)
    if e.closed_us is None:
        wrong.append("somebody still holds the client's pipes")
    return wrong


def ended_with(e, status):
    wrong = nothing_left(e)
    if e.status != status:
        wrong.append("exit status %s, not %d: %s" % (e.status, status, e.err.strip()[-200:]))
    if not [line for line in e.error_lines() if re.search(r"\b(%d|%d)\b" % (status, status - 128), line)
            and not line.startswith("light")]:
        wrong.append("stderr does not say how the server ended: %s" % e.err.strip()[-200:])
    if e.closed_us is None:
        wrong.append("somebody still holds the client's pipes")
    return wrong


@check("tear-server-exit", "server_exit", spoil=LEFTOVERS + [set_(status=0), set_(err="")])
def _(e):
    return ended_with(e, 3)


@check("tear-server-crash", "server_crash", spoil=LEFTOVERS + [set_(status=0), set_(err="")])
def _(e):
    return ended_with(e, 137)


def did_not_start(e):
    wrong = nothing_left(e)
    if e.status not in (2, 4):
        wrong.append("exit status %s, not 4 (2 when the runtime is not available)" % e.status)
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    if not e.error_lines():
        wrong.append("nothing on stderr")
    if e.runtime != "bwrap":
        if not e.run:
            wrong.append("the server's start was never asked for: %s" % e.err.strip()[-200:])
        missing = [name for name in e.created() if name not in [call.name for call in e.of("network delete")]]
        if missing or not e.created():
            wrong.append("networks made: %s, not deleted: %s" % (e.created(), missing))
    return wrong


@check("tear-start-failure", "start_failure",
       spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [spoil_parts(set_(status=0)), spoil_parts(set_(out=b"x"))])
def _(e):
    return parts(e, did_not_start)


def ends_in_time(e, status, seconds, name):
    wrong = nothing_left(e)
    began = e.marks.get("signal", 0)
    if not e.seen["was up"]:
        return ["the session was not up: %s" % e.err.strip()[-200:]]
    if e.status != status:
        wrong.append("exit status %s, not %s" % (e.status, status))
    for what, when in (("the sandbox was gone", e.marks.get("sandbox gone")), ("the launcher had exited", e.ended_us),
                       ("the client's pipes were closed", e.closed_us)):
        if when is None:
            wrong.append("never: %s" % what)
        elif when - began > seconds * 1000000:
            wrong.append("only after %.2f s %s" % ((when - began) / 1e6, what))
    if name == "busy network":
        free, gone = e.marks.get("free"), e.marks.get("network gone")
        if not gone or gone < free or gone - free > 5000000:
            wrong.append("the busy network did not go within 5 s of being free")
    elif e.marks.get("network gone") is None:
        wrong.append("the network was not deleted")
    return wrong


def signal_check(identity, name, status):
    def judge(e):
        return ["%s: %s" % (label, wrong) for label, part in e.parts.items()
                for wrong in ([part.problem] if part.problem else ends_in_time(part, status, 2, label))]
    check(identity, name, timed=True,
          spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [
              spoil_parts(set_(status=0)), spoil_parts(set_(closed_us=None)),
              spoil_parts(lambda e: setattr(e, "ended_us", e.marks["signal"] + 2000001)),
              spoil_parts(lambda e: e.marks.update({"sandbox gone": e.marks["signal"] + 2000001})),
              spoil_parts(lambda e: e.marks.pop("sandbox gone"))])(judge)


signal_check("tear-sigterm", "sigterm", 143)
signal_check("tear-sigint", "sigint", 130)
signal_check("tear-sighup", "sighup", 129)


def killed(e):
    wrong = nothing_left(e)
    began = e.marks.get("signal", 0)
    if not e.seen["was up"]:
        return ["the session was not up: %s" % e.err.strip()[-200:]]
    clean = e.marks.get("clean")
    if clean is None or clean - began > 5000000:
        wrong.append("not everything was gone within 5 s of SIGKILL")
    if e.closed_us is None or e.closed_us - began > 5000000:
        wrong.append("the client's pipes were not closed within 5 s of SIGKILL")
    return wrong


@check("tear-sigkill", "sigkill", timed=True,
       spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [
           spoil_parts(lambda e: e.marks.update(clean=e.marks["signal"] + 5000001)),
           spoil_parts(set_(closed_us=None))])
def _(e):
    return parts(e, killed)


BOUND_US = 60 * 1000000


def tortured(name, e):
    wrong = nothing_left(e)
    allowed = {0, 2, 3, 4}
    faulty = [call for call in e.calls if call.fault]
    if faulty and faulty[0].kind == "run":
        allowed |= {1, 137}  # what a CLI that ends so tells is the server's own status
    if e.status not in allowed:
        wrong.append("exit status %s: %s" % (e.status, e.err.strip()[-200:]))
    if e.out not in (b"", REPLY % 1, (REPLY % 1)[:20]):
        wrong.append("stdout holds %r" % e.out[:100])
    deleted = [call.name for call in e.of("network delete")]
    for created in e.created():
        if created not in deleted:
            wrong.append("network create %s has no delete" % created)
    if e.ended_us is None or e.ended_us - e.began_us > BOUND_US:
        wrong.append("not over within 60 s")
    return wrong


@check("tear-every-failure", "torture", on=("replay",),
       spoil=[spoil_parts(set_(networks_left=["n"])), spoil_parts(set_(status=99)), spoil_parts(set_(out=b"oops")),
              spoil_parts(drop_calls("network delete")), spoil_parts(set_(ended_us=None))])
def _(e):
    wrong = worked(e.parts["calm"]) if "calm" in e.parts else ["no session without a fault"]
    if len(e.parts) < 2:
        wrong.append("no call was made that could fail")
    return wrong + ["%s: %s" % (name, what) for name, part in e.parts.items()
                    for what in ([part.problem] if part.problem else tortured(name, part))]


def untouched(e):
    wrong = ["%s is gone" % name for name in e.foreign if name not in e.foreign_left]
    for call in e.of("network delete", "rm", "stop", "kill"):
        for name in call.words:
            if name in e.foreign:
                wrong.append("was asked to remove %s" % name)
    for call in e.of("network prune", "prune"):
        wrong.append("called %s" % call.words)
    if any("--all" in call.words or "-a" in call.words for call in e.of("network delete", "rm", "stop", "kill")):
        wrong.append("removed everything")
    if e.created() and e.networks_left:
        wrong.append("its own networks are left: %s" % e.networks_left)
    return wrong if e.created() else wrong + ["the session made no network: %s" % e.err.strip()[-200:]]


@check("tear-foreign-untouched", "foreign", on=NETWORKED,
       spoil=[spoil_parts(set_(foreign_left=[])), spoil_parts(lambda e: add_call("network", "delete", e.foreign[0])(e)),
              spoil_parts(lambda e: add_call("network", "prune")(e)), spoil_parts(lambda e: add_call("rm", "--all")(e))])
def _(e):
    return parts(e, untouched)


# ---- retry ----

def busy_session(e):
    return ([] if REPLY % 1 in e.out else worked(e)) + ([] if len(e.created()) == 1 else ["%d networks were made" % len(e.created())])


def one_more_delete(e):
    last = e.foreground_deletes()[-1]
    e.calls.append(Call(list(last.argv), last.end_us, last.end_us + 1, exit=1, busy=True))


@check("retry-attempts", "busy_forever", on=("replay",), spoil=[one_more_delete, drop_calls("network delete")])
def _(e):
    count = len(e.foreground_deletes())
    return busy_session(e) + ([] if 1 <= count <= 5 else ["%d deletes before the launcher's end" % count])


PAUSES_MS = (150, 300, 450, 600)
TOLERANCE_MS = 100


def pauses(e):
    """Between the end of each attempt and the start of the next one, in milliseconds."""
    deletes = e.foreground_deletes()
    return [(after.start_us - before.end_us) / 1000 for before, after in zip(deletes, deletes[1:])]


def shift(number, milliseconds):
    def spoil(e):
        for call in e.foreground_deletes()[number + 1:]:
            call.start_us += int(milliseconds * 1000)
            call.end_us += int(milliseconds * 1000)
        e.ended_us = max(e.ended_us, e.of("network delete")[-1].end_us + 1)
    return spoil


@check("retry-backoff", "busy_forever", on=("replay",), timed=True,
       spoil=[shift(0, -100), shift(3, 101), lambda e: e.calls.remove(e.foreground_deletes()[-1]),
              drop_calls("network delete")])
def _(e):
    found = pauses(e)
    wrong = busy_session(e)
    if len(found) != len(PAUSES_MS):
        wrong.append("%d pauses between attempts, not %d" % (len(found), len(PAUSES_MS)))
    for number, (pause, wanted) in enumerate(zip(found, PAUSES_MS), 1):
        if pause < wanted:
            wrong.append("pause %d is %.1f ms, shorter than %d ms" % (number, pause, wanted))
        elif pause > wanted + TOLERANCE_MS:
            wrong.append("late: pause %d is %.1f ms, more than %d ms longer than %d ms" % (number, pause, TOLERANCE_MS, wanted))
    return wrong


@check("retry-stops-on-success", "busy_then_free", on=("replay",),
       spoil=[lambda e: one_more_delete(e.parts["2"]), lambda e: drop_calls("network delete")(e.parts["4"])])
def _(e):
    wrong = []
    for times, part in e.parts.items():
        count = len(part.of("network delete"))
        wrong += ["busy %s times: %s" % (times, what) for what in busy_session(part)]
        if count != int(times) + 1:
            wrong.append("busy %s times: %d deletes, not %d" % (times, count, int(times) + 1))
        if part.networks_left:
            wrong.append("busy %s times: the network is left" % times)
    return wrong


def forget_warning(e):
    e.err = "light ready\n"


def warn_twice(e):
    e.err += [line for line in e.error_lines() if e.created()[0] in line][0] + "\n"


@check("retry-warns-once", "busy_forever", "busy_then_free", on=("replay",),
       spoil=[lambda e, _: forget_warning(e), lambda e, _: warn_twice(e), lambda e, _: setattr(e, "status", 4),
              lambda e, _: setattr(e, "err", e.err.replace("referring containers", "trouble")),
              lambda _, f: setattr(f.parts["1"], "err", "warning: %s is busy\n" % f.parts["1"].created()[0])])
def _(e, freed):
    wrong = []
    if e.status != 0:
        wrong.append("exit status %s, not 0" % e.status)
    name = e.created()[0] if e.created() else "(no network was made)"
    lines = e.warnings(name)
    if len(lines) != 1:
        wrong.append("%d lines on stderr name the network" % len(lines))
    elif "referring containers: somebody-elses" not in lines[0]:
        wrong.append("the warning does not hold the runtime's own words: %s" % lines[0])
    for times, part in freed.parts.items():
        if part.created() and part.warnings(part.created()[0]):
            wrong.append("busy %s times, then gone, and still a warning" % times)
    return wrong


@check("retry-gone-is-success", "gone_already", on=("replay",),
       spoil=[lambda e: [one_more_delete(e) for _ in range(2)], set_(status=4),
              lambda e: setattr(e, "err", e.err + "npxc: warning: network %s is still there\n" % e.created()[0])])
def _(e):
    wrong = busy_session(e) or worked(e)
    deletes = e.of("network delete")
    if not 1 <= len(deletes) <= 2:
        wrong.append("%d deletes of a network that is not there" % len(deletes))
    if e.created() and e.warnings(e.created()[0]):
        wrong.append("a warning: %s" % e.warnings(e.created()[0])[0])
    return wrong + nothing_left(e)


@check("retry-background", "busy_forever", on=("replay",), timed=True,
       spoil=[lambda e: e.marks.update({"network gone": e.marks["free"] + 5000001}), lambda e: e.marks.pop("network gone"),
              set_(networks_left=["n"]), lambda e: setattr(e, "ended_us", e.calls[-1].end_us + 1)])
def _(e):
    wrong = busy_session(e) + nothing_left(e)
    free, gone = e.marks.get("free", 0), e.marks.get("network gone")
    if gone is None:
        wrong.append("the network was never deleted after it was free")
    elif gone - free > 5000000:
        wrong.append("late: deleted only %.1f s after it was free" % ((gone - free) / 1e6))
    if e.ended_us is None or not [call for call in e.of("network delete") if call.start_us > e.ended_us]:
        wrong.append("no delete after the launcher's end")
    return wrong


@check("retry-hang-bounded", "delete_hangs", on=("replay",),
       spoil=[lambda e: setattr(e.of("network delete")[0], "cut", False), lambda e: e.calls.remove(e.of("network delete")[1]),
              lambda e: setattr(e, "ended_us", e.began_us + 31000000)])
def _(e):
    wrong = busy_session(e) + nothing_left(e)
    deletes = e.of("network delete")
    if not deletes or not deletes[0].cut:
        wrong.append("the delete that never returned was not cut off")
    if len(deletes) != 2:
        wrong.append("%d deletes, not the one that was cut off and one more" % len(deletes))
    if e.ended_us is None or e.ended_us - e.began_us > 30 * 1000000:
        wrong.append("the session took longer than 30 s")
    return wrong


# ---- relay ----

@check("relay-bytes-exact", "nasty_lines",
       spoil=[lambda e: setattr(e, "out", e.out.replace(b"9007199254740993", b"9007199254740992")),
              lambda e: setattr(e, "out", e.out.replace(b"\r\n", b"\n")), lambda e: setattr(e, "out", e.out[:-1])])
def _(e):
    got = e.out.splitlines(keepends=True)
    wrong = ["line %d came back as %r" % (number, line) for number, (line, sent) in enumerate(zip(got, NASTY), 1) if line != sent]
    if not wrong and e.out != b"".join(NASTY):
        wrong.append("%d lines of %d came back (exit status %s, stderr: %s)" % (len(got), len(NASTY), e.status, e.err.strip()[-200:]))
    return wrong


MOST_KIB = 48 << 10


@check("relay-large", "large_line",
       spoil=[lambda e: e.seen.update(same=False), lambda e: e.seen.update(peak_kib=MOST_KIB + 1), set_(status=4)])
def _(e):
    wrong = []
    if not e.seen["same"]:
        wrong.append("%d of %d bytes came back, or others (stderr: %s)" % (e.seen["bytes"], e.seen["wanted bytes"], e.err.strip()[-200:]))
    if e.seen["peak_kib"] > MOST_KIB:
        wrong.append("a process of the launcher grew to %d KiB" % e.seen["peak_kib"])
    if e.status != 0:
        wrong.append("exit status %s" % e.status)
    return wrong


@check("relay-eof-drains", "piped", spoil=[lambda e: setattr(e, "out", e.out[:-len(REPLY % 500)]), set_(status=1)])
def _(e):
    wanted = [json.loads(REPLY % n) for n in range(1, e.seen["requests"] + 1)]
    try:
        got = [json.loads(line) for line in e.out.splitlines()]
    except ValueError:
        return ["what came back is not all JSON: %r" % e.out[-100:]]
    wrong = [] if got == wanted else ["%d of %d answers came (stderr: %s)" % (len(got), len(wanted), e.err.strip()[-200:])]
    return wrong + ([] if e.status == 0 else ["exit status %s" % e.status])


@check("relay-args-verbatim", "arguments",
       spoil=[lambda e: e.seen["wanted"].append("x"), lambda e: e.seen["wanted"].remove("--"), set_(out=b"")])
def _(e):
    try:
        words = [bytes.fromhex(word).decode() for word in json.loads(e.out.splitlines()[0])["params"]["args"]]
    except (ValueError, KeyError, IndexError):
        return ["the server did not say what it got: %r (stderr: %s)" % (e.out[:100], e.err.strip()[-200:])]
    return [] if words == e.seen["wanted"] else ["the server got %s, wanted %s" % (words, e.seen["wanted"])]


# ---- box: by the argument list ----

def run_or(e):
    return [] if e.run else ["the server was not started: %s" % e.err.strip()[-200:]]


def on_argv(identity, *spoils):
    return check(identity, "sandbox", on=("replay",), spoil=spoils)


@on_argv("box-rootfs-read-only", without("--read-only"))
def _(e):
    return run_or(e) or ([] if e.run.has("--read-only") else ["no --read-only"])


def add_option(*words):
    def spoil(e):
        e.run.argv[2:2] = words
    return spoil


@on_argv("box-caps-empty", option("--cap-drop", "NET_RAW"), add_option("--cap-add", "SYS_ADMIN"))
def _(e):
    if not e.run:
        return run_or(e)
    return ([] if "ALL" in e.run.values("--cap-drop") else ["no --cap-drop ALL"]) + \
        ["--cap-add %s" % name for name in e.run.values("--cap-add")]


@on_argv("box-not-root", option("--user", "0:0"), option("--user", "root"), option("--user", None))
def _(e):
    if not e.run:
        return run_or(e)
    users = e.run.values("-u", "--user") + e.run.values("--uid")
    if not users:
        return ["no --user"]
    return ["the server runs as %s" % user for user in users if re.split(":", user)[0] in ("0", "root", "")]


PROMISED = {"PATH", "HOME", "TMPDIR", "LANG", "TERM"}


def names_of(values):
    return {value.split("=", 1)[0] for value in values}


@on_argv("box-env-empty", add_option("-e", "NOT_FORWARDED"), add_option("--env-file", "/x"), option("-e", "OTHER=1"))
def _(e):
    if not e.run:
        return run_or(e)
    names = names_of(e.run.values("-e", "--env"))
    wrong = ["--env-file" for _ in e.run.values("--env-file")]
    if names - PROMISED != {"FORWARDED"}:
        wrong.append("declared was FORWARDED, the server gets %s" % sorted(names - PROMISED))
    if not {"PATH", "HOME", "TMPDIR", "LANG"} <= names:
        wrong.append("missing: %s" % sorted({"PATH", "HOME", "TMPDIR", "LANG"} - names))
    return wrong


def home_of(e):
    return next((value.split("=", 1)[1] for value in e.run.values("-e", "--env") if value.startswith("HOME=")), None)


def no_home_tmpfs(e):
    argv = e.run.argv
    index = next(i for i, word in enumerate(argv) if word == "--tmpfs" and argv[i + 1] == home_of(e))
    del argv[index:index + 2]


@on_argv("box-home-writable", no_home_tmpfs)
def _(e):
    if not e.run:
        return run_or(e)
    home = home_of(e)
    mounts = [value.split(":")[1] for value in e.run.values("-v", "--volume")]
    wrong = [] if home and home in e.run.values("--tmpfs") else ["HOME is %s, the tmpfs mounts are %s" % (home, e.run.values("--tmpfs"))]
    return wrong + (["HOME is the host's"] if home in mounts else [])


def no_tmpfs(path):
    def spoil(e):
        argv = e.run.argv
        index = next(i for i, word in enumerate(argv) if word == "--tmpfs" and argv[i + 1] == path)
        del argv[index:index + 2]
    return spoil


@on_argv("box-tmp-writable", no_tmpfs("/tmp"), no_tmpfs("/run"))
def _(e):
    return run_or(e) or ["no tmpfs at %s" % path for path in ("/tmp", "/run") if path not in e.run.values("--tmpfs")]


@on_argv("box-limits", option("--memory", None), option("--cpus", None),
         lambda e: setattr(e.run, "argv", [word for word in e.run.argv if not word.startswith("nproc=")]))
def _(e):
    if not e.run:
        return run_or(e)
    wrong = []
    for what, found in (("memory", e.run.values("-m", "--memory")), ("processors", e.run.values("-c", "--cpus")),
                        ("processes", [v for v in e.run.values("--ulimit") if v.startswith("nproc=")] + e.run.values("--pids-limit"))):
        if not found:
            wrong.append("no limit of %s" % what)
    return wrong


@check("box-secrets-not-in-argv", "sandbox",
       spoil=[lambda e: e.seen["holders"].append("argument list of process 1")])
def _(e):
    wrong = ["the value is in: %s" % where for where in e.seen["holders"]]
    wrong += ["the value is in a call of the CLI: %s" % call.kind for call in e.calls
              if any(e.seen["secret"] in word for word in call.argv)]
    got = e.seen["live"].get("env", {}).get("value", {}).get("FORWARDED") if "live" in e.seen else None
    if "live" in e.seen and got != e.seen["secret"]:
        wrong.append("the server did not get the variable")
    if "live" not in e.seen and e.run and "FORWARDED" not in names_of(e.run.values("-e", "--env")) and not e.run.values("--env-file"):
        wrong.append("the variable was not forwarded")
    return wrong + ([] if "live" in e.seen else run_or(e))


# ---- box: as seen from inside ----

LIVE = ("bwrap", "podman", "apple")


def on_live(identity, *spoils):
    return check(identity, "sandbox", on=LIVE, spoil=spoils)


def answer(e, label):
    """The probe's result, or {} with ok False."""
    return e.seen["live"].get(label) or {"ok": False, "code": "no answer; stderr: " + e.err.strip()[-200:]}


def status_field(e, name):
    for line in (answer(e, "process").get("value") or "").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return None


def live(label, **result):
    def spoil(e):
        e.seen["live"][label] = result
    return spoil


READ_ONLY = ("/x", "/usr/x", "/etc/x", "/opt/x", "/var/x", "/proc/sys/kernel/core_pattern")


@on_live("box-rootfs-read-only", live("write /x", ok=True), live("write /usr/x", ok=True))
def _(e):
    wrong = []
    for path in READ_ONLY:
        result = answer(e, "write " + path)
        if result.get("ok") or result.get("code") not in ("EROFS", "EACCES", "ENOENT", "EPERM"):
            wrong.append("writing %s: %s" % (path, result))
    return wrong


def field_becomes(name, value):
    def spoil(e):
        text = e.seen["live"]["process"]["value"]
        e.seen["live"]["process"]["value"] = re.sub(r"(?m)^%s:.*$" % name, "%s:\t%s" % (name, value), text)
    return spoil


@on_live("box-caps-empty", field_becomes("CapEff", "0000000000000400"), field_becomes("CapBnd", "000001ffffffffff"))
def _(e):
    return ["%s is %s" % (name, status_field(e, name)) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
            if status_field(e, name) is None or int(status_field(e, name), 16) != 0]


@on_live("box-not-root", field_becomes("Uid", "0\\t0\\t0\\t0"), live("process", ok=False))
def _(e):
    ids = [status_field(e, name) for name in ("Uid", "Gid")]
    return [] if all(text and "0" not in text.split() for text in ids) else [
        "the server's user and group are %s (%s)" % (ids, answer(e, "process").get("code"))]


@on_live("box-no-new-privs", field_becomes("NoNewPrivs", "0"))
def _(e):
    return [] if status_field(e, "NoNewPrivs") == "1" else ["NoNewPrivs is %s" % status_field(e, "NoNewPrivs")]


def more_variables(e):
    e.seen["live"]["env"]["value"]["AWS_PROFILE"] = "x"


@on_live("box-env-empty", more_variables, live("env", ok=False))
def _(e):
    names = set(answer(e, "env").get("value") or {})
    wrong = []
    # PWD: a shell that starts the server may set it; podman itself adds container and HOSTNAME
    extra = names - PROMISED - {"FORWARDED", "PWD", "container", "HOSTNAME"} - ({"SHLVL", "_", "OLDPWD"})
    if extra:
        wrong.append("variables that nobody declared: %s" % sorted(extra))
    missing = {"PATH", "HOME", "TMPDIR", "LANG", "FORWARDED"} - names
    if missing:
        wrong.append("missing: %s (%s)" % (sorted(missing), answer(e, "env").get("code")))
    return wrong


@on_live("box-home-writable", live("home", ok=True, value={"status": 1, "stdout": ""}), live("home", ok=False))
def _(e):
    result = answer(e, "home").get("value") or {}
    wrong = []
    if result.get("status") != 0 or not str(result.get("stdout", "")).startswith("/"):
        wrong.append("writing into HOME: %s" % (result or answer(e, "home")))
    return wrong + ["it is the host's: %s" % path for path in e.seen["host has x"] if path.startswith(e.seen["home"])]


@on_live("box-tmp-writable", live("write /tmp/x", ok=False, code="EROFS"), lambda e: e.seen["host has x"].append("/tmp/x"))
def _(e):
    wrong = ["writing %s: %s" % (path, answer(e, "write " + path)) for path in ("/tmp/x", "/run/x")
             if not answer(e, "write " + path).get("ok")]
    return wrong + ["it is the host's: %s" % path for path in e.seen["host has x"] if not path.startswith(e.seen["home"])]


def sees(path):
    def spoil(e):
        e.seen["live"]["read " + e.seen["hidden"][path]] = {"ok": True, "value": "secret"}
    return spoil


@on_live("box-host-files-hidden", sees(0), sees(3), live("processes", ok=True, value=200))
def _(e):
    wrong = ["%s can be read" % path for path in e.seen["hidden"]
             if answer(e, "read " + path).get("code") not in ("ENOENT", "EACCES")]
    count = answer(e, "processes").get("value")
    if not isinstance(count, int) or count > 8:
        wrong.append("the server sees %s processes" % count)
    return wrong


@check("box-limits", "limits", on=("bwrap", "podman"),
       spoil=[lambda e: e.seen["memory"].update(allocate={"ok": True, "value": 57}),
              lambda e: e.seen["processes"].update(spawn={"ok": True, "value": {"stdout": "started\n", "stderr": ""}})])
def _(e):
    try:
        said = json.loads(e.seen["plan"]).get("limits", {})
    except ValueError:
        said = {}
    if said.get("memory_enforced") is False or "not enforced" in e.seen["said"]:
        raise NotApplicable("limit-not-enforced")
    wrong = []
    memory = e.seen["memory"].get("allocate")
    if memory is None:
        wrong.append("the server could not be asked: %s" % e.seen["said"].strip()[-200:])
    elif memory.get("ok"):
        wrong.append("900 MiB could be had where 256 MiB are allowed")
    many = e.seen["processes"].get("spawn") or {}
    value = many.get("value") or {}
    if many.get("ok") and "started" in str(value.get("stdout")) and not value.get("stderr"):
        wrong.append("900 processes could be started")
    return wrong


# ---- names ----

def sources(argv):
    """Host directories that are mounted for the package and its data."""
    found = set()
    for index, word in enumerate(argv):
        if word in ("-v", "--volume"):
            found.add(argv[index + 1].split(":")[0])
        elif word in ("--bind", "--ro-bind") and argv[index + 2].startswith(("/data", "/opt/")):
            found.add(argv[index + 1])
    return found


@check("fs-keys-never-collide", "two_packages", on=("replay", "bwrap"),
       spoil=[lambda e: e.parts["@a/b-c"].seen.update(argv=e.parts["@a-b/c"].seen["argv"]),
              lambda e: e.parts["@a/b-c"].seen.update(argv=None)])
def _(e):
    wrong = parts(e, worked)
    lists = [part.seen["argv"] for part in e.parts.values()]
    if not all(lists):
        return wrong + ["no argument list was seen"]
    one, other = map(sources, lists)
    if one & other:
        wrong.append("both packages get %s" % sorted(one & other))
    if len(one) < 2 or len(other) < 2:
        wrong.append("no data directory is mounted: %s, %s" % (sorted(one), sorted(other)))
    return wrong
