"""One row of the suite from one place: the requirement, its checks, their scenarios, and the broken launchers."""

import os

import broken_launchers
import registry
from checks import CHECKS
from evidence import TOP, place_of
from scenarios import SCENARIOS


def checks_of(identity):
    """Each once, in the order in which they are registered."""
    return list(dict.fromkeys(check for (one, _), check in CHECKS.items() if one == identity))


def elsewhere(requirement):
    """Where it is decided instead of here; None: here."""
    return registry.ELSEWHERE_IDS.get(requirement["id"]) or registry.ELSEWHERE.get(requirement["due"])


def is_stub(text):
    """scaffold.py begins its texts so."""
    return (text or "").startswith("TODO")


def missing(requirement, broken):
    """What the row lacks, as sentences."""
    identity = requirement["id"]
    if elsewhere(requirement) or requirement["due"] not in registry.BUILT:
        return []
    checks = checks_of(identity)
    wrong = [] if checks else ["%s has no check in conformance/checks/" % identity]
    wrong += ["the text of %s in conformance/requirements.json is a stub" % identity] if is_stub(requirement["text"]) else []
    for check in checks:
        if is_stub(check.function.__doc__):
            wrong.append("the check of %s (%s) is a stub" % (identity, check))
        for name in check.needs:
            if name not in SCENARIOS:
                wrong.append("%s (%s) needs the scenario %s, which conformance/scenarios/ has not" % (identity, check, name))
                continue
            if is_stub(SCENARIOS[name].function.__doc__):
                wrong.append("the scenario of %s (%s) is a stub" % (identity, place_of(SCENARIOS[name].function)))
            wrong += ["%s (%s) is decided on %s, where the scenario %s is not played" % (identity, check, family, name)
                      for family in check.families if family not in SCENARIOS[name].families]
        if not check.samples:
            wrong.append("%s (%s) has no negative sample" % (identity, check))
    if requirement["level"] == "must" and not any(identity in one.breaks for one in broken):
        wrong.append("%s is broken by no launcher of conformance/broken/" % identity)
    return wrong


def text_of(requirement, broken):
    lines = ["%(id)s: %(text)s" % requirement,
             "  level     %s" % requirement["level"],
             "  evidence  %s" % ", ".join(requirement["evidence"]),
             "  runtimes  %s" % ", ".join(requirement["runtimes"])]
    if elsewhere(requirement):
        return lines + ["  %s" % elsewhere(requirement)]
    for check in checks_of(requirement["id"]):
        lines.append("  check     %s (%s)" % (check, ", ".join(check.families)))
        lines += ["  scenario    %s, %s" % (name, place_of(SCENARIOS[name].function)) for name in check.needs if name in SCENARIOS]
    lines += ["  red by    %s (%s): %s" % (os.path.relpath(one.path, TOP), one.runtime, one.wrong)
              for one in broken if requirement["id"] in one.breaks]
    return lines + ["  MISSING   %s" % what for what in missing(requirement, broken)]


def show(requirements):
    """Prints the rows; False when one of them lacks something."""
    broken = broken_launchers.load()
    print("\n\n".join("\n".join(text_of(requirement, broken)) for requirement in requirements))
    return not any(missing(requirement, broken) for requirement in requirements)
