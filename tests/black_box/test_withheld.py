"""What a server is refused, lacks or loses: one line each on stderr, with what grants it, and silence where nothing is."""

import json
import os
import pathlib
import signal
import shutil
import tempfile

import pytest

from conftest import RUNTIME, without_limits

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
    return [line for line in without_limits(stderr).splitlines() if line.startswith(f"npxc: {package}: ")]


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
    return client.process.returncode, without_limits(err.decode())


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
    line = client.process.stderr.readline()
    while b"not all limits hold" in line:
        line = client.process.stderr.readline()
    assert b"and tried: name look-ups; " in line
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
    assert done.returncode == 0 and without_limits(done.stderr) == ""


def test_the_status_is_the_servers_own_also_after_the_end_of_input(world, package):
    world.run("install", package)
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "do", "arguments": {
        "code": "process.stdin.on('close', () => process.exit(5)); return 1"}}}
    done = world.run(package, stdin=json.dumps(call).encode() + b"\n")
    assert done.returncode == 5 and json.loads(done.stdout)["id"] == 1
    assert without_limits(done.stderr) == f"npxc: {package} ended by itself after the end of its input with status 5\n"


@BWRAP
def test_what_is_lost_with_home_is_listed_with_the_key_that_keeps_it(world, package):
    world.run("install", package)
    client = world.client(package)
    client.handshake()
    does(client, """const home = require("os").homedir(), fs = require("fs")
        for (const d of [".mcp-auth/x", ".config/app", ".cache/y", "empty"]) fs.mkdirSync(home + "/" + d, { recursive: true })
        for (const f of [".mcp-auth/x/token", ".config/app/c.json", ".cache/y/z", 'a"], "network": {"mode": "open\\n']) fs.writeFileSync(home + "/" + f, "x")
        fs.writeFileSync("/tmp/t", "x"); fs.symlinkSync("/etc", home + "/link")""")
    status, errors = ends(client)
    names = '.config/app/, .mcp-auth/, a"], "network": {"mode": "open\\x0a'
    assert status == 0 and errors.splitlines() == [
        f"npxc: {package}: what it wrote to its HOME goes with the session: {names}; to keep directories: "
        f'"storage": {{"home": [".config/app", ".mcp-auth"]}} in {settings(world, package)}']


@BWRAP
def test_what_a_server_wrote_is_listed_when_it_ended_by_itself_or_was_killed(world, package):
    world.run("install", package)
    for ending in ("process.exit(4)", "process.kill(process.pid, 'SIGKILL')"):
        client = world.client(package)
        client.handshake()
        client.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
            "name": "do", "arguments": {"code": f"require('fs').writeFileSync(require('os').homedir() + '/db', ''); {ending}"}}}).encode() + b"\n")
        status, errors = ends(client)
        assert status in (4, 137) and "goes with the session: db; to keep it: --mount DIR:rw" in errors, errors


@BWRAP
@pytest.mark.skipif(os.geteuid() != 0, reason="memory is bounded where cgroups can be made")
def test_a_kill_at_the_memory_ceiling_is_told_with_the_flag(world, package):
    world.run("install", package)
    if "memory 64 MiB" not in world.run("inspect", "--memory", "64m", package).stdout.decode():
        pytest.skip("memory is not bounded here")
    client = world.client("--memory", "64m", package)
    client.handshake()
    client.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {
        "name": "do", "arguments": {"code": "const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))"}}}).encode() + b"\n")
    status, errors = ends(client)
    assert status == 137
    assert (f"npxc: {package}: killed at the memory ceiling of 64 MiB, against which /tmp and HOME count; to raise it: "
            '--memory 128m, or "runtime": {"memory": "128m"} in ') in errors, errors


@BWRAP
def test_a_full_home_is_told_when_the_server_says_so(world, package):
    world.run("install", package)
    client = world.client(package)
    client.handshake()
    does(client, "return 'ENOSPC: no space left on device, write'")
    status, errors = ends(client)
    assert status == 0 and "no space is left for it: its HOME and its /tmp take 512 MiB each" in errors


@BWRAP
def test_a_server_that_dies_of_a_read_only_place_is_explained(world, package):
    world.run("install", package)
    client = world.client(package)
    client.handshake()
    client.process.stdin.write(json.dumps({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": {"name": "do",
        "arguments": {"code": "setTimeout(() => { require('fs').writeFileSync(process.argv[1] + '.db', 'x') }); return 'silent'"}}}).encode() + b"\n")
    status, errors = ends(client)
    assert status == 1 and "could not write beside its package" in errors and "EROFS" in errors, errors


@BWRAP
def test_what_inspect_says_of_the_host_is_taken_from_the_plan(world, package):
    def seen(*words):
        return json.loads(world.run("inspect", "--json", *words, package).stdout)

    world.run("install", package)
    (world.home / "sub").mkdir()
    plain = seen()
    assert "/usr" in plain["system"] and "public settings in /etc" in plain["system"]
    assert plain["hidden"] == ["the home directory", "other projects", "other processes", "/etc but for public settings",
                               "the network's devices"]
    assert seen("--mount", world.home / "sub")["hidden"][0] == "the home directory but for what is mounted"
    assert "the network's devices" not in seen("--network", "open")["hidden"]
    whole = seen("--mount", world.home)
    assert not any("home" in thing or "projects" in thing for thing in whole["hidden"]), whole["hidden"]
    text = world.run("inspect", package).stdout.decode()
    assert "\nsystem    /usr, " in text and f"\nmounts    {package} " in text


@BWRAP
def test_a_file_that_an_argument_or_a_variable_names_is_told_unless_it_is_there(world, package):
    world.run("install", package)
    (world.home / "a b.json").write_text("{}")
    (world.project / "in.txt").write_text("")
    done = world.run("-e", f"X={world.home}/a b.json", package, "in.txt", "/usr/bin", "/etc/hostname", "--x=/etc/hostname", "/nothing/there")
    lines = told(done.stderr, package)
    assert done.returncode == 0 and lines == [
        f"npxc: {package}: the server cannot see {path}: {who} names it, and it lies outside the working directory; to show it: "
        f'--mount {quoted}, or "mounts": [{{"host": "{path}"}}] in {settings(world, package)}'
        for path, quoted, who in (("/etc/hostname", "/etc/hostname", "argument 3"),
                                  (f"{world.home}/a b.json", f"'{world.home}/a b.json'", "variable X"))], done.stderr


@BWRAP
def test_a_call_that_names_what_the_sandbox_shows_anyway_is_not_spoken_of(world, package):
    world.run("install", package)
    world.configure({})
    client = world.client(package)
    client.handshake()
    client.request("tools/call", name="do", arguments={"code": "return 1", "path": "/usr/bin/env"})
    client.request("tools/call", name="do", arguments={"code": "return 1", "path": "/etc/hostname"})
    status, errors = ends(client)
    assert status == 0 and len(told(errors, package)) == 1 and "cannot see /etc/hostname: " in errors, errors


@BWRAP
@pytest.mark.skipif(os.geteuid() != 0, reason="memory is bounded where cgroups can be made")
def test_a_helper_that_is_killed_for_memory_is_told_though_the_server_goes_on(world, package):
    world.run("install", package)
    if "memory 128 MiB" not in world.run("inspect", "--memory", "128m", package).stdout.decode():
        pytest.skip("memory is not bounded here")
    client = world.client("--memory", "128m", package)
    client.handshake()
    eats = "const all = []; for (;;) all.push(Buffer.alloc(1 << 20, 1))"
    killed = does(client, f"return require('child_process').spawnSync(process.execPath, ['-e', '{eats}']).signal")
    status, errors = ends(client)
    assert killed == "SIGKILL" and status == 0
    assert "killed at the memory ceiling of 128 MiB" in errors, errors


@BWRAP
def test_settings_that_are_read_by_a_schema_are_named(world):
    with tempfile.TemporaryDirectory(prefix="npxc-withheld-") as directory:
        pathlib.Path(directory).chmod(0o755)
        pathlib.Path(directory, "package.json").write_text(json.dumps({"name": "schema", "version": "1.0.0", "bin": "i.js"}))
        pathlib.Path(directory, "i.js").write_text(
            "#!/usr/bin/env node\nconst shape = { FORGE_TOKEN: 1, FORGE_URL: 1 }, env = process.env\n"
            "for (const name of Object.keys(shape)) if (!env[name]) { console.error(name, 'is missing'); process.exit(1) }\n")
        pathlib.Path(directory, "README.md").write_text("Set `FORGE_PROJECT` too.\n")
        variables = {"FORGE_TOKEN": "t", "FORGE_URL": "u", "FORGE_PROJECT": "p", "FORGE_OTHER": "o"}
        lines = told(world.run(directory, env=variables).stderr, directory)
        flags = lines[0].split("; to forward: ", 1)[1].split(", or ", 1)[0]
        assert flags == "-e FORGE_PROJECT -e FORGE_TOKEN -e FORGE_URL"
        done = world.run(*flags.split(), directory, env=variables)
        assert done.returncode == 0 and told(done.stderr, directory) == []
