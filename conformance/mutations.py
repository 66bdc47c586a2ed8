#!/usr/bin/env python3
"""Takes single parts out of npxc and has the suite judge what is left: each mutation must turn a requirement red.

    mutations.py [--only NAME,...] [--jobs N]

A mutation is a WITHOUT() or WITHOUT_NTH() of the sources (src/base/fault.h), which the build of `make faults` leaves out
when NPXC_WITHOUT names it. It is judged on replay-1.0.0 by the requirements given here, of which one at least has to turn
red. Writes build/conformance/mutations.json, of which make conformance-status makes a part of STATUS.md.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import registry
import status_files
from judge import judge
from worlds import TOP, Lab, runtimes_here

RUNTIME = "replay-1.0.0"
FAULTY = TOP / "build" / "faults" / "npxc"
SWITCH = re.compile(r'WITHOUT(_NTH)?\("([^"]+)"')


class Mutation:
    """`name`: what NPXC_WITHOUT is set to, with its number where the source has WITHOUT_NTH; None: nothing is left out."""

    def __init__(self, name, what, *reqs):
        self.name, self.what, self.reqs = name, what, reqs

    @property
    def switch(self):
        return re.sub(r"-[0-9]+$", "", self.name)


MUTATIONS = [
    *(Mutation("attempt-%d" % number, "attempt %d of 5 to delete a network" % number, "retry-*") for number in range(1, 6)),
    *(Mutation("pause-%d" % ms, "the pause of %d ms after attempt %d" % (ms, number), "retry-*")
      for number, ms in enumerate((150, 300, 450, 600), 1)),
    Mutation("announce", "the announcement of a network to the janitor", "net-*", "tear-*"),
    Mutation("order", "container before network: the networks go first", "tear-*"),
    Mutation("order-of-removal", "container before network, once the container's CLI has ended", "tear-*"),
    Mutation("sweep", "the release of what dead sessions held, at the next start", "tear-sigkill-all"),
    Mutation("living", "the lock by which a session that lives is told from a dead one", "tear-sigkill-all"),
    Mutation("grace", "the end of a server's grace before a client's own", "tear-client-ladders"),
    Mutation("background", "the attempts in the background", "retry-*"),
    Mutation("look-after-failure", "the look whether a network is gone after a failed delete", "retry-*"),
    # either flag alone keeps a link from leading out
    Mutation("beneath", "the flags that keep a path beneath the working directory and its links unfollowed", "fs-*"),
    Mutation("first-speaker", "the rule that what the server has said first is not shown", "fs-*"),
    Mutation("whole-project", "the rule that the working directory itself is not shown", "fs-*"),
    Mutation("schema", "what a tool's schema says of bare relative names", "fs-*"),
    Mutation("passes-outside", "the way of what lies elsewhere to the server, as it is", "fs-*"),
    Mutation("secrets", "the rule that names of secrets are not shown", "fs-*"),
    Mutation("failure", "the answer to a request whose file cannot be shown", "relay-*"),
    Mutation("stdout-guard", "the look at what a server prints beside messages", "relay-*"),
]


def switches():
    """Those of the sources."""
    return {name for path in (TOP / "src").rglob("*.c") for _, name in SWITCH.findall(path.read_text())}


def red_of(mutation):
    """{id: first problem}"""
    env = {"NPXC_WITHOUT": mutation.name} if mutation.name else {}
    with Lab(FAULTY, quick=True, env=env) as lab:
        rows = judge(lab, runtimes_here()[RUNTIME], registry.choose(registry.load(), mutation.reqs), with_samples=False)
    return {row.requirement["id"]: (row.problems or [row.reason])[0] for row in rows if row.red}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", default="", help="names of mutations; comma-separated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--output", default=str(TOP / "build" / "conformance"))
    options = parser.parse_args()
    chosen = [one for one in MUTATIONS if not options.only or one.name in options.only.split(",")]
    if not chosen:
        sys.exit("mutations: there are %s" % ", ".join(one.name for one in MUTATIONS))
    if lost := {one.switch for one in chosen} - switches():
        sys.exit("mutations: no source has WITHOUT() of %s" % ", ".join(sorted(lost)))
    if not os.access(FAULTY, os.X_OK):
        sys.exit("mutations: %s is no program: make faults" % FAULTY)
    faults, found = 0, []
    all_of_them = [Mutation(None, "nothing", *sorted({req for one in chosen for req in one.reqs})), *chosen]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for mutation, red in zip(all_of_them, pool.map(red_of, all_of_them)):
            fault = "" if bool(red) == bool(mutation.name) else \
                "no requirement noticed" if mutation.name else "red although nothing was taken out"
            faults += bool(fault)
            print("%-20s %s%s" % (mutation.name or "none", ", ".join(sorted(red)) or "-", "  <-- %s" % fault if fault else ""), flush=True)
            for identity in sorted(red):
                print("    %s: %s" % (identity, red[identity][:160]), flush=True)
            if mutation.name:
                found.append({"name": mutation.name, "what": mutation.what, "red": sorted(red)})
    told = status_files.read(status_files.INDEX)
    for one in found if not faults else []:
        if "| %s |" % one["what"] not in told:
            print("STATUS.md does not tell of %s; run make conformance-status" % one["name"])
    if not options.only and not faults:
        output = pathlib.Path(options.output)
        output.mkdir(parents=True, exist_ok=True)
        (output / status_files.MUTATIONS).write_text(json.dumps(found, indent=1) + "\n")
    print("%d of %d mutations were noticed" % (sum(bool(one["red"]) for one in found), len(found)))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
