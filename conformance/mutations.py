#!/usr/bin/env python3
"""Takes single parts out of npxc and has the suite judge what is left: each mutation must turn a requirement red.

    mutations.py [--only NAME,...] [--jobs N]

A mutation is a change of text in a copy of the sources, made in a scratch directory; that is built and judged on
replay-1.0.0 by the requirements that the mutation names. Red has to be one of those at least. Writes
build/conformance/mutations.json, of which make conformance-status makes a part of STATUS.md.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import registry
import report
from judge import judge
from surroundings import OWN
from worlds import TOP, Lab, runtimes_here

RUNTIME = "replay-1.0.0"
RELAY = "src/relay/relay.c"
NETWORK, TEARDOWN = "src/runtime/network.c", "src/teardown/teardown.c"


class Mutation:
    def __init__(self, name, what, reqs, *changes):
        self.name, self.what, self.reqs, self.changes = name, what, reqs, changes


def without_attempt(number):
    return Mutation(
        "attempt-%d" % number, "attempt %d of 5 to delete a network" % number, ["retry-*"],
        (NETWORK, "if (network_delete(runtime, name, &last))\n\t\t\treturn true;\n\t\tif (!network_is_managed_name",
         "if (attempt != %d && network_delete(runtime, name, &last))\n\t\t\treturn true;\n\t\tif (!network_is_managed_name"
         % (number - 1)))


def without_pause(number, milliseconds):
    return Mutation("pause-%d" % number, "the pause of %d ms after attempt %d" % (milliseconds, number), ["retry-*"],
                    (NETWORK, "\tsleep_until(end);\n\treturn false;",
                     "\tif (pause_ms != %d)\n\t\tsleep_until(end);\n\treturn false;" % milliseconds))


MUTATIONS = [without_attempt(number) for number in range(1, 6)] + [
    without_pause(number, milliseconds) for number, milliseconds in enumerate((150, 300, 450, 600), 1)] + [
    Mutation("announce", "the announcement of a network to the janitor", ["net-*", "tear-*"],
             ("src/session/session.c",
              "if (!janitor_hold_named(session->janitor, RESOURCE_NETWORK, &session->runtime, name, &ignored, err))\n\t\treturn false;",
              "ignored = session->janitor == NULL || name == NULL || err == NULL;\n\t(void)ignored;")),
    Mutation("order", "container before network: the networks go first", ["tear-*"],
             (TEARDOWN, "\tif (!end_sandbox(t, 0, -1, &err))\n\t\treport(t, true",
              "\tremove_all_of(t, RESOURCE_NETWORK);\n\tif (!end_sandbox(t, 0, -1, &err))\n\t\treport(t, true")),
    Mutation("order-of-removal", "container before network, once the container's CLI has ended", ["tear-*"],
             (TEARDOWN, "\tremove_all_of(t, RESOURCE_CONTAINER);\n\tFAULT_POINT(\"janitor.teardown-containers\");",
              "\tremove_all_of(t, RESOURCE_NETWORK);\n\tremove_all_of(t, RESOURCE_CONTAINER);")),
    Mutation("sweep", "the release of what dead sessions held, at the next start", ["tear-sigkill-all"],
             ("src/teardown/sweep.c", "fine = fine && sweep_round(&sweeper, directory, &ignored);", "fine = fine && directory == NULL;")),
    Mutation("living", "the lock by which a session that lives is told from a dead one", ["tear-sigkill-all"],
             ("src/teardown/lease_file.c",
              "if (i == LOOK_AGAIN || lease_process_alive(&seen->lease, &seen->lease.launcher, boot) ||\n"
              "\t\t    lease_process_alive(&seen->lease, &seen->lease.janitor, boot))\n\t\t\treturn false;",
              "if (i == LOOK_AGAIN)\n\t\t\treturn seen->path != boot;")),
    Mutation("grace", "the end of a server's grace before a client's own", ["tear-client-ladders"],
             ("src/session/session.c", "if (!end_early(session, pump, LIMIT_GRACE_MS, err))",
              "if (!end_early(session, pump, 10 * LIMIT_GRACE_MS, err))"),
             ("src/teardown/janitor_protocol.c", "signals_time_ms() + LIMIT_SIGNAL_MS", "signals_time_ms() + 10 * LIMIT_SIGNAL_MS")),
    Mutation("background", "the attempts in the background", ["retry-*"],
             ("src/teardown/janitor_process.c", "\t\tnetwork_delete_blocking(&background);", "\t\t(void)background;")),
    Mutation("look-after-failure", "the look whether a network is gone after a failed delete", ["retry-*"],
             (NETWORK, "if (network_look(runtime, name, pause_ms) == NETWORK_STATE_GONE)\n\t\treturn true;", "(void)runtime;\n\t(void)name;"),
             (NETWORK, "if (network_look(runtime, name, network_schedule.last_look_ms) == NETWORK_STATE_GONE)\n"
                       "\t\treturn true;\n", "")),
    # either flag alone keeps a link from leading out
    Mutation("beneath", "the flags that keep a path beneath the working directory and its links unfollowed", ["fs-*"],
             ("src/base/beneath.c", ".resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS }", ".resolve = RESOLVE_NO_MAGICLINKS }")),
    Mutation("first-speaker", "the rule that what the server has said first is not shown", ["fs-*"],
             ("src/files/said.c", "if (was_said(said, relative) || (resolved != NULL && was_said(said, resolved)))",
              "if (was_said(said, relative) && resolved == relative)")),
    Mutation("whole-project", "the rule that the working directory itself is not shown", ["fs-*"],
             (RELAY, "if (name->relative[0] == '\\0' || (found->path[0] == '\\0' && there))\n\t\treturn false; /* all of the project */",
              "")),
    Mutation("schema", "what a tool's schema says of bare relative names", ["fs-*"],
             (RELAY, "if (relay->pending.count < PENDING_MAX)", "if (line == NULL)")),
    Mutation("passes-outside", "the way of what lies elsewhere to the server, as it is", ["fs-*"],
             (RELAY, "if (!relay->settings.config->refuse_outside || !work->is_request)", "if (!work->is_request)")),
    Mutation("secrets", "the rule that names of secrets are not shown", ["fs-*"],
             (RELAY, "	return hazard_along(relative, 0) != 0 || hazard_along(found->path, 0) != 0;",
              "	return false && hazard_along(relative, 0) != 0;")),
    Mutation("failure", "the answer to a request whose file cannot be shown", ["relay-*"],
             (RELAY, "		answer(relay, line, &message, &work, reply);\n	work_done", "		(void)reply;\n	work_done")),
    Mutation("stdout-guard", "the look at what a server prints beside messages", ["relay-*"],
             (RELAY, "if (relay->guards && bytes[i] != '{' && bytes[i] != '[')\n\t\t\treturn LINES_DIVERT;\n\t\t", "")),
]


class NotMade(Exception):
    """The source has changed and the mutation with it is none any more, or it does not build."""


def build(mutation, scratch):
    for name in ("Makefile", "src"):
        source = TOP / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, scratch / name)
    for name in ("obj",):  # copied with their times, so that make compiles what was changed and no more
        shutil.copytree(TOP / "build" / name, scratch / "build" / name, copy_function=shutil.copy2)
    for file, before, after in mutation.changes:
        path = scratch / file
        text = path.read_text()
        if text.count(before) != 1:
            raise NotMade("%s holds %d times: %s" % (file, text.count(before), before))
        path.write_text(text.replace(before, after))
    done = subprocess.run(["make", "-s", "-C", str(scratch), "build/npxc"], capture_output=True, text=True)
    if done.returncode != 0:
        raise NotMade("it does not build: %s" % done.stderr.strip()[-400:])
    return scratch / "build" / "npxc"


def red_of(mutation):
    """{id: first problem}"""
    scratch = pathlib.Path(tempfile.mkdtemp(prefix=OWN + "mutation-"))
    try:
        with Lab(build(mutation, scratch), quick=True) as lab:
            rows = judge(lab, runtimes_here()[RUNTIME], registry.choose(registry.load(), mutation.reqs), with_samples=False)
        return {row.requirement["id"]: (row.problems or [row.reason])[0] for row in rows if row.red}
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def judged(mutation):
    try:
        return mutation, red_of(mutation), None
    except NotMade as why:
        return mutation, {}, str(why)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="names of mutations; comma-separated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", default=str(TOP / "build" / "conformance"))
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if not options.only or one.name in options.only.split(",")]
    if not chosen:
        sys.exit("mutations: there are %s" % ", ".join(one.name for one in MUTATIONS))
    faults, found = 0, []
    calm = Mutation("none", "nothing", sorted({req for one in chosen for req in one.reqs}))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutation, red, why in pool.map(judged, [calm, *chosen]):
            fault = why or ("" if bool(red) == bool(mutation.changes) else
                            "no requirement noticed" if mutation.changes else "red although nothing was taken out")
            faults += bool(fault)
            print("%-20s %s%s" % (mutation.name, ", ".join(sorted(red)) or "-", "  <-- %s" % fault if fault else ""), flush=True)
            for identity in sorted(red):
                print("    %s: %s" % (identity, red[identity][:160]), flush=True)
            if mutation.changes:
                found.append({"name": mutation.name, "what": mutation.what, "red": sorted(red)})
    told = report.STATUS.read_text() if report.STATUS.exists() else ""
    for one in found if not faults else []:
        if "| %s |" % one["what"] not in told:
            print("STATUS.md does not tell of %s; run make conformance-status" % one["name"])
    if not options.only and not faults:
        output = pathlib.Path(options.output)
        output.mkdir(parents=True, exist_ok=True)
        (output / report.MUTATIONS).write_text(json.dumps(found, indent=1) + "\n")
    print("%d of %d mutations were noticed" % (sum(bool(one["red"]) for one in found), len(found)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
