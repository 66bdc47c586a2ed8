"""Where a launcher is run: a home of its own per scenario, and the runtimes on which this machine can judge one."""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time

import journal
from evidence import Call, Evidence
from surroundings import OWN

# Whoever started this may ignore them, as a shell does for what it starts in the background. What is tried would inherit
# that, and npxc keeps to it.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) == signal.SIG_IGN:
        signal.signal(_number, _handler)

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent
SHIM = TOP / "build" / "shim" / "container"
CASSETTES = TOP / "fixtures" / "cassettes"
LIGHT = HERE / "servers" / "light"
PROBE = HERE / "servers" / "probe"
PATIENCE = 60  # seconds; how long anything is waited for before it counts as missing
SEARCH = "/usr/local/bin:/usr/bin:/bin"
MONITORS = ("conmon", "containerd-shim")  # beside each container of podman, and of docker


class Unavailable(Exception):
    """The machine lacks something that the runtime needs."""


def now_us():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000  # the clock of the shim's journal, also on a Mac


def paths_below(directory):
    """Every file and directory there, in order; what vanishes meanwhile is not there (Path.rglob raises then)."""
    return sorted(pathlib.Path(place) / name for place, inner, names in os.walk(directory) for name in inner + names)


def wait_until(condition, patience=PATIENCE, pause=0.01):
    end = time.monotonic() + patience
    while True:
        if condition():
            return True
        if time.monotonic() > end:
            return False
        time.sleep(pause)


class Processes:
    """Those of this machine, with their arguments and environments."""

    def __init__(self):
        # none of a launcher's: these were there before. With their starts, as numbers are given out again.
        self.others = {number: self.start_of(number) for number in self.numbers()}
        self.looked_at = {}  # number -> when first

    def numbers(self):
        if os.path.isdir("/proc/self"):
            return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        return [number for number, _ in self.listed()]

    def listed(self):
        done = subprocess.run(["ps", "-axwwE", "-o", "pid=,command="], capture_output=True, text=True, errors="replace")
        return [(int(number), text) for number, _, text in (line.strip().partition(" ") for line in done.stdout.splitlines())]

    def start_of(self, number):
        with contextlib.suppress(OSError, IndexError):
            with open("/proc/%d/stat" % number) as file:
                return file.read().rsplit(")", 1)[1].split()[19]
        return None

    def text_of(self, number):
        text = b""
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                with open("/proc/%d/%s" % (number, name), "rb") as file:
                    text += b"\0" + file.read() + b"\0"
        return text.decode(errors="replace")

    def with_text(self, text):
        return [number for number, found in self.looked() if text in found]

    def looked(self):
        """(number, text) of all that may be a launcher's."""
        own = os.getpid()
        if not os.path.isdir("/proc/self"):
            return [(number, found) for number, found in self.listed() if number not in self.others and number != own]
        there = set(self.numbers())
        self.others = {number: start for number, start in list(self.others.items())
                       if number in there and start == self.start_of(number)}
        now, found = time.monotonic(), []
        for number in sorted(there - set(self.others) - {own}):
            read = self.text_of(number)
            found.append((number, read))
            if OWN not in read and not any(word in read for word in MONITORS) and now - self.looked_at.setdefault(number, now) > 5:
                self.others[number] = self.start_of(number)  # long past its exec, and of no run of this suite
                self.looked_at.pop(number, None)  # another thread may have come first
        return found


PROCESSES = Processes()


def processes_with(marker):
    return PROCESSES.with_text(marker)


def read_of(pid, name):
    """A file of /proc/PID; empty when there is none any more."""
    with contextlib.suppress(OSError):
        return pathlib.Path("/proc", str(pid), name).read_bytes()
    return b""


def pss_kib(pid):
    """Its memory, what it shares divided among those that share it; None when it has gone."""
    found = re.search(rb"^Pss: +(\d+)", read_of(pid, "smaps_rollup"), re.M)
    return int(found[1]) if found else None


def kin_of(pid, text):
    """pids with this text and the very arguments of that process: a launcher, and what it forked without another program."""
    own = read_of(pid, "cmdline")
    return [other for other in PROCESSES.with_text(text) if own and read_of(other, "cmdline") == own]


def kill_together(pids):
    """Stopped first: none of them may see another one die."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)


def digest_of(path):
    path = pathlib.Path(path)
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if path.is_file() else None


# ---- runtimes ----

class Replay:
    """The shim with the cassette of one release of Apple's CLI."""

    family = "replay"
    flag = "apple"
    light = True  # a session of it costs the machine next to nothing
    decides = ("argv", "wire")

    def __init__(self, version):
        self.version = version
        self.name = "replay-" + version
        self.path = CASSETTES / ("container-%s.json" % version)
        self.too_old = tuple(map(int, version.split(".")))[:2] < (0, 12)

    def check(self):
        if not SHIM.exists():
            raise Unavailable("build/shim/container is missing: run make shim")
        if not self.path.exists():
            raise Unavailable("%s is missing" % self.path.name)

    def provenance(self):
        whole = json.loads(self.path.read_text())
        return {"cli": whole["origin"]["cli"], "cassette": self.path.name, "digest": digest_of(self.path),
                "kind": whole["origin"]["kind"], "from": whole["origin"]["from"]}

    def cassette(self):
        return json.loads(self.path.read_text())

    # -- of one world --

    def prepare(self, world, edit=None, cli=None, fault=None):
        directory = world.home / "cli"
        directory.mkdir(exist_ok=True)
        if not (directory / "container").exists():
            os.link(world.lab.shim_copy(), directory / "container")
        self.load(world, edit, fault)
        world.configure_defaults(runtime="apple", container_cli=cli or str(directory / "container"))

    def load(self, world, edit=None, fault=None):
        """Also in the middle of a session: the next call answers by the new cassette."""
        path = self.path
        if edit is not None:
            whole = self.cassette()
            edit(whole)
            whole["origin"]["kind"] = "edited"
            path = world.home / "cli" / ("cassette-%d.json" % now_us())
            path.write_text(json.dumps(whole))
        settings = {"cassette": str(path), "state": "../state", "journal": "../journal.jsonl", "path": SEARCH}
        if fault:
            settings["fault"] = fault
        new = world.home / "cli" / "shim.json.new"
        new.write_text(json.dumps(settings))
        new.rename(world.home / "cli" / "shim.json")

    def cli(self, world, *words):
        """As somebody else would call it; does not stand in the session's journal."""
        env = {"PATH": SEARCH, "HOME": str(world.home), "CONFORMANCE_FOREIGN": "1"}
        return subprocess.run([str(world.home / "cli" / "container"), *words], env=env, capture_output=True,
                              stdin=subprocess.DEVNULL, timeout=PATIENCE)

    def calls(self, world):
        found = []
        for entry in journal.entries(world.home / "journal.jsonl"):
            if "CONFORMANCE_FOREIGN" in entry["env"]:
                continue
            found.append(Call(argv=entry["argv"], start_us=entry["start_us"], end_us=entry["end_us"],
                              exit=entry["exit"], signal=entry["signal"], cut=entry["cut"], fault=entry["fault"],
                              refusal=entry["refusal"], busy=entry["busy"], number=entry["call"]))
        return sorted(found, key=lambda call: (call.start_us, call.number))

    def unmatched(self, world):
        return [entry["near_miss"] for entry in journal.entries(world.home / "journal.jsonl")
                if entry["near_miss"] is not None]

    def state(self, world):
        for _ in range(100):
            try:
                return json.loads((world.home / "state" / "world.json").read_text())
            except FileNotFoundError:
                return {"networks": [], "containers": []}
            except ValueError:
                time.sleep(0.005)
        raise AssertionError("world.json cannot be read")

    def networks(self, world):
        return [n["name"] for n in self.state(world)["networks"] if not n["builtin"]]

    def containers(self, world):
        return [c["name"] for c in self.state(world)["containers"]
                if not 0 < c["gone_at_ms"] <= now_us() // 1000]

    def strays(self, world):
        return []

    def end(self, world):
        subprocess.run([str(world.home / "cli" / "container"), "--shim-end"], capture_output=True, timeout=PATIENCE)


class Bwrap:
    family = "bwrap"
    name = flag = "bwrap"
    light = True
    decides = ("argv", "wire", "live")
    too_old = False

    def check(self):
        if shutil.which("bwrap") is None:
            raise Unavailable("bwrap is not installed")

    def provenance(self):
        done = subprocess.run(["bwrap", "--version"], capture_output=True, text=True)
        return {"cli": done.stdout.strip(), "kernel": os.uname().release}

    def prepare(self, world, edit=None, cli=None, fault=None):
        world.configure_defaults(runtime="bwrap")

    def calls(self, world):
        return []

    def networks(self, world):
        return []

    def containers(self, world):
        """Processes of the server: the marker stands in its arguments."""
        return ["process %d" % pid for pid in world.server_processes()]

    def strays(self, world):
        return []

    def end(self, world):
        pass


class Container:
    """podman, docker or Apple's real container: live, with a journal that a wrapper on PATH keeps."""

    decides = ("argv", "wire", "live")
    too_old = light = False

    def __init__(self, name, program):
        self.name = self.family = self.flag = name
        self.program = program
        self.oci = None
        self.real = shutil.which(program)

    def check(self):
        if self.real is None:
            raise Unavailable("%s is not installed" % self.program)
        if self.flag == "apple" and subprocess.run([self.real, "system", "status"], capture_output=True).returncode != 0:
            raise Unavailable("the container service is down: run container system start")
        if self.flag == "docker" and self.engine() is None:
            raise Unavailable("no docker engine answers: ci/docker COMMAND runs a command with one")

    def provenance(self):
        done = subprocess.run([self.real, "--version"], capture_output=True, text=True, timeout=PATIENCE)
        engine = {"engine": self.engine()} if self.flag == "docker" else {}
        return {"cli": done.stdout.strip(), **engine, "kernel": os.uname().release}

    def engine(self):
        """The version of docker's engine; None when none answers."""
        done = subprocess.run([self.real, "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True,
                              timeout=PATIENCE)
        return done.stdout.strip() if done.returncode == 0 else None

    def prepare(self, world, edit=None, cli=None, fault=None):
        directory = world.home / "cli"
        directory.mkdir(exist_ok=True)
        wrapper = directory / self.program
        wrapper.write_text((HERE / "wrapper.py").read_text())
        wrapper.chmod(0o755)
        (directory / "wrapper.json").write_text(json.dumps({
            "real": self.real, "journal": str(world.home / "journal.jsonl"), "faults": [fault] if fault else []}))
        world.path = "%s:%s:/usr/sbin:/sbin" % (directory, SEARCH)  # netavark wants iptables
        settings = {"runtime": self.flag}
        if self.flag == "apple" or cli:
            settings["container_cli"] = cli or str(wrapper)
        world.configure_defaults(**settings)

    def load(self, world, edit=None, fault=None):
        raise Unavailable("a real CLI's answers cannot be edited")

    def cli(self, world, *words):
        return subprocess.run([self.real, *words], capture_output=True, stdin=subprocess.DEVNULL, timeout=PATIENCE)

    calls = Replay.calls

    def listed(self, *words):
        done = subprocess.run([self.real, *words], capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout.split()

    def networks(self, world):
        names = self.listed("network", "list", "-q") if self.flag == "apple" else \
            self.listed("network", "ls", "--format", "{{.Name}}")
        return [name for name in names if name in set(world.names_in_journal("network create"))
                or name in world.foreign]

    def containers(self, world):
        if self.flag == "apple":
            names = self.listed("list", "--all", "-q")
        else:
            names = self.listed("ps", "-a", "--format", "{{.Names}}")
        own = self.names_asked_for(world)
        return [name for name in names if name in own or name in world.foreign]

    def names_asked_for(self, world):
        calls = [Call(argv, 0, 0) for argv in journal.entries(world.home / "journal.jsonl.began")]
        return {value for call in calls if call.kind == "run" for value in call.values("--name")}

    def strays(self, world):
        """What `ps -a` does not show: containers that only the OCI runtime knows, and their monitors."""
        if self.flag == "docker":
            return self.shims(world)
        if self.flag != "podman":
            return []
        found = []
        oci = self.oci_runtime()
        for one in json.loads(subprocess.run([oci, "list", "-f", "json"], capture_output=True, text=True,
                                             timeout=PATIENCE).stdout or "null") or []:
            with contextlib.suppress(OSError):
                if world.marker in pathlib.Path(one["bundle"], "config.json").read_text():
                    found.append("%s container %s" % (os.path.basename(oci), one["id"][:12]))
        own = self.names_asked_for(world)
        for pid in processes_with("conmon\0--") if own else []:
            with contextlib.suppress(OSError):
                if own & set(pathlib.Path("/proc/%d/cmdline" % pid).read_text().split("\0")):
                    found.append("conmon %d" % pid)
        return found

    def shims(self, world):
        """containerd's process beside each container stands in the container's bundle."""
        found = []
        for pid in processes_with("containerd-shim-runc-v2\0-namespace"):
            with contextlib.suppress(OSError):
                if world.marker in pathlib.Path("/proc/%d/cwd/config.json" % pid).read_text():
                    found.append("containerd-shim %d" % pid)
        return found

    def oci_runtime(self):
        if self.oci is None:
            done = subprocess.run([self.real, "info", "--format", "{{.Host.OCIRuntime.Path}}"], capture_output=True,
                                  text=True, timeout=PATIENCE)
            self.oci = done.stdout.strip()
        return self.oci

    def end(self, world):
        """What a launcher left is told, and then goes: the machine is not its."""
        forced = {"podman": ("rm", "-f", "-t", "0"), "docker": ("rm", "-f"), "apple": ("delete", "--force")}[self.flag]
        for name in self.containers(world):
            world.lab.left.append("%s: container %s" % (world.scenario, name))
            self.cli(world, *forced, name)
        for name in self.networks(world):
            world.lab.left.append("%s: network %s" % (world.scenario, name))
            self.cli(world, "network", "delete" if self.flag == "apple" else "rm", name)


# Families of runtimes, for what is played and decided where: all; those with networks that are made, named and deleted;
# those that enforce what they are asked for.
EVERYWHERE = ("replay", "podman", "docker", "apple", "bwrap")
NETWORKED = ("replay", "podman", "docker", "apple")
LIVE = ("podman", "docker", "apple", "bwrap")


def runtimes_here():
    """All that this machine can judge on, by name; those that it lacks are there too and say so when asked."""
    found = [Replay(version) for version in ("0.9.0", "0.12.3", "1.0.0", "1.2.2")]
    if os.uname().sysname == "Darwin":
        return {"apple": Container("apple", "container")} | {runtime.name: runtime for runtime in found}
    found.append(Bwrap())
    found += [Container("podman", "podman"), Container("docker", "docker")]
    return {runtime.name: runtime for runtime in found}


def absent(runtime):
    """Why a runtime is left out when nobody asked for it; None when it is judged. Only podman and docker may be missing."""
    if runtime.name in ("podman", "docker") and runtime.real is None:
        return "not installed"
    if runtime.name == "docker" and runtime.engine() is None:
        return "no engine answers"
    if runtime.name == "podman" and os.geteuid() != 0:
        return "the gateway of a rootless podman's network is not this host; as root it is judged"
    return None


# ---- one launcher under observation ----

class Session:
    """A launcher that runs, seen by its client. Its own process group."""

    def __init__(self, world, words, env, before=()):
        """`before`: words of a client that starts the launcher, instead of this process."""
        self.world, self.words = world, words
        self.sent = b""
        self.out, self.err = bytearray(), bytearray()
        self.marks = {}
        self.closed_us = {}
        self.ended_us = None
        self.changed = threading.Condition()
        self.began_us = now_us()
        self.process = subprocess.Popen([*before, str(world.lab.launcher), *words], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, bufsize=0,
                                        cwd=str(world.project), start_new_session=True)
        self.threads = [threading.Thread(target=self._read, args=(self.process.stdout, self.out, "out"), daemon=True),
                        threading.Thread(target=self._read, args=(self.process.stderr, self.err, "err"), daemon=True),
                        threading.Thread(target=self._wait, daemon=True)]
        for thread in self.threads:
            thread.start()

    def _read(self, stream, target, which):
        while data := os.read(stream.fileno(), 1 << 20):
            with self.changed:
                target += data
                self.changed.notify_all()
        with self.changed:
            self.closed_us[which] = now_us()
            self.changed.notify_all()

    def _wait(self):
        self.process.wait()
        with self.changed:
            self.ended_us = now_us()
            self.changed.notify_all()

    def await_(self, condition, patience=PATIENCE):
        with self.changed:
            return self.changed.wait_for(condition, patience)

    @property
    def over(self):
        return self.ended_us is not None and len(self.closed_us) == 2

    def await_output(self, part, patience=PATIENCE):
        """True when it came; False when the session ended without it, or it did not come in time."""
        self.await_(lambda: part in self.out or self.over, patience)
        return part in self.out

    def await_errors(self, part, patience=PATIENCE):
        self.await_(lambda: part in self.err or self.over, patience)
        return part in self.err

    def send(self, data):
        self.sent += data if len(data) < 1 << 20 else b""
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self.process.stdin.fileno(), view):]
            return True
        except (BrokenPipeError, ValueError):
            return False

    def close(self):
        self.mark("eof")
        with contextlib.suppress(OSError):
            self.process.stdin.close()

    def say(self, word):
        """To a client that started it."""
        self.send(word + b"\n")

    def mark(self, name):
        self.marks[name] = now_us()

    def signal(self, number, group=False):
        self.mark("signal")
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, number)

    def finish(self, patience=PATIENCE):
        """Waits for the launcher and for its pipes."""
        if not self.await_(lambda: self.over, patience):
            self.mark("given-up")
        return self.over

    def abandon(self):
        """Nothing of it may outlive the scenario."""
        for _ in range(3):
            with contextlib.suppress(OSError):
                self.process.kill()
            with contextlib.suppress(OSError):
                self.process.stdin.close()
            for pid in processes_with(self.world.marker):
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if wait_until(lambda: self.process.poll() is not None and not processes_with(self.world.marker), 5):
                break
        self.release()

    def release(self):
        """What is held here of a session that is over."""
        for thread in self.threads:
            thread.join(5)
        self.process.stdout.close()
        self.process.stderr.close()


class World:
    """A home with configuration in it, a working directory, and everything that the launcher may leave behind."""

    def __init__(self, lab, runtime, scenario):
        self.lab, self.runtime, self.scenario = lab, runtime, scenario
        # not below a directory that other users cannot enter: a sandbox that root starts runs as another one
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=OWN))
        self.home.chmod(0o755)
        self.marker = self.home.name
        self.project = self.home / "project"
        self.project.mkdir()
        self.temporary = self.home / "tmp"
        self.temporary.mkdir(mode=0o777)
        self.temporary.chmod(0o1777)
        self.run_directory = self.home / "run"
        self.run_directory.mkdir(mode=0o700)
        self.path = SEARCH
        self.defaults = {}
        self.foreign = []
        self.sessions = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for session in self.sessions:
            session.abandon()
        with contextlib.suppress(Exception):
            self.lab.names |= set(self.names_in_journal("network create"))
            self.runtime.end(self)
        for pid in processes_with(self.marker):
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.home, ignore_errors=True)

    # -- configuration --

    def configure_defaults(self, **settings):
        self.defaults.update(settings)
        self._write("npxc.json", {"defaults": self.defaults})

    def configure_package(self, settings, package="npxc-light", directory=None):
        """The file of a package that is a directory names that directory."""
        directory = directory or {"npxc-light": LIGHT, "npxc-probe": PROBE}[package]
        self._write("packages/%s.json" % package.replace("/", "+"), {"package_dir": str(directory), **settings})

    def _write(self, name, value):
        path = self.home / ".config" / "npxc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(value if isinstance(value, str) else json.dumps(value))

    def environment(self, extra=None):
        env = {"PATH": self.path, "HOME": str(self.home), "TMPDIR": str(self.temporary), "LANG": "C.UTF-8",
               "XDG_RUNTIME_DIR": str(self.run_directory), "XDG_CACHE_HOME": str(self.lab.cache(self.runtime))}
        for name in ("NODE_EXTRA_CA_CERTS", "DOCKER_HOST"):
            if name in os.environ:
                env[name] = os.environ[name]
        return {**env, **self.lab.env, **(extra or {})}

    # -- running --

    def start(self, *words, env=None, flags=(), server=LIGHT, before=()):
        """server None: the words are complete. `before`: see Session."""
        if server is not None:
            words = [str(server), *words]
        session = Session(self, ["--runtime", self.runtime.flag, *flags, *map(str, words)], self.environment(env), before)
        self.sessions.append(session)
        return session

    # -- looking --

    def server_processes(self):
        """Processes inside a sandbox: in another pid namespace than ours, with the marker in their arguments."""
        own = os.readlink("/proc/self/ns/pid")
        found = []
        for pid in processes_with(self.marker):
            with contextlib.suppress(OSError):
                if os.readlink("/proc/%d/ns/pid" % pid) != own:
                    found.append(pid)
        return found

    def sandbox_is_gone(self):
        return not [name for name in self.runtime.containers(self) if name not in self.foreign]

    def networks_are_gone(self):
        return not [name for name in self.runtime.networks(self) if name not in self.foreign]

    def is_clean(self):
        return (self.sandbox_is_gone() and self.networks_are_gone() and not self.processes_left()
                and not self.files_left() and not self.runtime.strays(self))

    def processes_left(self):
        mine = {os.getpid()}
        return [pid for pid in processes_with(self.marker) if pid not in mine]

    def files_left(self):
        return sorted(str(path.relative_to(self.home)) for root in (self.temporary, self.run_directory)
                      for path in root.iterdir())

    def mounts_left(self):
        return [line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines() if self.marker in line]

    def names_in_journal(self, kind):
        return [call.name for call in self.runtime.calls(self) if call.kind == kind]

    def settle(self, patience=10):
        return wait_until(self.is_clean, patience, 0.02)

    def evidence(self, session, settle=10):
        """Everything that there is to see once the launcher is done; `settle`: how long the janitor may still work."""
        self.settle(settle)
        seen = Evidence(self.scenario, self.runtime.name, self.marker)
        if session is not None:
            with session.changed:
                seen.words = session.words
                seen.status = session.process.poll()
                seen.sent, seen.out = session.sent, bytes(session.out)
                seen.err = bytes(session.err).decode(errors="replace")
                seen.began_us, seen.ended_us = session.began_us, session.ended_us
                seen.closed_us = max(session.closed_us.values()) if len(session.closed_us) == 2 else None
                seen.marks = dict(session.marks)
        seen.calls = self.runtime.calls(self)
        seen.containers_left = [name for name in self.runtime.containers(self) if name not in self.foreign]
        seen.containers_left += self.runtime.strays(self)
        seen.networks_left = [name for name in self.runtime.networks(self) if name not in self.foreign]
        seen.processes_left = self.processes_left()
        seen.files_left = self.files_left()
        broken = [call for call in seen.calls if call.exit == 98]
        if broken:
            seen.problem = "the shim cannot read its own cassette (%s)" % broken[0].words
        there = set(self.runtime.containers(self)) | set(self.runtime.networks(self))
        seen.foreign, seen.foreign_left = list(self.foreign), [name for name in self.foreign if name in there]
        return seen


class Lab:
    """One launcher, all its scenarios. The store is shared, so that a package is installed once per runtime."""

    def __init__(self, launcher, quick=False, env=None):
        """`env`: what the launcher gets besides."""
        self.launcher = pathlib.Path(launcher).resolve()
        self.quick, self.env = quick, env or {}
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=OWN + "lab-"))
        self.home.chmod(0o755)
        self.lock = threading.Lock()
        self.left = []  # of real runtimes, when a scenario was over
        self.names = set()  # of the networks that were asked for

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.home, ignore_errors=True)

    def shim_copy(self):
        """One copy, hard links of it in all worlds: a launcher may resolve symbolic links before it calls."""
        with self.lock:
            copy = self.home / "container"
            if not copy.exists():
                shutil.copy(SHIM, copy)
            return copy

    def cache(self, runtime):
        directory = self.home / ("cache-" + runtime.name)
        directory.mkdir(exist_ok=True)
        directory.chmod(0o777)
        return directory

    def warm_up(self, runtime, server):
        """One session that nobody judges: whatever the launcher installs, it installs here."""
        with World(self, runtime, "warm-up") as world:
            runtime.prepare(world)
            session = world.start("answer", server=server)
            session.close()
            session.finish(PATIENCE * 3)
            world.settle(10)
            return session.process.poll(), bytes(session.err).decode(errors="replace")

    def provenance(self):
        try:
            done = subprocess.run([str(self.launcher), "--version"], capture_output=True, text=True, timeout=PATIENCE,
                                  env={"PATH": SEARCH, "HOME": str(self.home)})
            version = done.stdout.strip()
        except (OSError, subprocess.TimeoutExpired) as why:
            version = "unknown (%s)" % why
        return {"path": os.path.relpath(self.launcher, TOP), "version": version, "digest": digest_of(self.launcher)}
