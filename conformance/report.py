"""What is told: a table, report.json, JUnit, Markdown, and conformance/STATUS.md."""

import hashlib
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
WORDS = {"pass": "pass", "fail": "FAIL", "untestable": "UNTESTABLE", "not-applicable": "n/a", "not-run": "not run"}


def table(rows):
    lines = ["%-28s %-6s %-14s %-11s %7s" % ("requirement", "level", "evidence", "verdict", "time")]
    for row in rows:
        entry = row.as_json()
        lines.append("%-28s %-6s %-14s %-11s %6.1fs%s" % (
            entry["id"], entry["level"], ",".join(entry["evidence"]) or "-", WORDS[entry["verdict"]], entry["seconds"],
            "  (%s)" % entry["reason"] if entry["reason"] else "  (repeated %d times)" % entry["repeats"] if entry["repeats"] else ""))
        lines += ["        %s" % problem for problem in entry["problems"][:8]]
        lines += ["        TOOTHLESS: %s" % problem for problem in entry["toothless"]]
    return "\n".join(lines)


def headline(runtime, rows):
    must = [row for row in rows if row["level"] == "must"]
    decided = [row for row in must if row["verdict"] in ("pass", "fail", "untestable")]
    passed = [row for row in decided if row["verdict"] == "pass"]
    line = "%s: MUST %d of %d decided pass" % (runtime, len(passed), len(decided))
    if runtime.startswith("replay"):
        live = [row for row in must if row["id"] in live_ids() and row["verdict"] in ("pass", "fail")
                or row["reason"] == "needs-live"]
        line += ", %d need a real Mac as well" % len(live) if live else ""
    other = {}
    for row in rows:
        if row["verdict"] in ("not-applicable", "not-run"):
            key = row["verdict"] if row["verdict"] == "not-run" else row["reason"]
            other[key] = other.get(key, 0) + 1
    return line + "".join("; %d %s" % (count, key) for key, count in sorted(other.items()))


def live_ids():
    return {r["id"] for r in registry.load() if "live" in r["evidence"]}


def make(launcher, runtimes, rows, seconds, left):
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
        "left_behind": left,
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
                cell("; ".join(row["problems"][:3] + row["toothless"]) or row["reason"] or "")))
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
        for row in rows:
            case = xml.SubElement(suite, "testcase", classname="conformance.%s.%s" % (runtime, row["area"]),
                                  name=row["id"], time=str(row["seconds"]))
            problems = row["problems"] + row["toothless"]
            if row["verdict"] in ("fail", "untestable") or row["toothless"]:
                failure = xml.SubElement(case, "failure", message=(problems or [row["reason"]])[0][:200])
                failure.text = printable("\n".join(problems or [row["reason"]]))
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
        if {row["id"] for row in rows} == {r["id"] for r in registry.load()}:
            whole = {**report, "rows": rows, "runtimes": {runtime: report["runtimes"][runtime]}}
            (directory / ("last-%s.json" % runtime)).write_text(json.dumps(whole, indent=1) + "\n")


# ---- conformance/STATUS.md ----

def inputs_digest():
    """Of what decides a verdict besides the launcher: requirements, suite and cassettes."""
    total = hashlib.sha256()
    for path in sorted([*HERE.glob("*.py"), HERE / "requirements.json", *(HERE / "broken").glob("*"),
                        *(HERE / "reference").glob("*.py"), *(HERE / "servers").glob("*/*"),
                        *(HERE.parent / "fixtures" / "cassettes").glob("container-*.json")]):
        if path.is_file() and not path.name.startswith("test_"):
            total.update(path.name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:16]


def status_text(directory, broken):
    reports = {path.stem[len("last-"):]: json.loads(path.read_text()) for path in sorted(directory.glob("last-*.json"))}
    names = list(reports)
    lines = ["# Conformance status", "",
             "Generated by `make conformance-status` from the last whole reports; `make conformance` fails when it says",
             "something else. Every Apple result is a replay of answers derived from the CLI's public source: none has been",
             "recorded on a Mac yet.", "", "Suite: %s" % inputs_digest(), ""]
    for name, report in reports.items():
        lines.append("* %s" % headline(name, report["rows"]))
        lines.append("  (%s)" % provenance({key: value for key, value in report["runtimes"][name].items()
                                            if key in ("cli", "cassette", "digest", "kind")}))
    lines += ["", "| requirement | level | %s |" % " | ".join(names), "|---|---|%s" % ("---|" * len(names))]
    verdicts = {(name, row["id"]): row for name, report in reports.items() for row in report["rows"]}
    for requirement in registry.load():
        cells = []
        for name in names:
            row = verdicts.get((name, requirement["id"]))
            cells.append("-" if row is None else WORDS[row["verdict"]] + (
                " (%s)" % row["reason"] if row["verdict"] == "not-applicable" else ""))
        lines.append("| %s | %s | %s |" % (requirement["id"], requirement["level"], " | ".join(cells)))
    lines += ["", "## What a broken launcher turns red", "",
              "Each launcher of `conformance/broken/` is right but for one thing; the suite has to report exactly these.", "",
              "| launcher | wrong in | red |", "|---|---|---|"]
    for one in broken:
        lines.append("| %s | %s | %s |" % (one.name, cell(one.wrong), ", ".join(sorted(one.breaks))))
    return "\n".join(lines) + "\n"


def stale(report):
    """What STATUS.md says otherwise than this report, as sentences; only runtimes that were judged whole count."""
    text = STATUS.read_text() if STATUS.exists() else ""
    wrong = []
    if "Suite: %s" % inputs_digest() not in text:
        wrong.append("STATUS.md was made with another suite")
    rows = [[part.strip() for part in line.strip().strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = next((row for row in rows if row[0] == "requirement"), [])
    told = {(name, row[0]): row[index] for row in rows for index, name in enumerate(head) if len(row) == len(head)}
    for runtime, found in by_runtime(report).items():
        if {row["id"] for row in found} != {r["id"] for r in registry.load()}:
            continue
        for row in found:
            said = told.get((runtime, row["id"]), "nothing")
            if said.split(" (")[0] != WORDS[row["verdict"]]:
                wrong.append("%s on %s: STATUS.md says %s, this run %s" % (row["id"], runtime, said, WORDS[row["verdict"]]))
    return wrong
