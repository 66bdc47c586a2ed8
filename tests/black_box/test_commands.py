"""The other commands, refusals, configuration."""

import json
import os
import re
import shutil
import subprocess

import pytest

from conftest import NPXC, PATIENCE


@pytest.fixture
def installed(world, probe):
    result = world.run("install", probe)
    assert result.returncode == 0, result.stderr
    return probe


def refused(result, status, *words):
    assert result.returncode == status, (result.returncode, result.stderr)
    assert result.stdout == b""
    lines = [line for line in result.stderr.splitlines() if line.startswith("npxc: ")]
    assert len(lines) == 1, result.stderr
    for word in words:
        assert word in lines[0], lines[0]


@pytest.mark.parametrize("words, status, said", [
    ([], 1, "no package given"),
    (["--netwrok=none", "x"], 1, "did you mean --network?"),
    (["git+https://example.org/x.git"], 1, "git"),
    (["https://example.org/x.tgz"], 1, ""),
    (["x@npm:y@1"], 1, ""),
    (["../nothing-here"], 1, ""),
    (["--allow", "example.org", "npxc-nothing"], 1, "--allow"),
    (["--runtime", "apple", "npxc-nothing"], 2, ""),
    (["--config", "missing.json", "x"], 1, "missing.json"),
    (["--cwd", "missing", "x"], 1, "missing"),
    (["--log-level", "loud", "x"], 1, "loud"),
    (["clean"], 1, "--all"),
    (["try"], 1, "no package given"),
])
def test_wrong_words_are_refused_with_status_and_reason(world, words, status, said):
    refused(world.run(*words), status, said)


@pytest.mark.parametrize("runtime", ["podman", "docker"])
def test_a_cli_that_is_not_there_is_named(world, runtime):
    """Not on PATH, nor in the usual places: those are covered."""
    covers = [word for place in ("/usr/local/bin", "/usr/bin", "/bin") if os.path.exists(f"{place}/{runtime}")
              for word in ("--dev-bind", "/dev/null", f"{place}/{runtime}")]
    done = subprocess.run([shutil.which("bwrap"), "--dev-bind", "/", "/", *covers, str(NPXC), "--runtime", runtime, "npxc-nothing"],
                          env={**world.env, "PATH": "/nowhere"}, cwd=str(world.project), stdin=subprocess.DEVNULL,
                          capture_output=True, timeout=PATIENCE)
    done.stderr = done.stderr.decode()
    refused(done, 2, runtime, "not found")


def test_a_desktops_environment_finds_what_path_does_not_name(world, installed):
    """PATH has nothing, the working directory is /, no variable but HOME is set: as launchd and desktops start clients."""
    env = {name: value for name, value in world.env.items() if name in ("HOME", "XDG_CACHE_HOME")}
    for path in ({}, {"PATH": "/nowhere"}, {"PATH": ""}):
        done = subprocess.run([str(NPXC), installed], env={**env, **path}, cwd="/", input=b"", capture_output=True,
                              timeout=PATIENCE)
        assert done.returncode == 0, done.stderr


def test_a_bad_mount_is_refused_before_anything_runs(world, installed):
    refused(world.run("--mount", "/nowhere", installed), 1, "--mount /nowhere")
    refused(world.run("--mount", "/usr/share:/proc/x", installed), 1, "/proc")


def test_a_named_network_is_refused_on_bwrap(world, installed):
    refused(world.run("--network", "mynet", installed), 1, "mynet")


@pytest.mark.parametrize("name, text, words", [
    ("npxc.json", '{"defaults":{"netwrok":"none"}}', ["npxc.json:1", "netwrok", "network"]),
    ("npxc.json", '{\n"defaults":{\n"memory":true}}', ["npxc.json:3", "memory"]),
    ("npxc.json", '{"defaults":', ["npxc.json:1"]),
    ("npxc.toml", "[defaults]\n", ["npxc.json"]),
    ("packages/npxc-nothing.json", '{"network":{"mode":""}}', ["npxc-nothing.json"]),
    ("packages/npxc-nothing.json", '{"network":{"mode":"allowlist","link":"gateway"}}', ["network.link"]),
    ("npxc.json", '{"install":\n{"allow":["https://a.example"]}}', ["npxc.json:2", "install.allow[0]", "is a URL"]),
    ("packages/npxc-nothing.json", '{"install":{"allow":["*"]}}', ["npxc-nothing.json:1", "install.allow[0]"]),
])
def test_a_bad_configuration_is_refused(world, name, text, words):
    (world.config / "npxc.json").unlink()
    world.write_config(name, text)
    refused(world.run("npxc-nothing"), 1, *words)


def test_of_a_set_every_packages_file_counts_for_its_installation(world):
    world.write_config("packages/npxc-second.json", {"install": {"allow": ["a b"]}})
    refused(world.run("-p", "npxc-first", "-p", "npxc-second", "cmd"), 1, "npxc-second.json:1", "install.allow[0]")


def test_a_registry_that_is_none_is_refused_before_npm_runs(world):
    (world.home / ".npmrc").write_text("registry=https://me:s3cret@registry.example:0/\n")
    result = world.run("install", "npxc-surely-not-there", env={"npm_config_registry": ""})
    assert (result.returncode, result.stdout) == (3, b"")
    assert ("npxc: install failed: npm's configuration: registry: \"...@registry.example:0/\" has no port from 1 to 65535 "
            "after its host\n") in result.stderr
    assert "s3cret" not in result.stderr


def test_an_error_with_json_is_one_object_on_stderr(world):
    result = world.run("inspect", "--json", "git+ssh://x")
    error = json.loads(result.stderr)["error"]
    assert (error["kind"], error["exit_status"], result.returncode) == ("config", 1, 1)
    assert result.stdout == b""


def test_inspect_of_what_is_not_installed(world):
    refused(world.run("inspect", "npxc-surely-not-installed"), 3, "npxc install npxc-surely-not-installed")


def test_a_run_uses_what_inspect_prints(world, installed):
    (world.project / "f").write_text("x")
    flags = ["--mount", "/usr/share/doc", "-e", "A=value-of-a", "--memory", "300m"]
    plan = json.loads(world.run("inspect", "--json", *flags, installed, "serve", "f").stdout)
    assert "value-of-a" not in json.dumps(plan)
    assert "A" in plan["env"]
    client = world.client(*flags, installed, "serve", "f")
    client.handshake()
    seen = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                argv = file.read().decode(errors="replace").split("\0")[:-1]
            with open(f"/proc/{entry}/stat") as file:
                parent = int(file.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
        if parent == client.process.pid and argv and "bwrap" in argv[0]:
            seen.append(argv)
    client.close()
    # What is random in a name stands in an inspected plan as <session>.
    seen = [[re.sub(r"(/sessions/npxc-probe-)[0-9a-f]{8}/", r"\1<session>/", word) for word in argv] for argv in seen]
    assert seen == [plan["argv"]]


def test_inspect_as_text_marks_what_lies_outside(world, installed):
    result = world.run("inspect", "--mount", "/usr/share/doc", installed)
    text = result.stdout.decode()
    assert "/usr/share/doc read-only (--mount; outside the working directory)" in text
    assert "network   none (default)" in text


def test_dry_run_starts_nothing(world, installed):
    result = world.run("--dry-run", "--json", installed)
    assert json.loads(result.stdout)["package"]["name"] == "npxc-probe"


def test_try_shows_sandbox_server_tools_and_times(world, installed):
    result = world.run("try", installed)
    text = result.stdout.decode()
    assert result.returncode == 0, result.stderr
    for word in ("it calls itself npxc-probe 1.0.0", "bwrap", "network   none", "hidden", "memory", "whoami", "initialize",
                 "PROBE_EXIT_STATUS"):
        assert word in text, word


def test_the_first_try_shows_the_limits_of_the_server(world, probe):
    """Not those of the sandbox that installed it just before, which has none for memory and processors."""
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}
    first, second = (
        [line for line in world.run("try", probe, env=own).stdout.decode().splitlines() if line.startswith("limits ")]
        for _ in range(2))
    assert len(first) == 1
    assert first == second


def test_try_names_variables_that_are_set_but_not_forwarded(world, installed):
    result = world.run("try", installed, env={"PROBE_EXIT_STATUS": "0"})
    assert "set here, not forwarded; -e PROBE_EXIT_STATUS would" in result.stdout.decode()
    result = world.run("try", "-e", "PROBE_EXIT_STATUS", installed, env={"PROBE_EXIT_STATUS": "0"})
    assert "set in the sandbox" in result.stdout.decode()


def test_try_with_json_prints_one_report(world, installed):
    report = json.loads(world.run("try", "--json", installed).stdout)
    assert report["initialize"]["serverInfo"]["name"] == "npxc-probe"
    assert report["plan"]["network"]["policy"] == "none"
    assert report["ended_by_itself"] is True


def test_try_explains_a_server_that_fails(world, installed):
    result = world.run("try", installed, "exit", "7")
    assert result.returncode == 4
    assert "status 7" in result.stderr
    assert "probe npxc-probe ready" in result.stderr


def test_doctor_only_looks(world):
    result = world.run("doctor", "--json")
    report = json.loads(result.stdout)
    assert report["runtime"] == "bwrap"
    assert result.returncode == (0 if all(f["ok"] for f in report["findings"]) else 2)


def test_list_shows_what_is_installed_and_clean_removes_it(cache, world, installed):
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}
    assert world.run("install", installed, env=own).returncode == 0
    entries = json.loads(world.run("list", "--json", env=own).stdout)
    assert [(e["name"], e["version"]) for e in entries] == [("npxc-probe", "1.0.0")]
    assert os.path.isdir(entries[0]["directory"])
    client = world.client(installed, env=own)
    client.handshake()
    in_use = json.loads(world.run("clean", "--json", "--all", env=own).stdout)
    assert (in_use["removed"], in_use["kept_in_use"]) == (0, 1)
    client.close()
    gone = json.loads(world.run("clean", "--json", "--all", env=own).stdout)
    assert (gone["removed"], gone["kept_in_use"]) == (1, 0)
    assert json.loads(world.run("list", "--json", env=own).stdout) == []
    assert not os.path.exists(entries[0]["directory"])


def test_the_old_names_of_install_still_work(world, probe):
    result = world.run("build", probe)
    assert result.returncode == 0
    result = world.run("rebuild", probe)
    assert f"{probe} 1.0.0 installed".encode() in result.stdout
    client = world.client("--no-isolate", probe)
    client.handshake()
    _, _, err = client.close()
    assert "--project=ro" in err


def test_help_and_version_go_to_stdout(world):
    assert world.run("--version").stdout.startswith(b"npxc ")
    text = world.run("--help").stdout.decode()
    for word in ("try", "inspect", "install", "list", "clean", "doctor", "--mount", "--project"):
        assert word in text
    assert b"usage: npxc try" in world.run("try", "--help").stdout
