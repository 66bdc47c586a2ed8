"""Plays the scenarios that the chosen requirements need on one runtime, and judges."""

import concurrent.futures
import re
import time

import registry
from checks import CHECKS, NotApplicable
from evidence import Evidence
from scenarios import SCENARIOS
from worlds import LIGHT, PROBE, Unavailable

REPEATS = 2
# Said in the report: how a noisy machine is allowed for.
REPEAT_RULE = ("a check of times that found something late, and nothing else wrong, is played again on its own, at most "
               "%d times, and its last outcome counts; a pause that is too short is never played again" % REPEATS)
LATE = re.compile(r"late: |only after [\d.]+ s|within [\d.]+ s of|never: ")


class Row:
    def __init__(self, requirement, runtime):
        self.requirement, self.runtime = requirement, runtime
        self.verdict, self.reason, self.problems = None, None, []
        self.seconds, self.repeats, self.toothless = 0.0, 0, []

    @property
    def red(self):
        return self.verdict in ("fail", "untestable") or bool(self.toothless)

    def as_json(self):
        r = self.requirement
        return {"runtime": self.runtime.name, "id": r["id"], "area": r["area"], "level": r["level"],
                "evidence": registry.decided_kinds(r, self.runtime), "verdict": self.verdict, "reason": self.reason,
                "problems": self.problems, "seconds": round(self.seconds, 2), "repeats": self.repeats,
                "toothless": self.toothless}


def play(lab, runtime, names, workers, progress):
    """{name: evidence}, {name: seconds}. What depends on times, or makes the machine busy, is played alone."""
    evidence, seconds = {}, {}

    def one(name):
        began = time.monotonic()
        result = SCENARIOS[name].play(lab, runtime)
        seconds[name] = time.monotonic() - began
        progress("%s %s %.1f s" % (runtime.name, name, seconds[name]))
        return result

    # in a quick run what is late because of its neighbours is played again alone (REPEAT_RULE)
    together = [name for name in names if not SCENARIOS[name].alone and (lab.quick or not SCENARIOS[name].timed)]
    # the longest first
    together.sort(key=lambda name: not SCENARIOS[name].timed and name not in ("torture", "inspect_failure", "precedence"))
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        for name, result in zip(together, pool.map(one, together)):
            evidence[name] = result
    for name in names:
        if name not in evidence:
            evidence[name] = one(name)
    return evidence, seconds


def prove(check, evidence):
    """The negative samples that the check lets pass. A check that cannot fail decides nothing."""
    toothless = []
    for number, spoil in enumerate(check.samples, 1):
        copies = [evidence[name].copy() for name in check.needs]
        try:
            spoil(*copies[:spoil.__code__.co_argcount] if spoil.__code__.co_argcount < len(copies) else copies)
            problems = check.judge(dict(zip(check.needs, copies)))
        except NotApplicable:
            problems = []
        except Exception as why:  # the sample does not fit the evidence
            toothless.append("negative sample %d of %s: %s: %s" % (number, check.identity, type(why).__name__, why))
            continue
        if not problems:
            toothless.append("negative sample %d of %s passes" % (number, check.identity))
    if not check.samples:
        toothless.append("%s has no negative sample" % check.identity)
    return toothless


def decide(row, check, evidence):
    try:
        row.problems = check.judge(evidence)
        row.verdict = "fail" if row.problems else "pass"
    except NotApplicable as why:
        row.verdict, row.reason, row.problems = "not-applicable", str(why), []
    except Exception as why:  # evidence that the check cannot even read is not what was required
        row.verdict, row.problems = "fail", ["%s: %s" % (type(why).__name__, why)]


def judge(lab, runtime, requirements, with_samples=True, workers=3, progress=lambda text: None):
    rows = [Row(requirement, runtime) for requirement in requirements]
    open_rows = []
    for row in rows:
        excuse = registry.excuse(row.requirement, runtime)
        if excuse:
            row.verdict, row.reason = excuse
        else:
            open_rows.append(row)
    if not open_rows:
        return rows
    try:
        runtime.check()
    except Unavailable as why:
        for row in open_rows:
            row.verdict, row.reason = "untestable", str(why)
        return rows
    checks = {row: CHECKS[row.requirement["id"], runtime.family] for row in open_rows}
    needs = list(dict.fromkeys(name for check in checks.values() for name in check.needs))
    if not runtime.too_old:
        for server in (LIGHT, PROBE) if set(needs) & {"sandbox", "limits", "none", "open_network"} and "live" in runtime.decides else (LIGHT,):
            lab.warm_up(runtime, server)
    evidence, seconds = play(lab, runtime, needs, workers, progress)
    for row, check in checks.items():
        row.seconds = sum(seconds[name] for name in check.needs)
        decide(row, check, evidence)
        while (row.verdict == "fail" and check.timed and row.repeats < REPEATS
               and all(LATE.search(problem) for problem in row.problems)):
            row.repeats += 1
            again, more = play(lab, runtime, list(check.needs), 1, progress)
            row.seconds += sum(more.values())
            decide(row, check, again)
            if row.verdict != "fail":
                evidence.update(again)
        if with_samples and row.verdict == "pass":
            row.toothless = prove(check, evidence)
    return rows
