"""What is told: a table, report.json, JUnit, Markdown, and conformance/STATUS.md."""

import json
import os
import pathlib
import platform
import time
import xml.etree.ElementTree as xml

import registry
from checks import REASONS
from judge import REPEAT_RULE

HERE = pathlib.Path(__file__).resolve().parent
STATUS = HERE / "STATUS.md"
DEPENDS_ON_THE_MACHINE = {"limit-not-enforced", "another-release"}  # or on how it was run: no reason to call STATUS.md stale
WORDS = {"pass": "pass", "fail": "FAIL", "untestable": "UNTESTABLE", "not-applicable": "n/a", "not-run": "not run"}


def table(rows):
    lines = ["%-28s %-6s %-14s %-11s %7s" % ("requirement", "level", "evidence", "verdict", "time")]
    for row in rows:
        entry = row.as_json()
        lines.append("%-28s %-6s %-14s %-11s %6.1fs%s" % (
            entry["id"], entry["level"], ",".join(entry["evidence"]) or "-", WORDS[entry["verdict"]], entry["seconds"],
            "  (%s)" % entry["reason"] if entry["reason"] else "  (repeated %d times)" % entry["repeats"] if entry["repeats"] else ""))
        lines += ["        %s" % problem for problem in entry["problems"][:8]]
        if entry["check"] and (entry["problems"] or entry["toothless"]):
            lines.append("        by %s" % entry["check"])
        lines += ["        TOOTHLESS: %s" % problem for problem in entry["toothless"]]
    return "\n".join(lines)


def headline(runtime, rows):
    """How many of the musts that are due pass, of those that can be decided there; then why the others are not."""
    due = [row for row in rows if row["level"] == "must" and row["verdict"] != "not-run"]
    decided = [row for row in due if row["verdict"] in ("pass", "fail", "untestable")]
    passed = [row for row in decided if row["verdict"] == "pass"]
    line = "%s: MUST %d of %d decided pass" % (runtime, len(passed), len(decided))
    should = [row["verdict"] for row in rows if row["level"] == "should" and row["verdict"] in ("pass", "fail", "untestable")]
    line += ", SHOULD %d of %d" % (should.count("pass"), len(should)) if should else ""
    reasons = {}
    for row in due:
        if row["verdict"] == "not-applicable":
            reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    if runtime.startswith("replay"):
        mac = sum(reasons.pop(reason, 0) for reason in ("needs-live", "cli-cannot-express"))
        both = [row for row in passed if row["id"] in live_ids()]
        line += ", %d need a real Mac" % mac if mac else ""
        line += "; %d of the passed have a live part that a replay cannot show" % len(both) if both else ""
    line += "".join("; %d %s" % (count, reason) for reason, count in sorted(reasons.items()))
    later = sum(row["verdict"] == "not-run" for row in rows)
    return line + ("; %d are decided by attacks and installations (see below)" % later if later else "")


def live_ids():
    return {r["id"] for r in registry.load() if "live" in r["evidence"]}


def unproven(report):
    """Musts that are due and pass on no runtime of this report, or claim something live and do so on no live one."""
    wrong = []
    for requirement in registry.load():
        if requirement["level"] != "must" or requirement["due"] not in registry.BUILT:
            continue
        passed = [row for row in report["rows"] if row["id"] == requirement["id"] and row["verdict"] == "pass"]
        if not passed:
            wrong.append("%s passes on no runtime" % requirement["id"])
        elif "live" in requirement["evidence"] and not any("live" in row["evidence"] for row in passed):
            wrong.append("%s was seen on no live runtime" % requirement["id"])
    return wrong


def make(launcher, runtimes, rows, seconds, left, meanwhile, full):
    return {
        "launcher": launcher,
        "machine": {"system": platform.system(), "kernel": platform.release(), "machine": platform.machine(),
                    "cores": os.cpu_count(), "user": "root" if os.geteuid() == 0 else "ordinary"},
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "seconds": round(seconds, 1),
        "repeat_rule": REPEAT_RULE,
        "reasons": REASONS,
        "runtimes": runtimes,
        "rows": [row.as_json() for row in rows],
        "full": full,  # neither quick nor told to decide something on one release only
        "left_behind": left,
        "meanwhile": meanwhile,
    }


def by_runtime(report):
    found = {}
    for row in report["rows"]:
        found.setdefault(row["runtime"], []).append(row)
    return found


def markdown(report):
    lines = ["# Conformance report", "",
             "Launcher: `%(path)s`, %(version)s, sha256 %(digest)s." % report["launcher"],
             "%s, %s %s, %d cores, %s, as %s user, %.0f s." % (
                 report["time"], report["machine"]["system"], report["machine"]["kernel"], report["machine"]["cores"],
                 report["machine"]["machine"], report["machine"]["user"], report["seconds"]),
             "Repeats: %s." % report["repeat_rule"], ""]
    for runtime, rows in by_runtime(report).items():
        lines += ["## %s" % runtime, "", headline(runtime, rows) + ".", "", provenance(report["runtimes"][runtime]), "",
                  "| requirement | level | evidence | verdict | time | |", "|---|---|---|---|---|---|"]
        for row in rows:
            lines.append("| %s | %s | %s | %s | %.1f s | %s |" % (
                row["id"], row["level"], ", ".join(row["evidence"]), WORDS[row["verdict"]], row["seconds"],
                cell("; ".join([*row["problems"][:3], *row["toothless"], "by " + row["check"]]) if row["problems"] or row["toothless"]
                     else row["reason"] or "")))
        lines.append("")
    return "\n".join(lines) + "\n"


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")[:400]


def provenance(about):
    return ", ".join("%s: %s" % pair for pair in about.items())


def junit(report):
    suites = xml.Element("testsuites")
    for runtime, rows in by_runtime(report).items():
        suite = xml.SubElement(suites, "testsuite", name="conformance." + runtime, tests=str(len(rows)),
                               failures=str(sum(row["verdict"] in ("fail", "untestable") for row in rows)),
                               skipped=str(sum(row["verdict"] in ("not-applicable", "not-run") for row in rows)))
        properties = xml.SubElement(suite, "properties")
        told = {"launcher": report["launcher"]["version"], "launcher sha256": report["launcher"]["digest"],
                "time": report["time"], "os": "%(system)s %(kernel)s" % report["machine"], **report["runtimes"][runtime]}
        for name, value in told.items():
            xml.SubElement(properties, "property", name=name, value=printable(str(value)))
        for row in rows:
            case = xml.SubElement(suite, "testcase", classname="conformance.%s.%s" % (runtime, row["area"]),
                                  name=row["id"], time=str(row["seconds"]))
            problems = row["problems"] + row["toothless"]
            if row["verdict"] in ("fail", "untestable") or row["toothless"]:
                failure = xml.SubElement(case, "failure", message=(problems or [row["reason"]])[0][:200])
                failure.text = printable("\n".join((problems or [row["reason"]]) + (["by " + row["check"]] if row["check"] else [])))
            elif row["verdict"] != "pass":
                xml.SubElement(case, "skipped", message="%s: %s" % (row["verdict"], row["reason"]))
    return xml.tostring(suites, encoding="unicode") + "\n"


def printable(text):
    return "".join(c if c in "\n\t" or c >= " " else "?" for c in text)


def write(report, directory):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (directory / "report.md").write_text(markdown(report))
    (directory / "junit.xml").write_text(junit(report))
    for runtime, rows in by_runtime(report).items():
        if report["full"] and {row["id"] for row in rows} == {r["id"] for r in registry.load()}:
            whole = {**report, "rows": rows, "runtimes": {runtime: report["runtimes"][runtime]}}
            last(directory, runtime).write_text(json.dumps(whole, indent=1) + "\n")


def last(directory, runtime):
    """The last whole report on a runtime."""
    return directory / ("last-%s.json" % runtime)


# ---- conformance/STATUS.md ----

TORTURE = "torture.json"  # what make torture found
MUTATIONS = "mutations.json"  # what make conformance-mutations found
ENDINGS = "endings*.json"  # what make endings found; on docker by a run of its own


def broken_lines(broken):
    return ["| %s | %s | %s |" % (one.name, cell(one.wrong), ", ".join(sorted(one.breaks))) for one in broken]


def endings_lines(results):
    """Of soak.py --each: a row for each ending, a column for each runtime and link."""
    lines = ["", "## Ends of sessions: how long until nothing is left", "",
             "`make endings` ends sessions in every way and looks for what is left of them: processes, containers, networks,",
             "files, mounts, leases. Milliseconds from the end until there is nothing: the median, and the longest; leaks.",
             "After a colon stands the link of the sessions' allowlist; without one they have no network. The times of",
             "`both killed` are those of the next start, which cleans up, too.", "",
             "| ended by | %s |" % " | ".join(one["runtime"] for one in results), "|---|%s" % ("---|" * len(results))]
    for name in dict.fromkeys(name for one in results for name in one["endings"]):
        cells = [one["endings"].get(name) for one in results]
        lines.append("| %s | %s |" % (name, " | ".join(
            "-" if cell is None else "%.0f, %.0f; %d leaks" % (cell["median_ms"], cell["most_ms"], cell["leaks"]) for cell in cells)))
    lines.append("| sessions, failed | %s |" % " | ".join("%d, %d" % (one["sessions"], one["failed"]) for one in results))
    return lines


def ladder_lines(reports):
    """Of tear-client-ladders and tear-sigkill-all, as the last whole reports have them."""
    rows = {name: {} for name in reports}
    for name, report in reports.items():
        for row in report["rows"]:
            for part, milliseconds in row.get("clean_ms", {}).items():
                rows[name][row["id"], part] = milliseconds
    names = [name for name in reports if rows[name]]
    if not names:
        return []
    lines = ["", "## Ends as clients know them: how long until nothing is left", "",
             "From the last step that the client takes, in milliseconds; then that much has gone that `nothing is left` in the",
             "rows above means. `stubborn` is a server that ignores the end of input and SIGTERM, so that a client that",
             "begins with the end of input takes its next step. Of tear-sigkill-all it is from the next start.", "",
             "| row | client, server | %s |" % " | ".join(names), "|---|---|%s" % ("---|" * len(names))]
    for key in dict.fromkeys(key for name in names for key in rows[name]):
        lines.append("| %s | %s | %s |" % (*key, " | ".join(str(rows[name].get(key, "-")) for name in names)))
    return lines


def crowd_lines(reports):
    """Of tear-concurrent."""
    figures = {name: row["figures"] for name, report in reports.items() for row in report["rows"] if row.get("figures")}
    if not figures:
        return []
    return ["", "## Many sessions at once, ended in mixed ways", "", "| | %s |" % " | ".join(figures), "|---|%s" % ("---|" * len(figures)),
            *("| %s | %s |" % (key, " | ".join(str(one.get(key, "-")) for one in figures.values()))
              for key in dict.fromkeys(key for one in figures.values() for key in one))]


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
    return ["", "## What rests on a runtime that could not be run", "",
            "Live is what ran here: bubblewrap, podman 4.3 and docker 20.10 as root. The rest of \"nothing left behind\" rests on the replay",
            "shim, which keeps its rules (a network goes after its containers, a name exists once) but is no service.", "",
            "| promise | seen live on | on replay only | not seen |", "|---|---|---|---|",
            *("| %s | %s | %s | %s |" % promise for promise in PROMISES)]


def torture_lines(found):
    """Of tests/black_box/torture.py."""
    return ["", "## Two faults at once", "",
            "`make torture` plays sessions on the replay shim and on bubblewrap with two faults each, of these: a call of the CLI",
            "that fails, hangs or is late; launcher or janitor killed or stopped; a full disk; a signal. Right is a documented",
            "status, a clean stdout, nothing left after at most one gc, and nobody else's touched.", "",
            "%d pairs from seed %d, as %s user: %d violations. Both faults came up in %d of them; a gc was needed after %d."
            % (found["pairs"], found["seed"], found["user"], len(found["violations"]), found["both"], found["gc"])]


def status_text(directory, broken):
    reports = {path.stem[len("last-"):]: json.loads(path.read_text()) for path in sorted(directory.glob("last-*.json"))}
    names = list(reports)
    lines = ["# Conformance status", "",
             "Generated by `make conformance-status` from the last whole reports; `make conformance` fails when it says",
             "something else. Every Apple result is a replay of answers derived from the CLI's public source: none has been",
             "recorded on a Mac yet. Docker is Debian's engine, which ci/docker starts for a run of its own.", ""]
    for name, report in reports.items():
        lines.append("* %s." % headline(name, report["rows"]))
        lines.append("  %s (%s; %s)" % (report["launcher"]["version"], report["machine"]["system"], provenance(
            {key: value for key, value in report["runtimes"][name].items() if key in ("cli", "cassette", "digest", "kind")})))
    lines += ["", "| requirement | level | %s |" % " | ".join(names), "|---|---|%s" % ("---|" * len(names))]
    verdicts = {(name, row["id"]): row for name, report in reports.items() for row in report["rows"]}
    for requirement in registry.load():
        cells = []
        for name in names:
            row = verdicts.get((name, requirement["id"]))
            cells.append("-" if row is None else WORDS[row["verdict"]] + (
                " (%s)" % row["reason"] if row["verdict"] == "not-applicable" else
                " (see below)" if row["verdict"] == "not-run" else
                " (live)" if row["verdict"] == "pass" and "live" in row["evidence"] else ""))
        lines.append("| %s | %s | %s |" % (requirement["id"], requirement["level"], " | ".join(cells)))
    lines += ["", "not run: egress rows, net-gateway-used and map-empty-allowlist-denies are decided by `make attacks`, link by",
              "link, in [attacks/STATUS.md](attacks/STATUS.md); install-registry-only by `tests/black_box/test_install.py`."]
    lines += ["", "n/a: " + "; ".join("%s: %s" % pair for pair in REASONS.items()) + "."]
    lines += promise_lines()
    if (directory / TORTURE).exists():
        lines += torture_lines(json.loads((directory / TORTURE).read_text()))
    if endings := [one for path in sorted(directory.glob(ENDINGS)) for one in json.loads(path.read_text())]:
        lines += endings_lines(endings)
    lines += ladder_lines(reports) + crowd_lines(reports)
    if (directory / MUTATIONS).exists():
        lines += ["", "## What a part taken out of npxc turns red", "",
                  "`make conformance-mutations` takes each out of a copy of `src`, builds it and judges that, on replay-1.0.0.", "",
                  "| taken out | red |", "|---|---|"]
        for one in json.loads((directory / MUTATIONS).read_text()):
            lines.append("| %s | %s |" % (cell(one["what"]), ", ".join(one["red"])))
    lines += ["", "## What a broken launcher turns red", "",
              "Each launcher of `conformance/broken/` is right but for one thing; `make conformance-suite` has to report",
              "exactly these.", "", "| launcher | wrong in | red |", "|---|---|---|", *broken_lines(broken)]
    return "\n".join(lines) + "\n"


def stale(report, broken, everything):
    """What STATUS.md says otherwise than this report, as sentences. Only runtimes that it knows and that were judged
    whole count; what stands in it besides, only after a run of everything."""
    text = STATUS.read_text() if STATUS.exists() else ""
    rows = [[part.strip() for part in line.strip().strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = next((row for row in rows if row[0] == "requirement"), [])
    told = {(name, row[0]): row[index] for row in rows for index, name in enumerate(head) if len(row) == len(head)}
    known = [r["id"] for r in registry.load()]
    wrong = []
    for runtime, found in by_runtime(report).items():
        if runtime not in head or {row["id"] for row in found} != set(known):
            continue
        digest = report["runtimes"][runtime].get("digest")
        if digest and "digest: %s" % digest not in text:
            wrong.append("STATUS.md was made with another cassette of %s" % runtime)
        for row in found:
            said, _, why = told.get((runtime, row["id"]), "nothing").partition(" (")
            if row["verdict"] in ("fail", "untestable") or {row["reason"], why.rstrip(")")} & DEPENDS_ON_THE_MACHINE:
                continue  # the former are told already
            if said != WORDS[row["verdict"]]:
                wrong.append("%s on %s: STATUS.md says %s, this run %s" % (row["id"], runtime, said, WORDS[row["verdict"]]))
    if everything:
        if not head:
            wrong.append("there is no STATUS.md")
        elif [row[0] for row in rows if len(row) == len(head) and row[0] in known] != known:
            wrong.append("STATUS.md has other requirements")
        elif not set(broken_lines(broken)) <= set(text.splitlines()):
            wrong.append("STATUS.md tells of other broken launchers")
    return wrong
