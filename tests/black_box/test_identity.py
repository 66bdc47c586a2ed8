"""Whose configuration, data and commands a package gets: those of the registry's name or the directory's path that the
user typed, never those of a name that somebody chose for himself."""

import hashlib
import json
import os
import shutil
import subprocess
import tempfile

import pytest

from conftest import RUNTIME, TOP

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

SERVER = """#!/usr/bin/env node
const fs = require('fs')
let data
try { data = fs.readdirSync('/data').join() } catch (e) { data = e.code }
if (data !== 'ENOENT') fs.writeFileSync('/data/' + (process.argv[2] || 'left'), '')
process.stderr.write('WHO token=' + process.env.GOOD_TOKEN + ' data=' + data + '\\n')
process.exit(0)
"""


@pytest.fixture
def alone(world):
    """A store of its own, and a registry on loopback."""
    with tempfile.TemporaryDirectory(prefix="npxc-cache-") as cache, \
            subprocess.Popen([shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True) as process:
        os.chmod(cache, 0o755)
        world.env["XDG_CACHE_HOME"] = cache
        world.env["npm_config_registry"] = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        world.env["GOOD_TOKEN"] = "s3cret"
        yield world
        process.stdin.close()


def clone(world, name="good", where="clone", **more):
    """A directory whose package.json calls it like a package that has a configuration."""
    directory = world.home / where
    directory.mkdir(parents=True)
    (directory / "package.json").write_text(json.dumps({"name": name, "version": "9.9.9", "bin": {"cloned": "main.cjs"}, **more}))
    (directory / "main.cjs").write_text(SERVER)
    return directory


def who(result):
    assert result.returncode == 0, result.stderr
    return [line for line in result.stderr.splitlines() if line.startswith("WHO ")][0]


GRANTED = {"env_passthrough": ["GOOD_TOKEN"], "storage": {"persist": True}}


def test_a_directory_gets_nothing_of_the_package_whose_name_it_bears(alone):
    alone.write_config("packages/good.json", GRANTED)
    data = alone.home / ".local/share/npxc/packages/good"
    data.mkdir(parents=True)
    (data / "session").write_text("")
    assert "token=s3cret" in who(alone.run("-p", "good@1.0.0", "goodcmd")), "the package itself has it"
    directory = clone(alone)
    link = alone.home / "good"
    link.symlink_to("clone")
    for words, cwd in ((["."], directory), (["./clone"], alone.home), ([directory], None), (["file:./clone"], alone.home),
                       (["./good"], alone.home), (["-p", directory, "cloned"], None),
                       (["-p", "plain", "-p", directory, "cloned"], None), (["-p", ".", "-c", "cloned"], directory)):
        assert who(alone.run(*words, cwd=cwd)) == "WHO token=undefined data=ENOENT", words
    assert sorted(entry.name for entry in data.iterdir()) == ["session"]


def test_a_file_that_names_the_directory_is_its_own(alone):
    directory = clone(alone)
    alone.write_config("packages/anything.json", {**GRANTED, "package_dir": f"{directory}/../clone/"})
    other = clone(alone, where="other")
    link = alone.home / "link"
    link.symlink_to("clone")
    assert who(alone.run(directory, "one")) == "WHO token=s3cret data="
    assert who(alone.run(link, "two")) == "WHO token=s3cret data=one", "the data are the path's too"
    assert who(alone.run("-p", "plain", "-p", directory, "cloned")) == "WHO token=s3cret data=one,two"
    assert who(alone.run(other)) == "WHO token=undefined data=ENOENT"
    kept = list((alone.home / ".local/share/npxc/packages").iterdir())
    assert [entry.name[:5] for entry in kept] == ["dir=0"]
    # Moved, it is another one, and what takes its place is not it by its name.
    directory.rename(alone.home / "moved")
    assert who(alone.run(alone.home / "moved")) == "WHO token=undefined data=ENOENT"


def test_a_file_for_a_directory_is_nobody_elses(alone):
    directory = clone(alone)
    alone.write_config("packages/good.json", {**GRANTED, "package_dir": str(directory)})
    result = alone.run("-p", "good", "goodcmd")
    assert who(result) == "WHO good token=undefined"
    assert f"good.json is for the directory {directory} (package_dir), so it does not apply to the package good" in result.stderr
    assert who(alone.run(directory)) == "WHO token=s3cret data="


def test_two_files_for_one_directory_are_refused(alone):
    directory = clone(alone)
    alone.write_config("packages/a.json", {"package_dir": str(directory)})
    alone.write_config("packages/b.json", {"package_dir": str(directory) + "/."})
    result = alone.run(directory)
    assert result.returncode == 1
    assert f"packages/a.json and {alone.config}/packages/b.json are both for {directory}" in result.stderr
    # One that cannot be read may be the one; others do not matter.
    alone.write_config("packages/b.json", "{")
    assert alone.run(directory).returncode == 0
    alone.write_config("packages/b.json", '{ "package_dir": 7 }')
    result = alone.run(directory)
    assert result.returncode == 1
    assert "packages/b.json:1: package_dir: wants a string" in result.stderr


def test_a_directory_is_called_by_its_path_everywhere(alone):
    directory = clone(alone, scripts={"postinstall": "node -e 0"})
    assert alone.run(directory).returncode == 0
    shown = json.loads(alone.run("inspect", "--json", directory).stdout)
    assert shown["package"]["source"] == str(directory)
    assert f"package   {directory} (it calls itself good 9.9.9)" in alone.run("inspect", directory).stdout.decode()
    listed = json.loads(alone.run("list", "--json").stdout)
    assert [entry.get("source") for entry in listed] == [str(directory)]
    assert alone.run("list").stdout.decode().split()[0] == str(directory)
    assert json.loads(alone.run("clean", "--json", "good").stdout)["removed"] == 0
    assert json.loads(alone.run("clean", "--json", directory).stdout)["removed"] == 1


def test_sessions_and_the_log_of_a_directory_bear_its_path(alone):
    directory = clone(alone)
    (directory / "main.cjs").write_text(
        "#!/usr/bin/env node\nrequire('net').connect(443, 'refused.example').on('error', () => {})\n"
        "process.stdin.resume()\n")
    with alone.start("--network", "allowlist", "--allow", "allowed.example:443", directory) as process:
        line = b""
        while b"refused: " not in line:
            line = process.stderr.readline()
            assert line, "it ended without a refusal"
        assert line.decode().startswith(f"npxc: {directory}: name look-up refused: refused.example")
        name = "clone-" + hashlib.sha256(str(directory).encode()).hexdigest()[:8] + ".json"
        assert f"{alone.config}/packages/{name}" in line.decode()
        sessions = json.loads(alone.run("ps", "--json").stdout)
        assert [session["package"] for session in sessions] == [str(directory)]
        assert sessions[0]["name"].startswith("npxc-clone-")
        stopped = alone.run("stop", ".", cwd=directory)
        assert stopped.returncode == 0 and "stopped npxc-clone-" in stopped.stdout.decode(), stopped
        process.stdin.close()
        process.wait()
    assert f"{directory}  refused.example" in alone.run("log", "./clone", cwd=alone.home).stdout.decode()
    assert "nothing like that" in alone.run("log", "good").stdout.decode()


def test_learn_writes_a_file_that_names_the_directory(alone):
    alone.write_config("packages/good.json", "{}")
    directory = clone(alone)
    (directory / "main.cjs").write_text(
        "#!/usr/bin/env node\nrequire('net').connect(443, 'wanted.example').on('error', () => process.exit(0))\n")
    result = alone.run("learn", "--write", ".", cwd=directory)
    assert result.returncode == 0, result.stderr
    name = "clone-" + hashlib.sha256(str(directory).encode()).hexdigest()[:8] + ".json"
    written = json.loads((alone.config / "packages" / name).read_text())
    assert written == {"package_dir": str(directory),
                       "network": {"mode": "allowlist", "allow": ["wanted.example:443"]}}
    assert (alone.config / "packages/good.json").read_text() == "{}"
    policy = json.loads(alone.run("inspect", "--json", directory).stdout)["network"]
    assert (policy["policy"], policy["allow"]) == ("allowlist", ["wanted.example:443"])
    # The next rules go into the same file; one of that name that is not for it is refused, not used.
    assert alone.run("learn", "--write", "--allow", "more.example:1", directory).returncode == 0
    (alone.config / "packages" / name).write_text('{ "network": { "mode": "open" } }')
    result = alone.run(directory)
    assert result.returncode == 1
    assert f'does not say so; add "package_dir": "{directory}" to it' in result.stderr


# ---- whose command ----


def said(result):
    return who(result).removeprefix("WHO ")


def test_a_command_is_its_packages_own_and_has_its_configuration(alone):
    alone.write_config("packages/good.json", {"env_passthrough": ["GOOD_TOKEN"]})
    assert said(alone.run("-p", "good", "goodcmd")) == "good token=s3cret"
    assert said(alone.run("-p", "good", "-p", "plain", "goodcmd")) == "good token=s3cret"
    assert said(alone.run("-p", "plain", "-p", "good", "good-other")) == "good token=s3cret"
    assert said(alone.run("-p", "good", "-p", "evil", "evilcmd")) == "evil token=undefined"
    for words in (["-p", "good", "-p", "evil", "goodcmd"], ["-p", "evil", "-p", "good", "goodcmd"]):
        result = alone.run(*words)
        assert result.returncode == 1
        assert f"{words[1]} and {words[3]} both have a command goodcmd; name one of them alone" in result.stderr


def test_a_line_finds_the_named_packages_commands_before_a_dependencys(alone):
    for line, speaks in (("goodcmd", "good"), ("good-other", "good"), ("shadow-only", "z-shadow"),
                         ("exec goodcmd", "good"), ("sh -c goodcmd", "good")):
        assert said(alone.run("-p", "good", "-c", line)) == f"{speaks} token=undefined"


def test_a_command_that_none_of_several_packages_has_gets_nobodys_configuration(alone):
    alone.write_config("packages/good.json", {"env_passthrough": ["GOOD_TOKEN"]})
    result = alone.run("-p", "good", "-p", "plain", "shadow-only")
    assert said(result) == "z-shadow token=undefined"
    assert "none of the packages has a command shadow-only, so no package's configuration applies" in result.stderr
    # One package alone is what was typed, whatever of it is run.
    assert said(alone.run("-p", "good", "shadow-only")) == "z-shadow token=s3cret"
