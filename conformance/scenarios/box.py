"""The sandbox."""

import ctypes
import json
import os
import pathlib
import socket
import subprocess
import tempfile

from scenarios.base import EVERYWHERE, ask_probe, scenario, world_of
from worlds import PROBE


SECRET = "s3cret-of-%s"
PYTHON = "/usr/bin/python3"  # the system's: a sandbox has it too


@scenario(*EVERYWHERE)
def sandbox(lab, runtime):
    """What the command line asks for, and where the sandbox is real what a server sees of it."""
    with world_of(lab, runtime, "sandbox", {"network": {"mode": "none"}}) as world:
        # The probe is asked about paths inside the sandbox, which are none of the host's.
        world.configure_package({"network": {"mode": "none"}, "non_path_arguments": {"*": ["path"]}}, "npxc-probe")
        secret = SECRET % world.marker
        env = {"FORWARDED": secret, "NOT_FORWARDED": "x", "AWS_PROFILE": "x", "LD_LIBRARY_PATH": "/nowhere"}
        hidden = hide_secrets(world)

        def holders(session):
            found = ["argument list of process %d" % pid for pid in processes_with_argument(secret)]
            for root, _, names in os.walk(world.home):
                if "state" in pathlib.Path(root).relative_to(world.home).parts[:1]:
                    continue  # the shim's own world, not the launcher's
                for name in names:
                    try:
                        with open(os.path.join(root, name), "rb") as file:
                            if secret.encode() in file.read():
                                found.append("file %s" % os.path.relpath(os.path.join(root, name), world.home))
                    except OSError:
                        pass
            if secret.encode() in session.err:
                found.append("stderr")
            return found

        if "live" in runtime.decides:
            questions = [("status", {}, "process"), ("whoami", {}), ("env", {}), ("mounts", {}), ("processes", {}), ("interfaces", {})]
            for path in ("/x", "/usr/x", "/etc/x", "/opt/x", "/opt/npxc/_npx/package/x", "/var/x", "/proc/sys/kernel/core_pattern"):
                questions.append(("write", {"path": path, "text": "x"}, "write " + path))
            for path in ("/tmp/x", "/run/x"):
                questions.append(("write", {"path": path, "text": "x"}, "write " + path))
            questions.append(("spawn", {"command": "sh", "args": ["-c", 'echo x > "$HOME/x" && echo "$HOME"']}, "home"))
            for path in hidden:
                questions.append(("read", {"path": path}, "read " + path))
            answers = ask_probe(world, questions, ("-e", "FORWARDED"), env, holders)
            evidence = world.evidence(None)
            evidence.seen = {"live": answers, "holders": answers.pop("while up", ["the session did not start"]),
                             "secret": secret, "hidden": hidden, "home": str(world.home),
                             "host has x": [path for path in ("/tmp/x", "/run/x", str(world.home / "x")) if take_away(path)]}
            evidence.status, evidence.err = answers["status"], answers["stderr"]
            return evidence
        session = world.start("args", world.marker, flags=("-e", "FORWARDED"), env=env)
        session.await_output(b"]}}\n")
        found = holders(session)
        session.close()
        session.finish()
        evidence = world.evidence(session)
        evidence.seen = {"holders": found, "secret": secret, "home": str(world.home)}
        return evidence


def take_away(path):
    """True when it was there: a server that is in no sandbox wrote it."""
    try:
        os.unlink(path)
    except OSError:
        return False
    return True


def hide_secrets(world):
    paths = []
    for name in (".ssh/id_ed25519", ".npmrc", "other/project/file", "project/not-named.txt"):
        path = world.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("secret\n")
        paths.append(str(path))
    return paths + ["/etc/shadow", "/root/.npmrc", "/proc/%d/environ" % os.getpid()]


def processes_with_argument(text):
    found = []
    for entry in os.listdir("/proc"):
        try:
            if entry.isdigit() and text.encode() in pathlib.Path("/proc", entry, "cmdline").read_bytes():
                found.append(int(entry))
        except OSError:
            pass
    return found


REACH = """
import socket, sys
address = sys.argv[1].replace("@", "\\0")
if len(sys.argv) > 2:  # one of its own
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
client = socket.socket(socket.AF_UNIX)
try:
    client.connect(address)
    print("hello")
except OSError as why:
    print(type(why).__name__)
"""


def landlock():
    """The ABI of this kernel's Landlock; 0: none. man 2 landlock_create_ruleset"""
    return max(0, ctypes.CDLL(None).syscall(444, None, 0, 1))


@scenario("bwrap")
def late_sockets(lab, runtime):
    """A server that shares the host's network, and a directory in which a service makes its socket after the start."""
    with world_of(lab, runtime, "late_sockets") as world, tempfile.TemporaryDirectory(prefix="npxc-late-", dir="/var/tmp") as shared:
        os.chmod(shared, 0o755)
        abstract, late = "@npxc-late-%s" % world.marker, os.path.join(shared, "late")
        world.configure_package({"network": {"mode": "open"}, "mounts": [{"host": shared, "mode": "ro"}],
                                 "non_path_arguments": {"*": ["command", "args"]}}, "npxc-probe")
        services, outside = [], {}

        def serve(label, address):
            services.append(socket.socket(socket.AF_UNIX))
            services[-1].bind(address.replace("@", "\0"))
            services[-1].listen()
            if label == "late":
                os.chmod(address, 0o666)
            outside[label] = subprocess.run([PYTHON, "-c", REACH, address], capture_output=True, text=True).stdout.strip()

        def questions():
            yield "cwd", {}  # it runs: only now is there anything to be reached
            for label, address in (("abstract", abstract), ("late", late)):
                serve(label, address)
                yield "spawn", {"command": PYTHON, "args": ["-c", REACH, address]}, label
            yield "spawn", {"command": PYTHON, "args": ["-c", REACH, abstract + "-own", "own"]}, "own"

        answers = ask_probe(world, questions())
        session = world.start("inspect", "--json", str(PROBE), server=None)
        session.close()
        session.finish()
        for service in services:
            service.close()
        evidence = world.evidence(None)
        try:
            remains = json.loads(bytes(session.out)).get("remains", [])
        except ValueError:
            remains = []
        evidence.seen = {"live": answers, "outside": outside, "remains": remains, "landlock": landlock()}
        evidence.status, evidence.err = answers["status"], answers["stderr"]
        return evidence


@scenario("bwrap", "podman", "docker", alone=True)
def limits(lab, runtime):
    """More memory and more processes than the configuration gives."""
    with world_of(lab, runtime, "limits") as world:
        world.configure_package({"network": {"mode": "none"}, "runtime": {"memory": "256m", "cpus": 1}}, "npxc-probe")
        memory = ask_probe(world, [("allocate", {"mib": 900})])
        many = "i=0; while [ $i -lt 900 ]; do sleep 5 > /dev/null 2>&1 & i=$((i+1)); done; echo started"
        processes = ask_probe(world, [("spawn", {"command": "sh", "args": ["-c", many]})])
        session = world.start("inspect", "--json", str(PROBE), server=None)
        session.close()
        session.finish()
        evidence = world.evidence(None)
        evidence.seen = {"memory": memory, "processes": processes, "plan": bytes(session.out).decode(errors="replace"),
                         "said": memory["stderr"]}
        return evidence
