"""Which release is run where the newest one does not support the Node that is here, and which Node."""

import shutil
import subprocess

import pytest

from conftest import PATIENCE
from test_hostile_install import registry

FILES = {"x.js": "#!/usr/bin/env node\nconsole.error('RELEASE', require('./package.json').version)\n"}


def packages(_):
    def release(engines, **more):
        return [{"bin": "x.js", "engines": {"node": engines}, **more}, FILES]
    return {"ages": {"1.0.0": release(">=10"), "1.1.0": release(">=10"), "2.0.0": release(">=999")},
            "young": {"2.0.0": release(">=999")},
            "fits": {"1.0.0": release(">=10"), "2.0.0": release(">=10")}}


@pytest.fixture
def with_registry(world, tmp_path_factory):
    cache = world.home / "cache"
    cache.mkdir(mode=0o755)
    world.env["XDG_CACHE_HOME"] = str(cache)
    with registry(packages) as url:
        world.env["npm_config_registry"] = url
        yield world


def releases(text):
    return [line for line in text.splitlines() if line.startswith("RELEASE")]


@pytest.mark.parametrize("spec, release", [("ages", "1.1.0"), ("ages@^1.0.0", "1.1.0"), ("ages@*", "1.1.0"), ("fits", "2.0.0")])
def test_the_release_that_npx_would_choose_for_this_node_is_run(with_registry, spec, release):
    npx = subprocess.run([shutil.which("npx"), "-y", spec], env=with_registry.env, cwd=with_registry.project,
                         stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
    assert releases(npx.stderr) == ["RELEASE " + release], npx.stderr
    process = with_registry.start("-y", spec)
    said = process.stderr.read().decode()  # to the server's own end: its client is still there
    assert process.wait(PATIENCE) == 0, said
    process.stdin.close()
    assert releases(said) == ["RELEASE " + release], said
    assert "Node" not in said  # this one does


@pytest.mark.parametrize("spec", ["ages@latest", "ages@2.0.0", "young"])
def test_where_no_release_supports_this_node_it_is_said_which_is_brought_and_why(with_registry, spec):
    here = subprocess.run([shutil.which("node"), "-p", "process.versions.node"], capture_output=True, text=True, check=True)
    result = with_registry.run("install", spec)
    assert result.returncode == 0, result.stderr
    said = [line for line in result.stderr.splitlines() if "Node" in line]
    assert said == [f'npxc: Node 1000.1.0 is installed into the store (the package wants ">=999", the host has '
                    f"{here.stdout.strip()})"]
