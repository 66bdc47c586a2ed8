"""What a server is refused, lacks or loses: one line each on stderr, with what grants it, and silence where nothing is."""

import json
import pathlib
import signal
import shutil
import tempfile

import pytest

from conftest import RUNTIME

BWRAP = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="elsewhere the kernel's counters are not seen")

SERVER = r"""#!/usr/bin/env node
const fs = require("fs"), { WANTED_TOKEN } = process.env
if (process.argv[2] === "strict" && !WANTED_TOKEN && !process.env["WANTED_KEY"]) { console.error("no token"); process.exit(3) }
const put = m => process.stdout.write(JSON.stringify(m) + "\n")
const AsyncFunction = (async () => {}).constructor
require("readline").createInterface({ input: process.stdin }).on("line", async line => {
  const m = JSON.parse(line), yes = result => put({ jsonrpc: "2.0", id: m.id, result })
  if (m.method === "initialize") yes({ protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "s", version: "1" } })
  else if (m.method === "tools/list") yes({ tools: [] })
  else if (m.method === "tools/call") {
    const text = String(await AsyncFunction("require", "m", "put", m.params.arguments.code)(require, m, put))
    if (text !== "silent") yes({ content: [{ type: "text", text }] })
  }
})
"""


@pytest.fixture(scope="module")
def package():
    directory = pathlib.Path(tempfile.mkdtemp(prefix="npxc-withheld-"))  # pytest's own cannot be read by other users
    directory.chmod(0o755)
    (directory / "package.json").write_text(json.dumps({"name": "withheld", "version": "1.0.0", "bin": "i.js"}))
    (directory / "i.js").write_text(SERVER)
    yield directory
    shutil.rmtree(directory)


def told(stderr, package):
    """npxc's lines about this package."""
    return [line for line in stderr.splitlines() if line.startswith(f"npxc: {package}: ")]


def settings(world, package):
    """The file that `inspect` names."""
    return next(line.split()[1] for line in world.run("inspect", package).stdout.decode().splitlines() if line.startswith("settings"))


def does(client, code):
    answer = client.request("tools/call", name="do", arguments={"code": code})
    return answer["result"]["content"][0]["text"]


def ends(client):
    """Exit status and stderr."""
    out, err = client.process.communicate(timeout=60)
    assert out == b"", out
    return client.process.returncode, err.decode()


def test_a_variable_that_the_package_reads_is_named_with_what_forwards_it(world, package):
    variables = {"WANTED_TOKEN": "x", "WANTED_KEY": "", "OTHER_TOKEN": "x", "TZ": "UTC", "LC_ALL": "C", "CI": "1"}
    world.run("install", package)
    done = world.run(package, "strict", env=variables)
    assert done.returncode == 3 and done.stdout == b""
    lines = told(done.stderr, package)
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith(f"npxc: {package}: set here and named by the package, but not forwarded: WANTED_TOKEN; "
                               'to forward: -e WANTED_TOKEN, or "env_passthrough": ["WANTED_TOKEN"] in ')
    assert done.stderr.index(lines[0]) < done.stderr.index("no token")
    assert told(world.run("-e", "WANTED_TOKEN", package, "strict", env=variables).stderr, package) == []
    assert told(world.run("--quiet", package, "strict", env=variables).stderr, package) == []


def test_the_key_that_is_named_forwards_it(world, package):
    variables = {"WANTED_TOKEN": "x"}
    lines = told(world.run(package, env=variables).stderr, package)
    key, file = lines[0].split(", or ", 1)[1].rsplit(" in ", 1)
    world.write_config(file, f'{{"package_dir": "{package}", {key}}}')
    assert told(world.run(package, "strict", env=variables).stderr, package) == []


def test_try_names_it_before_the_handshake(world, package):
    failed = world.run("try", package, "strict", env={"WANTED_TOKEN": "x"})
    assert failed.returncode == 4 and len(told(failed.stderr, package)) == 1
    assert "-e WANTED_TOKEN" in told(failed.stderr, package)[0]


def test_json_makes_each_an_object_on_one_line(world, package):
    world.run("install", package)
    done = world.run("--json", package, "strict", env={"WANTED_TOKEN": "x"})
    notice = json.loads(done.stderr.splitlines()[0])["notice"]
    assert (notice["kind"], notice["subject"], notice["flag"]) == ("variables", "WANTED_TOKEN", "-e WANTED_TOKEN")
    assert notice["package"] == str(package)


def test_a_server_that_works_is_not_spoken_of(world, package):
    world.run("install", package)
    client = world.client(package, env={"TZ": "UTC", "LC_ALL": "C", "NODE_ENV": "production", "EDITOR": "vi"})
    client.handshake()
    assert does(client, "return 1 + 1") == "2"
    status, errors = ends(client)
    assert status == 0 and errors == "", errors


def connects(host):
    return f"""return new Promise(done => require("net").connect(443, "{host}").on("error", e => done("refused, " + e.code)))"""


LOOK_UP = 'return new Promise(done => require("dns").lookup("example.com", e => done("an error, " + e.code)))'


@BWRAP
@pytest.mark.parametrize("code, tried", [
    (connects("192.0.2.1"), "connections"),
    (connects("2001:db8::1"), "connections"),
    (LOOK_UP, "name look-ups"),
    (connects("127.0.0.1"), "localhost, where it is alone"),
])
def test_the_network_that_is_not_there_is_named_when_a_call_tried_it(world, package, code, tried):
    world.run("install", package)
    client = world.client(package)
    client.handshake()
    answers = [does(client, code) for _ in range(2)]
    assert answers[0].split()[-1] in ("ENETUNREACH", "EAI_AGAIN", "ECONNREFUSED"), answers
    status, errors = ends(client)
    assert status == 0 and errors.splitlines() == [
        f"npxc: {package}: the server has no network (policy none) and tried: {tried}; to allow it: --network open, or an "
        f'allowlist (npxc learn finds its rules), or "network": {{"mode": "open"}} in {settings(world, package)}']


@BWRAP
def test_it_is_named_while_a_request_waits_in_vain(world, package):
    world.run("install", package)
    client = world.client(package)
    client.handshake()
    client.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
        "name": "do", "arguments": {"code": f"await (async () => {{ {LOOK_UP} }})(); return 'silent'"}}}).encode() + b"\n")
    client.process.stdin.flush()
    assert b"and tried: name look-ups; " in client.process.stderr.readline()
    client.process.send_signal(signal.SIGTERM)
    status, errors = ends(client)
    assert status == 143 and errors.splitlines() == [f"npxc: {package}: the session ended with 1 request unanswered: tools/call"]


@BWRAP
@pytest.mark.parametrize("words", [(), ("--network", "open")])
def test_a_server_that_fails_for_want_of_a_network_is_explained(world, package, words):
    world.run("install", package)
    code = "require('net').connect(443, '192.0.2.1').on('error', () => process.exit(7)); setTimeout(() => process.exit(7), 3000); return 'silent'"
    client = world.client(*words, package)
    client.handshake()
    client.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
        "name": "do", "arguments": {"code": code}}}).encode() + b"\n")
    status, errors = ends(client)
    assert status == 7 and ("has no network" in errors) == (not words), errors
    assert "the session ended with 1 request unanswered: tools/call" in errors


def test_answers_that_come_after_the_end_of_input_are_delivered(world, package):
    world.run("install", package)
    lines = [{"jsonrpc": "2.0", "id": n, "method": "tools/call", "params": {"name": "do", "arguments": {
        "code": f"return new Promise(done => setTimeout(done, {100 * n}, {n}))"}}} for n in (2, 1, 3)]
    done = world.run(package, stdin="\n".join(map(json.dumps, lines)).encode())  # the last without a newline
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [1, 2, 3]
    assert done.returncode == 0 and done.stderr == ""


def test_the_status_is_the_servers_own_also_after_the_end_of_input(world, package):
    world.run("install", package)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "do", "arguments": {
        "code": "process.stdin.on('close', () => process.exit(5)); return 1"}}}
    done = world.run(package, stdin=json.dumps(call).encode() + b"\n")
    assert done.returncode == 5 and json.loads(done.stdout)["id"] == 1
    assert done.stderr == f"npxc: {package} ended by itself after the end of its input with status 5\n"
