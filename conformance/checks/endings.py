"""Ends that nobody is left to clean up after, ends as clients know them, and many at once."""

from checks.base import NETWORKED, check, nothing_left, parts, set_, spoil_parts
from checks.tear import LEFTOVERS

CLEAN_US = 5 * 1000000

ANY = "any"

# What each client sees with a server that obeys and one that does not: the steps it takes, then the launcher's status.
# A client whose last step comes while the launcher obeys the one before sees either.
SEEN = {
    ("typescript_sdk", "answer"): [(["eof"], 0)],
    ("typescript_sdk", "stubborn"): [(["eof", "SIGTERM"], 143)],
    ("typescript_probe", "answer"): [(["eof and SIGTERM"], 143), (["eof and SIGTERM"], 0), (["eof and SIGTERM", "SIGKILL"], -9)],
    ("typescript_probe", "stubborn"): [(["eof and SIGTERM", "SIGKILL"], -9), (["eof and SIGTERM"], 143)],
    ("python_sdk", "answer"): [(["eof"], 0)],
    ("python_sdk", "stubborn"): [(["eof", "SIGTERM"], 143)],
    ("vs_code", "answer"): [(["eof"], 0)],
    # 10 s is also how long npxc waits for a server that says nothing
    ("vs_code", "stubborn"): [(["eof"], 0), (["eof", "SIGTERM"], 143), (["eof", "SIGTERM"], 0)],
    # the children die first, so the launcher may end with what it makes of that
    ("vs_code_last", "answer"): [(["SIGKILL"], ANY)],
    ("vs_code_last", "stubborn"): [(["SIGKILL"], ANY)],
    ("zed", "answer"): [(["SIGKILL"], -9)],
    ("zed", "stubborn"): [(["SIGKILL"], -9)],
    ("claude_code", "answer"): [(["SIGINT"], 130), (["SIGINT", "SIGTERM"], 130), (["SIGINT", "SIGTERM", "SIGKILL"], -9)],
    ("claude_code", "stubborn"): [(["SIGINT"], 130), (["SIGINT", "SIGTERM"], 130), (["SIGINT", "SIGTERM", "SIGKILL"], -9)],
    ("closes_pipes", "reads"): [(["pipes"], 0)],
    ("stops_reading", "full"): [(["eof", "SIGTERM"], 143)],
    ("dies", "reads"): [(["client killed"], None)],
}


def laddered(e):
    wrong = nothing_left(e)
    if not e.seen["was up"]:
        return ["the session was not up: %s %s" % (e.err.strip()[-200:], e.out[-100:])]
    allowed = SEEN[e.seen["ladder"], e.seen["mode"]]
    if (e.seen["steps"], e.status) not in allowed and (e.seen["steps"], ANY) not in allowed:
        # A client that had to go a step further met a launcher that was slow, on a machine that may be.
        late = any(e.seen["steps"][:len(steps)] == steps and len(e.seen["steps"]) > len(steps) for steps, _ in allowed)
        wrong.append("%sthe client took the steps %s and saw status %s, not one of %s" % (
            "late: " if late else "", e.seen["steps"], e.status, allowed))
    last, clean = e.marks.get("last step"), e.marks.get("clean")
    if clean is None:
        wrong.append("never: nothing was left")
    elif e.seen["steps"][-1] != "eof" and clean - last > CLEAN_US:
        wrong.append("only after %.2f s nothing was left" % ((clean - last) / 1e6))
    if e.closed_us is None:
        wrong.append("never: the client's pipes were closed")
    return wrong


@check("tear-client-ladders", "client_ladders", timed=True,
       spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [
           spoil_parts(set_(status=77)), spoil_parts(set_(closed_us=None)), spoil_parts(lambda e: e.marks.pop("clean")),
           spoil_parts(lambda e: e.seen.update(steps=["eof", "SIGTERM", "SIGKILL"])),
           lambda e: e.parts["zed, stubborn"].marks.update(clean=e.parts["zed, stubborn"].marks["last step"] + CLEAN_US + 1),
           lambda e: e.parts["claude_code, stubborn"].networks_left.append("n"),
           lambda e: e.parts["dies"].processes_left.append(1)])
def tear_client_ladders(e):
    return parts(e, laddered)


def released(e):
    wrong = nothing_left(e)
    if not e.seen["was up"]:
        return ["a session was not up: %s" % e.err.strip()[-200:]]
    if e.status != -9 or e.seen["killed"] < 1:
        wrong.append("the launcher was not killed: status %s" % e.status)
    if not e.seen["held"]:
        wrong.append("nothing was left for the next start, so nothing is shown")
    if e.seen["left"]:
        wrong.append("left behind after the next start: %s" % e.seen["left"])
    if e.seen["lost"]:
        wrong.append("taken from a living session or from somebody else: %s" % e.seen["lost"])
    if not e.seen["living answered"] or e.seen["living"] != 0:
        wrong.append("the session that lived did not go on: status %s" % e.seen["living"])
    if e.seen["third"] != 0:
        wrong.append("the next start ended with %s" % e.seen["third"])
    wrong += ["%s is gone" % name for name in e.foreign if name not in e.foreign_left]
    wrong += ["was asked to remove %s" % name for call in e.of("network delete") for name in call.words if name in e.foreign]
    clean = e.marks.get("clean")
    if clean is None:
        wrong.append("never: everything of the killed session was gone")
    elif clean - e.seen["next start"] > 2 * CLEAN_US:
        wrong.append("only after %.2f s everything of the killed session was gone" % ((clean - e.seen["next start"]) / 1e6))
    return wrong


ALL_KILLED = [spoil_parts(spoil) for spoil in LEFTOVERS] + [
    spoil_parts(lambda e: e.seen.update(held=[])), spoil_parts(lambda e: e.seen.update(left=["file x"])),
    spoil_parts(lambda e: e.seen.update(lost=["network n"])), spoil_parts(lambda e: e.seen.update(living=143)),
    spoil_parts(lambda e: e.seen.update({"living answered": False})), spoil_parts(lambda e: e.seen.update(third=4)),
    spoil_parts(lambda e: e.marks.pop("clean")), spoil_parts(set_(status=0))]


@check("tear-sigkill-all", "sigkill_all", timed=True, on=("bwrap",), spoil=ALL_KILLED)
def tear_sigkill_all_on_bwrap(e):
    return parts(e, released)


@check("tear-sigkill-all", "sigkill_all", timed=True, on=NETWORKED,
       spoil=ALL_KILLED + [spoil_parts(set_(foreign_left=[]))])
def tear_sigkill_all_on_networked(e):
    return parts(e, released)


STATUSES = {"eof": 0, "SIGTERM": 143, "SIGINT": 130, "SIGHUP": 129, "SIGKILL": -9, "SIGKILL of the group": -9, "server exit": 5}


@check("tear-concurrent", "concurrent",
       spoil=LEFTOVERS + [lambda e: e.seen.update(up=e.seen["count"] - 1), lambda e: e.seen.update(seconds=61.0),
                          lambda e: e.seen["ends"].append(("eof", 1, True, "")),
                          lambda e: e.seen["ends"].append(("eof", 0, False, ""))])
def tear_concurrent(e):
    wrong = nothing_left(e)
    if e.seen["up"] != e.seen["count"]:
        wrong.append("%d of %d sessions were up at once" % (e.seen["up"], e.seen["count"]))
    for how, status, over, err in e.seen["ends"]:
        if status != STATUSES[how]:
            wrong.append("%s: exit status %s, not %s: %s" % (how, status, STATUSES[how], err.strip()))
        if not over:
            wrong.append("%s: somebody still holds the client's pipes" % how)
    if e.seen["seconds"] > 60:
        wrong.append("only after %.2f s nothing was left" % e.seen["seconds"])
    return wrong
