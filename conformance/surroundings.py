"""What of the machine a run of the suite must leave as it was: cgroups, containers, networks, the temporary directory and
the processes.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import tempfile
import time

OWN = "conformance-%d-" % os.getpid()  # every directory that this run makes begins so; it stands in all its processes
PATIENCE = 20


def cgroups():
    found = set()
    for root, names, _ in os.walk("/sys/fs/cgroup"):
        found |= {os.path.join(root, name) for name in names}
        if root.count("/") > 8:
            names.clear()
    return found


def listed(*words):
    """By podman, and by docker where a run has an engine."""
    found = set()
    for cli in ("podman", "docker"):
        if shutil.which(cli) is not None:
            done = subprocess.run([cli, *words], capture_output=True, text=True, timeout=60)
            found |= {line for line in done.stdout.splitlines() if line}
    return found


def processes():
    """Of the kernel's own threads and the dead none: they have no arguments."""
    found = set()
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir("/proc"):
            with contextlib.suppress(OSError):
                if entry.isdigit() and (words := pathlib.Path("/proc", entry, "cmdline").read_bytes()):
                    found.add("%s %s" % (entry, words.replace(b"\0", b" ").decode(errors="replace")[:120]))
    return found


def look():
    return {
        "cgroup": cgroups(),
        "container": listed("ps", "-a", "--format", "{{.Names}}"),
        "network": listed("network", "ls", "--format", "{{.Name}}"),
        "volume": listed("volume", "ls", "-q"),
        "file": {os.path.join(tempfile.gettempdir(), name) for name in os.listdir(tempfile.gettempdir())},
        "process": processes(),
    }


class Surroundings:
    """`alone`: nothing else uses the machine, so whatever is new was left behind. Otherwise what does not carry this
    run's marks may be somebody else's, and is only told."""

    def __init__(self, alone):
        self.alone = alone
        self.before = look()

    def new(self):
        now = look()
        return ["%s %s" % (kind, what) for kind, found in now.items() for what in sorted(found - self.before[kind])]

    def left(self, names):
        """([what is left behind], [what appeared meanwhile]). `names`: what the launchers of this run called theirs."""
        end = time.monotonic() + PATIENCE
        while (found := self.new()) and time.monotonic() < end and self.blamed(found, names):
            time.sleep(0.2)
        blamed = self.blamed(found, names)
        return blamed, [what for what in found if what not in blamed]

    def blamed(self, found, names):
        if self.alone:
            return found
        return [what for what in found if OWN in what or any(name in what for name in names)
                or what.startswith("cgroup") and "npxc-light" in what]
