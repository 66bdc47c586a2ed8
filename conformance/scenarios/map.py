"""From configuration to policy."""

import os

from scenarios.base import ALLOWLIST, EVERYWHERE, converse, parallel, sandbox_arguments, scenario, world_of
from worlds import LIGHT


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


@scenario(*EVERYWHERE)
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
