"""Networks that stay busy."""

from checks.base import check, drop_calls, nothing_left, set_, worked
from evidence import Call
from scenarios.base import REPLY


def busy_session(e):
    return ([] if REPLY % 1 in e.out else worked(e)) + ([] if len(e.created()) == 1 else ["%d networks were made" % len(e.created())])


def one_more_delete(e):
    last = e.foreground_deletes()[-1]
    e.calls.append(Call(list(last.argv), last.end_us, last.end_us + 1, exit=1, busy=True))


@check("retry-attempts", "busy_forever", on=("replay",), spoil=[one_more_delete, drop_calls("network delete")])
def retry_attempts(e):
    count = len(e.foreground_deletes())
    return busy_session(e) + ([] if 1 <= count <= 5 else ["%d deletes before the launcher's end" % count])


PAUSES_MS = (150, 300, 450, 600)
TOLERANCE_MS = 100


def pauses(e):
    """Between the end of each attempt and the start of the next one, in milliseconds."""
    deletes = e.foreground_deletes()
    return [(after.start_us - before.end_us) / 1000 for before, after in zip(deletes, deletes[1:])]


def shift(number, milliseconds):
    def spoil(e):
        for call in e.foreground_deletes()[number + 1:]:
            call.start_us += int(milliseconds * 1000)
            call.end_us += int(milliseconds * 1000)
        e.ended_us = max(e.ended_us, e.of("network delete")[-1].end_us + 1)
    return spoil


@check("retry-backoff", "busy_forever", on=("replay",), timed=True,
       spoil=[shift(0, -100), shift(3, 101), lambda e: e.calls.remove(e.foreground_deletes()[-1]),
              drop_calls("network delete")])
def retry_backoff(e):
    found = pauses(e)
    wrong = busy_session(e)
    if len(found) != len(PAUSES_MS):
        wrong.append("%d pauses between attempts, not %d" % (len(found), len(PAUSES_MS)))
    for number, (pause, wanted) in enumerate(zip(found, PAUSES_MS), 1):
        if pause < wanted:
            wrong.append("pause %d is %.1f ms, shorter than %d ms" % (number, pause, wanted))
        elif pause > wanted + TOLERANCE_MS:
            wrong.append("late: pause %d is %.1f ms, more than %d ms longer than %d ms" % (number, pause, TOLERANCE_MS, wanted))
    return wrong


@check("retry-stops-on-success", "busy_then_free", on=("replay",),
       spoil=[lambda e: one_more_delete(e.parts["2"]), lambda e: drop_calls("network delete")(e.parts["4"])])
def retry_stops_on_success(e):
    wrong = []
    for times, part in e.parts.items():
        count = len(part.of("network delete"))
        wrong += ["busy %s times: %s" % (times, what) for what in busy_session(part)]
        if count != int(times) + 1:
            wrong.append("busy %s times: %d deletes, not %d" % (times, count, int(times) + 1))
        if part.networks_left:
            wrong.append("busy %s times: the network is left" % times)
    return wrong


def forget_warning(e):
    e.err = "light ready\n"


def warn_twice(e):
    e.err += [line for line in e.error_lines() if e.created()[0] in line][0] + "\n"


@check("retry-warns-once", "busy_forever", "busy_then_free", on=("replay",),
       spoil=[lambda e, _: forget_warning(e), lambda e, _: warn_twice(e), lambda e, _: setattr(e, "status", 4),
              lambda e, _: setattr(e, "err", e.err.replace("referring containers", "trouble")),
              lambda _, f: setattr(f.parts["1"], "err", "warning: %s is busy\n" % f.parts["1"].created()[0])])
def retry_warns_once(e, freed):
    wrong = []
    if e.status != 0:
        wrong.append("exit status %s, not 0" % e.status)
    name = e.created()[0] if e.created() else "(no network was made)"
    lines = e.warnings(name)
    if len(lines) != 1:
        wrong.append("%d lines on stderr name the network" % len(lines))
    elif "referring containers: somebody-elses" not in lines[0]:
        wrong.append("the warning does not hold the runtime's own words: %s" % lines[0])
    for times, part in freed.parts.items():
        if part.created() and part.warnings(part.created()[0]):
            wrong.append("busy %s times, then gone, and still a warning" % times)
    return wrong


@check("retry-gone-is-success", "gone_already", on=("replay",),
       spoil=[lambda e: [one_more_delete(e) for _ in range(2)], set_(status=4),
              lambda e: setattr(e, "err", e.err + "npxc: warning: network %s is still there\n" % e.created()[0])])
def retry_gone_is_success(e):
    wrong = busy_session(e) or worked(e)
    deletes = e.of("network delete")
    if not 1 <= len(deletes) <= 2:
        wrong.append("%d deletes of a network that is not there" % len(deletes))
    if e.created() and e.warnings(e.created()[0]):
        wrong.append("a warning: %s" % e.warnings(e.created()[0])[0])
    return wrong + nothing_left(e)


@check("retry-background", "busy_forever", on=("replay",), timed=True,
       spoil=[lambda e: e.marks.update({"network gone": e.marks["free"] + 5000001}), lambda e: e.marks.pop("network gone"),
              set_(networks_left=["n"]), lambda e: setattr(e, "ended_us", e.calls[-1].end_us + 1)])
def retry_background(e):
    wrong = busy_session(e) + nothing_left(e)
    free, gone = e.marks.get("free", 0), e.marks.get("network gone")
    if gone is None:
        wrong.append("the network was never deleted after it was free")
    elif gone - free > 5000000:
        wrong.append("late: deleted only %.1f s after it was free" % ((gone - free) / 1e6))
    if e.ended_us is None or not [call for call in e.of("network delete") if call.start_us > e.ended_us]:
        wrong.append("no delete after the launcher's end")
    return wrong


@check("retry-hang-bounded", "delete_hangs", on=("replay",),
       spoil=[lambda e: setattr(e.of("network delete")[0], "cut", False), lambda e: e.calls.remove(e.of("network delete")[1]),
              lambda e: setattr(e, "ended_us", e.began_us + 31000000)])
def retry_hang_bounded(e):
    wrong = busy_session(e) + nothing_left(e)
    deletes = e.of("network delete")
    if not deletes or not deletes[0].cut:
        wrong.append("the delete that never returned was not cut off")
    if len(deletes) != 2:
        wrong.append("%d deletes, not the one that was cut off and one more" % len(deletes))
    if e.ended_us is None or e.ended_us - e.began_us > 30 * 1000000:
        wrong.append("the session took longer than 30 s")
    return wrong
