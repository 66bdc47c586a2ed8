"""Names and files."""

import json

from checks.base import LIVE, check, parts, worked
from scenarios.base import FILES
from scenarios.fs import READ, RELATIVE
from templates import answered, filled, in_string


def sources(part):
    """Host directories that are mounted for the package and its data."""
    argv, found = part.seen["argv"], {part.seen.get("data")} - {None}
    for index, word in enumerate(argv):
        source, target = None, ""
        if word in ("-v", "--volume"):
            source, target = argv[index + 1].split(":")[:2]
        elif word in ("--bind", "--ro-bind"):
            source, target = argv[index + 1:index + 3]
        elif word in ("--bind-fd", "--ro-bind-fd") and argv[index + 2] != "/data":
            found.add(argv[index + 2])  # a directory that is run where it lies
        if target.startswith(("/data", "/opt/")) or source == target != "" and target.startswith(part.seen["home"]):
            found.add(source)  # or where it lies
    return found


@check("fs-keys-never-collide", "two_packages",
       spoil=[lambda e: e.parts["@a/b-c"].seen.update(argv=e.parts["@a-b/c"].seen["argv"]),
              lambda e: e.parts["@a/b-c"].seen.update(data="8:1 /d") or e.parts["@a-b/c"].seen.update(data="8:1 /d"),
              lambda e: e.parts["@a/b-c"].seen.update(argv=None)])
def fs_keys_never_collide(e):
    wrong = parts(e, worked)
    if not all(part.seen["argv"] for part in e.parts.values()):
        return wrong + ["no argument list was seen"]
    one, other = map(sources, e.parts.values())
    if one & other:
        wrong.append("both packages get %s" % sorted(one & other))
    if len(one) < 2 or len(other) < 2:
        wrong.append("no data directory is mounted: %s, %s" % (sorted(one), sorted(other)))
    return wrong


# ---- files that calls name ----

def told_off(e):
    """Why there is nothing to judge."""
    return [] if e.seen["shown"] else ["the session did not last (exit status %s): %s" % (e.status, e.err.strip()[-200:])]


def lost(name):
    def spoil(e):
        e.seen[name].pop()
    return spoil


@check("fs-named-file-visible", "named_files",
       spoil=[lost("read"), lambda e: e.seen["read"].__setitem__(0, b""), lambda e: e.seen["shown"].__setitem__(0, b""),
              lambda e: e.seen["copies"].append("tmp/a.txt")])
def fs_named_file_visible(e):
    wrong = told_off(e) + ["a copy is left behind: %s" % path for path in e.seen["copies"]]
    contents = [FILES[name].encode() for name in READ]
    if not wrong and e.seen["read"] != contents:
        wrong.append("of the files that were named the server read %s, not %s" % (e.seen["read"], contents))
    return wrong + ["the server does not find what is in %s" % name for name in sorted(set(READ))
                    if not wrong and FILES[name].encode() not in e.seen["shown"][0]]


def probe_said(e, label):
    result = e.seen["live"].get(label) or {}
    value = result.get("value")
    return (value.get("stdout") or "") + (value.get("stderr") or "") if isinstance(value, dict) else ""


def shows(label, text):
    def spoil(e):
        e.seen["live"][label]["value"]["stdout"] += text
    return spoil


@check("fs-unnamed-invisible", "seen_files", on=LIVE,
       spoil=[shows("others", "NOT NAMED\n"), shows("all", "NOT NAMED\n"), shows("others", "SECRET\n"),
              lambda e: e.seen["live"].pop("others"), lambda e: e.seen["live"]["all"]["value"].update(stdout="")])
def fs_unnamed_invisible(e):
    wrong = ["the server was not asked: %s" % e.err.strip()[-200:] for label in ("others", "all") if not probe_said(e, label)]
    if FILES["a.txt"] not in probe_said(e, "all"):
        wrong.append("what was named is not visible either")
    return wrong + ["the server reads what was not named: %s" % text for text in ("NOT NAMED", "SECRET")
                    for label in ("others", "all") if text in probe_said(e, label)]


@check("fs-host-unchanged", "seen_files", on=LIVE,
       spoil=[lambda e: e.seen["after"].update(text="spoiled\n"), lambda e: e.seen["after"].update(inode=1),
              lambda e: e.seen["after"].update(mode=0), lambda e: e.seen.update(after={"gone": "ENOENT"}),
              lambda e: e.seen["live"].pop("tries")])
def fs_host_unchanged(e):
    wrong = [] if e.seen["live"].get("tries", {}).get("ok") else ["the server did not try: %s" % e.err.strip()[-200:]]
    if e.seen["after"] != e.seen["before"]:
        wrong.append("the host's file was %(before)s and is %(after)s" % e.seen)
    return wrong


def error_for(e, identity):
    """The error that answers it, {} when there is none or more than one."""
    found = []
    for line in e.seen["answers"]:
        try:
            messages = json.loads(line)
        except ValueError:
            continue
        for message in messages if isinstance(messages, list) else [messages]:
            if isinstance(message, dict) and message.get("id") == identity:
                found.append(message.get("error") or {})
    return found[0] if len(found) == 1 else {}


@check("fs-outside-refused", "outside_files",
       spoil=[lambda e: e.seen["shown"].__setitem__(0, b"SECRET\n"), lambda e: e.seen["read"].append(b"SECRET\n"),
              lambda e: e.seen.update(saw=[], answers=[]), lambda e: e.seen["saw"].append(e.seen["saw"][3]),
              lambda e: e.seen["saw"].pop(2)])
def fs_outside_refused(e):
    wrong = told_off(e)
    for line in e.seen["sent"]:
        call = json.loads(line.replace(b"<<a.txt>>", b"a.txt"))
        seen = [line for line in e.seen["saw"] if b'"id": %d,' % call["id"] in line or b'"id":%d,' % call["id"] in line]
        refused = error_for(e, call["id"]).get("code") == -32602
        if call["id"] == 1000 and len(seen) != 1:
            wrong.append("the call after the others did not get through")
        elif len(seen) + refused != 1:
            wrong.append("%s came to the server %d times, and was %srefused" % (json.dumps(call["params"]), len(seen), "" if refused else "not "))
    return wrong + ["the server sees a secret" for told in e.seen["read"] + e.seen["shown"] if b"SECRET" in told]


def due_answers(e, said, host="a.txt"):
    """What the client has to get: {id of a call: templates} of what the server says about its file."""
    host = in_string("%s/%s" % (e.seen["project"], host))
    return [answered(template, host) for templates in said.values() for template in templates]


def forwarded_as_sent(e, templates):
    return ["%d times came to the server: %r" % (count, template) for template in templates
            if (count := e.seen["saw"].count(filled(template, e.seen["project"]))) != 1]


@check("fs-same-path", "named_files",
       spoil=[lost("at"), lambda e: e.seen["at"].clear(), lambda e: e.seen["saw"].pop(0), lost("before"),
              lambda e: e.seen["at"].__setitem__(0, b"/workspace/a.txt"), lambda e: e.seen["before"].__setitem__(0, b"there\n"),
              lambda e: e.seen["place"].__setitem__(0, b"/") or e.seen.update(rooted=True)])
def fs_same_path(e):
    wrong = told_off(e) or forwarded_as_sent(e, e.seen["sent"])
    project = e.seen["project"].encode()
    # what only a sandbox with a root of its own shows
    paths = [(name if not e.seen["rooted"] or name == RELATIVE else "%s/%s" % (e.seen["project"], name)).encode() for name in READ]
    if not wrong and e.seen["at"] != paths:
        wrong.append("the server read under %s, not %s" % (e.seen["at"], paths))
    if not wrong and e.seen["rooted"] and e.seen["place"] != [project]:
        wrong.append("the server was started in %s, not in the client's root %s" % (e.seen["place"], project))
    if not wrong and e.seen["before"] != [b"absent\n"]:
        wrong.append("what had not been named yet was %s" % e.seen["before"])
    return wrong


@check("fs-no-false-refusal", "elsewhere",
       spoil=[lambda e: e.seen["saw"].pop(0), lambda e: e.seen["answers"].append(b'{"id":1,"error":{"code":-32602}}\n'),
              lambda e: e.seen["saw"].__setitem__(3, b"{}\n")])
def fs_no_false_refusal(e):
    wrong = told_off(e) or forwarded_as_sent(e, e.seen["sent"])
    return wrong + ["the client got %r" % line for line in e.seen["answers"] if b'"error"' in line]


@check("fs-server-cannot-choose", "chosen_files",
       spoil=[lambda e: e.seen["shown"].__setitem__(0, e.seen["shown"][0] + b"NOT NAMED\n"), lambda e: e.seen["saw"].pop(1),
              lambda e: e.seen["read"].append(b"NOT NAMED\n"), lost("at"),
              lambda e: e.seen["at"].__delitem__(slice(2))])
def fs_server_cannot_choose(e):
    wrong = told_off(e) or forwarded_as_sent(e, e.seen["sent"])
    for name in ("a.txt", "sub/b c.txt"):
        if not any(path.endswith(name.encode()) for path in e.seen["at"]):
            wrong.append("what the client named by itself is not there: %s" % name)
    return wrong + ["the server sees what it named itself, or a secret" for told in e.seen["read"] + e.seen["shown"] if b"NOT NAMED" in told]


@check("fs-writes-are-loud", "named_files", on=LIVE,
       spoil=[lambda e: e.seen["wrote"].__setitem__(0, b""), lambda e: e.seen["wrote"].clear()])
def fs_writes_are_loud(e):
    wrong = told_off(e)
    if not e.seen["wrote"] or b"refused" not in e.seen["wrote"][0]:
        wrong.append("a write into the working directory did not fail: %s" % e.seen["wrote"])
    return wrong
