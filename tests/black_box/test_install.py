"""What an installation reaches: the configured registry, what install.allow names, nothing else; and what it sees."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from conftest import RUNTIME, TOP, Echo

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")


@contextlib.contextmanager
def registry():
    """A registry on this machine's loopback; its URL."""
    with subprocess.Popen([shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/"
        process.stdin.close()


@contextlib.contextmanager
def package_that(script):
    """A package directory whose install script is this JavaScript."""
    with tempfile.TemporaryDirectory(prefix="npxc-package-") as directory:
        os.chmod(directory, 0o755)
        package = pathlib.Path(directory)
        (package / "package.json").write_text(json.dumps({
            "name": "npxc-scripted", "version": "1.0.0", "bin": {"npxc-scripted": "main.cjs"},
            "scripts": {"postinstall": "node script.cjs"}}))
        (package / "main.cjs").write_text("#!/usr/bin/env node\n")
        (package / "script.cjs").write_text(script)
        yield package


CONNECT = """
const [host, port] = %s;
require('net').connect(port, host).on('connect', () => process.exit(0)).on('error', () => process.exit(7));
"""


def test_a_registry_on_loopback_is_reached_at_its_own_address(alone):
    with registry() as url:
        result = alone.run("install", "plain", env={"npm_config_registry": url})
    assert result.returncode == 0, result.stderr


def test_a_script_reaches_nothing_else_and_the_user_is_told(alone):
    with Echo() as echo, package_that(CONNECT % json.dumps(["host.npxc.internal", echo.port])) as package:
        result = alone.run("install", package)
        assert result.returncode == 3
        assert "the install scripts of" in result.stderr and "tried to reach host.npxc.internal" in result.stderr
        assert "install.allow" in result.stderr or '"install": {"allow"' in result.stderr


def test_install_allow_lets_it(alone):
    with Echo() as echo, package_that(CONNECT % json.dumps(["host.npxc.internal", echo.port])) as package:
        alone.write_config("packages/npxc-scripted.json", {"package_dir": str(package), "install": {"allow": [f"host.npxc.internal:{echo.port}"]}})
        result = alone.run("install", package)
    assert result.returncode == 0, result.stderr
    assert "refused" not in result.stderr


def test_a_script_does_not_reach_the_host_by_address(alone):
    with Echo() as echo, package_that(CONNECT % json.dumps(["127.0.0.1", echo.port])) as package:
        result = alone.run("install", package)
    assert result.returncode == 3


def test_what_npm_reached_is_in_the_log(alone):
    with registry() as url:
        assert alone.run("install", "plain", env={"npm_config_registry": url}).returncode == 0
    port = int(url.rstrip("/").rsplit(":", 1)[1])
    records = [json.loads(line) for file in (alone.home / ".local/state/npxc/egress").glob("npxc-install-*.jsonl")
               for line in file.read_text().splitlines()]
    assert {(r["verdict"], r["ip"], r["port"]) for r in records} == {("allow", "127.0.0.1", port)}
