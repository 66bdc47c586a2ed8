"""Plays the scenarios that the chosen requirements need on one runtime, and judges."""

import concurrent.futures
import os
import re
import time
import traceback

import registry
from checks import CHECKS, REASONS, NotApplicable
from evidence import place_of
from scenarios import SCENARIOS
from worlds import LIGHT, PROBE, TOP, Unavailable

REPEATS = 2
# Said in the report: how a noisy machine is allowed for.
REPEAT_RULE = ("a check of times that found something late, and nothing else wrong, is played again on its own, at most "
               "%d times, and its last outcome counts; a pause that is too short is never played again" % REPEATS)
LATE = re.compile(r"late: |only after [\d.]+ s|within [\d.]+ s of|never: ")


class Row:
    def __init__(self, requirement, runtime):
        self.requirement, self.runtime, self.check = requirement, runtime, None
        self.verdict, self.reason, self.problems = None, None, []
        self.seconds, self.repeats, self.toothless = 0.0, 0, []
        self.clean_ms, self.figures = {}, {}

    @property
    def red(self):
        unexplained = self.verdict == "not-applicable" and self.reason not in REASONS or self.verdict is None
        return self.verdict in ("fail", "untestable") or unexplained or bool(self.toothless)

    def as_json(self):
        r = self.requirement
        return {"runtime": self.runtime.name, "id": r["id"], "area": r["area"], "level": r["level"],
                "evidence": registry.decided_kinds(r, self.runtime), "verdict": self.verdict, "reason": self.reason,
                "check": str(self.check) if self.check else None, "problems": self.problems, "seconds": round(self.seconds, 2), "repeats": self.repeats,
                "toothless": self.toothless, "clean_ms": self.clean_ms, "figures": self.figures}


def clean_ms(evidence):
    """{part: milliseconds from the last thing done to a session until nothing of it was left}, where that was looked at."""
    return {name: (part.marks["clean"] - part.marks["last step"]) // 1000 for name, part in evidence.parts.items()
            if {"clean", "last step"} <= set(part.marks)}


LONG = ("torture", "inspect_failure", "delete_hangs", "precedence")  # begun first


def play(lab, tasks, workers, progress):
    """{(runtime, name): (evidence, seconds)}. What depends on times is played beside its like only, and what makes the
    machine busy alone."""
    found = {}

    def one(task):
        runtime, name = task
        began = time.monotonic()
        result = SCENARIOS[name].play(lab, runtime)
        seconds = time.monotonic() - began
        progress("%s %s %.1f s" % (runtime.name, name, seconds))
        return task, (result, seconds)

    def stage(chosen, width):
        with concurrent.futures.ThreadPoolExecutor(width) as pool:
            found.update(pool.map(one, chosen))

    alone = [task for task in tasks if SCENARIOS[task[1]].alone]
    # in a quick run what is late because of its neighbours is played again alone (REPEAT_RULE)
    timed = [task for task in tasks if task not in alone and SCENARIOS[task[1]].timed and not lab.quick]
    rest = [task for task in tasks if task not in alone and task not in timed]
    stage(sorted(rest, key=lambda task: LONG.index(task[1]) if task[1] in LONG else len(LONG)), workers)
    stage([task for task in timed if task[0].light], min(workers, 4))
    stage([task for task in timed if not task[0].light] + alone, 1)
    return found


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
            toothless.append("negative sample %d of %s (%s): %s" % (number, check.identity, place_of(spoil), told(why)))
            continue
        if not problems:
            toothless.append("negative sample %d of %s (%s) passes" % (number, check.identity, place_of(spoil)))
    if not check.samples:
        toothless.append("%s has no negative sample" % check.identity)
    return toothless


def told(why):
    """An exception, and the function in which it was raised."""
    frame = traceback.extract_tb(why.__traceback__)[-1]
    return "%s: %s (%s, %s:%d)" % (type(why).__name__, why, frame.name, os.path.relpath(frame.filename, TOP), frame.lineno)


def decide(row, check, evidence):
    try:
        row.problems = check.judge(evidence)
        row.verdict = "fail" if row.problems else "pass"
    except NotApplicable as why:
        row.verdict, row.reason, row.problems = "not-applicable", str(why), []
    except Exception as why:  # evidence that the check cannot even read is not what was required
        row.verdict, row.problems = "fail", [told(why)]


class Case:
    """One runtime in a run of the suite."""

    def __init__(self, runtime, requirements, elsewhere=()):
        """`elsewhere`: ids that another runtime of the same run decides."""
        self.runtime = runtime
        self.rows = [Row(requirement, runtime) for requirement in requirements]
        self.checks = {}  # of the rows that are to be decided
        for row in self.rows:
            excuse = registry.excuse(row.requirement, runtime)
            if excuse:
                row.verdict, row.reason = excuse
            elif row.requirement["id"] in elsewhere:
                row.verdict, row.reason = "not-applicable", "another-release"
            else:
                row.check = self.checks[row] = CHECKS[row.requirement["id"], runtime.family]
        try:
            if self.checks:
                runtime.check()
        except Unavailable as why:
            for row in self.checks:
                row.verdict, row.reason = "untestable", str(why)
            self.checks = {}
        self.names = list(dict.fromkeys(name for check in self.checks.values() for name in check.needs))

    def warm_up(self, lab):
        if not self.names or self.runtime.too_old:
            return
        probed = set(self.names) & {"sandbox", "limits", "none", "open_network", "seen_files"} and "live" in self.runtime.decides
        for server in (LIGHT, PROBE) if probed else (LIGHT,):
            lab.warm_up(self.runtime, server)

    def decide(self, lab, played, with_samples, progress):
        evidence = {name: played[self.runtime, name][0] for name in self.names}
        for row, check in self.checks.items():
            row.seconds = sum(played[self.runtime, name][1] for name in check.needs)
            decide(row, check, evidence)
            while (row.verdict == "fail" and check.timed and row.repeats < REPEATS
                   and all(LATE.search(problem) for problem in row.problems)):
                row.repeats += 1
                again = play(lab, [(self.runtime, name) for name in check.needs], 1, progress)
                row.seconds += sum(seconds for _, seconds in again.values())
                fresh = {name: again[self.runtime, name][0] for name in check.needs}
                decide(row, check, fresh)
                if row.verdict != "fail":
                    evidence.update(fresh)
            for name in check.needs:
                row.clean_ms.update(clean_ms(evidence[name]))
                row.figures.update(evidence[name].seen.get("figures", {}))
            if with_samples and row.verdict == "pass":
                row.toothless = prove(check, evidence)


def judge_all(lab, runtimes, requirements, with_samples=True, workers=6, progress=lambda text: None, once=()):
    """The rows of each runtime, in their order. Sessions mostly wait, so the runtimes are played side by side. `once`:
    ids that of all releases in replay only the last one decides."""
    last = [runtime for runtime in runtimes if runtime.family == "replay"][-1:]
    cases = [Case(runtime, requirements, once if runtime.family == "replay" and runtime not in last else ()) for runtime in runtimes]
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda case: case.warm_up(lab), cases))
    played = play(lab, [(case.runtime, name) for case in cases for name in case.names], workers, progress)
    for case in cases:
        case.decide(lab, played, with_samples, progress)
    return [case.rows for case in cases]


def judge(lab, runtime, requirements, **how):
    return judge_all(lab, [runtime], requirements, **how)[0]
