"""Packages that are directories: run where they lie, as npx runs them, with what their links lead to and nothing else."""

import contextlib
import json
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import PROBE, RUNTIME, STORED, TOP, without_limits
from test_crash import Run, Scenario

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="bubblewrap makes the sandbox here")

HEAD = "#!/usr/bin/env node\nconst fs = require('fs');\n"
LOOK = """const look = p => { try { return fs.statSync(p).isDirectory() ? fs.readdirSync(p).join() : fs.readFileSync(p, 'utf8') }
  catch (e) { return e.code } };
for (const p of process.argv.slice(2)) console.error('LOOK ' + look(p));
"""


def package(directory, source, manifest=None, **files):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text(json.dumps(
        {"name": directory.name, "version": "1.0.0", "bin": "cli.js", **(manifest or {})}))
    (directory / "cli.js").write_text(HEAD + source)
    (directory / "cli.js").chmod(0o755)
    for name, text in files.items():
        path = directory / name.replace("__", "/").replace("_js", ".js")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return directory


def library(directory, word):
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "package.json").write_text(json.dumps({"name": directory.name, "version": "1.0.0"}))
    (directory / "index.js").write_text(f"module.exports = '{word}'\n")
    return directory


def link(at, to):
    at.parent.mkdir(parents=True, exist_ok=True)
    at.symlink_to(to)


@pytest.fixture
def alone(world):
    """A store of its own, and no registry."""
    world.env["XDG_CACHE_HOME"] = str(world.home / "cache")
    world.env["npm_config_registry"] = "http://127.0.0.1:9/"
    world.env["npm_config_fetch_retries"] = "0"
    return world


def lines(result, status=0):
    assert result.returncode == status, result.stderr
    assert result.stdout == b""
    return without_limits(result.stderr).splitlines()


def test_runs_what_git_ignores_and_shows_an_edit_at_the_next_start(alone):
    d = package(alone.home / "d", "console.error(require('./dist/x.js'))", {"version": "", "files": ["cli.js"]},
                dist__x_js="module.exports = 'one'")
    (d / ".gitignore").write_text("dist\n")
    assert lines(alone.run(".", cwd=d)) == ["one"]
    (d / "dist/x.js").write_text("module.exports = 'two'")
    assert lines(alone.run("../d", cwd=d)) == ["two"]
    assert json.loads(alone.run("list", "--json").stdout) == []
    assert alone.run("install", d).stdout.decode() == f"{d} 0.0.0 is run where it is; nothing has to be installed\n"


def test_is_called_by_its_commands_name_and_mended_where_nobody_may_execute_it(alone):
    d = package(alone.home / "d", "console.error(require('path').basename(process.argv[1]), __filename)",
                {"bin": {"the-server": "cli.js"}})
    (d / "cli.js").write_bytes((d / "cli.js").read_bytes().replace(b"env node\n", b"env node\r\n"))
    assert lines(alone.run(d)) == [f"the-server {d}/cli.js"]
    (d / "cli.js").chmod(0o644)
    assert lines(alone.run(d)) == [f"the-server {d}/cli.js"]
    (d / "cli.js").unlink()
    assert lines(alone.run(d), 1) == [
        f"npxc: configuration error: {d}: its command the-server is cli.js, which is not there; build it first "
        "(npm run build)"]


def test_uses_its_own_node_modules_and_those_of_its_workspace(alone):
    top = alone.home / "mono"
    library(top / "packages/shared", "shared")
    library(top / "node_modules/hoisted", "hoisted")
    (top / "package.json").write_text('{"private": true, "workspaces": ["packages/*"]}')
    (top / "secret").write_text("of the workspace")
    link(top / "node_modules/@case/shared", "../../packages/shared")
    d = package(top / "packages/srv", "console.error(require('@case/shared'), require('hoisted'), require('dev'))\n" + LOOK,
                {"dependencies": {"@case/shared": "*", "hoisted": "1"}, "devDependencies": {"dev": "1"}})
    library(d / "node_modules/dev", "dev")
    said = lines(alone.run(".", f"{top}/secret", cwd=d))
    read_only, unseen, *rest = said
    assert read_only == f"npxc: read-only with {d}, because its links lead there: {top}/node_modules, {top}/packages/shared"
    assert unseen.startswith(f"npxc: {d}: the server cannot see {top}/secret: argument 1 names it, and it lies outside the "
                             f"working directory; to show it: --mount {top}/secret, or ")
    assert rest == ["shared hoisted dev", "LOOK ENOENT"]
    (top / "packages/shared/index.js").write_text("module.exports = 'edited'")
    assert lines(alone.run("./packages/srv", cwd=top))[-1] == "edited hoisted dev"


def test_follows_what_npm_has_linked(alone):
    lib, d = library(alone.home / "elsewhere/lib", "linked"), alone.home / "d"
    package(d, "console.error(require('lib'))", {"dependencies": {"lib": "1"}})
    link(d / "node_modules/lib", "../../elsewhere/lib")
    result = alone.run(d)
    assert f"npxc: {d}/node_modules/lib leads to {lib}, which is outside of the package's workspace and repository and " \
           f"not shown to the server; --mount {lib} would show it" in result.stderr.splitlines()
    assert "Cannot find module 'lib'" in result.stderr
    assert lines(alone.run("--mount", lib, d)) == ["linked"]
    link(alone.home / "prefix/lib/node_modules/lib", lib)
    assert lines(alone.run(d, env={"npm_config_prefix": str(alone.home / "prefix")})) == [
        f"npxc: read-only with {d}, because its links lead there: {lib}", "linked"]
    # The same name, but another directory: nobody has linked that.
    (alone.home / "prefix/lib/node_modules/lib").unlink()
    link(alone.home / "prefix/lib/node_modules/lib", library(alone.home / "elsewhere/other", "other"))
    assert "Cannot find module 'lib'" in alone.run(d, env={"npm_config_prefix": str(alone.home / "prefix")}).stderr


@pytest.mark.parametrize("prefix", [False, True])
def test_follows_no_link_to_home_or_to_secrets(alone, prefix):
    (alone.home / ".git").mkdir()
    (alone.home / "package.json").write_text('{"workspaces": ["*"]}')
    for place in (".ssh", ".aws/inner"):
        library(alone.home / place, "x")
    top = alone.home / "repo"
    (top / ".git").mkdir(parents=True)
    library(top / ".env.d", "x")
    (top / "plain").mkdir()
    (top / "plain/data").write_text("plain")
    d = package(top / "d", LOOK)
    away = {"home": alone.home, "above": alone.home.parent, "ssh": alone.home / ".ssh", "aws": alone.home / ".aws/inner",
            "env": top / ".env.d", "plain": top / "plain", "etc": pathlib.Path("/etc")}
    for name, to in away.items():
        link(d / "node_modules" / name, to)
        if prefix:
            link(alone.home / "prefix/lib/node_modules" / name, to)
    env = {"npm_config_prefix": str(alone.home / "prefix")} if prefix else {}
    said = lines(alone.run(d, *(f"{d}/node_modules/{name}/package.json" for name in away), f"{top}/plain/data",
                           env=env, cwd=d))
    for name, to in away.items():
        assert [line for line in said if line.startswith(f"npxc: {d}/node_modules/{name} leads to {to}, which is ")], name
    assert [line for line in said if line.startswith("LOOK ")] == ["LOOK ENOENT"] * 8


def test_refuses_a_link_out_of_a_tree_that_a_server_could_write(alone):
    top = alone.home / "repo"
    (top / ".git").mkdir(parents=True)
    other = library(top / "other", "other")
    d = package(top / "d", "console.error(require('other'))\n" + LOOK)
    assert "Cannot find module 'other'" in alone.run("--project=rw", ".", cwd=d).stderr
    link(d / "node_modules/other", "../../other")
    for place in (d, d / "node_modules"):
        place.chmod(0o777)  # what root's alone is no server's
    refused = alone.run(".", cwd=d)
    assert lines(refused, 1) == [
        f"npxc: configuration error: {d}/node_modules/other leads out of {d} by the symbolic link {d}/node_modules/other, "
        f"which a server may have made; if it is meant, name where it leads: --mount {other}"]
    assert lines(alone.run("--mount", other, ".", cwd=d)) == ["other"]
    # The package's own name may be such a link, too.
    link(d / "itself", "../other")
    package(other, "")
    assert lines(alone.run("./itself", cwd=d), 1) == [
        f"npxc: configuration error: {d}/itself leads out of {d} by the symbolic link {d}/itself, which a server may have "
        f"made; if it is meant, name where it leads: npxc {other}"]


def test_runs_where_the_working_directory_is_the_root(alone):
    d = package(alone.home / "d", "console.error(__filename, process.cwd())")
    assert lines(alone.run(d, cwd="/")) == [f"{d}/cli.js {alone.home}"]


def test_cannot_be_written(alone):
    d = package(alone.home / "d", """
for (const p of ['/new', '/cli.js', '/node_modules/new']) try { fs.writeFileSync(__dirname + p, ''); console.error('wrote') }
catch (e) { console.error(e.code) }""")
    library(d / "node_modules/x", "x")
    assert lines(alone.run(d)) == ["EROFS"] * 3


def test_never_runs_the_home_directory(alone):
    package(alone.home, "console.error('ran')")
    for words in ([alone.home], ["-p", alone.home, "-p", alone.home, "x"]):
        assert lines(alone.run(*words), 1)[-1] == (
            f"npxc: configuration error: {alone.home} is the home directory or lies above it, which no server is shown; "
            "put the package into a directory of its own")


@contextlib.contextmanager
def registry():
    with tempfile.TemporaryDirectory() as log, \
            subprocess.Popen([shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, cwd=log) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        process.stdin.close()


def test_gets_its_dependencies_into_the_store_when_it_has_none(alone):
    top = alone.home / "repo"
    (top / ".git").mkdir(parents=True)
    (top / ".gitignore").write_text("index.js\n")
    library(top / "near", "near")
    d = package(top / "d", "console.error(Object.keys(require('plain/package.json')).length > 0, require('near'))",
                {"dependencies": {"plain": "1", "near": "file:../near"}})
    with registry() as url:
        assert lines(alone.run(d, env={"npm_config_registry": url}))[-1] == "true near"
    assert not (d / "node_modules").exists()
    (d / "cli.js").write_text((d / "cli.js").read_text() + ";console.error('edited')\n")
    edited = alone.run(d)
    assert lines(edited)[-2:] == ["true near", "edited"], edited.stderr + "no registry is needed for an edit"
    listed = json.loads(alone.run("list", "--json").stdout)
    assert [entry["source"] for entry in listed] == [str(d)]
    assert json.loads(alone.run("clean", "--json", d).stdout)["removed"] == 1


def test_is_installed_anew_with_everything_where_it_cannot_be_run(alone):
    d = package(alone.home / "d", "console.error(require('./dist/x.js'), __dirname)",
                {"version": "", "files": ["cli.js"], "scripts": {"postinstall": "node -e 0"}},
                dist__x_js="module.exports = 'built'")
    (d / ".gitignore").write_text("dist\n")
    assert lines(alone.run(d))[-1] == "built /opt/npxc/_npx/package/node_modules/d"


def test_is_a_mount_in_a_container_too(cache):
    """Two runtimes, one directory. The shim shows nothing read-only, so this is not started there."""
    run = Run(Scenario("linked", shim=True), 1, cache)
    try:
        assert run.world.run("install", STORED).returncode == 0  # it has been asked which Node the image has
        plan = json.loads(run.world.run("inspect", "--json", PROBE).stdout)
        assert f"{PROBE}:{PROBE}:ro" in ",".join(plan["argv"])
        assert not [word for word in plan["argv"] if "/opt/npxc/package" in word]
        assert plan["command"] == ["node", f"{PROBE}/probe.cjs"]  # nobody may execute it
    finally:
        run.end()
