"""What is told of a run: a table, report.json, JUnit, Markdown."""

import json
import os
import platform
import time
import xml.etree.ElementTree as xml

import registry
from checks import REASONS
from judge import REPEAT_RULE

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
