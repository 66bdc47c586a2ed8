"""Bytes between client and server."""

import json

from checks.base import check, set_
from scenarios.base import REPLY
from scenarios.relay import NASTY


@check("relay-bytes-exact", "nasty_lines",
       spoil=[lambda e: setattr(e, "out", e.out.replace(b"9007199254740993", b"9007199254740992")),
              lambda e: setattr(e, "out", e.out.replace(b"\r\n", b"\n")), lambda e: setattr(e, "out", e.out[:-1])])
def _(e):
    got = e.out.splitlines(keepends=True)
    wrong = ["line %d came back as %r" % (number, line) for number, (line, sent) in enumerate(zip(got, NASTY), 1) if line != sent]
    if not wrong and e.out != b"".join(NASTY):
        wrong.append("%d lines of %d came back (exit status %s, stderr: %s)" % (len(got), len(NASTY), e.status, e.err.strip()[-200:]))
    return wrong


MOST_KIB = 48 << 10


@check("relay-large", "large_line",
       spoil=[lambda e: e.seen.update(same=False), lambda e: e.seen.update(peak_kib=MOST_KIB + 1), set_(status=4)])
def _(e):
    wrong = []
    if not e.seen["same"]:
        wrong.append("%d of %d bytes came back, or others (stderr: %s)" % (e.seen["bytes"], e.seen["wanted bytes"], e.err.strip()[-200:]))
    if e.seen["peak_kib"] > MOST_KIB:
        wrong.append("a process of the launcher grew to %d KiB" % e.seen["peak_kib"])
    if e.status != 0:
        wrong.append("exit status %s" % e.status)
    return wrong


@check("relay-eof-drains", "piped", spoil=[lambda e: setattr(e, "out", e.out[:-len(REPLY % 500)]), set_(status=1)])
def _(e):
    wanted = [json.loads(REPLY % n) for n in range(1, e.seen["requests"] + 1)]
    try:
        got = [json.loads(line) for line in e.out.splitlines()]
    except ValueError:
        return ["what came back is not all JSON: %r" % e.out[-100:]]
    wrong = [] if got == wanted else ["%d of %d answers came (stderr: %s)" % (len(got), len(wanted), e.err.strip()[-200:])]
    return wrong + ([] if e.status == 0 else ["exit status %s" % e.status])


@check("relay-args-verbatim", "arguments",
       spoil=[lambda e: e.seen["wanted"].append("x"), lambda e: e.seen["wanted"].remove("--"), set_(out=b"")])
def _(e):
    try:
        words = [bytes.fromhex(word).decode() for word in json.loads(e.out.splitlines()[0])["params"]["args"]]
    except (ValueError, KeyError, IndexError):
        return ["the server did not say what it got: %r (stderr: %s)" % (e.out[:100], e.err.strip()[-200:])]
    return [] if words == e.seen["wanted"] else ["the server got %s, wanted %s" % (words, e.seen["wanted"])]
