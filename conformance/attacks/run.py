#!/usr/bin/env python3
"""Plays the attacks of a malicious package on each link, in a world of network namespaces. Root, Linux.

    run.py [--npxc PATH] [--link bwrap/netns,...] [--attack GLOB,...] [--quick] [--status]
"""

import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import attacks
import play
import stage as staging
import table


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--npxc", default=str(staging.TOP / "build" / "npxc"))
    parser.add_argument("--link", default="", help=", ".join(staging.LINKS) + "; comma-separated, patterns")
    parser.add_argument("--attack", default="", help="patterns of names or groups; comma-separated. Without the ones of many actions, but for `families`")
    parser.add_argument("--quick", action="store_true", help="the selection for every push")
    parser.add_argument("--status", action="store_true", help="write conformance/attacks/STATUS.md")
    parser.add_argument("--check-status", action="store_true", help="fail when STATUS.md says otherwise")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--output", default=str(staging.TOP / "build" / "conformance" / "attacks.json"))
    return parser.parse_args()


def matching(values, patterns):
    wanted = [word for word in patterns.split(",") if word]
    return [value for value in values if not wanted or any(fnmatch.fnmatch(text, pattern) for pattern in wanted
                                                           for text in ([value] if isinstance(value, str) else [value.name, value.group]))]


def twins(chosen):
    """With those that they need as their honest twins."""
    names = {attack.control for attack in chosen if isinstance(attack.control, str)} | {"tls"}
    return chosen + [attack for attack in attacks.ATTACKS if attack.name in names and attack not in chosen]


def main():
    options = arguments()
    if os.geteuid() != 0 or not sys.platform.startswith("linux"):
        sys.exit("attacks: network namespaces need root, on Linux")
    links = [link for link in matching(list(staging.LINKS), options.link) if shutil.which(staging.LINKS[link][0]) or options.link]
    chosen = twins([attack for attack in matching(attacks.ATTACKS, options.attack) if attack.quick or not options.quick])
    began = time.monotonic()
    report = {"npxc": options.npxc, "links": {}, "seconds": {}}
    with staging.Stage(options.npxc) as stage:
        shown = play.controls(stage, chosen)
        report["seconds"]["controls"] = round(time.monotonic() - began, 1)
        for name in links:
            start = time.monotonic()
            link = play.Link(stage, name)
            link.main(chosen, shown, whole=not options.attack)
            if not options.attack:
                link.empty()
                link.other_session()
                link.gateway()
                link.load()
            if not options.attack or "families" in options.attack.split(","):
                link.families()
            report["links"][name] = [result.as_json() for result in link.results]
            report["seconds"][name] = round(time.monotonic() - start, 1)
            print(table.summary(name, link.results, options.verbose), flush=True)
    report["requirements"] = table.requirements(report)
    report["seconds"]["all"] = round(time.monotonic() - began, 1)
    output = pathlib.Path(options.output)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(report, indent=1) + "\n")
    for requirement, verdicts in sorted(report["requirements"].items()):
        print("%-32s %s" % (requirement, "  ".join("%s: %s" % pair for pair in verdicts.items())))
    print("controls that show nothing: %s" % ({name: why for name, why in shown.items() if why} or "none"))
    print("report: %s, %s" % (os.path.relpath(output), ", ".join("%s %s s" % pair for pair in report["seconds"].items())))
    whole = set(links) == set(staging.LINKS) and not options.attack and not options.quick
    problems = [] if links else ["there is no link to attack here"]
    if options.status and not whole:
        problems.append("STATUS.md tells of all links and attacks; this was a part")
    elif options.status:
        table.STATUS.write_text(table.status(report))
    elif options.check_status and not options.attack:
        problems += table.stale(report)
    for problem in problems:
        print("PROBLEM: %s" % problem)
    return 1 if problems or any(row["verdict"] in play.RED for rows in report["links"].values() for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
