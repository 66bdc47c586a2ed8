"""Two faults at once: which, and where in a session's life. Pure: a seed gives a plan, and always the same one.

A plan is two faults of these, a client's behaviour, and whether another session of the same home runs beside it:

  cli     a call of the container CLI fails, dies, prints nothing or half, hangs, or is done late; or all from it on fail
  kill    launcher, janitor or both are killed
  stop    launcher or janitor is stopped, and goes on after some milliseconds
  signal  the launcher gets SIGTERM, SIGINT or SIGHUP
  full    there is no room any more where npxc writes leases, or where it makes directories

Where: before or after the call of a number, or at one of the fault points of src/base/fault.h. A disk is full from a call
on; where there is no CLI (bubblewrap), from the start.
"""

import dataclasses
import random

CALLS = {True: 7, False: 3}  # of a session with a network of its own: version, create, inspect, run, rm, rm, ...
MODES = ("exit1", "exit1-done", "killed", "empty", "truncated", "hang", "hang-first", "late", "down")
KINDS = ("cli", "kill", "stop", "signal", "full")
WEIGHTS = (5, 4, 3, 3, 2)
SIGNALS = (15, 2, 1)
SOMEBODYS = "npxc-abababababab4abc8cdcdcdcdcdcdcde"  # a network that is called as npxc's are


@dataclasses.dataclass(frozen=True)
class Fault:
    kind: str
    call: int = 0  # 0: at a fault point
    when: str = "before"  # or after that call
    point: str = ""  # NAME:TIMES
    what: str = ""  # a mode, roles, a signal's number, a place
    ms: int = 0  # how long one stays stopped

    def __str__(self):
        where = f"{self.when} call {self.call}" if self.call else f"at {self.point}" if self.point else "from the start"
        return f"{self.kind} {self.what}{f' for {self.ms} ms' if self.ms else ''} {where}"


@dataclasses.dataclass(frozen=True)
class Plan:
    seed: int
    faults: tuple
    runtime: str  # docker, the replay shim; or bwrap
    network: bool  # with an allowlist, on docker by link gateway: a network is made and deleted
    stubborn: bool  # a server that ignores signals and the end of input
    neighbour: bool

    def __str__(self):
        words = [self.runtime, *(name for name in ("network", "stubborn", "neighbour") if getattr(self, name))]
        return f"seed {self.seed}: {self.faults[0]}; {self.faults[1]} ({', '.join(words)})"

    def has(self, kind):
        return any(fault.kind == kind for fault in self.faults)


def reached(points, runtime, network):
    """Those that such a session comes to."""
    never = (() if runtime == "bwrap" else ("cgroup.",)) + (() if network else ("network.", "egress.", "route."))
    return [point for point in points if not point.startswith(never)]


def fault_of(choose, kind, points, calls):
    """calls: as many does the session make; what comes early is seldom the end of it."""
    call = choose.choices(range(1, calls + 1), range(1, calls + 1))[0] if calls else 0
    if kind == "cli":
        return Fault(kind, call=call, what=choose.choice(MODES))
    what = {"kill": lambda: choose.choice(("launcher", "janitor", "launcher+janitor")),
            "stop": lambda: choose.choice(("launcher", "janitor")),
            "signal": lambda: str(choose.choice(SIGNALS)),
            "full": lambda: choose.choice(("state", "temporary"))}[kind]()
    ms = choose.choice((20, 200, 1500)) if kind == "stop" else 0
    if kind == "full":  # by somebody else, who sees calls only
        return Fault(kind, call=call, what=what)
    if not calls or choose.random() < 0.5:
        return Fault(kind, point=choose.choice(points) + ":1", what=what, ms=ms)
    return Fault(kind, call=call, when=choose.choice(("before", "after")), what=what, ms=ms)


def plan(seed, points, kinds=KINDS, runtimes=("docker", "docker", "docker", "bwrap")):
    """points: names of fault points. kinds, runtimes: those that this machine can have."""
    choose = random.Random(seed)
    runtime, network = choose.choice(runtimes), choose.random() < 0.8
    points, calls = reached(points, runtime, network), CALLS[network] if runtime == "docker" else 0
    mine = [kind for kind in kinds if runtime == "docker" or kind != "cli"]
    pair = choose.choices(mine, [WEIGHTS[KINDS.index(kind)] for kind in mine], k=2)
    faults = [fault_of(choose, kind, points, calls) for kind in pair]
    while (faults[0].kind, faults[0].call, faults[0].point) == (faults[1].kind, faults[1].call, faults[1].point):
        faults[1] = fault_of(choose, choose.choice(mine), points, calls)  # twice the same is one fault
    return Plan(seed, tuple(faults), runtime, network, stubborn=choose.random() < 0.2,
                neighbour=choose.random() < 0.15)


# ---- what is right after them ----

@dataclasses.dataclass
class Seen:
    """Of a session under a plan, when it was over."""

    status: int = 0  # of the launcher; negative: a signal
    out: bytes = b""
    errors: bytes = b""
    told: tuple = ()  # signals that the client itself sent, at the end
    ended: bool = True  # the launcher and the client's pipes, in time
    left: tuple = ()  # in spite of one gc
    gc: str = ""  # its status and what it said
    touched: tuple = ()  # what was somebody else's


def statuses(plan, seen):
    """The documented ones that can be."""
    allowed = {0, 2, 4} | {128 + number for number in seen.told}
    for fault in plan.faults:
        if fault.kind == "signal":
            allowed |= {128 + int(fault.what), -int(fault.what)}  # before npxc has asked for it, as of any program
        elif fault.kind == "kill" and "launcher" in fault.what:
            allowed.add(-9)
        elif fault.kind == "cli":  # what becomes of `run` is what became of the server
            allowed |= {1, 128 + 9}
        elif fault.kind == "kill":  # the sandbox ends with a janitor that ends it
            allowed |= {128 + 9}
    return allowed | {-number for number in seen.told if plan.has("stop") or plan.has("cli")}


def judge(plan, seen, reply):
    """What is wrong, as sentences."""
    wrong = []
    if not seen.ended:
        wrong.append("the launcher, or who holds the client's pipes, did not end")
    elif seen.status not in statuses(plan, seen):
        wrong.append(f"status {seen.status}: {seen.errors.decode(errors='replace')[-300:]}")
    elif seen.status in (2, 4) and b"npxc:" not in seen.errors:
        wrong.append(f"status {seen.status} without a word")
    halved = any(fault.kind == "cli" and fault.what == "truncated" for fault in plan.faults)
    if seen.out not in (b"", reply) and not (halved and reply.startswith(seen.out)):
        wrong.append(f"stdout holds {seen.out[:200]!r}")
    if seen.left:
        wrong.append(f"left behind: {', '.join(seen.left)}; gc: {seen.gc}")
    if seen.gc and not seen.gc.startswith(("0 ", "4 ")):
        wrong.append(f"gc: {seen.gc}")
    if seen.touched:
        wrong.append(f"somebody else's: {', '.join(seen.touched)}")
    return wrong
