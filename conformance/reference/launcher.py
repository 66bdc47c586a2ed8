#!/usr/bin/env -S python3 -S
"""A launcher that keeps the requirements, as plainly as possible: it proves that every check can pass, and the broken
launchers are made of it. It is no npxc: packages are directories that are mounted as they are, nothing is installed.

Three processes as in the design: the launcher, the janitor (the only teardown), the sandbox. Methods are small so that
a broken launcher can get exactly one of them wrong.
"""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from queue import SimpleQueue

STATUS = {"config": 1, "runtime-unavailable": 2, "runtime": 4, "json": 4}
WORDS = {"config": "configuration error", "runtime-unavailable": "runtime not available", "runtime": "runtime error",
         "json": "JSON error"}
CLI_SECONDS = 3
GRACE_SECONDS = 0.7
DRAIN_SECONDS = 4
DEFAULT_KEYS = {"runtime": str, "container_cli": str, "network": str, "node_image": str, "memory": str, "cpus": int}
PACKAGE_KEYS = {"package_dir": str, "network": dict, "runtime": dict, "env": dict, "env_passthrough": list,
                "storage": dict, "mounts": list,
                "non_path_arguments": dict, "stdout_guard": bool}


# What pathlib, shutil and uuid would do; importing them would double the time that a launcher needs to start.

def read_text(path):
    with open(path) as file:
        return file.read()


def which(name):
    for directory in os.environ.get("PATH", "").split(":"):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    return None


def uuid4():
    digits = list(os.urandom(16).hex())
    digits[12], digits[16] = "4", "89ab"[int(digits[16], 16) & 3]
    return "".join(digits)


def remove_tree(directory):
    for place, _, files in os.walk(directory, topdown=False):
        for name in files:
            os.unlink(os.path.join(place, name))
        os.rmdir(place)


class Failure(Exception):
    def __init__(self, kind, message):
        super().__init__(message)
        self.kind = kind


class Answer:
    """What a call of the CLI came to; status None: it was cut off or could not be understood."""

    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err


# ---- configuration ----

class Config:
    def __init__(self):
        home = os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.environ["HOME"], ".config"), "npxc")
        self.home = home
        self.defaults = self.read(os.path.join(home, "npxc.json"), {"defaults": dict}).get("defaults", {})
        self.check(os.path.join(home, "npxc.json"), "defaults", self.defaults, DEFAULT_KEYS)
        self.package = {}

    def read(self, path, keys):
        if not os.path.exists(path):
            return {}
        try:
            whole = json.loads(read_text(path))
        except ValueError as why:
            raise Failure("config", "%s: not JSON: %s" % (path, why))
        self.check(path, "", whole, keys)
        return whole

    def check(self, path, where, table, keys):
        for key, value in table.items():
            if key not in keys:
                raise Failure("config", "%s: unknown key %s" % (path, key))
            if not isinstance(value, keys[key]):
                raise Failure("config", "%s: %s: wrong type, wanted %s" % (path, key, keys[key].__name__))

    def load_package(self, directory):
        """The one file that names the directory; what its package.json calls it says nothing."""
        packages = os.path.join(self.home, "packages")
        names = sorted(os.listdir(packages)) if os.path.isdir(packages) else []
        files = [os.path.join(packages, name) for name in names if name.endswith(".json")]
        path = next((f for f in files if self.names(f, directory)), os.path.join(packages, "none.json"))
        self.package = self.read(path, PACKAGE_KEYS)
        self.check(path, "network", self.package.get("network", {}), {"mode": str, "link": str, "allow": list})
        for rule in self.package.get("network", {}).get("allow", []):
            self.check_rule(path, rule)

    def names(self, path, directory):
        try:
            return os.path.realpath(json.loads(read_text(path))["package_dir"]) == directory
        except (OSError, ValueError, KeyError, TypeError):
            return False

    def check_rule(self, path, rule):
        if not isinstance(rule, str) or not rule or re.search(r"[\s\x00-\x1f]", rule):
            raise Failure("config", "%s: allow: %r is no rule: blanks" % (path, rule))


# ---- the runtimes ----

class Apple:
    """Apple's CLI, by its contract."""

    word = "apple"

    def __init__(self, launcher):
        self.launcher = launcher
        self.name = launcher.config.defaults.get("container_cli", "container")
        self.cli = self.name if "/" in self.name else which(self.name)
        if self.cli is None or not os.access(self.cli, os.X_OK) or os.path.isdir(self.cli):
            raise Failure("runtime-unavailable", "the CLI %s cannot be started" % self.name)

    def environment(self):
        return {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}

    def ask(self, *words, seconds=CLI_SECONDS):
        try:
            child = subprocess.Popen([self.cli, *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     stderr=subprocess.PIPE, env=self.environment(), start_new_session=True)
        except OSError as why:
            raise Failure("runtime-unavailable", "the CLI %s cannot be started: %s" % (self.name, why.strerror))
        try:
            out, err = child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return Answer(None, "", "no answer within %g s" % seconds)
        status = child.returncode if child.returncode >= 0 else None
        return Answer(status, out.decode(errors="replace"), err.decode(errors="replace").strip()
                      or ("" if status == 0 else "ended with %s" % child.returncode))

    def check_version(self):
        answer = self.ask("--version")
        found = re.search(r"version (\d+)\.(\d+)\.(\d+)", answer.out)
        if not found:
            raise Failure("runtime-unavailable", "%s --version gives no version" % self.name)
        if tuple(map(int, found.groups())) < (0, 12, 0):
            raise Failure("runtime-unavailable", "container %s is too old: 0.12.0 or later is needed" %
                          ".".join(found.groups()))

    def failed(self, words, answer):
        kind = "runtime"
        if "XPC" in answer.err:
            status = self.ask("system", "status", "--format", "json")
            if status.status == 1 and ("not running" in status.out or "unregistered" in status.out):
                kind = "runtime-unavailable"
        return Failure(kind, "`container %s` failed: %s" % (" ".join(words), answer.err))

    def create(self, name):
        words = ("network", "create", "--internal", name)
        answer = self.ask(*words)
        if answer.status != 0:
            raise self.failed(words, answer)

    def inspect(self, name):
        words = ("network", "inspect", name)
        answer = self.ask(*words)
        if answer.status != 0:
            raise self.failed(words, answer)
        if answer.out.strip() == "":
            raise Failure("json", "`network inspect` printed nothing")
        try:
            parsed = json.loads(answer.out)
        except ValueError:
            raise Failure("json", "the output of `network inspect` is not JSON: %r" % answer.out[:60])
        if not isinstance(parsed, list):
            raise Failure("json", "the output of `network inspect` is not an array")
        if not parsed:
            raise Failure("runtime", "empty `network inspect` output")
        return self.network_of(parsed)

    def network_of(self, parsed):
        status = parsed[0].get("status")
        if status is None:
            raise Failure("json", 'the output of `network inspect` has no "status"')
        found = []
        for key in ("ipv4Subnet", "ipv4Gateway"):
            value = status.get(key) if isinstance(status, dict) else None
            if not isinstance(value, str):
                raise Failure("json", '"%s" in the output of `network inspect` has a wrong type' % key)
            found.append(value)
        return found

    def look(self, name):
        """gone, there or unknown"""
        answer = self.ask("network", "inspect", name, seconds=1)
        if answer.status == 0 and answer.out.strip() == "[]" or answer.status == 1 and "not found" in answer.err:
            return "gone"
        return "there" if answer.status == 0 and answer.out.strip().startswith("[") else "unknown"

    def delete(self, name, seconds=2):
        return self.ask("network", "delete", name, seconds=seconds)

    def container_gone(self, name):
        answer = self.ask("list", "--all", "--format", "json")
        try:
            listed = json.loads(answer.out) if answer.status == 0 else None
        except ValueError:
            listed = None
        return listed is not None and '"%s"' % name not in answer.out

    def remove(self, name):
        for _ in range(5):
            self.ask("rm", "--force", name)
            if self.container_gone(name):
                return True
        return False

    def network_word(self, network):
        return {"none": "none", "open": "default"}.get(network.mode, network.name)

    def variables(self):
        given = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": os.environ["HOME"], "TMPDIR": "/tmp", "LANG": "C.UTF-8"}
        words = [word for name, value in given.items() for word in ("-e", "%s=%s" % (name, value))]
        for name in self.launcher.declared:
            words += ["-e", name]
        return words

    def restrictions(self):
        return ["--read-only", "--cap-drop", "ALL", "--user", "65533:65533", "--memory", "512M", "--cpus", "1",
                "--ulimit", "nproc=512", "--tmpfs", "/tmp", "--tmpfs", "/run", "--tmpfs", os.environ["HOME"]]

    def mounts(self):
        words = ["-v", "%s:/opt/package:ro" % self.launcher.package_directory]
        directory = self.launcher.data_directory()
        return words + (["-v", directory + ":/data"] if directory else [])

    def workspace(self, container):
        cwd = os.path.realpath(os.getcwd())
        return ["-v", "%s:%s:ro" % (self.launcher.workspace_directory(container), cwd), "--workdir", cwd]

    def argv(self, container, network):
        return [self.cli, "run", "--progress", "none", "--rm", "-i", "--init", "--name", container,
                "--network", self.network_word(network), *self.restrictions(), *self.variables(), *self.mounts(),
                *self.workspace(container),
                "--entrypoint", "/opt/package/" + self.launcher.bin, "node:lts-slim", *self.launcher.arguments]

    def start_environment(self):
        return {**self.environment(), **self.launcher.declared}

    def is_own_error(self, status, errors):
        """The CLI's own failure, by the texts that the releases print."""
        return status in (1, 64) and re.search(
            rb"Error: .*(failed to (start|create|bootstrap) container|not found|already exists|does not exist|Unknown option)",
            errors)


class Bwrap:
    """Networks none and open only."""

    word = "bwrap"

    def __init__(self, launcher):
        self.launcher = launcher
        self.cli = which("bwrap")
        if self.cli is None:
            raise Failure("runtime-unavailable", "bwrap was not found")

    def check_version(self):
        pass

    def namespaces(self, network):
        return ["--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup",
                *(["--unshare-net"] if network.mode != "open" else []), "--uid", "1000", "--gid", "1000"]

    def files(self, container):
        words = ["--ro-bind", "/usr", "/usr"]
        for name in ("bin", "sbin", "lib", "lib64"):
            words += ["--symlink", "usr/" + name, "/" + name]
        return words + ["--ro-bind", "/etc/alternatives", "/etc/alternatives", "--ro-bind", "/etc/ld.so.cache",
                        "/etc/ld.so.cache", "--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev",
                        "--ro-bind", self.launcher.package_directory, "/opt/package", *self.data(), *self.writable(),
                        *self.workspace(container),
                        *(word for path in self.shared() for word in ("--ro-bind", path, path)), *self.root()]

    def workspace(self, container):
        return ["--ro-bind", self.launcher.workspace_directory(container), os.path.realpath(os.getcwd())]

    def data(self):
        directory = self.launcher.data_directory()
        return ["--bind", directory, "/data"] if directory else []

    def root(self):
        return ["--remount-ro", "/"]

    def writable(self):
        words = []
        for name in ("/tmp", "/run", os.environ["HOME"]):
            words += ["--size", "67108864", "--tmpfs", name]
        return words

    def environment(self):
        words = ["--clearenv", "--setenv", "PATH", "/usr/local/bin:/usr/bin:/bin", "--setenv", "HOME", os.environ["HOME"],
                 "--setenv", "TMPDIR", "/tmp", "--setenv", "LANG", "C.UTF-8"]
        return words

    def limits(self):
        return ["/usr/bin/prlimit", "--data=536870912", "--nproc=400"]

    def parent(self):
        return ["/bin/sh", "-c", '"$@"; exit $?', "sh"]

    def privileges(self):
        return ["--cap-drop", "ALL"]

    def argv(self, container, network):
        # the values of declared variables come in by a file descriptor, not by the argument list
        return [self.cli, *self.namespaces(network), "--die-with-parent", *self.privileges(), *self.files(container),
                *self.environment(), "--args", "9", "--chdir", os.path.realpath(os.getcwd()), "--", *self.parent(), *self.limits(),
                *(["/usr/bin/node"] if self.launcher.bin.endswith("js") else []), "/opt/package/" + self.launcher.bin,
                *self.launcher.arguments]

    def start_environment(self):
        return {"PATH": "/usr/bin:/bin"}

    def shared(self):
        return [mount["host"] for mount in self.launcher.config.package.get("mounts", [])]

    def confine(self):
        """Landlock's scopes, from ABI 6 on: no abstract socket outside is reached, and nobody outside gets a signal."""
        import ctypes  # late: it costs more than the launcher's own start
        scopes = (ctypes.c_uint64 * 3)(0, 0, 3)
        system = ctypes.CDLL(None)
        system.prctl(38, 1, 0, 0, 0)  # no_new_privs
        system.syscall(446, system.syscall(444, scopes, 24, 0), 0)

    def remains(self):
        return ["a UNIX socket that a service makes beneath %s later" % path for path in self.shared()]

    def secret_arguments(self):
        words = [word for name, value in self.launcher.declared.items() for word in ("--setenv", name, value)]
        return "".join(word + "\0" for word in words).encode()

    def is_own_error(self, status, errors):
        return status == 1 and re.match(rb"bwrap: ", errors)

    def remove(self, name):
        return True


# ---- what passes between client and server ----

class Failed(Exception):
    """A file that cannot be shown."""


def strings(text):
    """The values of a JSON text that are strings: (keys and indexes that lead there, where its quotes begin and end,
    value)."""
    def blank(at):
        while text[at] in " \t\r\n":
            at += 1
        return at

    def value(at, where):
        at = blank(at)
        if text[at] == '"':
            found, end = json.decoder.scanstring(text, at + 1)
            yield where, at, end, found
            return end
        if text[at] not in "{[":
            return re.compile(r"[^\s,\]}]+").match(text, at).end()
        opened, number, at = text[at], 0, blank(at + 1)
        while text[at] not in "}]":
            key = number
            if opened == "{":
                key, at = json.decoder.scanstring(text, at + 1)
                at = blank(at) + 1
            at = blank((yield from value(at, where + (key,))))
            number += 1
            if text[at] == ",":
                at = blank(at + 1)
        return at + 1

    yield from value(0, ())


class Lines:
    """Hands on whole lines, each as `decide` wants it; what is longer than MOST passes as it is."""

    MOST = 1 << 20

    def __init__(self, decide, write, turn):
        self.decide, self.write, self.turn = decide, write, turn  # the turn to write to the client, or to the server
        self.held, self.passing = bytearray(), False

    def feed(self, data):
        while data:
            piece, newline, data = data.partition(b"\n")
            piece += newline
            if self.passing:
                self.write(piece)
            else:
                self.held += piece
                if newline:
                    self.hand_on()
                elif len(self.held) > self.MOST:
                    self.turn.acquire()
                    self.write(self.held)
                    self.held, self.passing = bytearray(), True
            if self.passing and newline:
                self.passing = False
                self.turn.release()

    def hand_on(self):
        line, self.held = self.decide(bytes(self.held)), bytearray()
        if line:
            with self.turn:
                self.write(line)

    def end(self):
        if self.held:
            self.hand_on()


class Relay:
    """Files that a line of the client names are copied to their own path before the line goes on as it came."""

    most = 1 << 30
    code = -32603
    secret = re.compile(r"(^|/)(\.env|\.git|\.ssh|\.npmrc|id_)[^/]*(/|$)|\.pem$")

    def __init__(self, launcher, directory):
        self.launcher, self.directory = launcher, directory
        self.cwd = os.path.realpath(os.getcwd())
        self.said, self.named, self.schema = set(), set(), set()
        self.to_client, self.to_server = threading.Lock(), threading.Lock()

    # -- to the server --

    def from_client(self, line):
        text = line.decode(errors="surrogateescape")
        try:
            message = json.loads(text)
        except ValueError:
            return line
        messages = message if isinstance(message, list) else [message]
        try:
            self.show(text)
        except Failed as why:
            if all(self.is_request(one) for one in messages):
                for one in messages:
                    self.refuse(text if one is message else json.dumps(one), one, str(why))
                return b""
        return self.changed(line)

    def changed(self, line):
        return line

    def is_request(self, message):
        return isinstance(message, dict) and "id" in message and "method" in message

    def refuse(self, text, message, why):
        identity = [text[begin:end] for where, begin, end, _ in strings(text) if where == ("id",)] or [json.dumps(message["id"])]
        error = json.dumps({"code": self.code, "message": why, "data": {"source": "launcher", "reason": why}})
        with self.to_client:
            self.launcher.write(1, ('{"jsonrpc":"2.0","id":%s,"error":%s}\n' % (identity[0], error)).encode(errors="surrogateescape"))

    def show(self, text):
        for where, _, _, found in strings(text):
            if self.may_be_path(where):
                path = self.path_of(found) or (where[-1] in self.schema and os.path.normpath(os.path.join(self.cwd, found)))
                if path and self.is_wanted(path):
                    self.publish_at(path)

    def may_be_path(self, where):
        where = tuple(key for key in where if not isinstance(key, int))
        if where[:2] == ("params", "arguments"):
            spared = self.launcher.config.package.get("non_path_arguments", {}).values()
            return not any(where[2] in names for names in spared if len(where) > 2)
        return where == ("params", "uri")

    def path_of(self, found):
        """Absolute and clean; None: it is no path."""
        path = found
        if found.startswith("~/"):
            path = os.environ["HOME"] + found[1:]
        elif found.lower().startswith("file:"):
            path = re.sub(r"^file:(//(localhost)?(?=/))?", "", found, flags=re.I)
            if re.search(r"%2f|%00", path, re.I):
                return None
            path = re.sub(r"(%[0-9a-fA-F]{2})+", lambda run: bytes.fromhex(run[0].replace("%", "")).decode(errors="replace"), path)
        return os.path.normpath(path) if path.startswith("/") else None

    def is_wanted(self, path):
        if path not in self.named and self.was_said(path):
            return False
        self.named.add(path)
        return not self.is_secret(path)

    def was_said(self, path):
        return path in self.said

    def is_secret(self, path):
        return self.secret.search(path)

    def publish_at(self, path):
        if not self.is_inside(path):
            return
        copy = os.path.join(self.directory, self.place_of(path))
        if os.path.getsize(path) > self.most:
            raise Failed("%s is too large" % path)
        os.makedirs(os.path.dirname(copy), mode=0o755, exist_ok=True)
        self.publish(path, copy)

    def place_of(self, path):
        return os.path.relpath(path, self.cwd)

    def is_inside(self, path):
        return (path + "/").startswith(self.cwd + "/") and os.path.realpath(path) == path and os.path.isfile(path)

    def publish(self, real, copy):
        with open(real, "rb") as source, open(copy + ".new", "wb") as target:
            target.write(source.read())
        os.chmod(copy + ".new", 0o444)
        os.replace(copy + ".new", copy)

    # -- to the client --

    def from_server(self, line):
        if line.lstrip(b" \t\r\n\xef\xbb\xbf")[:1] not in (b"{", b"[") and self.launcher.config.package.get("stdout_guard", True):
            self.set_aside(line)
            return b""
        try:
            for where, _, _, found in strings(line.decode(errors="replace")):
                self.remember(found)
                self.learn(where)
        except (IndexError, ValueError, AttributeError):
            pass  # no JSON
        return line

    def remember(self, found):
        texts = [found, *re.findall(r"(?:file:/|~/|/)[^\s,;\"'()]+", found)]
        self.said.update(filter(None, map(self.path_of, texts)))

    def learn(self, where):
        """Of a tool's schema: what a property whose name ends so holds is a path, also where it is a bare name."""
        if where[:2] == ("result", "tools") and where[-3:-2] == ("properties",) and where[-2].endswith("path"):
            self.schema.add(where[-2])

    def set_aside(self, line):
        self.launcher.tell("%s: %s" % (self.launcher.package, line.decode(errors="replace").rstrip("\n")))


class Network:
    def __init__(self, mode, name=None):
        self.mode, self.name = mode, name


# ---- the janitor ----

class Janitor:
    """Its own session, told of everything before it is acquired; ends with everything gone, or after 60 s."""

    attempts = 5
    pauses = (0.15, 0.3, 0.45, 0.6)

    def __init__(self, launcher, channel):
        self.launcher, self.channel = launcher, channel
        self.networks, self.containers, self.groups, self.directories = [], [], [], []

    def say(self, **what):
        if self.channel is None:
            return
        try:
            self.channel.sendall(json.dumps(what).encode() + b"\n")
        except OSError:
            pass

    def note(self, message):
        """Held by a lock for as long as launcher or janitor lives: what is written before it is acquired."""
        os.write(self.launcher.record, json.dumps(message).encode() + b"\n")

    def take(self, message):
        for key, held in (("network", self.networks), ("container", self.containers), ("group", self.groups),
                          ("directory", self.directories)):
            if key in message:
                held.append(message[key])

    def inherit(self, records):
        """What dead sessions held."""
        for path in records:
            record = os.open(path, os.O_RDWR)
            try:
                fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
                heir = type(self)(self.launcher, None)
                for line in read_text(path).splitlines():
                    heir.take(json.loads(line))
                heir.groups = [group for group in heir.groups if heir.is_of(group)]
                heir.tear_down()
                os.unlink(path)
            except (OSError, ValueError):
                pass
            finally:
                os.close(record)

    def is_of(self, group):
        """Its number may be another's by now: the container's name stands in the arguments."""
        try:
            words = read_text("/proc/%d/cmdline" % group)
        except OSError:
            return False
        return any(name in words for name in self.containers)

    def live(self):
        lines = self.channel.makefile("rb")
        asked = False
        for line in lines:
            message = json.loads(line)
            if "end" in message:
                asked = True
                break
            self.note(message)
            self.take(message)
            self.say(ok=True)
        if asked or self.works_alone():
            self.tear_down()
            os.unlink(self.launcher.record_path)

    def works_alone(self):
        return True

    def tear_down(self):
        runtime = self.launcher.runtime
        for group in self.groups:
            try:
                os.killpg(group, signal.SIGKILL)
            except OSError:
                pass
        self.remove_containers(runtime)
        for directory in self.directories:
            remove_tree(directory)
        self.say(gone=True)
        left = [name for name in self.networks if not self.delete_network(runtime, name)]
        self.say(done=True)
        self.go_on(runtime, left)

    def remove_containers(self, runtime):
        for name in self.containers:
            runtime.remove(name)

    def pause(self, attempt):
        return self.pauses[attempt]

    def is_success(self, runtime, name, answer):
        return answer.status == 0

    def delete_network(self, runtime, name):
        answer = None
        for attempt in range(self.attempts):
            answer = runtime.delete(name)
            if self.is_success(runtime, name, answer):
                return True
            ended = time.monotonic()
            if runtime.look(name) == "gone":
                return True
            if attempt < self.attempts - 1:
                time.sleep(max(0, ended + self.pause(attempt) - time.monotonic()))
        self.warn(name, answer)
        return False

    def warn(self, name, answer):
        self.say(warning="network %s is still there after %d attempts: %s" %
                 (name, self.attempts, answer.err.replace("\n", " ")))

    def go_on(self, runtime, left):
        end = time.monotonic() + 60
        while left and time.monotonic() < end:
            time.sleep(2)
            left = [name for name in left if runtime.delete(name).status != 0 and runtime.look(name) != "gone"]


# ---- the launcher ----

class Launcher:
    janitor_class = Janitor
    relay_class = Relay
    runtimes = {"apple": Apple, "bwrap": Bwrap}
    exit_statuses = {signal.SIGTERM: 143, signal.SIGINT: 130, signal.SIGHUP: 129}

    def __init__(self):
        self.events = SimpleQueue()
        self.flags = {"-e": []}
        self.json = False
        self.janitor = None
        self.declared = {}

    # -- words --

    def parse(self, words):
        words = list(words)
        self.command = "run"
        takes_value = ("--runtime", "--network", "--cwd", "--memory", "--cpus")
        while words:
            word = words.pop(0)
            if word == "--version":
                print("reference 1")
                sys.exit(0)
            elif word == "inspect" and self.command == "run":
                self.command = "inspect"
            elif word == "--json":
                self.json = True
            elif word in ("-y", "--yes"):
                pass
            elif word in ("-e", "--env"):
                self.flags["-e"].append(words.pop(0))
            elif word in takes_value:
                self.flags[word] = words.pop(0)
            elif word.startswith("-"):
                raise Failure("config", "unknown flag %s" % word)
            else:
                self.spec, self.arguments = word, self.server_arguments(words)
                return
        raise Failure("config", "no package given")

    def server_arguments(self, words):
        return words

    def find_package(self):
        self.package_directory = os.path.realpath(self.spec)
        try:
            package = json.loads(read_text(os.path.join(self.package_directory, "package.json")))
        except (OSError, ValueError) as why:
            raise Failure("config", "%s is no package directory: %s" % (self.spec, why))
        self.package = package["name"]
        self.bin = next(iter(package["bin"].values()))

    def package_key(self):
        return self.package.replace("/", "+")

    def data_directory(self):
        if not self.config.package.get("storage", {}).get("persist"):
            return None
        data = os.path.join(os.environ["HOME"], ".local/share/npxc/packages", self.package_key())
        os.makedirs(data, exist_ok=True)
        return data

    def declare(self):
        for text in self.flags["-e"]:
            name, equals, value = text.partition("=")
            if equals or name in os.environ:
                self.declared[name] = value if equals else os.environ[name]
        self.declared.update(self.config.package.get("env", {}))

    def policy(self):
        package = self.config.package
        word = (self.flags.get("--network") or package.get("network", {}).get("mode")
                or package.get("runtime", {}).get("network") or self.config.defaults.get("network") or "none")
        return self.policy_of(word)

    def policy_of(self, word):
        if word == "allowlist" and self.config.package.get("network", {}).get("link") != "gateway":
            raise Failure("config", "not built yet: allowlist without link gateway")
        return Network(word) if word in ("none", "open", "allowlist") else Network("named", word)

    # -- resources --

    def network_name(self):
        return "npxc-" + uuid4()

    def container_name(self):
        return "npxc-%s-%s" % (re.sub(r"[^a-z0-9]+", "-", self.package.lower()).strip("-"), uuid4()[:8])

    def make_record(self):
        """Nobody may see it before it is locked."""
        directory = os.path.join(os.environ["HOME"], ".local/state/reference")
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, uuid4())
        self.record = os.open(path + ".new", os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        fcntl.flock(self.record, fcntl.LOCK_EX)
        self.record_path = path + ".record"
        os.rename(path + ".new", self.record_path)

    def dead_records(self):
        directory, found = os.path.dirname(self.record_path), []
        for name in os.listdir(directory):
            path = os.path.join(directory, name)
            if path != self.record_path and name.endswith(".record") and self.is_dead(path):
                found.append(path)
        return found

    def is_dead(self, path):
        try:
            record = os.open(path, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except OSError:
            return False
        finally:
            os.close(record)

    def sweep(self):
        """What dead sessions held goes, in a process of its own; nobody waits for it."""
        records = self.dead_records()
        if records and os.fork() == 0:
            try:
                os.setsid()
                null = os.open("/dev/null", os.O_RDWR)
                for number in (0, 1, 2, self.record):
                    os.dup2(null, number)
                self.janitor_class(self, None).inherit(records)
            finally:
                os._exit(0)

    def start_janitor(self):
        self.make_record()
        self.sweep()
        ours, theirs = socket.socketpair()
        self.janitor_pid = os.fork()
        if self.janitor_pid == 0:
            try:
                ours.close()
                os.setsid()
                null = os.open("/dev/null", os.O_RDWR)
                for number in self.closed_in_janitor():
                    os.dup2(null, number)
                for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                    signal.signal(number, signal.SIG_DFL)
                self.janitor_class(self, theirs).live()
            finally:
                os._exit(0)
        theirs.close()
        self.janitor = ours
        self.answers = ours.makefile("rb")

    def closed_in_janitor(self):
        return (0, 1, 2)

    def hold(self, **what):
        self.janitor.sendall(json.dumps(what).encode() + b"\n")
        return bool(self.answers.readline())

    def provision(self, network):
        if network.mode != "allowlist":
            return
        if self.runtime.word == "bwrap":
            raise Failure("config", "not built yet: allowlist on bwrap")
        network.name = self.network_name()
        self.hold(network=network.name)
        self.runtime.create(network.name)
        try:
            self.gateway = self.runtime.inspect(network.name)
        except Failure:
            if not self.has_janitor():
                self.runtime.delete(network.name)
            raise

    def has_janitor(self):
        try:
            return self.hold(nothing=True)
        except OSError:
            return False

    def workspace_directory(self, container):
        return os.path.join(os.environ.get("TMPDIR", "/tmp"), container)

    def make_workspace(self, container):
        directory = self.workspace_directory(container)
        self.hold(directory=directory)
        os.mkdir(directory, 0o755)
        return self.relay_class(self, directory)

    # -- one session --

    def on_signal(self, number, frame):
        self.events.put(("signal", number))

    def catch_signals(self):
        for number in self.exit_statuses:
            signal.signal(number, self.on_signal)

    def run(self):
        self.start_janitor()
        self.catch_signals()
        self.runtime.check_version()
        network = self.policy()
        self.provision(network)
        container = self.container_name()
        self.hold(container=container)
        self.between = self.make_workspace(container)
        return self.relay(self.start(self.argv(container, network)))

    def argv(self, container, network):
        return self.runtime.argv(container, network)

    def start(self, argv):
        pass_fds = ()
        prepare = None
        if self.runtime.word == "bwrap":
            read, write = os.pipe()
            os.write(write, self.runtime.secret_arguments())
            os.close(write)

            def prepare():
                os.dup2(read, 9)
                if os.geteuid() == 0:
                    os.setgroups([])
                    os.setgid(65533)
                    os.setuid(65533)
                self.runtime.confine()
            pass_fds = (9, read)
        child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 env=self.runtime.start_environment(), start_new_session=True, pass_fds=pass_fds,
                                 preexec_fn=prepare)
        self.hold(group=child.pid)
        return child

    def copy(self, source, target, done):
        end = "eof"
        lines = self.lines_to(target)
        try:
            while data := os.read(source, 1 << 16):
                lines.feed(data)
            lines.end()
        except OSError:
            end = "gone"
        self.events.put((done, end))

    def lines_to(self, target):
        def write(data):
            self.write(target, data)
        between = self.between
        return (Lines(between.from_server, write, between.to_client) if target == 1 else
                Lines(between.from_client, write, between.to_server))

    def write(self, target, data):
        view = memoryview(data)
        while view:
            view = view[os.write(target, view):]

    def copy_in(self, child):
        self.copy(0, child.stdin.fileno(), "client")
        child.stdin.close()

    def copy_errors(self, child):
        self.errors = b""
        while data := os.read(child.stderr.fileno(), 1 << 16):
            self.errors = (self.errors + data)[-8192:]
            try:
                self.write(2, data)
            except OSError:
                pass

    def watch(self, child):
        child.wait()
        self.events.put(("ended", None))

    def relay(self, child):
        def thread(function, *arguments):
            made = threading.Thread(target=function, args=arguments, daemon=True)
            made.start()
            return made

        thread(self.copy_in, child)
        output = thread(self.copy, child.stdout.fileno(), 1, "server")
        errors = thread(self.copy_errors, child)
        thread(self.watch, child)
        closed = False
        while True:
            try:
                what, how = self.events.get(timeout=DRAIN_SECONDS if closed else None)
            except Exception:
                self.end_sandbox(child)
                return 0
            if what == "signal":
                return self.after_signal(how, child)
            if what == "client":
                closed = True
                if not self.goes_on_after_eof(child):
                    return 0
            if what == "server" and how == "gone":
                self.end_sandbox(child)
                return 0
            if what == "ended":
                output.join(2)
                errors.join(2)
                return self.status_of(child.returncode, closed)

    def goes_on_after_eof(self, child):
        return True

    def after_signal(self, number, child):
        self.end_sandbox(child)
        return self.exit_statuses[number]

    def end_sandbox(self, child):
        child.terminate()
        try:
            child.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()

    def status_of(self, status, closed):
        status = 128 - status if status < 0 else status
        if self.runtime.is_own_error(status, self.errors):
            raise Failure("runtime", "the sandbox did not start: %s" % self.errors.decode(errors="replace").strip())
        if closed:
            return 0
        self.tell("npxc: %s ended by itself with status %d" % (self.package, status))
        return status

    def tell(self, text):
        try:
            os.write(2, (text + "\n").encode())
        except OSError:
            pass

    # -- the end --

    def finish(self, status):
        if self.janitor is not None:
            quick = status in self.exit_statuses.values()
            try:
                self.janitor.sendall(b'{"end":true}\n')
                for line in self.answers:
                    message = json.loads(line)
                    if "warning" in message:
                        self.tell("npxc: warning: " + message["warning"])
                    if "done" in message or (quick and "gone" in message):
                        break
            except OSError:
                pass
        sys.stdout.flush()
        os._exit(status)

    def report(self, failure):
        if self.json:
            self.tell(json.dumps({"error": {"kind": failure.kind, "message": str(failure),
                                            "exit_status": STATUS[failure.kind]}}))
        else:
            self.tell("npxc: %s: %s" % (WORDS[failure.kind], str(failure).replace("\n", " ")))

    def inspect_plan(self):
        network = self.policy()
        if network.mode == "allowlist":
            network.name = "<network>"
        name = re.sub(r"-[0-9a-f]{8}$", "-<session>", self.container_name())
        plan = {"argv": self.inspected_argv(name, network)}
        if self.runtime.word == "bwrap":
            plan["remains"] = self.runtime.remains()
        print(json.dumps(plan))
        return 0

    def inspected_argv(self, name, network):
        return self.argv(name, network)

    def main(self, words):
        try:
            self.config = None
            self.parse(words)
            self.config = Config()
            self.find_package()
            self.config.load_package(self.package_directory)
            self.declare()
            kind = self.flags.get("--runtime", self.config.defaults.get("runtime", "bwrap"))
            if kind not in self.runtimes:
                raise Failure("config", "no runtime %s here" % kind)
            self.runtime = self.runtimes[kind](self)
            status = self.inspect_plan() if self.command == "inspect" else self.run()
        except Failure as failure:
            self.report(failure)
            status = STATUS[failure.kind]
        self.finish(status)


def main(launcher_class=Launcher):
    launcher_class().main(sys.argv[1:])


if __name__ == "__main__":
    main()
