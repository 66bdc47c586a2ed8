"""Sessions that are recorded on a real container CLI and played again on the replay shim, and how one is run."""

import json
import os
import pathlib
import re
import signal
import subprocess
import time

from stored import stored_copy

TOP = pathlib.Path(__file__).resolve().parents[2]
PROBE = stored_copy(TOP / "conformance" / "servers" / "probe")  # no played runtime shows a directory read-only
IMAGE = "node:lts-slim"
PATIENCE = 120

HELLO = [
    {"jsonrpc": "2.0", "id": 1, "method": "initialize",
     "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "recorder", "version": "0"}}},
    {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "argv", "arguments": {}}},
]
ALLOWLIST = {"network": {"mode": "allowlist", "link": "gateway"}}

# words: npxc's; package: its configuration; network: one that is there before; guest: a container of somebody else's on
# the session's network until npxc has gone; signal: sent when the server is up; ends: by itself, stdin stays open.
SESSIONS = [
    {"name": "none", "words": ["{probe}", "a", "b c"], "send": HELLO},
    {"name": "named", "words": ["--network", "recorded-named", "{probe}"], "send": HELLO, "network": "recorded-named"},
    {"name": "open", "words": ["--network", "open", "{probe}"], "send": HELLO},
    {"name": "allowlist", "words": ["{probe}"], "package": ALLOWLIST, "send": HELLO},
    {"name": "own-status", "words": ["{probe}", "exit", "3"], "ends": True},
    {"name": "unknown-network", "words": ["--network", "surely-not-there", "{probe}"], "ends": True},
    {"name": "told-to-end", "words": ["{probe}", "stubborn"], "package": ALLOWLIST, "signal": "SIGTERM"},
    {"name": "busy-network", "words": ["{probe}"], "package": ALLOWLIST, "send": HELLO, "guest": True},
    {"name": "doctor", "words": ["doctor"]},
]


class Stage:
    """A home for npxc, with the CLI in question first on the search path."""

    def __init__(self, home, npxc, runtime, cli):
        self.home, self.npxc, self.cli = pathlib.Path(home), str(npxc), str(cli)
        self.project = self.home / "project"
        self.packages = self.home / ".config" / "npxc" / "packages"
        self.project.mkdir()
        self.packages.mkdir(parents=True)
        self.home.chmod(0o755)
        (self.packages.parent / "npxc.json").write_text(json.dumps({"defaults": {"runtime": runtime, "node_image": IMAGE}}))
        keep = ("NODE_EXTRA_CA_CERTS", "LANG", "XDG_RUNTIME_DIR", "DOCKER_HOST")
        self.env = {name: os.environ[name] for name in keep if name in os.environ}
        self.env.update({name: value for name, value in os.environ.items() if name.lower().startswith("npm_config_")})
        self.env.update(HOME=str(self.home), PATH=f"{pathlib.Path(cli).parent}:{os.environ['PATH']}")

    def ask(self, *words):
        return subprocess.run([self.cli, *words], env=self.env, cwd=self.project, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=PATIENCE)

    def start(self, *words, **streams):
        return subprocess.Popen([self.npxc, *words], env=self.env, cwd=self.project, stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, **streams)

    def install(self):
        process = self.start("install", str(PROBE))
        _, errors = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, errors.decode()

    def guest(self, network):
        """Somebody else's container on a network, up when this returns."""
        guest = subprocess.Popen([self.cli, "run", "--rm", "-i", "--name", "recorded-guest", "--network", network,
                                  "--entrypoint", "sh", IMAGE, "-c", "echo up; exec cat"],
                                 env=self.env, cwd=self.project, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert guest.stdout.readline() == b"up\n"
        return guest

    def play(self, session, network_of):
        """What the client saw of a session. `network_of()` names the managed network while it is there."""
        package = self.packages / "npxc-probe.json"
        package.write_text(json.dumps({"package_dir": str(PROBE), **session.get("package", {})}))
        if "network" in session:
            assert self.ask("network", "create", "--internal", session["network"]).returncode == 0
        guest = None
        process = self.start(*(word.format(probe=PROBE) for word in session["words"]))
        out = []
        for message in session.get("send", []):
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.flush()
            out.append(process.stdout.readline())
        if session.get("guest"):
            guest = self.guest(network_of())
        if "signal" in session:
            out.append(process.stdout.readline())
            process.send_signal(getattr(signal, session["signal"]))
        if session.get("ends"):
            process.wait(PATIENCE)
        rest, errors = process.communicate(timeout=PATIENCE)
        if guest is not None:
            guest.stdin.close()
            guest.wait(PATIENCE)
            guest.stdout.close()
        out = (b"".join(out) + rest).decode()
        if "network" in session:
            assert self.ask("network", "rm", session["network"]).returncode == 0
        return {"exit": process.returncode, "stdout": self.plain(out).splitlines(),
                "stderr": self.said(errors.decode())}

    def said(self, errors):
        """npxc's own lines, without what differs from run to run: whether the janitor was slow does."""
        return [self.plain(line) for line in errors.splitlines()
                if line.startswith("npxc") and "goes on in the background" not in line]

    def plain(self, text):
        text = text.replace(str(PROBE), "PROBE").replace(self.cli, "CLI").replace(str(self.home), "HOME")
        text = re.sub(r"npxc-[0-9a-f]{32}", "NETWORK", text)
        text = re.sub(r"npxc-probe-[0-9a-f]{8}", "CONTAINER", text)
        return re.sub(r"\b\d+\.\d+\.\d+\.\d+\b", "ADDRESS", text)


def wait_until(condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.05)
    return False
