"""Real MCP clients over npxc: both lines of the official TypeScript SDK, Python's, and the inspector's command line.

All but Python's are npm packages of pinned versions (clients/package-lock.json), installed once, without their scripts;
Python's is what Debian has of it (ci/python-sdk).
"""

import json
import os
import platform
import shutil
import subprocess

import pytest

from conftest import HERE, NPXC, TOP, wait_until

CLIENTS = HERE / "clients"
UNRULY = HERE / "servers" / "unruly"
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"
FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"
PATIENCE = 300
NOT_TO_BE_HAD = 69  # ci/python-sdk
# For clients that need a later Node than the system's: one of the npm package "node".
LATER_NODE = "node-linux-%s@20.20.2" % {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine(), "x64")


def node_major():
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.lstrip("v").split(".")[0])


@pytest.fixture(scope="session")
def clients():
    """A directory whose node_modules holds the clients; its name changes with what the lock file says."""
    directory = TOP / "build" / f"clients-{os.getuid()}"
    done = directory / "node_modules" / ".package-lock.json"
    lock = (CLIENTS / "package-lock.json").read_text()
    mark = directory / "installed.json"
    if not (done.exists() and mark.exists() and mark.read_text() == lock):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(CLIENTS / name, directory)
        subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory, check=True,
                       timeout=PATIENCE * 2, stdout=subprocess.DEVNULL)
        # The inspector's command line reads its name and version from the package that it is a part of (100 MB more).
        whole = directory / "node_modules" / "@modelcontextprotocol" / "package.json"
        whole.write_text(json.dumps({"name": "@modelcontextprotocol/inspector", "version": "1.0.3"}))
        mark.write_text(lock)
    return directory


@pytest.fixture(scope="session")
def node(clients):
    """A Node that all the clients run on."""
    if node_major() >= 20:
        return "node"
    apart = clients / "later"
    found = apart / "node_modules" / LATER_NODE.split("@")[0] / "bin" / "node"
    if not found.exists():
        subprocess.run(["npm", "install", "--prefix", str(apart), "--ignore-scripts", "--no-audit", "--no-fund", LATER_NODE],
                       check=True, timeout=PATIENCE * 2, stdout=subprocess.DEVNULL)
    return str(found)


@pytest.fixture(scope="session")
def python_sdk():
    """A Python that has the SDK."""
    directory = TOP / "build" / f"python-sdk-{os.getuid()}"
    made = subprocess.run([str(TOP / "ci" / "python-sdk"), str(directory)], capture_output=True, text=True, timeout=PATIENCE)
    if made.returncode == NOT_TO_BE_HAD:
        pytest.skip(f"Debian's package of the Python SDK is not to be had here: {made.stderr.strip()}")
    assert made.returncode == 0, made.stderr
    return str(directory / "python")


class Driver:
    """An SDK's, which calls itself by the name of the SDK."""

    def __init__(self, sdk, command, directory, world):
        self.sdk = sdk
        self.command = command
        self.directory = directory
        self.world = world

    def start(self, *args, calls=(), roots=None, sampling=False, hold=False):
        # The SDK passes HOME, PATH and a few others on; everything else must be named.
        wanted = dict(sdk=self.sdk, command=str(NPXC), args=list(map(str, args)), cwd=str(self.world.project),
                      env=self.world.env, roots=roots, sampling=sampling, hold=hold,
                      calls=[dict(name=name, arguments=arguments) for name, arguments in calls])
        return subprocess.Popen([*self.command, json.dumps(wanted)], cwd=self.directory, env=self.world.env,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, *args, **more):
        process = self.start(*args, **more)
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        seen = json.loads(out)
        assert "error" not in seen, (seen["error"], seen["stderr"])
        return seen


SDKS = ["v1", "v2", "v2-auto", "python"]


@pytest.fixture
def driver(request, world):
    """Of the SDK that the test is called with."""
    sdk = request.param
    if sdk == "python":
        return Driver(sdk, [request.getfixturevalue("python_sdk"), str(CLIENTS / "drive.py")], world.project, world)
    return Driver(sdk, [request.getfixturevalue("node"), str(CLIENTS / "drive.mjs")], request.getfixturevalue("clients"), world)


@pytest.fixture
def installed(world):
    """The two servers in the store: a client waits 60 s for its first answer, which an install may exceed."""
    done = world.run("install", EVERYTHING, FILESYSTEM)
    assert done.returncode == 0, done.stderr


def texts(result):
    assert not result.get("isError"), result
    return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")


def assert_ended_by_itself(process):
    """It ended, all its pipes with it as far as the SDK tells, before the SDK thought of a signal."""
    assert process["signals"] == [], process
    assert (process["status"], process["signal"], process.get("closed", True)) == (0, None, True), process


@pytest.mark.parametrize("driver", SDKS, indirect=True)
def test_an_sdk_talks_to_everything(driver, installed):
    seen = driver.run(EVERYTHING, sampling=True, calls=[
        ("echo", {"message": "h\u00e9llo \u2028 \U0001F433"}),
        ("get-sum", {"a": 20, "b": 22}),
        ("trigger-long-running-operation", {"duration": 0.2, "steps": 4}),
        ("trigger-sampling-request", {"prompt": "say something"}),
    ])
    assert seen["server"]["name"] == "mcp-servers/everything"
    assert {"echo", "get-sum", "get-env"} <= set(seen["tools"])
    echo, total, slow, sampled = seen["results"]
    assert texts(echo) == "Echo: h\u00e9llo \u2028 \U0001F433"
    assert "42" in texts(total)
    assert "4" in texts(slow)
    # An SDK may drop the last one: it comes with the result, and the result ends the listening. Bare servers show the same.
    assert seen["progress"] in (3, 4)
    # which needs a request from the server to the client
    assert "sampled by the client" in texts(sampled)
    assert_ended_by_itself(seen["processes"][-1])


@pytest.mark.parametrize("driver", SDKS, indirect=True)
def test_an_sdk_reads_the_project_by_the_filesystem_server(driver, installed):
    project = driver.world.project
    (project / "notes.txt").write_text("from the project\n")
    (driver.world.home / "outside.txt").write_text("not for the server\n")
    seen = driver.run(FILESYSTEM, project, roots="answer", calls=[
        ("list_allowed_directories", {}),
        ("read_text_file", {"path": str(project / "notes.txt")}),
        ("read_text_file", {"path": str(driver.world.home / "outside.txt")}),
        ("write_file", {"path": str(project / "new.txt"), "content": "x"}),
    ])
    allowed, inside, outside, written = seen["results"]
    assert texts(allowed).splitlines()[1:] == [str(project)]
    assert texts(inside) == "from the project\n"
    assert outside["isError"] and "outside allowed directories" in outside["content"][0]["text"]
    # an argument is mounted read-only
    assert written["isError"] and not (project / "new.txt").exists()
    assert_ended_by_itself(seen["processes"][-1])


@pytest.mark.parametrize("driver", ["v2-auto"], indirect=True)
def test_the_probe_of_a_negotiating_client_leaves_nothing(driver, installed):
    """SDK 2 asks a sibling of the server which era it speaks, and ends it by stdin and SIGTERM at the same moment."""
    seen = driver.run(EVERYTHING, calls=[("echo", {"message": "once"})])
    probed, used = seen["processes"]
    assert probed["pid"] != used["pid"]
    assert probed["signals"] == ["SIGTERM"], probed  # and no SIGKILL 1 s later
    assert (probed["signal"], used["signals"]) == (None, [])
    assert_ended_by_itself(used)


ONCE = [name for name in SDKS if name != "v2-auto"]  # the other way of SDK 2 to begin ends no other way


# Python's calls what answers a server's request in its own loop, and hears nothing more until that has answered.
@pytest.mark.parametrize("driver", SDKS[:2], indirect=True)
def test_a_server_that_stays_needs_one_signal(driver, installed):
    """Its question for roots is never answered, so the end of its stdin does not end it. A bare one shows the same."""
    seen = driver.run(EVERYTHING, roots="silence")
    assert_ended_by_one_signal(*seen["processes"])


@pytest.mark.parametrize("driver", ONCE, indirect=True)
def test_a_deaf_server_needs_one_signal(driver, world):
    """A bare one would see SIGKILL, 2 s after SIGTERM."""
    assert world.run("install", str(UNRULY)).returncode == 0
    seen = driver.run(str(UNRULY), "deaf-server")
    assert_ended_by_one_signal(*seen["processes"])


def assert_ended_by_one_signal(process):
    assert process["signals"] == ["SIGTERM"], process  # and not SIGKILL, 2 s later
    assert (process["status"], process.get("closed", True)) == (143, True), process


@pytest.mark.parametrize("server", [EVERYTHING, (str(UNRULY), "deaf-server")], ids=["one that hears", "a deaf one"])
@pytest.mark.parametrize("driver", ONCE, indirect=True)
def test_an_sdk_that_is_killed_leaves_nothing(driver, world, installed, server):
    words = server if isinstance(server, tuple) else (server,)
    if words[0] == str(UNRULY):
        assert world.run("install", words[0]).returncode == 0
    client = driver.start(*words, hold=True)
    assert client.stdout.readline() == "held\n", client.communicate(timeout=PATIENCE)
    assert world.leftovers()
    client.kill()
    client.communicate(timeout=PATIENCE)
    assert client.returncode == -9
    assert wait_until(lambda: not world.leftovers())


def test_the_inspector_lists_and_calls(clients, node, world, installed):
    def inspect(*words):
        done = subprocess.run([node, str(clients / "node_modules/@modelcontextprotocol/inspector-cli/build/cli.js"), "--cli",
                               str(NPXC), EVERYTHING, *words], cwd=world.project, env=world.env, capture_output=True,
                              text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    recorded = json.loads((TOP / "conformance/corpus/tools/modelcontextprotocol__server-everything.json").read_text())["tools"]
    names = {tool["name"] for tool in inspect("--method", "tools/list")["tools"]}
    assert names == {tool["name"] for tool in recorded}
    called = inspect("--method", "tools/call", "--tool-name", "echo", "--tool-arg", "message=by the inspector")
    assert texts(called) == "Echo: by the inspector"
