"""Every kind of client on every Node: through the proxy to an allowed host, refused with npxc's reason, and nowhere at
all without the preload."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import BUILD, MAJORS, Guest

FILES = ("core.cjs", "esm.mjs", "libraries.mjs", "databases.cjs", "children.cjs")
DENIED = r"EACCES[^]*npxc: evil\.test:\d+ is not in the allow list"
BARE = r"EAI_AGAIN|ENOTFOUND|ENETUNREACH"


def matches(pattern, text):
    return re.search(pattern.replace("[^]", r"[\s\S]"), text)


@pytest.fixture(scope="session")
def table():
    """What came of each kind, by Node release; written to build/guest/kinds.md."""
    rows = {}
    yield rows
    majors = sorted({major for row in rows.values() for major in row})
    lines = ["| kind | " + " | ".join(f"Node {major}" for major in majors) + " |", "|---|" + "---|" * len(majors)]
    for kind, row in rows.items():
        lines.append(f"| {kind} | " + " | ".join(row.get(major, "") for major in majors) + " |")
    (BUILD / "guest" / "kinds.md").write_text("\n".join(lines) + "\n")


def judge(allowed, denied, bare):
    """What is wrong with what the three runs of a kind say."""
    if not allowed["ok"]:
        return f"allowed, but: {allowed['error']}"
    if denied["ok"]:
        return "a host on no rule was reached"
    if not matches(denied.get("denied", DENIED), denied["error"]):
        return f"denied, but not by npxc's words: {denied['error']}"
    if bare["ok"]:
        return "works without the preload: this proves nothing"
    if not matches(bare.get("bare", BARE), bare["error"]):
        return f"without the preload it fails otherwise than for want of a network: {bare['error']}"
    return None


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("major", MAJORS)
def test_each_kind_of_connection_is_allowed_and_denied_as_the_rules_say(major, file, guest, certificates, clients, table):
    through, without = guest(major), Guest(major, None, certificates, clients)
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(one.run, file, host)
                for one, host in ((through, "api.test"), (through, "evil.test"), (without, "api.test"))]
        allowed, denied, bare = (run.result() for run in runs)
    assert allowed.keys() == denied.keys() == bare.keys()
    wrong = {}
    for kind in allowed:
        if "skipped" in allowed[kind]:
            verdict, mark = None, "n/a"
        else:
            verdict = judge(allowed[kind], denied[kind], bare[kind])
            mark = "FAILS" if verdict else "✓"
        table.setdefault(kind, {})[major] = mark
        if verdict:
            wrong[kind] = verdict
    assert not wrong, "\n".join(f"{kind}: {why}" for kind, why in wrong.items())
