#!/usr/bin/env python3
"""Makes the parts of a new row, or a new broken launcher, as stubs that the suite complains about until they are written.

    scaffold.py requirement ID
    scaffold.py broken NAME [--req ID,...] [--runtime NAME]
"""

import argparse
import ast
import json
import pathlib
import re
import sys
import textwrap

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True

import broken_launchers
import registry
from evidence import TOP
from worlds import EVERYWHERE

HERE = pathlib.Path(__file__).resolve().parent

CHECK = '''

@check("%(id)s", "%(name)s",
       spoil=[lambda e: setattr(e, "status", 1)])
def %(name)s(e):
    """TODO: say in sentences what is wrong with the evidence; an empty list is a pass."""
    return ["the check of %(id)s is a stub: write conformance/checks/%(area)s.py"]
'''

SCENARIO = '''

@scenario(*EVERYWHERE)
def %(name)s(lab, runtime):
    """TODO: play the situation. This is a session of a client that behaves, with a server that has no network."""
    return plain(lab, runtime, "%(name)s", {"network": {"mode": "none"}})
'''

BROKEN = '''#!/usr/bin/env -S python3 -S
"""TODO: say in one line what is wrong with this launcher."""

import sys

sys.path.insert(0, __file__.rpartition("/")[0] + "/../reference")
import launcher

%(runtime)sBREAKS = %(breaks)s


class Launcher(launcher.Launcher):
    """Override the one method that it gets wrong."""


launcher.main(Launcher)
'''


def with_imports(text, module, names):
    """The source `text` with `names` among what it imports from `module`."""
    lines = text.split("\n")
    found = next(node for node in ast.parse(text).body if isinstance(node, ast.ImportFrom) and node.module == module)
    wanted = ", ".join(sorted({alias.name for alias in found.names} | set(names)))
    line = "from %s import %s" % (module, wanted)
    if len(line) > 120:
        line = "from %s import (\n%s)" % (module, textwrap.fill(wanted, 112, initial_indent="    ", subsequent_indent="    "))
    lines[found.lineno - 1:found.end_lineno] = [line]
    return "\n".join(lines)


def with_row(text, row):
    """requirements.json with one more row, behind the last one of its area. A row is a line."""
    lines = text.rstrip("\n").split("\n")
    last = max(number for number, line in enumerate(lines) if '"area": "%s"' % row["area"] in line)
    end = "," if lines[last].endswith(",") else ""
    lines[last:last + 1] = [lines[last].rstrip(",") + ",", " " + json.dumps(row, ensure_ascii=False) + end]
    return "\n".join(lines) + "\n"


def new_requirement(identity):
    """{path: new text}"""
    requirements = registry.load()
    area = identity.partition("-")[0]
    areas = sorted({r["area"] for r in requirements if r["due"] in registry.BUILT})
    if not re.fullmatch(r"[a-z]+(-[a-z0-9]+)+", identity):
        sys.exit("scaffold: an id is AREA-WORD-WORD, not %s" % identity)
    if any(r["id"] == identity for r in requirements):
        sys.exit("scaffold: there is a requirement %s" % identity)
    if area not in areas:
        sys.exit("scaffold: no area %s; there are %s, and egress rows are decided by attacks/attacks.py" % (area, ", ".join(areas)))
    values = {"id": identity, "area": area, "name": identity.replace("-", "_")}
    row = {"id": identity, "area": area, "level": "must", "text": "TODO: say in one sentence what a launcher must do.",
           "source": ["ext"], "evidence": ["wire"], "runtimes": list(EVERYWHERE),
           "due": next(r["due"] for r in requirements if r["area"] == area and r["due"] in registry.BUILT)}
    check, scenario = HERE / "checks" / (area + ".py"), HERE / "scenarios" / (area + ".py")
    return {registry.FILE: with_row(registry.FILE.read_text(), row),
            check: with_imports(check.read_text(), "checks.base", ["check"]) + CHECK % values,
            scenario: with_imports(scenario.read_text(), "scenarios.base", ["EVERYWHERE", "plain", "scenario"]) + SCENARIO % values}


def new_broken(name, breaks, runtime):
    path = broken_launchers.DIRECTORY / (name + ".py")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        sys.exit("scaffold: a broken launcher is called in lower case, as a_b, not %s" % name)
    if path.exists():
        sys.exit("scaffold: there is a broken launcher %s" % name)
    known = {r["id"] for r in registry.load()}
    for identity in breaks:
        if identity not in known:
            sys.exit("scaffold: no requirement is called %s" % identity)
    runtime = runtime or ("bwrap" if name.startswith("live_") else "")
    return {path: BROKEN % {"runtime": 'RUNTIME = "%s"\n' % runtime if runtime else "",
                            "breaks": "{%s}" % ", ".join('"%s"' % identity for identity in sorted(breaks)) if breaks else "set()"}}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    what = parser.add_subparsers(dest="what", required=True)
    requirement = what.add_parser("requirement")
    requirement.add_argument("name", metavar="ID")
    broken = what.add_parser("broken")
    broken.add_argument("name", metavar="NAME")
    broken.add_argument("--req", default="", help="ids of what it turns red; comma-separated")
    broken.add_argument("--runtime", default="", help="where it is judged; replay-1.0.0, or bwrap for live_*")
    options = parser.parse_args()
    if options.what == "requirement":
        made = new_requirement(options.name)
        rest = "then: make new-broken NAME=... REQ=%s; conformance/run.py --show %s says what is missing" % (options.name, options.name)
    else:
        made = new_broken(options.name, [word for word in options.req.split(",") if word], options.runtime)
        rest = "then: make conformance-suite BROKEN=%s" % options.name
    for path, text in made.items():
        new = not path.exists()
        path.write_text(text)
        if new:
            path.chmod(0o755)
        print("%s %s" % ("made" if new else "added to", path.relative_to(TOP)))
    print(rest)


if __name__ == "__main__":
    main()
