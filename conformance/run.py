#!/usr/bin/env python3
"""Holds a launcher against the requirements.

    run.py [--npxc PATH] [--runtime NAME,...] [--req GLOB,...] [--list] [--quick] [--status | --check-status]
"""

import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import broken_launchers
import registry
import report
from judge import judge
from worlds import TOP, Lab, chosen_by_default, runtimes_here


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npxc", default=str(TOP / "build" / "npxc"), help="the launcher to be judged")
    parser.add_argument("--runtime", default="", help="replay (all four), replay-1.0.0, bwrap, podman, apple; comma-separated")
    parser.add_argument("--req", default="", help="patterns of requirement ids; comma-separated")
    parser.add_argument("--list", action="store_true", help="say what would be decided where; play nothing")
    parser.add_argument("--quick", action="store_true", help="fewer sessions in swarm and torture")
    parser.add_argument("--status", action="store_true", help="write conformance/STATUS.md")
    parser.add_argument("--check-status", action="store_true", help="fail when conformance/STATUS.md says otherwise")
    parser.add_argument("--output", default=str(TOP / "build" / "conformance"))
    return parser.parse_args()


def chosen_runtimes(words):
    here = runtimes_here()
    if not words:
        return [runtime for runtime in here.values() if chosen_by_default(runtime)]
    found = []
    for word in words.split(","):
        matching = [runtime for name, runtime in here.items() if name == word or runtime.family == word]
        if not matching:
            sys.exit("conformance: no runtime %s here; there are %s" % (word, ", ".join(here)))
        found += matching
    return found


def list_rows(requirements, runtimes):
    for runtime in runtimes:
        print(runtime.name)
        for requirement in requirements:
            excuse = registry.excuse(requirement, runtime)
            print("  %-28s %-6s %s" % (requirement["id"], requirement["level"],
                                       "%s: %s" % excuse if excuse else ",".join(registry.decided_kinds(requirement, runtime))))


def cgroups():
    """Those that a launcher made for our server and that are still there."""
    found = set()
    for root, names, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(root, name) for name in names if "npxc-light" in name}
        if root.count("/") > 8:
            names.clear()
    return found


def main():
    options = arguments()
    requirements = registry.choose(registry.load(), [word for word in options.req.split(",") if word])
    runtimes = chosen_runtimes(options.runtime)
    if not requirements:
        sys.exit("conformance: no requirement is called %s" % options.req)
    if options.list:
        list_rows(requirements, runtimes)
        return 0
    if not os.access(options.npxc, os.X_OK):
        sys.exit("conformance: %s is no program" % options.npxc)
    began, before = time.monotonic(), cgroups()
    rows, about = [], {}
    with Lab(options.npxc, options.quick) as lab:
        launcher = lab.provenance()
        for runtime in runtimes:
            found = judge(lab, runtime, requirements,
                          progress=lambda text: print("  " + text, file=sys.stderr, flush=True))
            try:
                about[runtime.name] = runtime.provenance()
            except Exception as why:
                about[runtime.name] = {"cli": "unknown (%s)" % why}
            print("\n== %s (%s)\n%s" % (runtime.name, report.provenance(about[runtime.name]), report.table(found)), flush=True)
            rows += found
    left = sorted(cgroups() - before)
    whole = report.make(launcher, about, rows, time.monotonic() - began, left)
    output = pathlib.Path(options.output)
    report.write(whole, output)
    print("\n%s, sha256 %s" % (launcher["version"], launcher["digest"]))
    for name, found in report.by_runtime(whole).items():
        print(report.headline(name, found))
    print("report: %s" % os.path.relpath(output / "report.json"))
    red = [row for row in rows if row.red]
    for path in left:
        print("left behind: %s" % path)
    if options.status:
        report.STATUS.write_text(report.status_text(output, broken_launchers.load()))
    stale = report.stale(whole) if options.check_status else []
    for problem in stale:
        print("stale: %s; run make conformance-status" % problem)
    return 1 if red or stale or left else 0


if __name__ == "__main__":
    sys.exit(main())
