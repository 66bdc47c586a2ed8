"""Ends that nobody is left to clean up after, ends as clients know them, and many at once."""

import os
import pathlib
import random
import re
import signal

import clients
from evidence import Evidence
from scenarios.base import ALLOWLIST, EVERYWHERE, REPLY, REQUEST, converse, parallel, scenario, world_of
from worlds import PROCESSES, kill_together, kin_of, now_us, pss_kib, read_of, wait_until


def package_of(runtime):
    return ALLOWLIST if runtime.family != "bwrap" else {"network": {"mode": "none"}}


def clean(world, session, patience):
    """Marks when nothing was left any more."""
    if wait_until(world.is_clean, patience, 0.02):
        session.mark("clean")


# ---- as clients end them ----

def laddered(lab, runtime, ladder, mode):
    with world_of(lab, runtime, "client_ladders", package_of(runtime)) as world:
        session = world.start(mode, world.marker)
        was_up = converse(world, session) if mode == "answer" else session.await_output(b"ready")
        steps = ladder(session)
        session.finish(2 if ladder is clients.vs_code_last else 20)
        if ladder is clients.vs_code_last:  # the janitor is of the tree: what it leaves is the next start's
            following = world.start("answer", world.marker)
            session.mark("last step")
            was_up = was_up and converse(world, following)
            following.close()
            following.finish()
        clean(world, session, 4 if lab.quick else 20)
        evidence = world.evidence(session, 0)
        evidence.seen.update({"was up": was_up, "steps": steps, "ladder": ladder.__name__, "mode": mode})
        return evidence


def by_own_client(lab, runtime, ladder, mode):
    """The client is a process of its own, which says when the session is up and with what the launcher ended; it lives
    on until everything else is gone."""
    with world_of(lab, runtime, "client_ladders", package_of(runtime)) as world:
        session = world.start("answer", world.marker, before=[*clients.COMMAND, mode])
        was_up = session.await_output(b"up ")
        steps = ladder(session)
        patience = 4 if lab.quick else 20
        if wait_until(lambda: is_clean_beside_client(world), patience, 0.02):
            session.mark("clean")
        if ladder is not clients.dies:
            session.await_output(b"ended", 5)
            session.process.stdin.close()
        session.finish(20)
        evidence = world.evidence(session, patience)
        told = re.search(r"ended (-?\d+)", bytes(session.out).decode())
        evidence.status = int(told[1]) if told else None
        evidence.seen.update({"was up": was_up, "steps": steps, "ladder": ladder.__name__, "mode": mode})
        return evidence


def is_clean_beside_client(world):
    return (world.sandbox_is_gone() and world.networks_are_gone() and not world.files_left()
            and not [pid for pid in world.processes_left() if not is_client(pid)])


def is_client(pid):
    return os.fsencode(clients.PROGRAM) in read_of(pid, "cmdline").split(b"\0")[:4]


@scenario(*EVERYWHERE, timed=True)
def client_ladders(lab, runtime):
    """Each with a server that obeys and one that does not."""
    jobs = [("%s, %s" % (ladder.__name__, mode),
             lambda ladder=ladder, mode=mode: laddered(lab, runtime, ladder, mode))
            for ladder in clients.LADDERS for mode in ("answer", "stubborn")]
    jobs += [(ladder.__name__, lambda ladder=ladder, mode=mode: by_own_client(lab, runtime, ladder, mode))
             for mode, ladders in clients.OWN_CLIENT.items() for ladder in ladders]
    return parallel(lab, runtime, "client_ladders", jobs, 8 if runtime.light else 3)


# ---- nobody left ----

def files_of(world):
    """All that is beneath the home and is neither the suite's own nor a log, which stays to be read."""
    found = set()
    for directory, inner, names in os.walk(world.home):  # which lets go what vanishes meanwhile
        here = pathlib.Path(directory)
        if here == world.home:
            inner[:] = [name for name in inner if name not in ("cli", "state", "project")]
        found |= {str((here / name).relative_to(world.home)) for name in inner + names
                  if not name.startswith("journal") and not name.endswith(".jsonl")}
    return found


def things_of(world, tag):
    """Containers, networks, mounts and processes of one session among several, and all files."""
    names = {"container %s" % name for name in world.runtime.containers(world)} if world.runtime.family != "bwrap" else set()
    mounts = {"mount %s" % place for place in world.mounts_left()}
    return (names | mounts | {"network %s" % name for name in world.runtime.networks(world)}
            | {"file %s" % name for name in files_of(world)}
            | {"process of %s" % tag for _ in PROCESSES.with_text(tag)})


@scenario(*EVERYWHERE, timed=True)
def sigkill_all(lab, runtime):
    """Launcher and janitor of one session are killed while another one lives and somebody else's things are there; then
    there is a third."""
    return Evidence("sigkill_all", runtime.name, parts={
        mode: all_killed(lab, runtime, mode) for mode in ("answer", "stubborn")})


def all_killed(lab, runtime, mode):
    foreign = ["npxc-0b5e9f7c3d214a688f00aa11bb22cc33"] if runtime.family == "replay" else ["npxc-%s" % os.urandom(16).hex()]
    foreign = [] if runtime.family == "bwrap" else foreign
    with world_of(lab, runtime, "sigkill_all", package_of(runtime)) as world:
        for name in foreign:
            runtime.cli(world, "network", "create", "--internal", name)
        world.foreign = foreign
        try:
            living = world.start("answer", world.marker + ".living.", world.marker)
            up = [converse(world, living)]
            before = things_of(world, world.marker + ".killed.")
            killed = world.start(mode, world.marker + ".killed.", world.marker)
            up.append(converse(world, killed) if mode == "answer" else killed.await_output(b"ready"))
            killed.mark("signal")
            launchers = kin_of(killed.process.pid, world.marker)
            kill_together(launchers)
            killed.finish(5)
            wait_until(lambda: killed.process.poll() is not None)
            held = things_of(world, world.marker + ".killed.") - before
            third = world.start("answer", world.marker + ".third.", world.marker)
            third.mark("next start")
            killed.mark("last step")
            up.append(converse(world, third))
            third.close()
            third.finish()
            patience = 5 if lab.quick else 20
            if wait_until(lambda: not things_of(world, world.marker + ".killed.") - before, patience, 0.05):
                killed.mark("clean")
            left = things_of(world, world.marker + ".killed.") - before
            # What the next start does in the background: afterwards it takes nothing from anybody any more.
            wait_until(lambda: not PROCESSES.with_text(world.marker + ".third."), patience)
            lost = {what for what in before if not what.startswith("process")} - things_of(world, "")
            living.send(REQUEST % 2)
            answered = living.await_output(REPLY % 2)
            living.close()
            living.finish()
            evidence = world.evidence(killed, patience)
            evidence.seen.update({"was up": all(up), "killed": len(launchers), "held": sorted(held), "left": sorted(left),
                                  "lost": sorted(lost), "living answered": answered, "living": living.process.poll(),
                                  "third": third.process.poll(),
                                  "next start": third.marks["next start"]})
            return evidence
        finally:
            for name in foreign:
                runtime.cli(world, "network", "rm", name)


# ---- many ----

HOW_MANY = {"replay": 200, "bwrap": 200, "podman": 50, "docker": 50, "apple": 50}
WITH_NETWORK = {"replay": 200, "bwrap": 0, "podman": 10, "docker": 10, "apple": 10}  # a real network of its own costs seconds of iptables
HOWS = ("eof", "SIGTERM", "SIGINT", "SIGHUP", "SIGKILL", "SIGKILL of the group", "server exit")


def end_one(session, how):
    if how == "eof":
        session.close()
    elif how == "server exit":
        session.send(REQUEST % 2)
    else:
        session.signal(getattr(signal, how.split()[0]), "group" in how)


def memory_of(world):
    """KiB of launchers, janitors and egress processes, what they share divided among them."""
    launcher = os.fsencode(world.lab.launcher)
    return sum(pss_kib(pid) or 0 for pid in PROCESSES.with_text(world.marker)
               if read_of(pid, "cmdline").split(b"\0")[0] == launcher)


@scenario(*EVERYWHERE, alone=True)
def concurrent(lab, runtime):
    """All are up at once; then they are ended in an order and in ways of chance (of the same chance in every run)."""
    count = 20 if lab.quick else HOW_MANY[runtime.family]
    networked = min(count, WITH_NETWORK[runtime.family])
    chance = random.Random(1)
    with world_of(lab, runtime, "concurrent", {"network": {"mode": "none"}}) as world:
        sessions, began = [], now_us()
        for number in range(count):
            if number == count - networked:
                for session, _ in sessions:  # those have read their configuration
                    session.await_errors(b"light ready")
                world.configure_package(ALLOWLIST)
            how = HOWS[number % len(HOWS)]
            words = ("twice",) if how == "server exit" else ("answer",)
            sessions.append((world.start(*words, "%s.%d." % (world.marker, number), world.marker), how))
        for session, _ in sessions:
            session.send(REQUEST % 1)
        up = sum(session.await_output(REPLY % 1, 180) for session, _ in sessions)
        figures = {"sessions": count, "with a network": networked, "ms until all are up": (now_us() - began) // 1000,
                   "KiB of launchers and janitors": memory_of(world)}
        chance.shuffle(sessions)
        began = now_us()
        for session, how in sessions:
            end_one(session, how)
        ends = []
        for session, how in sessions:
            over = session.finish(60)
            ends.append((how, session.process.poll(), over, bytes(session.err).decode(errors="replace")[-200:]))
        world.settle(30)
        seconds = (now_us() - began) / 1e6
        evidence = world.evidence(None, 0)
        evidence.files_left += sorted(name for name in files_of(world) if "/sessions/" in name)
        figures["ms until nothing is left"] = int(seconds * 1000)
        evidence.seen = {"count": count, "up": up, "ends": ends, "seconds": seconds, "figures": figures}
        return evidence
