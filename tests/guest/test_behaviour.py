"""What is looked at once: sockets as their owners see them, link gateway, and what happens where something is missing."""

import json
import socket
import threading

import pytest

from conftest import MAJORS, RELAY_PORT, Guest, Proxy
from test_guest import DENIED, matches

GET = """
require('https').get('https://api.test/', (response) => response.pipe(process.stdout))
    .on('error', (error) => console.log(String(error)));
"""


@pytest.mark.parametrize("major", MAJORS)
def test_each_check_of_the_guest_passes(major, guest):
    wrong = {name: line["error"] for name, line in guest(major).run("behaviour.cjs").items() if not line["ok"]}
    assert not wrong, "\n".join(f"{name}: {why}" for name, why in wrong.items())


@pytest.mark.parametrize("major", MAJORS)
def test_a_gateway_wants_the_token(major, directory, servers, certificates, clients):
    """TCP and a token in place of the socket; whoever does not show the token is told so."""
    proxy = Proxy(directory, servers, token="a-token-of-the-session")
    guest = Guest(major, proxy, certificates, clients)
    for file in ("core.cjs", "children.cjs"):
        for name, line in guest.run(file, "api.test").items():
            assert line.get("ok") or "skipped" in line, f"{name}: {line}"
    denied = guest.run("esm.mjs", "evil.test")
    assert all(not line["ok"] and matches(DENIED, line["error"]) for line in denied.values())
    guest.env["NPXC_EGRESS_TOKEN"] = "another"
    refused = guest.run("esm.mjs", "api.test")
    assert all("EACCES" in line["error"] and "(npxc: the session's token is missing)" in line["error"]
               for line in refused.values())
    proxy.end()


FLAGS = {
    "--frozen-intrinsics": [18, 20, 22, 24, 26],
    "--disable-proto=throw": [18, 20, 22, 24, 26],
    "--jitless": [20, 22, 24, 26],  # Node 18 has no fetch without WebAssembly, and warns
    "--no-addons": [18, 20, 22, 24, 26],
    "--throw-deprecation": [18, 20, 22, 24, 26],
}


@pytest.mark.parametrize("major, flag", [(major, flag) for flag in FLAGS for major in MAJORS if major in FLAGS[flag]])
def test_connections_work_with_each_flag_of_node(major, flag, guest):
    done = guest(major).node(flag, "-e", GET)
    assert done.stdout.startswith("hello api.test"), done.stdout + done.stderr


@pytest.mark.parametrize("major", [major for major in MAJORS if major >= 20])
def test_a_program_without_threads_keeps_its_own_connections(major, guest):
    """A program that may start no threads has no relay, and its own connections work."""
    flags = ["--experimental-permission" if major < 24 else "--permission", "--allow-fs-read=*", "--allow-child-process"]
    if major >= 26:
        flags.append("--allow-net")
    done = guest(major).node(*flags, "-e", GET)
    assert done.stdout.startswith("hello api.test"), done.stdout + done.stderr
    child = guest(major).node(*flags, "-e", "console.log(String(require('child_process').execSync('env')))")
    assert "HTTPS_PROXY" not in child.stdout and "NPXC_EGRESS=" in child.stdout, child.stdout + child.stderr


def test_user_options_stay(guest):
    """The user's own NODE_OPTIONS follow, in children too; nothing is asked for twice."""
    code = "console.log(process.env.NODE_OPTIONS); console.log(String(require('child_process').execSync('echo $NODE_OPTIONS')))"
    one = guest(MAJORS[-1])
    options = one.env["NODE_OPTIONS"] + " --no-warnings"
    done = one.node("-e", code, env={"NODE_OPTIONS": options})
    assert done.stdout.split("\n")[:2] == [options, options]


def test_children_get_no_proxy_that_they_could_not_reach(guest):
    """What children are given: NO_PROXY of their own stays, a proxy that they could not reach does not."""
    code = """
        const { spawnSync } = require('child_process');
        const env = { PATH: process.env.PATH, HTTP_PROXY: 'http://proxy.test:3128', https_proxy: 'http://127.0.0.1:9', NO_PROXY: 'x' };
        const lines = String(spawnSync('env', { env }).stdout).trim().split('\\n');
        console.log(JSON.stringify(Object.fromEntries(lines.map((line) => line.split(/=(.*)/s).slice(0, 2)))));
    """
    given = json.loads(guest(MAJORS[-1]).node("-e", code).stdout)
    relay = f"http://127.0.0.1:{RELAY_PORT}"
    assert given.pop("PATH")
    given.pop("PWD", None)
    assert given == {
        "HTTP_PROXY": relay, "HTTPS_PROXY": relay, "http_proxy": relay, "https_proxy": "http://127.0.0.1:9",
        "NO_PROXY": "x", "no_proxy": "localhost,127.0.0.1,::1", "NODE_OPTIONS": "--require /run/npxc/egress.cjs",
        "NPXC_EGRESS": "unix:/run/npxc/egress.sock", "NPXC_RELAY_PORT": str(RELAY_PORT)}


def test_relay_is_taken_over(guest):
    """The relay lives in the first process that starts a child; when that ends, another one serves."""
    code = """
        const { fork, execSync } = require('child_process');
        const curl = 'curl -sS https://api.test/ 2>&1 || true';
        if (!process.send) {
            console.log('first:', String(execSync(curl)));
            const second = fork('/tmp/code.cjs', { detached: true });
            second.on('message', () => process.exit());
        } else {
            console.log('second:', String(execSync(curl)));
            process.on('disconnect', () => {
                const wait = setInterval(() => {
                    const answer = String(execSync(curl));
                    if (!answer.startsWith('hello'))
                        return;
                    clearInterval(wait);
                    console.log('alone:', answer);
                    require('fs').writeFileSync('/tmp/done', '');
                }, 100);
            });
            process.send('up');
        }
    """
    # the sandbox lives until the orphan has ended
    one = guest(MAJORS[-1])
    one.before = ["/bin/sh", "-c", 'echo "$CODE" >/tmp/code.cjs; "$@"; until [ -e /tmp/done ]; do sleep 0.1; done', "sh"]
    done = one.node("/tmp/code.cjs", env={"CODE": code})
    assert [line.split(" over")[0] for line in done.stdout.splitlines() if line] == [
        "first: hello api.test", "second: hello api.test", "alone: hello api.test"], done.stdout + done.stderr


def test_relay_refuses_what_is_no_proxy_request(guest):
    code = f"""
        const {{ execSync }} = require('child_process');
        const say = (options) => console.log(String(execSync('curl -sS ' + options + ' 2>&1 || true')).trim());
        say('--noproxy "*" http://127.0.0.1:{RELAY_PORT}/');
        say('http://api.test/echo -d "some text"');
        say('http://api.test/redirect -L');
        say('-o /dev/null -w "%{{size_download}}" https://api.test/big?bytes=8000000');
    """
    done = guest(MAJORS[0]).node("-e", code)
    lines = done.stdout.splitlines()
    assert lines[:2] == ["npxc: this proxy takes http URLs and CONNECT", "some text"], done.stderr
    assert lines[2].startswith("hello api.test") and lines[3] == "8000000"


def test_relay_keeps_the_framing_of_a_body(guest):
    """GET and DELETE may have one; without a length or chunks the server would take it for the next request."""
    code = """
        const { execSync } = require('child_process');
        for (const method of ['GET', 'DELETE', 'OPTIONS', 'POST', 'PUT'])
            for (const framing of ['-H "Transfer-Encoding: chunked"', ''])
                console.log(method, String(execSync(`curl -sS -X ${method} ${framing} -d "some text" http://api.test/echo 2>&1 || true`)).trim());
    """
    for major in (MAJORS[0], MAJORS[-1]):
        done = guest(major).node("-e", code)
        assert done.stdout.splitlines() == ["%s some text" % method for method in ("GET", "DELETE", "OPTIONS", "POST", "PUT") for _ in range(2)], done.stderr


def test_a_process_that_becomes_another_program_finds_the_way_out(guest):
    code = """
        if (!process.execve)
            console.log('hello, n/a');
        else
            process.execve(process.execPath, [process.execPath, '-e', "fetch('http://api.test/').then(r => r.text()).then(console.log)"], { PATH: process.env.PATH });
    """
    done = guest(MAJORS[-1]).node("-e", code)
    assert done.stdout.startswith("hello"), done.stderr


class Fake:
    """In the place of the egress process: takes connections and answers each with the same bytes, then closes."""

    token = None

    def __init__(self, directory, answer):
        self.socket = directory / "egress.sock"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.socket))
        self.listener.listen()
        self.answer = answer
        self.requests = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.requests.append(connection.recv(4096))
                for part in self.answer:
                    connection.sendall(part)

    def end(self):
        self.listener.close()


BROKEN = {
    "closed": ([b""], "ECONNREFUSED api.test:443 (npxc: the egress process cannot be reached: it closed the connection)"),
    "not HTTP": ([b"SSH-2.0-OpenSSH_9.2\r\n"], "ECONNREFUSED api.test:443 (npxc: the egress process cannot be reached: its reply is none)"),
    "endless head": ([b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 2000], "its reply is none"),
    "cut short": ([b"HTTP/1.1 20"], "its reply is none"),
    "no reason": ([b"HTTP/1.1 503 Busy\r\n\r\n"], "EACCES api.test:443 (npxc: refused with status 503)"),
    "reason without a line's end": ([b"HTTP/1.1 503 Busy\r\nnpxc-error: EMFILE\r\n\r\ntoo many"], "EMFILE api.test:443 (npxc: too many)"),
    "in pieces, odd bytes": ([b"HTTP/1.1 403 No\r\nNpxc-Error: EAC", b"CES\r\n\r\nno\x1b[31m way", b"\nmore"], "EACCES api.test:443 (npxc: no?[31m way)"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_odd_reply_becomes_an_error_with_a_reason(name, directory, certificates, clients):
    answer, expected = BROKEN[name]
    fake = Fake(directory, answer)
    done = Guest(MAJORS[-1], fake, certificates, clients).node("-e", GET)
    fake.end()
    assert expected in done.stdout and done.returncode == 0, done.stdout + done.stderr
    assert fake.requests == [b"CONNECT api.test:443 HTTP/1.1\r\n\r\n"]


def test_no_egress_process(guest):
    one = guest(MAJORS[-1])
    done = one.node("-e", GET, env={"NPXC_EGRESS": "unix:/run/npxc/gone.sock"})
    assert done.stdout == ("Error: connect ECONNREFUSED api.test:443 (npxc: the egress process cannot be reached: "
                           "connect ENOENT /run/npxc/gone.sock)\n"), done.stderr


@pytest.mark.parametrize("setting", ["", "unix:egress.sock", "tcp:127.0.0.1", "/run/npxc/egress.sock"])
def test_a_setting_that_is_none(setting, guest):
    """Nothing leaves, and stdout is the program's alone."""
    done = guest(MAJORS[-1]).node("-e", GET, env={"NPXC_EGRESS": setting})
    assert "ENOSYS api.test:443 (npxc: NPXC_EGRESS is neither unix:PATH nor tcp:ADDRESS:PORT" in done.stdout
    assert "npxc: no network: NPXC_EGRESS is neither" in done.stderr


# What a future Node might lack, as the preload finds it when it is loaded: what is taken away before that, and what is
# put back afterwards, because Node itself needs it.
SPOILED = {
    "_read": ("const s = net.Socket.prototype; global.kept = s._read; delete s._read", "net.Socket.prototype._read = kept",
              "has no net.Socket._read"),
    "_write": ("const s = net.Socket.prototype; global.kept = s._write; s._write = undefined",
               "net.Socket.prototype._write = kept", "has no net.Socket._write"),
    "readStop": ("const c = net.Socket.prototype.connect; net.Socket.prototype.connect = function (...a) {"
                 " c.apply(this, a); if (this._handle) this._handle.readStop = undefined; return this; }", "",
                 "works otherwise than the way out of the sandbox needs: a connected socket"),
    "tls.connect": ("const tls = require('tls'), c = tls.connect; tls.connect = (options, callback) => {"
                    " const s = c(options, callback); s.connecting = false; return s; }", "",
                    "works otherwise than the way out of the sandbox needs: tls.connect() with an unconnected socket"),
}


@pytest.mark.parametrize("name", SPOILED)
@pytest.mark.parametrize("major", sorted({MAJORS[0], MAJORS[-1]}))
def test_internals_that_are_missing(name, major, guest, directory):
    """A Node that lacks what is needed: no network, said in the error and once on stderr; nothing hangs."""
    before, after, expected = SPOILED[name]
    one = guest(major)
    for file, code in (("before", before), ("after", after)):
        (directory / f"{file}.cjs").write_text(f"const net = require('net'); {code};\n")
        one.sandbox += ["--ro-bind", directory / f"{file}.cjs", f"/guest/{file}.cjs"]
    options = f"--require /guest/before.cjs {one.env['NODE_OPTIONS']} --require /guest/after.cjs"
    done = one.node("-e", GET, env={"NODE_OPTIONS": options})
    assert "ENOSYS api.test:443 (npxc: Node v" in done.stdout and expected in done.stdout, done.stdout + done.stderr
    assert done.stderr.count("npxc: no network: Node v") == 1


def test_without_a_setting_nothing_changes(guest):
    """The file may be loaded where there is no link: then it does nothing at all."""
    one = guest(MAJORS[-1])
    del one.env["NPXC_EGRESS"]
    done = one.node("-e", GET)
    assert "EAI_AGAIN" in done.stdout and "npxc" not in done.stdout, done.stdout + done.stderr
