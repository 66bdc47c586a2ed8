#!/usr/bin/env python3
"""conformance/status/: a file for each runtime, written by the last whole run on it, and STATUS.md, which leads to them.

    status_files.py [--found DIRECTORY]

Run as a program it writes STATUS.md anew from what stands in those files, without playing anything; with what make torture
and make conformance-mutations have found, where the directory that they wrote into (build/conformance) is named.
"""

import argparse
import json
import pathlib
import re
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import broken_launchers
import registry
from checks import REASONS
from report import WORDS, by_runtime, cell, headline, provenance

HERE = pathlib.Path(__file__).resolve().parent
INDEX = HERE / "STATUS.md"
DIRECTORY = HERE / "status"
DEPENDS_ON_THE_MACHINE = {"limit-not-enforced", "another-release"}  # or on how it was run: no reason to call a file stale
TORTURE = "torture.json"  # what make torture found
MUTATIONS = "mutations.json"  # what make conformance-mutations found
ENDINGS = "endings*.json"  # what make endings found; on docker by a run of its own


def file_of(runtime):
    return DIRECTORY / (runtime + ".md")


def read(path):
    return path.read_text() if path.exists() else ""


def assemble(head, parts, old):
    """`parts`: (heading, lines). Lines that are None were not looked at in this run: what stands in `old` is kept."""
    stands = dict(re.findall(r"^## (.*)\n\n((?:(?!## ).*\n)*)", old, re.M))
    text = "\n".join(head) + "\n"
    for heading, lines in parts:
        body = stands.get(heading, "").rstrip("\n") if lines is None else "\n".join(lines)
        text += "\n## %s\n\n%s\n" % (heading, body) if body else ""
    return text


# ---- a runtime's ----

def endings_lines(runtime, directory):
    """Of soak.py --each: a row for each ending, a column for each link."""
    results = [one for path in sorted(directory.glob(ENDINGS)) for one in json.loads(path.read_text())
               if one["runtime"].partition(":")[0] == runtime]
    if not results:
        return None
    lines = ["`make endings` ends sessions in every way and looks for what is left of them: processes, containers, networks,",
             "files, mounts, leases. Milliseconds from the end until there is nothing: the median, and the longest; leaks.",
             "After a colon stands the link of the sessions' allowlist; without one they have no network. The times of",
             "`both killed` are those of the next start, which cleans up, too.", "",
             "| ended by | %s |" % " | ".join(one["runtime"] for one in results), "|---|%s" % ("---|" * len(results))]
    for name in dict.fromkeys(name for one in results for name in one["endings"]):
        cells = [one["endings"].get(name) for one in results]
        lines.append("| %s | %s |" % (name, " | ".join(
            "-" if one is None else "%.0f, %.0f; %d leaks" % (one["median_ms"], one["most_ms"], one["leaks"]) for one in cells)))
    lines.append("| sessions, failed | %s |" % " | ".join("%d, %d" % (one["sessions"], one["failed"]) for one in results))
    return lines


def ladder_lines(rows):
    """Of tear-client-ladders and tear-sigkill-all."""
    found = [(row["id"], part, milliseconds) for row in rows for part, milliseconds in row["clean_ms"].items()]
    if not found:
        return []
    return ["From the last step that the client takes, in milliseconds; then that much has gone that `nothing is left` in the",
            "rows above means. `stubborn` is a server that ignores the end of input and SIGTERM, so that a client that",
            "begins with the end of input takes its next step. Of tear-sigkill-all it is from the next start.", "",
            "| row | client, server | ms |", "|---|---|---|", *("| %s | %s | %d |" % one for one in found)]


def crowd_lines(rows):
    """Of tear-concurrent."""
    found = [pair for row in rows for pair in row["figures"].items()]
    return ["| | |", "|---|---|", *("| %s | %s |" % pair for pair in found)] if found else []


def said_of(row):
    why = {"not-applicable": row["reason"], "not-run": "see below", "pass": "live" if "live" in row["evidence"] else None}.get(row["verdict"])
    return WORDS[row["verdict"]] + (" (%s)" % why if why else "")


def runtime_text(report, runtime, directory, old=""):
    """Of a whole run on it."""
    rows = by_runtime(report)[runtime]
    used = {key: report["runtimes"][runtime][key] for key in ("cli", "cassette", "digest", "kind") if key in report["runtimes"][runtime]}
    reasons = {row["reason"] for row in rows if row["verdict"] == "not-applicable"}
    head = ["# Conformance on %s" % runtime, "",
            "Written by `make conformance-status RUNTIME=%s` from a whole run; `make conformance` fails when a run on this" % runtime,
            "runtime finds something else.", "",
            "* %s." % headline(runtime, rows),
            "  %s (%s; %s)" % (report["launcher"]["version"], report["machine"]["system"], provenance(used)), "",
            "| requirement | level | verdict |", "|---|---|---|",
            *("| %s | %s | %s |" % (row["id"], row["level"], said_of(row)) for row in rows), "",
            "not run: egress rows, net-gateway-used and map-empty-allowlist-denies are decided by `make attacks`, link by",
            "link, in [attacks/STATUS.md](../attacks/STATUS.md); install-registry-only by `tests/black_box/test_install.py`.",
            *(["", "n/a: " + "; ".join("%s: %s" % (key, why) for key, why in REASONS.items() if key in reasons) + "."] if reasons else [])]
    return assemble(head, [("Ends of sessions: how long until nothing is left", endings_lines(runtime, directory)),
                           ("Ends as clients know them: how long until nothing is left", ladder_lines(rows)),
                           ("Many sessions at once, ended in mixed ways", crowd_lines(rows))], old)


# ---- the index ----

# Of "nothing left behind": (promise, where it was seen live, where on replay only, where not at all).
PROMISES = [
    ("nothing left after any end, SIGKILL of the launcher included", "bubblewrap, podman, docker", "Apple's `container`", "-"),
    ("nothing left after SIGKILL of launcher and janitor and one start more", "bubblewrap, podman, docker", "Apple's `container`", "-"),
    ("launcher, janitor or egress process killed at every named point (`tests/black_box/test_crash.py`)", "bubblewrap", "docker",
     "podman, Apple's `container`"),
    ("launcher killed before, at and after each call of the CLI (`tests/black_box/test_torture.py`)", "-", "docker",
     "podman, Apple's `container`"),
    ("each call of the CLI failing, hanging, dying, half done (tear-every-failure)", "-", "Apple's `container`", "podman, docker"),
    ("a service that restarts in mid-session", "-", "docker", "Apple's `container` (podman has none)"),
    ("servers that behave badly (`test_unruly.py` of black_box and live)", "bubblewrap, podman, docker", "-", "Apple's `container`"),
    ("processes told apart without pidfds, by libproc", "-", "-", "macOS: compiles and links"),
]


def promise_lines():
    return ["Live is what ran here: bubblewrap, podman 4.3 and docker 20.10 as root. The rest of \"nothing left behind\" rests on the replay",
            "shim, which keeps its rules (a network goes after its containers, a name exists once) but is no service.", "",
            "| promise | seen live on | on replay only | not seen |", "|---|---|---|---|",
            *("| %s | %s | %s | %s |" % promise for promise in PROMISES)]


def torture_lines(directory):
    """Of tests/black_box/torture.py."""
    if directory is None or not (directory / TORTURE).exists():
        return None
    found = json.loads((directory / TORTURE).read_text())
    return ["`make torture` plays sessions on the replay shim and on bubblewrap with two faults each, of these: a call of the CLI",
            "that fails, hangs or is late; launcher or janitor killed or stopped; a full disk; a signal. Right is a documented",
            "status, a clean stdout, nothing left after at most one gc, and nobody else's touched.", "",
            "%d pairs from seed %d, as %s user: %d violations. Both faults came up in %d of them; a gc was needed after %d."
            % (found["pairs"], found["seed"], found["user"], len(found["violations"]), found["both"], found["gc"])]


def mutation_lines(directory):
    if directory is None or not (directory / MUTATIONS).exists():
        return None
    return ["`make conformance-mutations` leaves each out of the build of `make faults` and judges that, on replay-1.0.0.", "",
            "| taken out | red |", "|---|---|",
            *("| %s | %s |" % (cell(one["what"]), ", ".join(one["red"])) for one in json.loads((directory / MUTATIONS).read_text()))]


def broken_lines(broken):
    return ["Each launcher of `conformance/broken/` is right but for one thing; `make conformance-suite` has to report",
            "exactly these.", "", "| launcher | wrong in | red |", "|---|---|---|",
            *("| %s | %s | %s |" % (one.name, cell(one.wrong), ", ".join(sorted(one.breaks))) for one in broken)]


def headlines():
    """Of the files that there are, each with a link to its file."""
    lines = []
    for path in sorted(DIRECTORY.glob("*.md")):
        first = re.search(r"^\* (\S+): (.*)\n(.*)$", path.read_text(), re.M)
        lines += ["* [%s](status/%s): %s" % (first[1], path.name, first[2].replace(" (see below)", "")), first[3]]
    return lines


def index_text(broken, directory, old=""):
    head = ["# Conformance status", "",
            "Each runtime has a file of its own: every row, and how long ends of sessions take there. `make conformance-status`",
            "writes those of the runtimes that it judges, and this list of them; `make conformance` fails when a run says something",
            "else than the file of its runtime. Every Apple result is a replay of answers derived from the CLI's public source: none",
            "has been recorded on a Mac yet. Docker is Debian's engine, which ci/docker starts for a run of its own.", "", *headlines()]
    return assemble(head, [("What rests on a runtime that could not be run", promise_lines()),
                           ("Two faults at once", torture_lines(directory)),
                           ("What a part taken out of npxc turns red", mutation_lines(directory)),
                           ("What a broken launcher turns red", broken_lines(broken))], old)


# ---- written and held against a run ----

def write(report, directory, everything=False):
    """The files of the runtimes of this whole run, and the index; its figures only after a run of everything. What this
    machine cannot judge keeps its file."""
    DIRECTORY.mkdir(exist_ok=True)
    for runtime, rows in by_runtime(report).items():
        if not any(row["verdict"] == "untestable" for row in rows):
            file_of(runtime).write_text(runtime_text(report, runtime, directory, read(file_of(runtime))))
    write_index(directory if everything else None)


def write_index(directory=None):
    INDEX.write_text(index_text(broken_launchers.load(), directory, read(INDEX)))


def told_by(runtime):
    """{requirement: verdict} as its file has it."""
    return dict(re.findall(r"^\| (\S+) \| (?:must|should) \| (.*) \|$", read(file_of(runtime)), re.M))


def stale(report):
    """What the files say otherwise than this report, as sentences. Only runtimes that have one and that were judged whole
    count."""
    known = [r["id"] for r in registry.load()]
    wrong = []
    for runtime, found in by_runtime(report).items():
        name, told = "status/%s.md" % runtime, told_by(runtime)
        if not told or {row["id"] for row in found} != set(known):
            continue
        digest = report["runtimes"][runtime].get("digest")
        if digest and "digest: %s" % digest not in read(file_of(runtime)):
            wrong.append("%s was made with another cassette" % name)
        for row in found:
            said, _, why = told.get(row["id"], "nothing").partition(" (")
            if row["verdict"] in ("fail", "untestable") or {row["reason"], why.rstrip(")")} & DEPENDS_ON_THE_MACHINE:
                continue  # the former are told already
            if said != WORDS[row["verdict"]]:
                wrong.append("%s: %s says %s, this run %s" % (row["id"], name, said, WORDS[row["verdict"]]))
        if list(told) != known and not wrong:
            wrong.append("%s has other requirements" % name)
    return wrong


def stale_index():
    """What STATUS.md says otherwise than the files, the requirements and the broken launchers, as sentences."""
    wrong, lines = [], set(read(INDEX).splitlines())
    if not lines:
        return ["there is no STATUS.md"]
    listed = {line for line in lines if line.startswith("* [")}
    wrong += [] if {line for line in headlines() if line.startswith("* [")} == listed else [
        "STATUS.md says otherwise than the files of status/"]
    wrong += ["STATUS.md tells of other broken launchers"] if not set(broken_lines(broken_launchers.load())) <= lines else []
    return wrong


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Writes conformance/STATUS.md anew.")
    parser.add_argument("--found", type=pathlib.Path, help="where make torture and make conformance-mutations wrote")
    write_index(parser.parse_args().found)
