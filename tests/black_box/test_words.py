"""The command line as people and published configurations write it: npm's flags, slips, flags in the wrong place."""

import json
import os
import pathlib
import pty

import pytest


@pytest.fixture
def small(world):
    """A package that says that it ran."""
    directory = world.home / "small"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": "small", "version": "1.0.0", "bin": "i.js"}))
    (directory / "i.js").write_text("#!/usr/bin/env node\nconsole.error('ran', ...process.argv.slice(2))\n")
    return str(directory)


def test_npms_flags_before_the_spec_are_taken_and_those_after_it_are_the_servers(world, small):
    flags = ["--quiet", "-q", "-s", "-d", "--loglevel=silent", "--loglevel", "warn", "--prefer-offline", "--yes=true",
             "--registry=http://127.0.0.1:9/", "--registry", "http://127.0.0.1:9/", "--no-install", "--no-audit",
             "--no-fund", "--no-update-notifier", "--ignore-scripts", "--cache", "/nowhere", "--omit=dev"]
    result = world.run(*flags, small, "-q", "--registry", "x")
    assert (result.returncode, result.stdout) == (0, b""), result.stderr
    assert "ran -q --registry x" in result.stderr.splitlines()


def test_a_flag_without_a_meaning_here_is_told_at_debug_level(world, small):
    assert "--cache has no meaning here" not in world.run("--cache", "/nowhere", small).stderr
    result = world.run("--log-level", "debug", "--cache", "/nowhere", small)
    assert "npxc: debug: npm: --cache has no meaning here" in result.stderr.splitlines()


@pytest.mark.parametrize("flags", [["--no-install"], ["--no"], ["--yes=false"], ["-n"]])
def test_what_is_not_in_the_store_is_refused_when_nothing_may_be_installed(world, flags):
    result = world.run(*flags, "npxc-surely-not-there", env={"npm_config_registry": "http://127.0.0.1:9/"})
    assert (result.returncode, result.stdout) == (3, b"")
    assert result.stderr == ("npxc: install failed: npxc-surely-not-there is not installed; run npxc install "
                             "npxc-surely-not-there\n")


@pytest.mark.parametrize("word, meant", [("isntall", "install"), ("instal", "install"), ("tyr", "try"), ("lsit", "list"),
                                         ("docter", "doctor"), ("hlep", "help"), ("verison", "version")])
def test_a_slip_of_a_command_installs_no_strangers_package(world, word, meant):
    result = world.run(word, "x", env={"npm_config_registry": "http://127.0.0.1:9/"})
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr == (f'npxc: configuration error: unknown command {word}; did you mean "{meant}"?; to run the '
                             f"package of that name: npxc -- {word}\n")


def test_after_two_dashes_a_slip_is_a_package(world):
    result = world.run("--no-install", "--", "isntall")
    assert (result.returncode, result.stderr) == (
        3, "npxc: install failed: isntall is not installed; run npxc install isntall\n")


def test_help_and_version_are_words_too(world):
    assert world.run("version").stdout == world.run("--version").stdout
    assert world.run("help").stdout == world.run("--help").stdout
    assert world.run("help", "try").stdout == world.run("try", "--help").stdout


def test_a_flag_after_the_package_of_a_command_is_said_to_be_the_servers(world, small):
    line = "npxc: --json stands after the package, so the server gets it; npxc's own flags stand before"
    assert world.run(small, "--json").stderr.splitlines()[-1] == "ran --json"
    result = world.run("inspect", small, "--json")
    assert result.returncode == 0, result.stderr
    assert line in result.stderr.splitlines()
    assert line not in world.run("inspect", "--json", small, "--verbose").stderr


def test_npxc_alone_on_a_terminal_says_how_it_is_used(world):
    outer, inner = pty.openpty()
    process = world.start(stdin=inner, stdout=inner, stderr=inner)
    os.close(inner)
    text = b""
    while True:
        try:
            got = os.read(outer, 4096)
        except OSError:
            break
        if not got:
            break
        text += got
    os.close(outer)
    assert process.wait(60) == 1
    assert text.startswith(b"usage: npxc [flags] <spec>") and b"npxc --help" in text


def test_packages_see_npxs_directory_in_the_path_of_their_script(world):
    """Playwright's and others skip a download, or take themselves for run by npx, by `_npx` in process.argv[1]."""
    directory = world.home / "seen"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({
        "name": "seen", "version": "1.0.0", "bin": "i.js", "scripts": {"postinstall": "node install.js"}}))
    (directory / "install.js").write_text("require('fs').writeFileSync(__dirname + '/said', process.argv[1])\n")
    (directory / "i.js").write_text("#!/usr/bin/env node\nconsole.error(process.argv[1]);"
                                    "console.error(require('fs').readFileSync(__dirname + '/said', 'utf8'))\n")
    result = world.run(str(directory))
    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines()[-2:] == ["/opt/npxc/_npx/package/node_modules/.bin/seen",
                                               "/opt/npxc/_npx/package/node_modules/seen/install.js"]


def test_a_policy_file_with_nearly_the_packages_name_is_said_not_to_be_read(world):
    file = world.write_config("packages/some-server.json", {"network": {"mode": "none"}})
    result = world.run("--no-install", "@scope/some-server")
    assert result.returncode == 3
    assert (f"npxc: {file} is not read for @scope/some-server; the file of that package is called "
            "@scope+some-server.json") in result.stderr.splitlines()
    assert "is not read" not in world.run("--no-install", "some-server").stderr
    assert "is not read" not in world.run("--no-install", "other-thing").stderr


def test_rules_beside_another_mode_than_allowlist_are_said_to_have_no_effect(world, small):
    rules = {"package_dir": small, "network": {"mode": "none", "allow": ["example.org:443"]}}
    file = world.write_config("packages/small.json", rules)
    line = (f'npxc: network.allow in {file} has no effect: the network is "none" (network.mode); set network.mode to '
            '"allowlist" there, or remove the rules')
    assert line in world.run(small).stderr.splitlines()
    assert "network.allow" not in world.run("--network", "none", small).stderr


def test_a_bad_mount_is_refused_before_anything_is_installed(world, small):
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}
    result = world.run("--mount", "/nowhere", small, env=own)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.startswith("npxc: path not found: --mount /nowhere: ") and "installing" not in result.stderr
    assert json.loads(world.run("list", "--json", env=own).stdout) == []


def with_a_script(directory):
    """What has to be installed: a directory without an install script is run where it lies."""
    file = pathlib.Path(directory, "package.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "scripts": {"postinstall": "node -e 0"}}))
    return directory


def test_cleaning_what_is_not_in_the_store_is_an_error_that_names_it(world, small):
    own = {"XDG_CACHE_HOME": str(world.home / "cache")}
    assert world.run("install", with_a_script(small), env=own).returncode == 0
    result = world.run("clean", "npxc-nothing", small, "npxc-nowhere", env=own)
    assert result.returncode == 1
    assert result.stdout.startswith(b"removed 1 installed version")
    assert result.stderr == ("npxc: configuration error: not in the store: npxc-nothing, npxc-nowhere; `npxc list` shows "
                             "what is\n")


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_of_several_packages_each_that_fails_is_told_and_the_others_are_installed(world, small, flags):
    own = {"XDG_CACHE_HOME": str(world.home / "cache"), "npm_config_registry": "http://127.0.0.1:9/",
           "npm_config_fetch_retries": "0"}
    other = world.home / "other"
    other.mkdir()
    (other / "package.json").write_text(json.dumps({"name": "other", "version": "2.0.0", "bin": "i.js"}))
    (other / "i.js").write_text("#!/usr/bin/env node\n")
    result = world.run("install", *flags, with_a_script(small), "npxc-nothing", "./../nowhere", with_a_script(str(other)), env=own)
    assert result.returncode == 3
    for name in ("npxc-nothing", "./../nowhere"):
        assert [line for line in result.stderr.splitlines() if line.startswith(f"npxc: {name}: ")], result.stderr
    assert "not installed: npxc-nothing, ./../nowhere; the reasons are above" in result.stderr.splitlines()[-1]
    if flags:
        assert [entry["version"] for entry in json.loads(result.stdout)] == ["1.0.0", "2.0.0"]
    else:
        assert result.stdout.decode().splitlines() == [f"{small} 1.0.0 installed", f"{other} 2.0.0 installed"]


@pytest.mark.parametrize("words", [["list"], ["--help"], ["inspect", "--json", "{small}"]])
def test_a_reader_that_has_gone_is_no_error_to_speak_of(world, small, words):
    assert world.run("install", small).returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    process = world.start(*[word.replace("{small}", small) for word in words], stdout=writer)
    os.close(writer)
    err = process.communicate()[1].decode()
    assert process.returncode in (141, -13)
    assert "cannot write" not in err and "rror" not in err


def test_the_zone_of_the_user_is_the_servers_and_a_configured_one_wins(world, small):
    with open(small + "/i.js", "a", encoding="utf8") as file:
        file.write("console.error('zone', process.env.TZ, new Date(0).getHours())\n")
    assert "zone Asia/Tokyo 9" in world.run(small, env={"TZ": "Asia/Tokyo"}).stderr.splitlines()
    assert "zone UTC 0" in world.run("-e", "TZ=UTC", small, env={"TZ": "Asia/Tokyo"}).stderr.splitlines()


def test_a_server_opens_its_standard_streams_by_name(world):
    directory = world.home / "named"
    directory.mkdir()
    (directory / "package.json").write_text(json.dumps({"name": "named", "version": "1.0.0", "bin": "i.sh"}))
    (directory / "i.sh").write_text("#!/bin/sh\ncat /dev/stdin > /dev/stdout; echo said > /dev/stderr\n")
    line = b'{"jsonrpc":"2.0","id":1,"result":{}}\n'
    result = world.run(str(directory), stdin=line)
    assert (result.returncode, result.stdout) == (0, line), result.stderr
    assert "said" in result.stderr
