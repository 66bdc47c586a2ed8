"""The ends of a session."""

import re

from checks.base import NETWORKED, add_call, check, drop_calls, managed, nothing_left, parts, set_, spoil_parts, worked
from scenarios.base import REPLY


def ordered(e):
    wrong = managed(e)
    if wrong:
        return wrong
    deletes = e.of("network delete")
    if not deletes:
        return ["the network was never deleted"]
    if e.run.end_us is None or deletes[0].start_us < e.run.end_us:
        wrong.append("network delete began before the container's end")
    for call in e.of("rm", "stop", "kill"):
        if call.start_us < deletes[0].start_us < call.end_us:
            wrong.append("network delete began while the container was being removed")
    late = [call for call in e.of("rm") if call.start_us > deletes[0].start_us]
    if late:
        wrong.append("the container was removed after network delete had begun")
    used = [call for call in deletes if call.refusal == "in-use"]
    if used:
        wrong.append("the runtime refused a delete: the network was still used by the container")
    return wrong


def delete_first(e):
    e.of("network delete")[0].start_us = e.run.end_us - 1


def delete_before_removal(e):
    e.of("network delete")[0].start_us = e.of("rm")[0].start_us - 1


@check("tear-order", "allowlist", "sigterm", "sigkill", on=NETWORKED,
       spoil=[delete_first, lambda e, *_: setattr(e.of("network delete")[0], "refusal", "in-use"),
              lambda e, *_: drop_calls("network delete")(e), lambda e, *_: delete_before_removal(e),
              lambda _, s, k: setattr(s.parts["stubborn"].of("network delete")[0], "refusal", "in-use"),
              lambda _, s, k: setattr(k.parts["answer, group"].of("network delete")[0], "refusal", "in-use")])
def tear_order(e, ended, killed):
    wrong = ordered(e)
    for how, whole in (("SIGTERM", ended), ("SIGKILL", killed)):
        for name, part in whole.parts.items():
            if any(call.refusal == "in-use" for call in part.of("network delete")):
                wrong.append("after %s, %s: network delete was called while the container was there" % (how, name))
    return wrong


LEFTOVERS = [set_(containers_left=["c"]), set_(networks_left=["n"]), set_(processes_left=[1]), set_(files_left=["tmp/x"])]


@check("tear-client-eof", "client_eof",
       spoil=LEFTOVERS + [set_(status=1), set_(out=b""), lambda e: setattr(e, "out", e.out[:-len(REPLY % 5)]),
                          set_(err=""), set_(closed_us=None)])
def tear_client_eof(e):
    wrong = nothing_left(e)
    if e.status != 0:
        wrong.append("exit status %s, not 0: %s" % (e.status, e.err.strip()[-200:]))
    if "light saw the end of input" not in e.err:
        wrong.append("the server saw no end of input")
    if e.out != b"".join(REPLY % n for n in range(1, 6)):
        wrong.append("5 replies were due after the end of input, these came: %r" % e.out)
    if e.closed_us is None:
        wrong.append("somebody still holds the client's pipes")
    return wrong


def ended_with(e, status):
    wrong = nothing_left(e)
    if e.status != status:
        wrong.append("exit status %s, not %d: %s" % (e.status, status, e.err.strip()[-200:]))
    if not [line for line in e.error_lines() if re.search(r"\b(%d|%d)\b" % (status, status - 128), line)
            and not line.startswith("light")]:
        wrong.append("stderr does not say how the server ended: %s" % e.err.strip()[-200:])
    if e.closed_us is None:
        wrong.append("somebody still holds the client's pipes")
    return wrong


@check("tear-server-exit", "server_exit", spoil=LEFTOVERS + [set_(status=0), set_(err="")])
def tear_server_exit(e):
    return ended_with(e, 3)


@check("tear-server-crash", "server_crash", spoil=LEFTOVERS + [set_(status=0), set_(err="")])
def tear_server_crash(e):
    return ended_with(e, 137)


def did_not_start(e):
    wrong = nothing_left(e)
    if e.status not in (2, 4):
        wrong.append("exit status %s, not 4 (2 when the runtime is not available)" % e.status)
    if e.out:
        wrong.append("stdout holds %r" % e.out[:100])
    if not e.error_lines():
        wrong.append("nothing on stderr")
    if e.runtime != "bwrap":
        if not e.run:
            wrong.append("the server's start was never asked for: %s" % e.err.strip()[-200:])
        missing = [name for name in e.created() if name not in [call.name for call in e.of("network delete")]]
        if missing or not e.created():
            wrong.append("networks made: %s, not deleted: %s" % (e.created(), missing))
    return wrong


@check("tear-start-failure", "start_failure",
       spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [spoil_parts(set_(status=0)), spoil_parts(set_(out=b"x"))])
def tear_start_failure(e):
    return parts(e, did_not_start)


def ends_in_time(e, status, seconds, name):
    wrong = nothing_left(e)
    began = e.marks.get("signal", 0)
    if not e.seen["was up"]:
        return ["the session was not up: %s" % e.err.strip()[-200:]]
    if e.status != status:
        wrong.append("exit status %s, not %s" % (e.status, status))
    for what, when in (("the sandbox was gone", e.marks.get("sandbox gone")), ("the launcher had exited", e.ended_us),
                       ("the client's pipes were closed", e.closed_us)):
        if when is None:
            wrong.append("never: %s" % what)
        elif when - began > seconds * 1000000:
            wrong.append("only after %.2f s %s" % ((when - began) / 1e6, what))
    if name == "busy network":
        free, gone = e.marks.get("free"), e.marks.get("network gone")
        if not gone or gone < free or gone - free > 5000000:
            wrong.append("the busy network did not go within 5 s of being free")
    elif e.marks.get("network gone") is None:
        wrong.append("the network was not deleted")
    return wrong


def signalled(e, status):
    return ["%s: %s" % (label, wrong) for label, part in e.parts.items()
            for wrong in ([part.problem] if part.problem else ends_in_time(part, status, 2, label))]


def on_signal(identity, name):
    return check(identity, name, timed=True,
                 spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [
                     spoil_parts(set_(status=0)), spoil_parts(set_(closed_us=None)),
                     spoil_parts(lambda e: setattr(e, "ended_us", e.marks["signal"] + 2000001)),
                     spoil_parts(lambda e: e.marks.update({"sandbox gone": e.marks["signal"] + 2000001})),
                     spoil_parts(lambda e: e.marks.pop("sandbox gone"))])


@on_signal("tear-sigterm", "sigterm")
def tear_sigterm(e):
    return signalled(e, 143)


@on_signal("tear-sigint", "sigint")
def tear_sigint(e):
    return signalled(e, 130)


@on_signal("tear-sighup", "sighup")
def tear_sighup(e):
    return signalled(e, 129)


def killed(e):
    wrong = nothing_left(e)
    began = e.marks.get("signal", 0)
    if not e.seen["was up"]:
        return ["the session was not up: %s" % e.err.strip()[-200:]]
    clean = e.marks.get("clean")
    if clean is None or clean - began > 5000000:
        wrong.append("not everything was gone within 5 s of SIGKILL")
    if e.closed_us is None or e.closed_us - began > 5000000:
        wrong.append("the client's pipes were not closed within 5 s of SIGKILL")
    return wrong


@check("tear-sigkill", "sigkill", timed=True,
       spoil=[spoil_parts(spoil) for spoil in LEFTOVERS] + [
           spoil_parts(lambda e: e.marks.update(clean=e.marks["signal"] + 5000001)),
           spoil_parts(set_(closed_us=None))])
def tear_sigkill(e):
    return parts(e, killed)


BOUND_US = 90 * 1000000  # an answer that is owed may be waited for a minute after the end of input


def tortured(name, e):
    wrong = nothing_left(e)
    allowed = {0, 2, 3, 4}
    faulty = [call for call in e.calls if call.fault]
    if faulty and faulty[0].kind == "run":
        allowed |= {1, 137}  # what a CLI that ends so tells is the server's own status
    if e.status not in allowed:
        wrong.append("exit status %s: %s" % (e.status, e.err.strip()[-200:]))
    if e.out not in (b"", REPLY % 1, (REPLY % 1)[:20]):
        wrong.append("stdout holds %r" % e.out[:100])
    deleted = [call.name for call in e.of("network delete")]
    for created in e.created():
        if created not in deleted:
            wrong.append("network create %s has no delete" % created)
    if e.ended_us is None or e.ended_us - e.began_us > BOUND_US:
        wrong.append("not over within 90 s")
    return wrong


@check("tear-every-failure", "torture", on=("replay",),
       spoil=[spoil_parts(set_(networks_left=["n"])), spoil_parts(set_(status=99)), spoil_parts(set_(out=b"oops")),
              spoil_parts(drop_calls("network delete")), spoil_parts(set_(ended_us=None))])
def tear_every_failure(e):
    wrong = worked(e.parts["calm"]) if "calm" in e.parts else ["no session without a fault"]
    if len(e.parts) < 2:
        wrong.append("no call was made that could fail")
    return wrong + ["%s: %s" % (name, what) for name, part in e.parts.items()
                    for what in ([part.problem] if part.problem else tortured(name, part))]


def untouched(e):
    wrong = ["%s is gone" % name for name in e.foreign if name not in e.foreign_left]
    for call in e.of("network delete", "rm", "stop", "kill"):
        for name in call.words:
            if name in e.foreign:
                wrong.append("was asked to remove %s" % name)
    for call in e.of("network prune", "prune"):
        wrong.append("called %s" % call.words)
    if any("--all" in call.words or "-a" in call.words for call in e.of("network delete", "rm", "stop", "kill")):
        wrong.append("removed everything")
    if e.created() and e.networks_left:
        wrong.append("its own networks are left: %s" % e.networks_left)
    return wrong if e.created() else wrong + ["the session made no network: %s" % e.err.strip()[-200:]]


@check("tear-foreign-untouched", "foreign", on=NETWORKED,
       spoil=[spoil_parts(set_(foreign_left=[])), spoil_parts(lambda e: add_call("network", "delete", e.foreign[0])(e)),
              spoil_parts(lambda e: add_call("network", "prune")(e)), spoil_parts(lambda e: add_call("rm", "--all")(e))])
def tear_foreign_untouched(e):
    return parts(e, untouched)
