"""Install scripts that make traps of their directory: nothing outside of it is read, changed or removed by npxc.

Each trap is laid in the sandbox by an install script, which says so to the registry (`mark`). VICTIM is a directory of
the host that this user could empty; it looks like what npxc is about to remove, read or change, and is compared with
itself afterwards: names, types, modes, owners, sizes, links, contents and the time of the last change.
"""

import contextlib
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile
import urllib.request

import pytest

from conftest import PATIENCE, RUNTIME, TOP

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes: tests/live")

HEAD = """
const fs = require('fs'), path = require('path'), http = require('http');
const own = process.cwd();
let top = own;
while (path.basename(top) !== 'node_modules') top = path.dirname(top);
const tree = path.dirname(top);
const mark = (word, status) => http.get('REGISTRY-/mark/' + encodeURIComponent(word),
  r => { r.resume(); r.on('end', () => process.exit(status)); }).on('error', () => process.exit(9));
const link = (target, at) => { fs.rmSync(at, { recursive: true, force: true }); fs.symlinkSync(target, at); };
"""

SERVER = """#!/usr/bin/env node
require('readline').createInterface({ input: process.stdin }).on('line', line => {
  const m = JSON.parse(line), info = { name: process.env.HOSTILE_NAME, version: '1' };
  const result = m.method === 'initialize'
    ? { protocolVersion: m.params.protocolVersion, capabilities: { tools: {} }, serverInfo: info } : { tools: [] };
  if (m.id !== undefined) process.stdout.write(JSON.stringify({ jsonrpc: '2.0', id: m.id, result }) + '\\n');
}).on('close', () => process.exit());
"""


def picture(directory):
    """What a directory is, so that any change shows."""
    def one(path):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode):
            content = path.read_bytes()
        else:
            content = os.readlink(path) if stat.S_ISLNK(info.st_mode) else None
        return (info.st_mode, info.st_uid, info.st_gid, info.st_nlink, info.st_ctime_ns, content)
    return {str(path): one(path) for path in [directory, *sorted(directory.rglob("*"))]}


class Trap:
    def __init__(self, world, cache, victim, url):
        self.world, self.cache, self.victim, self.url = world, cache, victim, url
        self.before = picture(victim)

    def run(self, *words):
        env = {"npm_config_registry": self.url}
        if words[0] == "gc":
            env["PATH"] = "/nonexistent"  # an ordinary user's podman leaves a process of its own once asked
        return self.world.run(*words, env=env, patience=PATIENCE * 3)

    def marks(self):
        with urllib.request.urlopen(self.url + "-/marks", timeout=PATIENCE) as answer:
            return json.load(answer)

    def check(self):
        assert picture(self.victim) == self.before
        left = os.listdir(self.cache / "npxc/store/staging")
        assert not left, f"staging is left: {left}"


@contextlib.contextmanager
def registry(packages):
    """A registry on this machine's loopback that has what packages(its URL) gives, too; its URL."""
    with subprocess.Popen([shutil.which("node"), TOP / "tests/registry/registry.js"], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as process:
        url = f"http://127.0.0.1:{int(process.stdout.readline())}/"
        request = urllib.request.Request(url + "-/add", json.dumps(packages(url)).encode(), method="POST")
        urllib.request.urlopen(request, timeout=PATIENCE).close()
        yield url
        process.stdin.close()


@pytest.fixture
def trap(world):
    """trap(script, optional): a package `hostile` whose own script, or that of its optional dependency @atk/precious,
    is this JavaScript; `optional` ones fail after their mark."""
    with contextlib.ExitStack() as stack:
        def lay(script, optional=True):
            cache = pathlib.Path(tempfile.mkdtemp(prefix="npxc-cache-"))
            # Python's own removal recurses
            stack.callback(subprocess.run, ["rm", "-rf", cache], check=False)
            cache.chmod(0o755)
            world.env["XDG_CACHE_HOME"] = str(cache)
            victim = world.home / "victim"
            for name in ("precious", "@atk/precious", "node_modules/@atk/precious", "hostile"):
                (victim / name).mkdir(parents=True)
                (victim / name / "thesis.txt").write_text("my thesis")
                (victim / name / "package.json").write_text("{}")
            (victim / "key").write_text("secret")
            (victim / "key").chmod(0o600)
            # the sandbox of root is another user: he may do what npxc itself could
            for path in [victim, *victim.rglob("*/")]:
                if path.is_dir():
                    path.chmod(0o777)

            def packages(url):
                text = (HEAD + script).replace("REGISTRY", url).replace("VICTIM", str(victim))
                files = {"script.cjs": text, "x.js": SERVER}
                scripts = {"scripts": {"install": "node script.cjs"}}
                if optional:
                    return {"hostile": {"1.0.0": [{"bin": "x.js", "optionalDependencies": {"@atk/precious": "1.0.0"}}]},
                            "@atk/precious": {"1.0.0": [scripts, files]}}
                return {"hostile": {"1.0.0": [{"bin": "x.js", **scripts}, files]}}

            url = stack.enter_context(registry(packages))
            return Trap(world, cache, victim, url)

        yield lay


# An optional dependency's script that fails, and what npxc clears away then. Third: whether that can be done.
CLEARED = {
    "the scope's directory is a link": (
        "fs.renameSync(top + '/@atk', top + '/moved'); link('VICTIM', top + '/@atk'); mark('laid', 1)", False),
    "node_modules is a link": (
        "fs.renameSync(top, tree + '/moved'); link('VICTIM/node_modules', top); mark('laid', 1)", False),
    "node_modules is a chain of links": (
        "fs.renameSync(top, tree + '/moved'); link('VICTIM/node_modules', tree + '/b'); link('b', top);"
        "mark('laid', 1)", False),
    "its own directory is a link": (
        "fs.renameSync(own, top + '/moved'); link('VICTIM/precious', own); mark('laid', 1)", True),
    "a link stands in its directory": ("link('VICTIM', own + '/out'); mark('laid', 1)", True),
    "its directories are closed": (
        "fs.mkdirSync(own + '/a/b/c', { recursive: true }); link('VICTIM', own + '/a/b/out');"
        "for (const d of [own + '/a/b/c', own + '/a/b', own + '/a', own, path.dirname(own)]) fs.chmodSync(d, 0); mark('laid', 1)", True),
    "its directory is deeper than any path is long": (
        "process.chdir(own); for (let i = 0; i < 5000; i++) { fs.mkdirSync('deep'); process.chdir('deep') }"
        "fs.symlinkSync('VICTIM', 'out'); process.chdir(tree); mark('laid', 1)", True),
    "a FIFO stands at its package.json": (
        "fs.rmSync(own + '/package.json'); require('child_process').execSync('mkfifo package.json', { cwd: own });"
        "mark('laid', 1)", True),
    "names have line breaks": (
        "fs.mkdirSync(own + '/a\\nnpxc: b/c\\x1b[2J', { recursive: true }); mark('laid', 1)", True),
}


@pytest.mark.parametrize("name", CLEARED)
def test_what_an_optional_package_leaves_is_cleared_away_and_nothing_else(trap, name):
    script, clears = CLEARED[name]
    laid = trap(script)
    result = laid.run("install", "hostile")
    assert laid.marks() == ["laid"], result.stderr
    laid.check()
    assert result.returncode == (0 if clears else 3), result.stderr
    if not clears:
        assert "cannot be left out" in result.stderr and "symbolic link" in result.stderr
        return
    [tree] = (laid.cache / "npxc/store/packages/hostile").glob("1.0.0-*")
    assert not os.path.lexists(tree / "node_modules/@atk/precious")
    assert laid.run("clean", "hostile").returncode == 0
    laid.check()


def test_control_the_traps_lead_a_removal_by_name_out(tmp_path):
    """What the first traps are made of, and the plain way to clear a package away."""
    for at, target in (("node_modules/@atk", "victim"), ("node_modules", "victim/node_modules")):
        shutil.rmtree(tmp_path, ignore_errors=True)
        for name in ("@atk/precious", "precious", "node_modules/@atk/precious"):
            (tmp_path / "victim" / name).mkdir(parents=True)
        (tmp_path / "tree/node_modules").mkdir(parents=True)
        if at == "node_modules":
            (tmp_path / "tree/node_modules").rmdir()
        (tmp_path / "tree" / at).symlink_to(tmp_path / target)
        before = len(list((tmp_path / "victim").rglob("*")))
        subprocess.run(["rm", "-rf", tmp_path / "tree/node_modules/@atk/precious"], check=True)
        assert len(list((tmp_path / "victim").rglob("*"))) == before - 1


# A package's own script that succeeds; what npxc writes, seals, lists, reads and removes afterwards. Third: the status.
KEPT = {
    "links stand where npxc and npm write": (
        "for (const n of ['npxc.json', 'package-lock.json', 'package.json', '.npxc', 'resolved.json', 'lock'])"
        "  link('VICTIM/key', tree + '/' + n);"
        "link('VICTIM', top + '/.bin'); link('VICTIM/key', top + '/.package-lock.json'); mark('laid', 0)", 0),
    "directories stand where npxc writes": (
        "fs.mkdirSync(tree + '/npxc.json/a', { recursive: true }); fs.chmodSync(tree + '/npxc.json/a', 0);"
        "mark('laid', 0)", 0),
    "links stand all over the tree": (
        "for (const d of [tree, top, own]) { link('VICTIM', d + '/dir'); link('VICTIM/key', d + '/file.js');"
        "  link('/', d + '/root'); link('dir', d + '/dir2') } mark('laid', 0)", 0),
    "everything is closed": (
        "fs.mkdirSync(own + '/a/b', { recursive: true }); link('VICTIM', own + '/a/out');"
        "for (const d of [own + '/a/b', own + '/a', tree]) fs.chmodSync(d, 0); mark('laid', 0)", 0),
    "everything is open": (
        "for (const n of ['/x.js', '/package.json', '']) fs.chmodSync(own + n, 0o6777); mark('laid', 0)", 0),
    "the tree is deep": (
        "process.chdir(own); for (let i = 0; i < 10000; i++) { fs.mkdirSync('d'); process.chdir('d') }"
        "fs.symlinkSync('VICTIM', 'out'); process.chdir(tree); mark('laid', 0)", 0),
    "a directory is wide": (
        "fs.mkdirSync(own + '/wide'); for (let i = 0; i < 30000; i++) fs.writeFileSync(own + '/wide/' + i, '');"
        "mark('laid', 0)", 0),
    "files have second names in the tree": (
        "fs.linkSync(own + '/x.js', own + '/twin.js'); fs.linkSync(own + '/x.js', top + '/z.js'); mark('laid', 0)", 0),
    "FIFOs and sockets stand in it": (
        "require('child_process').execSync('mkfifo a.js b'); require('net').createServer().listen(own + '/s',"
        "  () => mark('laid', 0))", 0),
    "its package.json is a FIFO": (
        "fs.rmSync('package.json'); require('child_process').execSync('mkfifo package.json'); mark('laid', 0)", 3),
    "its package.json is a link": ("link('VICTIM/hostile/package.json', own + '/package.json'); mark('laid', 0)", 3),
    "its own directory is a link": (
        "fs.renameSync(own, top + '/moved'); link('VICTIM/hostile', own); mark('laid', 0)", 3),
    "node_modules is a link": (
        "fs.renameSync(top, tree + '/moved'); link('VICTIM', top); mark('laid', 0)", 3),
    "node_modules is a link within the tree": (
        "fs.renameSync(top, tree + '/moved'); link('moved', top); mark('laid', 0)", 3),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_package_leaves_is_sealed_listed_and_removed_and_nothing_else(trap, name):
    script, status = KEPT[name]
    laid = trap(script, optional=False)
    result = laid.run("install", "hostile")
    assert laid.marks() == ["laid"], result.stderr
    laid.check()
    assert result.returncode == status, result.stderr
    if status != 0:
        assert "an install script removed or replaced the directory of hostile" in result.stderr
        return
    [tree] = (laid.cache / "npxc/store/packages/hostile").glob("1.0.0-*")
    record = tree / "npxc.json"
    assert not record.is_symlink() and json.loads(record.read_text())["packages"][0]["name"] == "hostile"
    for path in (tree, tree / "node_modules/hostile", tree / "node_modules/hostile/x.js"):
        assert path.stat().st_mode & 0o7022 == 0, path
        assert path.stat().st_uid == os.getuid()
    assert [entry["name"] for entry in json.loads(laid.run("list", "--json").stdout)] == ["hostile"]
    laid.run("try", "hostile", "--json")  # reads the package's own files for variables; what it is about is `check`
    laid.check()
    for words in (["gc"], ["clean", "hostile"], ["clean", "--all"], ["gc"]):
        result = laid.run(*words)
        assert result.returncode == 0, result.stderr
        laid.check()
    assert not os.path.lexists(tree)


def test_a_script_cannot_link_a_file_of_the_host_into_its_tree(trap):
    """Two mounts, also of one file system: EXDEV. The control is the link within the tree."""
    laid = trap("""
const seen = [];
for (const from of [process.execPath, '/etc/passwd', '/etc/hosts', 'VICTIM/key', own + '/x.js'])
  try { fs.linkSync(from, own + '/hard' + seen.length); seen.push('linked') } catch (e) { seen.push(e.code) }
mark(seen.join(), 0)
""", optional=False)
    assert laid.run("install", "hostile").returncode == 0
    [seen] = laid.marks()
    assert set(seen.split(",")[:-1]) <= {"EXDEV", "ENOENT", "EPERM", "EROFS"} and seen.endswith(",linked")
    laid.check()
