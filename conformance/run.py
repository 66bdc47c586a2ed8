#!/usr/bin/env python3
"""Holds a launcher against the requirements.

    run.py [--npxc PATH] [--runtime NAME,...] [--req GLOB,...] [--list | --show GLOB,...] [--quick] [--status | --check-status]
"""

import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import registry
import report
import status_files
from judge import judge_all
from show import show
from surroundings import Surroundings
from worlds import TOP, Lab, absent, runtimes_here


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npxc", default=str(TOP / "build" / "npxc"), help="the launcher to be judged")
    parser.add_argument("--runtime", default="", help="replay (all four), replay-1.0.0, bwrap, podman, docker, apple; comma-separated")
    parser.add_argument("--req", default="", help="patterns of requirement ids; comma-separated")
    parser.add_argument("--list", action="store_true", help="say what would be decided where; play nothing")
    parser.add_argument("--show", default="", help="print rows of these ids: text, checks, scenarios, broken launchers; play nothing")
    parser.add_argument("--quick", action="store_true", help="fewer sessions in swarm and torture")
    parser.add_argument("--once", default="", help="ids that of all releases in replay only the newest decides; comma-separated")
    parser.add_argument("--status", action="store_true", help="write conformance/status/ of the runtimes judged")
    parser.add_argument("--check-status", action="store_true", help="fail when conformance/status/ says otherwise of these runtimes")
    parser.add_argument("--alone", action="store_true", default=bool(os.environ.get("CI")),
                        help="nothing else uses this machine: whatever is new on it afterwards was left behind")
    parser.add_argument("--output", default=str(TOP / "build" / "conformance"))
    return parser.parse_args()


def chosen_runtimes(words):
    """([those to be judged], {name: why not}): what was asked for, else all that are here."""
    here = runtimes_here()
    if not words:
        return ([runtime for runtime in here.values() if not absent(runtime)],
                {name: absent(runtime) for name, runtime in here.items() if absent(runtime)})
    found = []
    for word in words.split(","):
        matching = [runtime for name, runtime in here.items() if name == word or runtime.family == word]
        if not matching:
            sys.exit("conformance: no runtime %s here; there are %s" % (word, ", ".join(here)))
        found += [runtime for runtime in matching if runtime not in found]
    return found, {}


def list_rows(requirements, runtimes):
    for runtime in runtimes:
        print(runtime.name)
        for requirement in requirements:
            excuse = registry.excuse(requirement, runtime)
            print("  %-28s %-6s %s" % (requirement["id"], requirement["level"],
                                       "%s: %s" % excuse if excuse else ",".join(registry.decided_kinds(requirement, runtime))))


def about(runtime):
    try:
        return runtime.provenance()
    except Exception as why:
        return {"cli": "unknown (%s)" % why}


def play(options, runtimes, requirements):
    """(the report, its rows)"""
    surroundings, began = Surroundings(options.alone), time.monotonic()
    with Lab(options.npxc, options.quick) as lab:
        launcher = lab.provenance()
        judged = judge_all(lab, runtimes, requirements, once=[word for word in options.once.split(",") if word],
                           progress=lambda text: print("  " + text, file=sys.stderr, flush=True))
        provenance = {runtime.name: about(runtime) for runtime in runtimes}
    left, meanwhile = surroundings.left(lab.names)
    rows = [row for found in judged for row in found]
    return report.make(launcher, provenance, rows, time.monotonic() - began, lab.left + left, meanwhile,
                       not options.quick and not options.once), judged


def main():
    options = arguments()
    wanted = options.show or options.req
    requirements = registry.choose(registry.load(), [word for word in wanted.split(",") if word])
    if not requirements:
        sys.exit("conformance: no requirement is called %s" % wanted)
    if options.show:
        return 0 if show(requirements) else 1
    runtimes, missing = chosen_runtimes(options.runtime)
    if options.list:
        list_rows(requirements, runtimes)
        return 0
    if options.status and (options.req or options.once or options.quick):
        sys.exit("conformance: a file of conformance/status/ tells of every requirement; this run is a part")
    if not os.access(options.npxc, os.X_OK):
        sys.exit("conformance: %s is no program" % options.npxc)
    whole, judged = play(options, runtimes, requirements)
    for runtime, found in zip(runtimes, judged):
        print("\n== %s (%s)\n%s" % (runtime.name, report.provenance(whole["runtimes"][runtime.name]), report.table(found)))
    output = pathlib.Path(options.output)
    report.write(whole, output)
    print("\n%(version)s, sha256 %(digest)s" % whole["launcher"])
    for name, found in report.by_runtime(whole).items():
        print(report.headline(name, found))
    for name, why in missing.items():
        print("%s: %s, nothing was judged on it" % (name, why))
    problems = ["left behind: %s" % what for what in whole["left_behind"]]
    everything = not options.req and not options.runtime
    if everything:
        # What another machine has to show is no fault of this one.
        unproven = report.unproven(whole)
        problems += [] if missing else unproven
        for what in unproven if missing else []:
            print("not here: %s" % what)
    if options.status:
        status_files.write(whole, output, everything)
    if options.check_status and not options.req:
        problems += ["%s; run make conformance-status" % what
                     for what in status_files.stale(whole) + (status_files.stale_index() if everything else [])]
    if whole["meanwhile"]:
        print("appeared meanwhile, without a mark of this run: %s" % "; ".join(whole["meanwhile"][:5]))
    for what in problems:
        print("PROBLEM: %s" % what)
    print("report: %s, %.0f s" % (os.path.relpath(output / "report.json"), whole["seconds"]))
    return 1 if problems or any(row.red for found in judged for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
