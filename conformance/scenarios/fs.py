"""Names and files."""

import json
import shutil

from evidence import Evidence
from scenarios.base import (
    EVERYWHERE, ask_probe, converse, make_project, mounted_at, sandbox_arguments, scenario, tell, world_of)
from worlds import LIGHT


@scenario("replay", "bwrap")
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

SAID_ODDLY = {1: [
    b'{ "result" : {"content":[{"type":"text","text":"\\u00e9\\/ read <<>> \\ud83d\\ude00"}],"n":9007199254740993,"f":1.0,'
    b'"e":1E+2,"twice":{"q":1,"q":2}} ,\t"id":1,"jsonrpc":"2.0" }\n']}


@scenario(*EVERYWHERE)
def named_files(lab, runtime):
    """Files of the project, named in many ways; once the server says their name again."""
    return tell(lab, runtime, "named_files", NAMED, SAID_ODDLY)


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


SAID = {
    1: [b'{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"read <<>>, (<<>>): \\"<<>>\\""},'
        b'{"type":"resource_link","uri":"file://<<>>","name":"<<>>","title":"<<>>","description":"at <<>>"},'
        b'{"type":"resource","resource":{"uri":"file://<<>>","mimeType":"text/plain","text":"<<>>:1: x"}}],'
        b'"structuredContent":{"deep":[{"path":"<<>>"},["<<>>"]]},"isError":true}}\n',
        b'{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":{"read":"<<>>"}}}\n',
        b'{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"file://<<>>"}}\n',
        b'{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{"systemPrompt":"<<>>","maxTokens":1,'
        b'"messages":[{"role":"user","content":{"type":"text","text":"<<>>"}}]}}\n'],
    2: [b'{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"cannot read <<>>","data":{"path":"<<>>"}}}\n'],
    3: [b'{"jsonrpc":"2.0","id":3,"result":{"contents":[{"uri":"file://<<>>","text":"<<>>"}],'
        b'"messages":[{"role":"user","content":{"type":"text","text":"<<>>"}}],"description":"<<>>",'
        b'"completion":{"values":["<<>>"]},"resources":[{"uri":"file://<<>>","name":"<<>>"}],'
        b'"tools":[{"description":"<<>>","inputSchema":{"properties":{"p":{"default":"<<>>","enum":["<<>>"]}}}}]}}\n'],
    # what nobody may touch
    4: [b'{"jsonrpc":"2.0","id":4,"result":{"content":[{"type":"image","data":"<<inside>>","mimeType":"image/png"}],'
        b'"contents":[{"uri":"x:y","blob":"<<inside>>"}],"nextCursor":"<<inside>>","<<inside>>":1,"requestState":"<<inside>>",'
        b'"structuredContent":["of<<inside>>"]}}\n'],
}


ODD_SAID = [SAID[1][0].replace(b'"id":1', b'"id":5')]  # about a file whose name needs escapes


@scenario(*EVERYWHERE)
def results(lab, runtime):
    """The server says the path by which it knows a file, in every field that may hold one."""
    calls = [NAMED[0].replace(b'"id":1', b'"id":%d' % number) for number in SAID]
    odd = NAMED[7].replace(b'"id":8', b'"id":5')
    return tell(lab, runtime, "results", calls + [odd], {**SAID, 5: ODD_SAID})


# What a server may try with a file: each as it can, whatever the one before came to.
TRIES = """f=$(find /workspace -name a.txt | head -n 1)
chmod 777 "$f" "${f%/*}"; echo spoiled > "$f"; echo spoiled >> "$f"; : > "$f"; truncate -s 0 "$f"; ln -f "$f" "$f.2"
mv -f "$f" "$f.3"; rm -f "$f"; rm -rf "${f%/*}"; echo spoiled > "$f"; mkdir "$f"; ln -sf /etc/passwd "$f"; touch -t 200001010000 "$f"
"""


def look_at(path):
    try:
        info = path.stat(follow_symlinks=False)
        return {"text": path.read_text(), "inode": info.st_ino, "mode": info.st_mode, "modified": info.st_mtime_ns}
    except OSError as why:
        return {"gone": str(why)}


@scenario("podman", "docker", "apple", "bwrap")
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
            ("spawn", {"command": "sh", "args": ["-c", "cat %s /workspace/unnamed.txt /workspace/*/unnamed.txt" % places]}, "others"),
            ("spawn", {"command": "sh", "args": ["-c", "find /workspace -type f -exec cat {} +"]}, "all"),
            ("spawn", {"command": "sh", "args": ["-c", TRIES]}, "tries"),
        ])
        evidence = world.evidence(None)
        evidence.status, evidence.err = answers["status"], answers["stderr"]
        evidence.seen = {"live": answers, "before": before, "after": look_at(named)}
        return evidence
