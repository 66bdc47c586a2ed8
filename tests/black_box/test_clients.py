"""Real MCP clients over npxc: both lines of the official TypeScript SDK, and the inspector's command line.

They are npm packages of pinned versions (clients/package-lock.json), installed once, without their scripts. The official
Python SDK is not among them: it comes from a registry that `ci/deps` does not use.
"""

import json
import os
import platform
import shutil
import subprocess

import pytest

from conftest import HERE, NPXC, TOP

CLIENTS = HERE / "clients"
EVERYTHING = "@modelcontextprotocol/server-everything@2026.8.31"
FILESYSTEM = "@modelcontextprotocol/server-filesystem@2026.8.31"
PATIENCE = 300
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


class Driver:
    def __init__(self, directory, node, world):
        self.directory = directory
        self.node = node
        self.world = world

    def run(self, sdk, *args, calls=(), roots=None, sampling=False):
        # The SDK passes HOME, PATH and a few others on; everything else must be named.
        wanted = dict(sdk=sdk, command=str(NPXC), args=list(map(str, args)), cwd=str(self.world.project),
                      env=self.world.env, roots=roots, sampling=sampling, calls=[dict(name=name, arguments=arguments) for name, arguments in calls])
        done = subprocess.run([self.node, str(CLIENTS / "drive.mjs"), json.dumps(wanted)], cwd=self.directory,
                              env=self.world.env, capture_output=True, text=True, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        seen = json.loads(done.stdout)
        assert "error" not in seen, (seen["error"], seen["stderr"])
        return seen


@pytest.fixture
def driver(clients, node, world):
    return Driver(clients, node, world)


SDKS = ["v1", "v2", "v2-auto"]


@pytest.fixture
def installed(world):
    """The two servers in the store: a client waits 60 s for its first answer, which an install may exceed."""
    done = world.run("install", EVERYTHING, FILESYSTEM)
    assert done.returncode == 0, done.stderr


def texts(result):
    assert not result.get("isError"), result
    return "\n".join(part["text"] for part in result["content"] if part["type"] == "text")


def assert_ended_by_itself(process):
    """It ended, all its pipes with it, before the SDK thought of a signal."""
    assert process["signals"] == [], process
    assert (process["status"], process["signal"], process["closed"]) == (0, None, True), process


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_talks_to_everything(driver, installed, name):
    seen = driver.run(name, EVERYTHING, sampling=True, calls=[
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


@pytest.mark.parametrize("name", SDKS)
def test_an_sdk_reads_the_project_by_the_filesystem_server(driver, installed, name):
    project = driver.world.project
    (project / "notes.txt").write_text("from the project\n")
    (driver.world.home / "outside.txt").write_text("not for the server\n")
    seen = driver.run(name, FILESYSTEM, project, roots="answer", calls=[
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


def test_the_probe_of_a_negotiating_client_leaves_nothing(driver, installed):
    """SDK 2 asks a sibling of the server which era it speaks, and ends it by stdin and SIGTERM at the same moment."""
    seen = driver.run("v2-auto", EVERYTHING, calls=[("echo", {"message": "once"})])
    probed, used = seen["processes"]
    assert probed["pid"] != used["pid"]
    assert probed["signals"] == ["SIGTERM"], probed  # and no SIGKILL 1 s later
    assert (probed["signal"], used["signals"]) == (None, [])
    assert_ended_by_itself(used)


@pytest.mark.parametrize("name", SDKS[:2])
def test_a_server_that_stays_needs_one_signal(driver, installed, name):
    """Its question for roots is never answered, so the end of its stdin does not end it. A bare one shows the same."""
    seen = driver.run(name, EVERYTHING, roots="silence")
    (process,) = seen["processes"]
    assert process["signals"] == ["SIGTERM"], process  # and not SIGKILL, 2 s later
    assert (process["status"], process["closed"]) == (143, True), process


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
