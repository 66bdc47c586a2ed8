"""What a check is, and what many of them look for.

The requirements as functions of evidence: a check returns what is wrong, as a list of sentences; an empty list is a pass.
With each check stand its negative samples: changes to good evidence after which the same check must fail. A check is
named after its requirement, so that a traceback tells which one it was.
"""

from evidence import Call, place_of
from scenarios.base import EVERYWHERE, LIVE, NETWORKED, REPLY  # noqa: F401: families, for the areas

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
    "kernel-offers-no-way": "this kernel has nothing that would stop it, and the launcher itself says what is left open",
    "runs-no-install-scripts": "this launcher runs no install scripts, so none can lay a trap",
    "limit-not-enforced": "the launcher itself says that the limit is not enforced: no cgroup may be made here",
}


class Check:
    def __init__(self, identity, function, needs, families, samples, timed):
        self.identity, self.function, self.needs = identity, function, needs
        self.families, self.samples, self.timed = families, samples, timed

    def __str__(self):
        return "%s, %s" % (self.function.__name__, place_of(self.function))

    def judge(self, evidence):
        problems = ["%s: %s" % (name, evidence[name].problem) for name in self.needs if evidence[name].problem]
        return problems or self.function(*[evidence[name] for name in self.needs])


def check(identity, *needs, on=EVERYWHERE, spoil=(), timed=False):
    """`on`: families of runtimes on which this function decides. `spoil`: negative samples, each a function that
    changes a copy of the evidence in place."""
    name = identity.replace("-", "_")

    def register(function):
        if function.__name__ != name and not function.__name__.startswith(name + "_"):
            raise TypeError("the check of %s at %s is called %s; its name has to begin with %s"
                            % (identity, place_of(function), function.__name__, name))
        one = Check(identity, function, needs, on, spoil, timed)
        for family in on:
            assert (identity, family) not in CHECKS, identity
            CHECKS[identity, family] = one
        return function
    return register


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
