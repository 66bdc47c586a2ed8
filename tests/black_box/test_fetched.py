"""What npm has fetched stays in a cache that only the step that fetches sees, and is believed as far as it can be verified."""

import base64
import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.request

import pytest

from conftest import RUNTIME, TOP
from test_install import package_that

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

TOKEN = "npxc-test-token-0123456789"
PACKAGES = {
    "shares-one": {"1.0.0": [{"bin": "x.js", "dependencies": {"plain": "^1.0.0"}}]},
    "shares-two": {"1.0.0": [{"bin": "x.js", "dependencies": {"plain": "^1.0.0"}}]},
}


class Registry:
    def __init__(self, port):
        self.url = f"http://127.0.0.1:{port}/"

    def ask(self, path, data=None):
        with urllib.request.urlopen(self.url + path, data=data) as answer:
            return json.loads(answer.read())

    def asked(self):
        return self.ask("-/asked")

    def sent(self, end=""):
        """Without what it was asked for and had not changed."""
        return [url for url in self.ask("-/sent") if url.endswith(end)]


@contextlib.contextmanager
def registry(headers=None):
    env = {**os.environ, "REGISTRY_TOKEN": TOKEN, "REGISTRY_HEADERS": json.dumps(headers or {})}
    with subprocess.Popen([shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True, env=env) as process:
        registry = Registry(int(process.stdout.readline()))
        registry.ask("-/add", json.dumps(PACKAGES).encode())
        yield registry
        process.stdin.close()


def install(world, registry, *words, status=0):
    result = world.run("install", *words, env={"npm_config_registry": registry.url})
    assert result.returncode == status, result.stderr
    return result


def store_of(world):
    return pathlib.Path(world.env["XDG_CACHE_HOME"]) / "npxc/store"


def fetched(world, directory):
    return sorted(path for path in (store_of(world) / "cache/npm/_cacache" / directory).rglob("*") if path.is_file())


def installed(world, key):
    return next((store_of(world) / "packages" / key).glob("*/node_modules/plain/x.js")).read_bytes()


def test_a_second_package_fetches_what_both_need_once(alone):
    with registry() as npm:
        install(alone, npm, "shares-one")
        install(alone, npm, "shares-two")
        assert npm.sent().count("/plain/-/1.1.0.tgz") == 1


def test_installing_again_fetches_nothing_twice(alone):
    with registry() as npm:
        install(alone, npm, "shares-one")
        install(alone, npm, "--force", "shares-one")
        install(alone, npm, "--update", "shares-one")
        tarballs = npm.sent(".tgz")
    assert len(tarballs) == len(set(tarballs)) == 2


def test_a_retry_after_a_failure_fetches_nothing_twice(alone):
    with registry() as npm:
        install(alone, npm, "needs-fails", status=3)
        install(alone, npm, "needs-fails", status=3)
        tarballs = npm.sent(".tgz")
    assert len(tarballs) == len(set(tarballs)) == 3


@pytest.mark.parametrize("what", ["content", "index"])
def test_a_tarball_that_was_changed_on_disk_is_fetched_again(alone, what):
    """Its bytes, or the entry that says which bytes it has."""
    with registry() as npm:
        install(alone, npm, "shares-one")
        right = installed(alone, "shares-one")
        tarball = npm.url + "plain/-/1.1.0.tgz"
        entry, = [path for path in fetched(alone, "index-v5") if f'request-cache:{tarball}"' in path.read_text()]
        other, = [path for path in fetched(alone, "index-v5")
                  if f'request-cache:{npm.url}shares-one/-/1.0.0.tgz"' in path.read_text()]
        integrity = lambda path: re.findall(r'"integrity":"sha512-([^"]+)"', path.read_text())[-1]
        if what == "content":
            digest = base64.b64decode(integrity(entry)).hex()
            content, = [path for path in fetched(alone, "content-v2") if str(path).replace("/", "").endswith(digest)]
            content.chmod(0o644)
            bytes_of_it = bytearray(content.read_bytes())
            bytes_of_it[len(bytes_of_it) // 2] ^= 0x55
            content.write_bytes(bytes_of_it)
        else:
            line = entry.read_text().strip().split("\n")[-1].split("\t")[1].replace(integrity(entry), integrity(other))
            entry.write_text(f"\n{hashlib.sha1(line.encode()).hexdigest()}\t{line}")
        install(alone, npm, "shares-two")
        assert installed(alone, "shares-two") == right
        assert npm.sent().count("/plain/-/1.1.0.tgz") == (2 if what == "content" else 1)


def test_within_max_age_the_registry_is_not_asked_again_but_by_update(alone):
    with registry({"cache-control": "max-age=300"}) as npm:
        install(alone, npm, "shares-one")
        install(alone, npm, "shares-two")
        assert npm.asked().count("/plain") == 1
        sent = npm.sent()
        urllib.request.urlopen(npm.url + "-/publish/shares-one/1.0.1").close()
        install(alone, npm, "--update", "shares-one")
        assert list((store_of(alone) / "packages/shares-one").glob("1.0.1-*"))
        new = npm.sent()[len(sent):]
        assert "/shares-one" in new and "/plain" not in new


def test_install_scripts_see_nothing_of_it_and_leave_nothing_in_it(alone):
    script = """
const fs = require('fs'), cache = process.env.npm_config_cache
if (fs.existsSync(cache + '/_cacache/content-v2')) process.exit(9)
fs.mkdirSync(cache + '/_cacache/planted', { recursive: true })
"""
    with registry() as npm:
        install(alone, npm, "shares-one")
    with package_that(script) as package:
        result = alone.run("install", package)
    assert result.returncode == 0, result.stderr
    assert not list((store_of(alone) / "cache").rglob("planted")) and fetched(alone, "content-v2")


@pytest.mark.parametrize("vary", ["accept", "Authorization, accept"])
def test_no_token_is_kept_with_what_it_fetched(alone, vary):
    """npm writes down the request's headers that the registry says its answer depends on."""
    with registry({"vary": vary}) as npm:
        host = npm.url.removeprefix("http:")
        (alone.home / ".npmrc").write_text(f"{host}:_authToken={TOKEN}\n")
        install(alone, npm, "@secret/thing")
    for path in store_of(alone).rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path


def test_installations_at_the_same_time_share_it(alone):
    names = ["shares-one", "shares-two", "good", "CapS"]
    failed = []

    def one(npm, name):
        result = alone.run("install", name, env={"npm_config_registry": npm.url})
        if result.returncode != 0:
            failed.append(result.stderr)

    with registry() as npm:
        threads = [threading.Thread(target=one, args=(npm, name)) for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not failed, failed
    assert len(json.loads(alone.run("list", "--json").stdout)) == len(names)


def test_list_and_clean_know_it(alone):
    with registry() as npm:
        install(alone, npm, "shares-one")
    assert b"and what npm has fetched, " in alone.run("list").stdout
    result = alone.run("clean", "--all", "--json")
    assert json.loads(result.stdout)["cache_bytes"] > 0
    assert not list((store_of(alone) / "cache").iterdir())
    assert alone.run("list").stdout == b"nothing is installed; `npxc install <spec>` or the first `npxc <spec>` does it\n"
