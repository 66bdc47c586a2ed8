"""The command line as people and published configurations write it: npm's flags, slips, flags in the wrong place."""

import json
import os
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
