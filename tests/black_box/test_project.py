"""What npx takes from the project that it is started in, and npxc only with a word of the user's, or says."""

import contextlib
import json
import shutil
import subprocess

import pytest

from conftest import RUNTIME, TOP

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="bubblewrap makes the sandbox here")


@pytest.fixture(scope="module")
def registries():
    """Two registries on loopback."""
    with contextlib.ExitStack() as stack:
        urls = []
        for _ in range(2):
            process = stack.enter_context(subprocess.Popen(
                [shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True))
            urls.append(f"http://127.0.0.1:{int(process.stdout.readline())}/")
            stack.callback(process.stdin.close)
        yield urls


@pytest.fixture
def alone(world):
    """A store of its own, no registry, and a project."""
    world.env["XDG_CACHE_HOME"] = str(world.home / "cache")
    (world.home / ".npmrc").write_text("registry=http://127.0.0.1:9/\nfetch-retries=0\n")
    for name in [name for name in world.env if name.lower().startswith("npm_config_")]:
        del world.env[name]
    (world.project / "package.json").write_text("{}")
    return world


def trust(world, *projects):
    world.write_config("npxc.json", {"trusted_projects": [str(project) for project in projects]})


def test_registries_of_a_project_are_read_only_where_the_user_trusts_it(alone, registries):
    project = alone.project
    (project / ".npmrc").write_text(f"@scope:registry={registries[0]}\nregistry={registries[1]}\n")
    line = (f"npxc: {project}/.npmrc names a registry of @scope and is not read: whoever wrote a project would choose what "
            f"is installed; \"trusted_projects\": [\"{project}\"] in {alone.config}/npxc.json would read it")
    (project / "sub").mkdir()
    for cwd in (project, project / "sub"):
        result = alone.run("install", "@scope/scoped", cwd=cwd)
        assert (result.returncode, line in result.stderr.splitlines()) == (3, True), result.stderr
    for others in ([], [alone.home], [project / "sub"], [str(project) + "x"]):
        trust(alone, *others)
        assert line in alone.run("install", "@scope/scoped").stderr.splitlines()
    trust(alone, project)
    result = alone.run("install", "@scope/scoped", cwd=project / "sub")
    assert result.returncode == 0 and ".npmrc" not in result.stderr, result.stderr
    # Its default registry stays unread.
    assert alone.run("install", "plain").returncode == 3


def test_what_a_project_had_installed_is_not_what_another_runs(alone, registries):
    (alone.project / ".npmrc").write_text(f"@scope:registry={registries[0]}\n")
    trust(alone, alone.project)
    for spec in ("@scope/scoped", "@scope/scoped@1.0.0"):
        assert alone.run("install", spec).returncode == 0
        assert alone.run("install", spec, cwd=alone.home).returncode == 3
    directories = {entry["directory"] for entry in json.loads(alone.run("list", "--json").stdout)}
    (alone.project / ".npmrc").write_text(f"@scope:registry={registries[1]}\n")
    assert alone.run("install", "@scope/scoped").returncode == 0
    assert len({entry["directory"] for entry in json.loads(alone.run("list", "--json").stdout)} - directories) == 1


def test_no_variable_gets_into_an_address_of_a_project(alone, registries):
    (alone.project / ".npmrc").write_text(f"@scope:registry={registries[0]}${{SECRET_WORD}}/\n")
    trust(alone, alone.project)
    result = alone.run("install", "@scope/scoped", env={"SECRET_WORD": "s3cret"})
    assert result.returncode == 3 and "s3cret" not in result.stderr


@pytest.mark.parametrize("text, reason", [
    ('{"trusted_projects": "/x"}', "trusted_projects: wants a list"),
    ('{"trusted_projects": ["x"]}', 'trusted_projects[0]: "x" is not an absolute path'),
    ('{"trusted_projects": ["/x/../y"]}', 'trusted_projects[0]: "/x/../y" is not an absolute path'),
])
def test_refuses_what_names_no_project(alone, text, reason):
    alone.write_config("npxc.json", text)
    result = alone.run("list")
    assert result.returncode == 1 and reason in result.stderr, result.stderr


def pinned(world, name, version):
    directory = world.project / "node_modules" / name
    directory.mkdir(parents=True)
    (directory / "package.json").write_text(json.dumps({"name": name, "version": version, "bin": "i.js"}))
    (directory / "i.js").write_text("#!/usr/bin/env node\nconsole.error('local', require('hoisted'))\n")
    (directory / "i.js").chmod(0o755)
    hoisted = world.project / "node_modules/hoisted"
    hoisted.mkdir()
    (hoisted / "index.js").write_text("module.exports = 'one'")
    return directory


def test_says_which_version_the_project_has_and_how_to_run_it(alone):
    directory = pinned(alone, "team-server", "1.2.3")
    line = (f"npxc: {alone.project} has team-server 1.2.3 in its node_modules, which npx would run; npxc {directory} runs "
            "that, npxc team-server@1.2.3 the same version of the registry")
    for spec, told in (("team-server", True), ("team-server@^1", True), ("team-server@2", False),
                       ("team-server@1.2.3", False), ("other", False)):
        result = alone.run(spec)
        assert (result.returncode, line in result.stderr.splitlines()) == (3, told), (spec, result.stderr)
    result = alone.run(directory)
    assert result.returncode == 0
    assert "local one" in result.stderr.splitlines()


def test_says_nothing_when_it_is_the_same_version(alone, registries):
    (alone.home / ".npmrc").write_text(f"registry={registries[0]}\n")
    installed = json.loads(alone.run("install", "--json", "plain").stdout)[0]["version"]
    pinned(alone, "plain", installed)
    assert "node_modules" not in alone.run("plain").stderr
