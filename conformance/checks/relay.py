"""Bytes between client and server."""

import json
import re

from checks.base import check, set_
from checks.fs import due_answers, told_off
from scenarios.base import REPLY
from scenarios.fs import SAID_ODDLY
from scenarios.relay import HANDSHAKE_SAID, NASTY, STATELESS_SAID
from templates import filled


MOST_KIB = 48 << 10


@check("relay-large", "large_line",
       spoil=[lambda e: e.seen.update(same=False), lambda e: e.seen.update(peak_kib=MOST_KIB + 1), set_(status=4)])
def relay_large(e):
    wrong = []
    if not e.seen["same"]:
        wrong.append("%d of %d bytes came back, or others (stderr: %s)" % (e.seen["bytes"], e.seen["wanted bytes"], e.err.strip()[-200:]))
    if e.seen["peak_kib"] > MOST_KIB:
        wrong.append("a process of the launcher grew to %d KiB" % e.seen["peak_kib"])
    if e.status != 0:
        wrong.append("exit status %s" % e.status)
    return wrong


@check("relay-eof-drains", "piped", spoil=[lambda e: setattr(e, "out", e.out[:-len(REPLY % 500)]), set_(status=1)])
def relay_eof_drains(e):
    wanted = [json.loads(REPLY % n) for n in range(1, e.seen["requests"] + 1)]
    try:
        got = [json.loads(line) for line in e.out.splitlines()]
    except ValueError:
        return ["what came back is not all JSON: %r" % e.out[-100:]]
    wrong = [] if got == wanted else ["%d of %d answers came (stderr: %s)" % (len(got), len(wanted), e.err.strip()[-200:])]
    return wrong + ([] if e.status == 0 else ["exit status %s" % e.status])


@check("relay-args-verbatim", "arguments",
       spoil=[lambda e: e.seen["wanted"].append("x"), lambda e: e.seen["wanted"].remove("--"), set_(out=b"")])
def relay_args_verbatim(e):
    try:
        words = [bytes.fromhex(word).decode() for word in json.loads(e.out.splitlines()[0])["params"]["args"]]
    except (ValueError, KeyError, IndexError):
        return ["the server did not say what it got: %r (stderr: %s)" % (e.out[:100], e.err.strip()[-200:])]
    return [] if words == e.seen["wanted"] else ["the server got %s, wanted %s" % (words, e.seen["wanted"])]


# ---- lines in which files are named ----

def changed_lines(e, templates):
    """What of these lines did not come to the server as it was sent."""
    wrong = told_off(e)
    for template in templates:
        count = e.seen["saw"].count(filled(template, e.seen["project"]))
        if count != 1:
            wrong.append("%d lines came to the server for %r" % (count, template))
    return wrong


def not_said(e, said):
    return ["the client did not get %r" % line for line in due_answers(e, said) if line not in e.seen["answers"]]


def in_line(number, what, other):
    def spoil(e):
        assert what in e.seen["saw"][number], (what, e.seen["saw"][number])
        e.seen["saw"][number] = e.seen["saw"][number].replace(what, other)
    return spoil


def not_the_same(e):
    got = e.out.splitlines(keepends=True)
    wrong = ["line %d came back as %r" % (number, line) for number, (line, sent) in enumerate(zip(got, NASTY), 1) if line != sent]
    if not wrong and e.out != b"".join(NASTY):
        wrong.append("%d lines of %d came back (exit status %s, stderr: %s)" % (len(got), len(NASTY), e.status, e.err.strip()[-200:]))
    return wrong


def of_nasty(change):
    return lambda e, named: change(e)


def of_named(change):
    return lambda e, named: change(named)


@check("relay-bytes-exact", "nasty_lines", "named_files",
       spoil=[*map(of_nasty, [lambda e: setattr(e, "out", e.out.replace(b"9007199254740993", b"9007199254740992")),
                              lambda e: setattr(e, "out", e.out.replace(b"\r\n", b"\n")), lambda e: setattr(e, "out", e.out[:-1]),
                              lambda e: setattr(e, "out", e.out.replace(b"\xef\xbb\xbf", b""))]),
              *map(of_named, [in_line(1, b"9007199254740993", b"9007199254740992"), in_line(1, b"1.0 ,", b"1.0,"),
                              in_line(1, b"\\/", b"/"), in_line(2, b'"k":1,', b""), in_line(1, b"\r\n", b"\n"),
                              lambda e: e.seen["saw"].pop(4), in_line(0, b"/a.txt", b"/b.txt"), in_line(3, b"\\u002f", b"/"),
                              lambda e: e.seen["answers"].__setitem__(0, e.seen["answers"][0].replace(b"1E+2", b"100.0"))])])
def relay_bytes_exact(e, named):
    wrong = not_the_same(e) + changed_lines(named, named.seen["sent"])
    if len(named.seen["saw"]) != len(named.seen["sent"]) + 2:
        wrong.append("%d lines were sent, the server saw %d" % (len(named.seen["sent"]) + 2, len(named.seen["saw"])))
    return wrong + not_said(named, SAID_ODDLY)


def with_id(lines, identity):
    """How often a message has this id, as it stands in the message."""
    form = re.compile(rb'"id":\s*%s\s*[,}]' % re.escape(identity))
    return sum(len(form.findall(line)) for line in lines)


def lose(identity):
    def spoil(e):
        e.seen["answers"] = [line for line in e.seen["answers"] if not with_id([line], identity)]
    return spoil


@check("relay-no-silent-drop", "refusals",
       spoil=[lose(b'"1"'), lose(b"9007199254740993"), lose(b"200"), lambda e: e.seen["saw"].clear(),
              lambda e: e.seen["answers"].append(e.seen["answers"][0]),
              lambda e: e.seen["answers"].append(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":""}}\n'),
              lambda e: e.seen.update(answers=[line.replace(b'"error"', b'"result"') for line in e.seen["answers"]])])
def relay_no_silent_drop(e):
    wrong = told_off(e)
    errors = [line for line in e.seen["answers"] if b'"error"' in line]
    for identity, refused in e.seen["calls"]:
        seen, answered_by = with_id(e.seen["saw"], identity), with_id(errors, identity)
        if seen + answered_by != 1:
            wrong.append("the call with id %s came to the server %d times, and %d errors came back" % (
                identity.decode(), seen, answered_by))
        elif refused is not None and bool(answered_by) != refused:
            wrong.append("the call with id %s was %s" % (identity.decode(), "refused" if answered_by else "forwarded"))
    if len(e.seen["answers"]) != len(errors) or with_id(errors, b"null"):
        wrong.append("the client got something besides: %s" % e.seen["answers"])
    return wrong


BESIDE = ("listening on nothing", "  a line came", "done: [1]")


def guarded(e):
    wrong = [] if e.out == b"".join(REPLY % n for n in range(1, 4)) else ["stdout holds %r" % e.out]
    for text in BESIDE:
        lines = [line for line in e.err.splitlines() if line.endswith(text)]
        if not lines:
            wrong.append("not on stderr: %s" % text)
        # its own name, or the path of the directory that it is
        wrong += ["without the package's name on stderr: %s" % line for line in lines if "light" not in line]
    return wrong


def not_guarded(e):
    wanted = "listening on nothing\n%s" % "".join("  a line came\n%sdone: [1]\n" % (REPLY % n).decode() for n in range(1, 4))
    return [] if e.out == wanted.encode() else ["with stdout_guard false stdout holds %r" % e.out]


@check("relay-stdout-clean", "chatter",
       spoil=[lambda e: setattr(e.parts["guarded"], "out", b"done: [1]\n" + e.parts["guarded"].out),
              lambda e: setattr(e.parts["guarded"], "err", e.parts["guarded"].err.replace("light", "")),
              lambda e: setattr(e.parts["guarded"], "err", e.parts["guarded"].err.replace("done: [1]", "")),
              lambda e: setattr(e.parts["not guarded"], "out", e.parts["guarded"].out)])
def relay_stdout_clean(e):
    return [what for label, judge in (("guarded", guarded), ("not guarded", not_guarded))
            for what in ([e.parts[label].problem] if e.parts[label].problem else judge(e.parts[label]))]


@check("relay-both-eras", "eras",
       spoil=[lambda e: e.parts["handshake"].seen["saw"].pop(1), lambda e: e.parts["handshake"].seen["answers"].pop(),
              lambda e: e.parts["stateless"].seen["saw"].pop(0),
              lambda e: in_line(3, b'"requestState":"/', b'"requestState":"/x')(e.parts["stateless"]),
              lambda e: in_line(2, b'"requestState":"/', b'"requestState":"/x')(e.parts["stateless"]),
              lambda e: e.parts["stateless"].seen["answers"].append(b"{}\n")])
def relay_both_eras(e):
    wrong = []
    for label, said in (("handshake", HANDSHAKE_SAID), ("stateless", STATELESS_SAID)):
        part = e.parts[label]
        if part.problem:
            wrong.append("%s: %s" % (label, part.problem))
            continue
        found = not_said(part, said) + changed_lines(part, part.seen["sent"])
        due = sum(map(len, said.values()))
        if len(part.seen["answers"]) != due:
            found.append("the client got %d messages, not %d: %s" % (len(part.seen["answers"]), due, part.seen["answers"]))
        wrong += ["%s: %s" % (label, what) for what in found]
    return wrong
