"""conformance/corpus/run.py sees what it is there to see: a launcher that is wrong in one way fails for that reason."""

import json
import pathlib
import subprocess
import sys

import pytest

from conftest import TOP

RUN = TOP / "conformance" / "corpus" / "run.py"
CORPUS = RUN.parent
SERVER = "@modelcontextprotocol/server-slack"
TOOLS = json.loads((CORPUS / "tools" / "modelcontextprotocol__server-slack.json").read_text())["tools"]

# Stands in for npxc: it answers what the test says, and does one thing wrong.
LAUNCHER = """\
#!{python}
import json, os, subprocess, sys
how = {how!r}
tools = json.loads({tools!r})
if sys.argv[1] == "install":
    sys.exit(print("npxc: install failed: no such version") or 3 if how == "install" else 0)
def send(**message):
    sys.stdout.write(json.dumps(dict(jsonrpc="2.0", **message)) + "\\n")
    sys.stdout.flush()
if how == "banner":
    print("ready", flush=True)
for line in sys.stdin:
    message = json.loads(line)
    if message.get("method") == "initialize":
        if how == "ask":
            send(id="q", method="roots/list")
            answer = json.loads(sys.stdin.readline())
            assert answer["id"] == "q" and answer["result"]["roots"][0]["uri"].startswith("file:///"), answer
        send(id=message["id"], result={{}})
    elif message.get("method") == "tools/list":
        if how == "pages":
            first = "cursor" not in message["params"]
            page = dict(tools=tools[:1], nextCursor="x") if first else dict(tools=tools[1:])
        else:
            page = dict(tools=tools)
        send(id=message["id"], result=page)
if how == "process":
    nothing = subprocess.DEVNULL
    subprocess.Popen(["sleep", "300"], stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
if how == "file":
    open(os.environ["HOME"] + "/.left", "w").close()
sys.exit(4 if how == "status" else 0)
"""


def run(tmp_path, how="", tools=TOOLS):
    launcher = tmp_path / "npxc"
    launcher.write_text(LAUNCHER.format(python=sys.executable, how=how, tools=json.dumps(tools)))
    launcher.chmod(0o755)
    done = subprocess.run([sys.executable, str(RUN), "--npxc", str(launcher), "--cache", str(tmp_path / "cache"), "--logs",
                           str(tmp_path / "logs"), "--output", str(tmp_path / "out.json"), "--only", SERVER],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1), done.stderr
    (row,) = json.loads((tmp_path / "out.json").read_text())["servers"]
    same = done.returncode == 0
    assert done.stdout.splitlines()[-1] == f"{int(same)} of 1 give the recorded tools/list"
    assert row["verdict"] == ("same" if same else "fails")
    return row


@pytest.mark.parametrize("how", ["", "pages", "banner", "ask"])
def test_a_right_answer_passes(tmp_path, how):
    assert run(tmp_path, how)["verdict"] == "same"


def test_the_order_of_tools_does_not_count(tmp_path):
    assert run(tmp_path, tools=TOOLS[::-1])["verdict"] == "same"


def changed(change):
    tools = json.loads(json.dumps(TOOLS))
    change(tools)
    return tools


@pytest.mark.parametrize("tools,reason", [
    (TOOLS[1:], "missing ["),
    (TOOLS + [dict(TOOLS[0], name="other")], "new ['other']"),
    (TOOLS + TOOLS[:1], "is listed twice"),
    (changed(lambda tools: tools[0].update(description=tools[0]["description"] + ".")), ".description at "),
    (changed(lambda tools: tools[0]["inputSchema"].update(type="array")), ".inputSchema.type at 0"),
    (changed(lambda tools: tools[0]["inputSchema"].pop("properties")), ".inputSchema.properties is missing"),
    (changed(lambda tools: tools[0].update(title=None)), ".title is new"),
], ids=["missing", "new", "twice", "text", "schema", "less", "more"])
def test_another_list_fails(tmp_path, tools, reason):
    row = run(tmp_path, tools=tools)
    assert row["verdict"] == "fails" and reason in row["note"]


@pytest.mark.parametrize("how,reason", [
    ("install", "install exited 3: npxc: install failed: no such version"),
    ("status", "npxc exited 4"),
    ("process", "1 processes are left"),
    ("file", ".left is left in HOME"),
])
def test_another_fault_fails(tmp_path, how, reason):
    row = run(tmp_path, how)
    assert row["verdict"] == "fails" and reason in row["note"]


def test_every_server_that_answers_has_its_list():
    servers = {server["name"]: server for server in json.loads((CORPUS / "servers.json").read_text())}
    answering = {name.lstrip("@").replace("/", "__") for name, server in servers.items() if server["handshake_ok"]}
    assert {path.stem for path in pathlib.Path(CORPUS / "tools").iterdir()} == answering
    assert len(answering) == 46
