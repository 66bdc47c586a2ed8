"""Lines in which files are named. A template is the line with a mark in the place of each path:

    <<NAME>>           a file of the project, by its absolute path
    <<SPELLING:>>      the project itself
    <<SPELLING:NAME>>  the same, spelled otherwise: uri, home (with ~), slashes and unicode (with JSON's escapes)
    <<>>               in what a server says: the path that the call names, as it stood in the call

All of it has to reach the other side byte for byte.
"""

import json
import re
import urllib.parse

MARK = re.compile(rb"<<(?:(uri|home|slashes|unicode):)?([^>]*)>>")


def in_string(text):
    """As it stands in a JSON string."""
    return json.dumps(str(text), ensure_ascii=False)[1:-1].encode()


SPELLINGS = {
    None: in_string,
    b"uri": lambda path: b"file://" + urllib.parse.quote(path).encode(),
    b"home": lambda path: in_string("~" + path[path.index("/project/"):]),
    b"slashes": lambda path: in_string(path).replace(b"/", b"\\/"),
    b"unicode": lambda path: in_string(path).replace(b"/", b"\\u002f").replace(b"t", b"\\u0074"),
}


def filled(template, project):
    """What the client sends."""
    return MARK.sub(lambda mark: SPELLINGS[mark[1]](("%s/%s" % (project, mark[2].decode())).rstrip("/")), template)


def names(template):
    """Of the files that it names, in their order."""
    return [mark[2].decode() for mark in MARK.finditer(template) if mark[2]]


def answered(template, host):
    """What the client has to get: the path as it stands in JSON."""
    return template.replace(b"<<>>", host)


def sed(answers):
    """What `light tell` needs in order to say this: {id of a call: [templates]}. The path is that of the last "path"."""
    lines = []
    for identity, templates in answers.items():
        lines.append(' /"id":%s[,}]/{\nh' % identity)
        for template in templates:
            text = template.decode().rstrip("\n").replace("\\", "\\\\").replace("&", "\\&")
            assert "#" not in text
            lines.append('g\ns#.*"path":"((\\\\.|[^"\\\\])*)".*#%s#p' % text.replace("<<>>", "\\1")
                         if "<<" in text else "g\ns#.*#%s#p" % text)
        lines.append("d\n}")
    return "\n".join(lines)


def said(out):
    """What a client read of `light tell`: ({what it told of: [bytes]}, [all other lines])."""
    told, other = {what: [] for what in ("saw", "at", "read", "place", "shown", "wrote", "before")}, []
    form = re.compile(rb'\{"jsonrpc":"2.0","method":"notifications/(saw|at|read|place|shown|wrote|before)","params":\{"hex":"([0-9a-f]*)"\}\}')
    for line in out.split(b"\n"):
        match = form.fullmatch(line)
        if match:
            told[match[1].decode()].append(bytes.fromhex(match[2].decode()))
        elif line:
            other.append(line + b"\n")
    return told, other
