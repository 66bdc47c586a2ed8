"""Names and files."""

import json
import shutil

from evidence import Evidence
from templates import filled, names
from scenarios.base import (
    EVERYWHERE, LIVE, ask_probe, converse, make_project, mounted_at, sandbox_arguments, scenario, tell, world_of)
from worlds import LIGHT


@scenario(*EVERYWHERE)
def two_packages(lab, runtime):
    """@a/b-c and @a-b/c, each with data that it keeps."""
    whole = Evidence("two_packages", runtime.name)
    with world_of(lab, runtime, "two_packages") as world:
        for name in ("@a/b-c", "@a-b/c"):
            directory = world.home / name.replace("/", "+")
            shutil.copytree(LIGHT, directory)
            package = json.loads((directory / "package.json").read_text())
            package["name"] = name
            package["bin"] = {"light": "light.sh"}
            (directory / "package.json").write_text(json.dumps(package))
            world.configure_package({"network": {"mode": "none"}, "storage": {"persist": True}}, name, directory)
            before = len(world.runtime.calls(world))
            session = world.start("answer", world.marker, server=directory)
            converse(world, session)
            argv = sandbox_arguments(world, session)
            data = mounted_at(world, "/data") if runtime.family == "bwrap" else None
            session.close()
            session.finish()
            part = world.evidence(session)
            part.calls = part.calls[before:]
            part.seen["argv"] = argv if runtime.family == "bwrap" else (part.run.argv if part.run else None)
            part.seen["data"] = data
            part.seen["home"] = str(world.home)
            whole.parts[name] = part
    return whole


# ---- files that calls name ----

NAMED = [
    b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"path":"<<a.txt>>"}}}\n',
    b'{ "id" : 9007199254740993 ,\t"method" : "tools/call", "params":{"arguments":{"n":1E+2,"z":-0,"deep":[ 1.0 ,'
    b' {"x":["\\u00e9\\/\\ud83d\\ude00", "<<sub/b c.txt>>" ]} ]},"name":"t"},"jsonrpc":"2.0" }\r\n',
    b'{"method":"tools/call","id":3,"jsonrpc":"2.0","params":{"_meta":{"k":1,"k":2},"name":"t",'
    b'"arguments":{"path":"<<slashes:a.txt>>","other":{"q":1,"q":2}}}}\n',
    b'{"jsonrpc":"2.0","id":4,"method":"tools/call","params":{"name":"t","arguments":{"path":"<<unicode:a.txt>>"}}}\n',
    b'{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"t","arguments":{"path":"<<home:a.txt>>"}}}\n',
    b'{"jsonrpc":"2.0","id":6,"method":"resources/read","params":{"uri":"<<uri:a.txt>>"}}\n',
    b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"t","arguments":{"uri":"<<uri:sub/b c.txt>>"}}}\n',
    b'{"jsonrpc":"2.0","id":8,"method":"tools/call","params":{"name":"t","arguments":'
    b'{"path":"<<sub/odd "n\xc3\xa4me" \\.txt>>"}}}\n',
    b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"t","arguments":'
    b'{"from":"<<a.txt>>","all":["\xc3\xa9","<<sub/b c.txt>>"]}}}\n',
]

# A name that the server has looked for in vain; a root, and a name that only the tool's schema tells from a word.
LATE = [b'{"jsonrpc":"2.0","method":"before"}\n',
        b'{"jsonrpc":"2.0","id":20,"method":"tools/call","params":{"name":"t","arguments":{"path":"<<late/late.txt>>"}}}\n',
        b'{"jsonrpc":"2.0","id":21,"method":"tools/list"}\n']
RELATIVE = "sub/relative.txt"
ROOTS = [b'{"jsonrpc":"2.0","id":"r","result":{"roots":[{"uri":"<<uri:>>","name":"p"}]}}\n',
         b'{"jsonrpc":"2.0","id":22,"method":"tools/call","params":{"name":"t","arguments":{"path":"%s"}}}\n' % RELATIVE.encode()]
# What the server reads, by the names above.
READ = [name for template in NAMED + LATE for name in names(template)[-1:]] + [RELATIVE]

SAID_ODDLY = {1: [
    b'{ "result" : {"content":[{"type":"text","text":"\\u00e9\\/ read <<>> \\ud83d\\ude00"}],"n":9007199254740993,"f":1.0,'
    b'"e":1E+2,"twice":{"q":1,"q":2}} ,\t"id":1,"jsonrpc":"2.0" }\n'],
    21: [b'{"jsonrpc":"2.0","id":21,"result":{"tools":[{"name":"t","inputSchema":{"type":"object","properties":'
         b'{"path":{"type":"string","description":"Path to a file"}}}}]}}\n',
         b'{"jsonrpc":"2.0","id":"r","method":"roots/list"}\n']}


@scenario(*EVERYWHERE)
def named_files(lab, runtime):
    """Files of the project, named in many ways; once the server says their name again."""
    def go_on(world, session):
        session.send(LATE[0])
        session.await_output(b"notifications/before")
        for template in LATE[1:]:
            session.send(filled(template, world.project))
        session.await_output(b'"roots/list"')
        for template in ROOTS:
            session.send(filled(template, world.project))
        return LATE + ROOTS
    return tell(lab, runtime, "named_files", NAMED, SAID_ODDLY, go_on)


OUTSIDE = ["/etc/passwd", "~/outside/secret", "{home}/outside/secret", "{home}/project2/secret", "{project}/../outside/secret",
           "{project}/link", "{project}/middle/secret", "{project}/sub/../../outside/secret",
           "file://{home}/outside/secret", "file://{project}/link", "file://{project}/%2e%2e/outside/secret",
           "file://{project}/..%2foutside%2fsecret", "file://elsewhere{project}/a.txt"]


@scenario(*EVERYWHERE)
def outside_files(lab, runtime):
    """Files that are really there, outside the project."""
    def lines(world):
        number = 0
        for text in OUTSIDE:
            path = text.format(home=world.home, project=world.project)
            for method, params in (("tools/call", {"name": "t", "arguments": {"path": path}}),
                                   ("tools/call", {"name": "t", "arguments": {"all": [{"of": path}]}}),
                                   ("resources/read", {"uri": path})):
                if method == "tools/call" or path.startswith("file:"):
                    number += 1
                    yield json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"
        yield NAMED[0].replace(b'"id":1', b'"id":1000')
    return tell(lab, runtime, "outside_files", lines)


# Values that are no local paths, though a file of that name exists here or nothing does.
ELSEWHERE = [b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"t","arguments":{"%s":"%s"}}}\n' % (number, key, value)
             for number, (key, value) in enumerate([
                 (b"file_path", b"a.txt"), (b"file_path", b"docs/new.md"), (b"path", b"sub"), (b"endpoint", b"/v1/charges"),
                 (b"remotePath", b"/home/deploy/app"), (b"key", b"users/alice"), (b"directory", b"/opt/app"),
                 (b"path", b"/etc/passwd"), (b"uri", b"memo://a.txt")], 1)]


@scenario(*EVERYWHERE)
def elsewhere(lab, runtime):
    """Paths of repositories, hosts, routes and keys."""
    return tell(lab, runtime, "elsewhere", ELSEWHERE)


# What the client says back, and where the server said it before. What the client names by itself is another, also when the
# server says it later; so are secrets, what the host runs, and the project itself.
SAID_FIRST = {
    b"uri:unnamed.txt": b'"resources":[{"uri":"<<uri:unnamed.txt>>","name":"u"}]',
    b"sub/unnamed.txt": b'"tools":[{"name":"t","inputSchema":{"properties":{"path":{"const":"<<sub/unnamed.txt>>"}}}}]',
    b"said/default.txt": b'"tools":[{"name":"d","inputSchema":{"properties":{"path":{"default":"<<said/default.txt>>"}}}}]',
    b"said/example.txt": b'"tools":[{"name":"e","inputSchema":{"properties":{"path":{"examples":["<<home:said/example.txt>>"]}}}}]',
    b"said/enum.txt": b'"tools":[{"name":"f","inputSchema":{"properties":{"path":{"enum":["a","<<said/enum.txt>>"]}}}}]',
    b"home:said/link.txt": b'"content":[{"type":"resource_link","uri":"<<uri:said/link.txt>>","name":"l"}]',
    b"said/text.txt": b'"content":[{"type":"text","text":"now read <<said/text.txt>>, please"}]',
    b"said/prompt.txt": b'"messages":[{"role":"user","content":{"type":"text","text":"sum <<uri:said/prompt.txt>> up"}}]',
    b"said/completed.txt": b'"completion":{"values":["<<said/completed.txt>>"]}',
}
ASKED_FOR = (b'{"jsonrpc":"2.0","id":"e","method":"elicitation/create","params":{"message":"which?","requestedSchema":{"type":'
             b'"object","properties":{"path":{"type":"string","default":"<<said/elicited.txt>>"}}}}}\n')
CALL_WITH = b'{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"t","arguments":{"path":"<<%s>>"}}}\n'
NOT_CHOSEN = [*SAID_FIRST, b"said/elicited.txt", b".env", b".git/hooks/post-checkout", b"sub/id_ed25519", b"uri:"]
BEFORE_SAID = [CALL_WITH % (1, b"sub/b c.txt"), b'{"jsonrpc":"2.0","id":2,"method":"resources/list"}\n']
SAID_BACK = [CALL_WITH % (number, name) for number, name in enumerate(NOT_CHOSEN, 10)] + [
    b'{"jsonrpc":"2.0","id":3,"method":"resources/read","params":{"uri":"<<uri:unnamed.txt>>"}}\n',
    b'{"jsonrpc":"2.0","id":"e","result":{"action":"accept","content":{"path":"<<said/elicited.txt>>"}}}\n',
    CALL_WITH % (4, b"sub/b c.txt"), CALL_WITH % (5, b"a.txt")]


@scenario(*EVERYWHERE)
def chosen_files(lab, runtime):
    """A server that names files of the project itself, and a client that says its words back."""
    def first(world):
        for name in (mark.rpartition(b":")[2].decode() for mark in NOT_CHOSEN[:-1]):
            (world.project / name).parent.mkdir(parents=True, exist_ok=True)
            (world.project / name).write_text("NOT NAMED\n")
        return BEFORE_SAID

    def go_on(world, session):
        session.await_output(b'"id":2,"result"')
        for template in SAID_BACK:
            session.send(filled(template, world.project))
        return SAID_BACK

    def said_by(world):
        said = [*SAID_FIRST.values(), b'"resources":[{"uri":"<<uri:sub/b c.txt>>","name":"b"}]']
        results = [b'{"jsonrpc":"2.0","id":%d,"result":{%s}}\n' % (number, what) for number, what in enumerate(said, 100)]
        last = b'{"jsonrpc":"2.0","id":2,"result":{}}\n'
        return {2: [filled(template, world.project) for template in (*results, ASKED_FOR, last)]}
    return tell(lab, runtime, "chosen_files", first, said_by, go_on)


# What a server may try with a file: each as it can, whatever the one before came to.
TRIES = """f=$PWD/a.txt
chmod 777 "$f" "${f%/*}"; echo spoiled > "$f"; echo spoiled >> "$f"; : > "$f"; truncate -s 0 "$f"; ln -f "$f" "$f.2"
mv -f "$f" "$f.3"; rm -f "$f"; rm -rf "${f%/*}"; echo spoiled > "$f"; mkdir "$f"; ln -sf /etc/passwd "$f"; touch -t 200001010000 "$f"
"""


def look_at(path):
    try:
        info = path.stat(follow_symlinks=False)
        return {"text": path.read_text(), "inode": info.st_ino, "mode": info.st_mode, "modified": info.st_mtime_ns}
    except OSError as why:
        return {"gone": str(why)}


@scenario(*LIVE)
def seen_files(lab, runtime):
    """One file is named; the server looks for others and tries to change it."""
    with world_of(lab, runtime, "seen_files") as world:
        make_project(world)
        world.configure_package({"network": {"mode": "none"}}, "npxc-probe")
        named, before = world.project / "a.txt", look_at(world.project / "a.txt")
        others = [world.project / "unnamed.txt", world.project / "sub" / "unnamed.txt", world.home / "outside" / "secret"]
        places = " ".join("'%s'" % path for path in others)
        answers = ask_probe(world, [
            ("read", {"path": str(named)}),
            ("spawn", {"command": "sh", "args": ["-c", "cat %s unnamed.txt */unnamed.txt" % places]}, "others"),
            ("spawn", {"command": "sh", "args": ["-c", "find . -type f -size -100 -exec cat {} +"]}, "all"),
            ("spawn", {"command": "sh", "args": ["-c", TRIES]}, "tries"),
        ])
        evidence = world.evidence(None)
        evidence.status, evidence.err = answers["status"], answers["stderr"]
        evidence.seen = {"live": answers, "before": before, "after": look_at(named)}
        return evidence
