"""What a scenario saw. Plain data: checks are functions of it and of nothing else, so that a spoiled copy of it can be
held against a check as its negative sample. All times are microseconds of CLOCK_MONOTONIC, as in the shim's journal.
"""

import copy
import pathlib
import re
from dataclasses import dataclass, field

TOP = pathlib.Path(__file__).resolve().parent.parent


def place_of(function):
    """FILE:LINE from the top of the repository; that of its first decorator."""
    return "%s:%d" % (pathlib.Path(function.__code__.co_filename).resolve().relative_to(TOP), function.__code__.co_firstlineno)


# Options of `run` of the container CLIs that take a value; needed to find the image in an argument list.
RUN_VALUES = set("""--name --network -v --volume --mount --tmpfs -e --env --env-file -l --label -m --memory -c --cpus -u
--user --uid --gid -w --workdir --cwd --entrypoint -a --arch --os --platform --cidfile --dns --dns-domain --dns-option
--dns-search -k --kernel -p --publish --publish-socket --scheme --progress --ulimit --init-image --runtime --cap-add
--cap-drop --shm-size --kernel-arg --masked-path --read-only-path --pids-limit --security-opt --log-driver --pull
--hostname --memory-swap --annotation --ipc --pid --userns --cgroupns --stop-timeout --stop-signal --tz""".split())


@dataclass
class Call:
    """One call of a container CLI."""

    argv: list
    start_us: int
    end_us: int
    exit: int = None
    signal: int = None
    cut: bool = False
    fault: str = None
    refusal: str = None
    busy: bool = False
    number: int = 0

    @property
    def words(self):
        return self.argv[1:]

    @property
    def kind(self):
        words = [word for word in self.words[:2]]
        if words[:1] == ["network"] and len(self.words) > 1:
            return {"rm": "network delete", "remove": "network delete"}.get(words[1], "network " + words[1])
        first = words[0] if words else ""
        return {"delete": "rm", "remove": "rm", "ls": "list", "ps": "list", "container": "list"}.get(first, first)

    @property
    def name(self):
        """What a network or removal call is about."""
        return self.words[-1]

    def options(self):
        """Of a `run`: ([(option, value or None)], [image, words...])."""
        found, words = [], self.words[1:]
        while words and words[0].startswith("-"):
            word = words.pop(0)
            if word.startswith("--") and "=" in word:
                found.append(tuple(word.split("=", 1)))
            elif word in RUN_VALUES:
                found.append((word, words.pop(0) if words else None))
            else:
                found.append((word, None))
        return found, words

    def values(self, *names):
        return [value for name, value in self.options()[0] if name in names]

    def has(self, *names):
        return any(name in names for name, _ in self.options()[0])


@dataclass
class Evidence:
    scenario: str
    runtime: str
    marker: str = None          # the last argument of the server: tells its start from those of an installation
    words: list = field(default_factory=list)
    status: int = None          # exit status of the launcher; -n: by signal n; None: it did not end
    sent: bytes = b""           # what the client wrote
    out: bytes = b""
    err: str = ""
    began_us: int = 0
    ended_us: int = None        # the launcher's end
    closed_us: int = None       # nobody held the client's stdout and stderr any more
    marks: dict = field(default_factory=dict)       # name -> time
    calls: list = field(default_factory=list)       # of this session, in order of their start
    containers_left: list = field(default_factory=list)
    networks_left: list = field(default_factory=list)
    processes_left: list = field(default_factory=list)
    files_left: list = field(default_factory=list)
    foreign: list = field(default_factory=list)      # what was there before and is none of the launcher's
    foreign_left: list = field(default_factory=list)
    seen: dict = field(default_factory=dict)        # what the server saw, or else what a scenario gathered
    parts: dict = field(default_factory=dict)       # name -> Evidence, of a scenario that has several runs
    problem: str = None         # the scenario itself could not be played

    def copy(self):
        return copy.deepcopy(self)

    def of(self, *kinds):
        return [call for call in self.calls if call.kind in kinds]

    @property
    def run(self):
        """The start of the server; None when it was never asked for."""
        runs = self.runs()
        return runs[-1] if runs else None

    def runs(self):
        return [call for call in self.of("run") if self.marker is None or self.marker in call.words]

    def created(self):
        return [call.name for call in self.of("network create")]

    def networks_given(self):
        return [value for call in self.runs() for value in call.values("--network", "--net")]

    def foreground_deletes(self):
        return [call for call in self.of("network delete") if self.ended_us is None or call.start_us <= self.ended_us]

    def warnings(self, name):
        return [line for line in self.err.splitlines() if name in line]

    def error_lines(self):
        return [line for line in self.err.splitlines() if line.strip()]


UUID4 = re.compile(r"npxc-[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}")
