"""What a server is refused, lacks or loses: one line each on stderr, with what grants it, and silence where nothing is."""

import json
import pathlib
import shutil
import tempfile

import pytest

from conftest import RUNTIME

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
    assert done.returncode == 0 and done.stdout == b""
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
