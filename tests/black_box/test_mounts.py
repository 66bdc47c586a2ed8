"""What was judged is what the server gets, whoever renames something in between.

The race is won every time here: a program in bubblewrap's place does what a server of another session would do, after
npxc has judged and before anything is mounted, and then becomes bubblewrap.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import pytest

from conftest import PROBE_KEY, RUNTIME

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux") or RUNTIME not in (None, "bwrap"),
                                reason="bubblewrap's place is taken")

BWRAP = shutil.which("bwrap")

# A program that is asked whether it has --ro-bind-fd by its text: it is bubblewrap, after the deed.
PROGRAM = """
#include <stdlib.h>
#include <unistd.h>
const char *option[] = { "--ro-bind-fd" };
int main(int count, char **words) { (void)count; if (option[0][0] == 0 || system(DEED) != 0) return 99; execv(BWRAP, words); return 98; }
"""


def knows_descriptors():
    said = subprocess.run([BWRAP, "--help"], capture_output=True, text=True)
    return "--ro-bind-fd" in said.stdout + said.stderr


@pytest.fixture(params=["compared", "by-descriptor"])
def race(request, world):
    """race(deed) -> an environment in which bubblewrap starts after the shell line `deed`."""
    if request.param == "by-descriptor" and not knows_descriptors():
        pytest.skip("this bubblewrap has no --ro-bind-fd")
    where = world.home / "bin"
    where.mkdir()

    def make(deed):
        program = where / "bwrap"
        if request.param == "compared":
            program.write_text(f"#!/bin/sh\n({deed}) || exit 99\nexec {BWRAP} \"$@\"\n")
        else:
            source = where / "bwrap.c"
            source.write_text(PROGRAM)
            quoted = deed.replace("\\", "\\\\").replace('"', '\\"')
            subprocess.run([os.environ.get("CC", "cc"), f'-DDEED="{quoted}"', f'-DBWRAP="{BWRAP}"', str(source), "-o",
                            str(program)], check=True)
        program.chmod(0o755)
        return {"PATH": f"{where}:{os.environ['PATH']}"}

    make.compared = request.param == "compared"
    return make


@pytest.fixture
def place(world):
    """A project and a directory outside of it, in which anybody may do anything: the server of a start by root is another user."""
    private = world.home / "private"
    for directory in (world.project / "sub", private):
        directory.mkdir()
        (directory / "id").write_text("PRIVATE" if directory == private else "meant")
    for directory in (world.home, world.project, world.project / "sub", private):
        directory.chmod(0o777)
    world.private = private
    world.configure_probe(GUARD)
    return world


# What a shell line prints is no message.
GUARD = {"stdout_guard": False}
READ = ["-c", "cat sub/id; echo hacked >sub/new; true"]
SWAP = "mv {0} {0}.aside && ln -s {1} {0}"


def judge(world, race, result, compared=None):
    """Never what lies outside; by descriptor the file that was meant, compared from inside no start at all."""
    shown = result.stdout.decode()
    assert "PRIVATE" not in shown, result.stderr
    assert not (world.private / "new").exists()
    if race.compared if compared is None else compared:
        assert (result.returncode, shown) == (4, ""), result.stderr
        assert "was renamed or replaced while the sandbox was being started" in result.stderr
    else:
        assert (result.returncode, shown) == (0, "meant"), result.stderr


def test_without_a_race_the_same_line_reads_what_is_meant(place, probe, race):
    result = place.run("--mount", "sub", "-p", probe, *READ, env=race("true"))
    assert (result.returncode, result.stdout) == (0, b"meant"), result.stderr
    result = place.run("--mount", f"{place.private}:{place.project}/sub", "-p", probe, *READ, env=race("true"))
    assert (result.returncode, result.stdout) == (0, b"PRIVATE"), result.stderr


def test_a_directory_swapped_for_a_link_is_never_followed(place, probe, race):
    env = race(SWAP.format(place.project / "sub", place.private))
    judge(place, race, place.run("--mount", "sub", "-p", probe, *READ, env=env))


def test_a_writable_mount_swapped_for_a_link_is_never_followed(place, probe, race):
    env = race(SWAP.format(place.project / "sub", place.private))
    judge(place, race, place.run("--mount", "sub:rw", "-p", probe, *READ, env=env))


def test_a_single_file_swapped_for_a_link_is_never_followed(place, probe, race):
    env = race(SWAP.format(place.project / "sub" / "id", place.private / "id"))
    judge(place, race, place.run("--mount", "sub/id", "-p", probe, *READ, env=env))


def test_a_directory_in_the_middle_swapped_is_never_followed(place, probe, race):
    (place.project / "sub" / "deep").mkdir()
    (place.private / "deep").mkdir()
    for directory, text in ((place.project / "sub", "meant"), (place.private, "PRIVATE")):
        (directory / "deep" / "id").write_text(text)
    env = race(SWAP.format(place.project / "sub", place.private))
    judge(place, race, place.run("--mount", "sub/deep", "-p", probe, "-c", "cat sub/deep/id", env=env))


def test_the_project_itself_swapped_is_never_followed(place, probe, race):
    (place.private / "sub").mkdir()
    (place.private / "sub" / "id").write_text("PRIVATE")
    env = race(SWAP.format(place.project, place.private))
    judge(place, race, place.run("--cwd", place.project, "--project=rw", "-p", probe, *READ, env=env, cwd="/"))


def test_a_mount_outside_of_the_working_directory_is_judged_the_same(place, probe, race):
    other = place.home / "other"
    other.mkdir()
    (other / "id").write_text("meant")
    env = race(SWAP.format(other, place.private))
    judge(place, race, place.run("--mount", f"{other}:/srv/sub", "-p", probe, "-c", "cat /srv/sub/id", env=env))


def test_another_directory_of_the_same_name_is_not_taken_for_it(place, probe, race):
    """No link at all; the name that is looked up again holds a decoy."""
    sub = place.project / "sub"
    env = race(f"mv {sub} {sub}.aside && mv {place.private} {sub}")
    judge(place, race, place.run("--mount", "sub", "-p", probe, *READ, env=env))


def test_a_removed_directorys_name_is_nobodys(place, probe, race):
    """The kernel calls a removed file "NAME (deleted)", which is a name like any other."""
    empty = place.project / "empty"
    empty.mkdir()
    decoy = f"{empty} (deleted)"
    env = race(f"rmdir {empty} && mv {place.private} '{decoy}'")
    result = place.run("--mount", "empty", "-p", probe, "-c", "cat empty/id", env=env)
    assert b"PRIVATE" not in result.stdout
    assert result.returncode == 4, result.stderr


def test_the_packages_own_directory_swapped_is_never_followed(place, probe, race):
    place.configure_probe({**GUARD, "storage": {"persist": True}})
    line = ["-p", probe, "-c", "cat /data/id; echo hacked >/data/new; true"]
    first = place.run("-p", probe, "-c", "echo meant >/data/id", env=race("true"))
    assert first.returncode == 0, first.stderr
    packages = place.home / ".local/share/npxc/packages"
    for directory in (packages, packages.parent, packages.parent.parent, packages.parent.parent.parent):
        directory.chmod(0o777)
    (packages / PROBE_KEY).chmod(0o777)
    result = place.run(*line, env=race(SWAP.format(packages / PROBE_KEY, place.private)))
    assert b"PRIVATE" not in result.stdout
    assert not (place.private / "new").exists()
    if race.compared:
        assert result.returncode == 4, result.stderr
        result = place.run(*line)
        assert result.returncode == 1 and "is a symbolic link" in result.stderr
    else:
        assert (result.returncode, result.stdout) == (0, b"meant\n"), result.stderr


def test_a_mount_within_a_mount_that_is_swapped_away_ends_the_start(place, probe, race):
    """The inner one would be put where the name leads, and the server find a writable directory in its place."""
    sub = place.project / "sub"
    (place.private / "deep").mkdir()
    (sub / "deep").mkdir()
    deed = f"mv {sub} {sub}.aside && mkdir {sub} && mkdir {sub}/deep && echo other >{sub}/deep/id"
    result = place.run("--project=rw", "--mount", "sub/deep", "-p", probe, "-c", "echo hacked >sub/deep/new",
                       env=race(deed))
    if race.compared:
        assert result.returncode == 4, result.stderr
    assert not (sub / "deep" / "new").exists()


def test_a_hidden_socket_stays_hidden_when_its_directory_is_swapped(place, probe, race):
    import socket
    sub = place.project / "sub"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(sub / "s"))
    other = socket.socket(socket.AF_UNIX)
    other.bind(str(place.private / "s"))
    control = place.run("--project", "-p", probe, "-c", "test -S sub/s || echo hidden", env=race("true"))
    assert (control.returncode, control.stdout) == (0, b"hidden\n"), control.stderr
    deed = f"mv {sub} {sub}.aside && mkdir {sub} && mv {place.private}/s {sub}/s2 && ln -s s2 {sub}/s"
    result = place.run("--project", "-p", probe, "-c", "test -S sub/s && echo seen", env=race(deed))
    assert b"seen" not in result.stdout
    assert result.returncode == 4, result.stderr
    listener.close()
    other.close()


def test_a_link_that_a_server_planted_leads_nowhere_when_it_is_over(place, probe):
    """Outside of the working directory too, and in whatever words the user speaks of it."""
    shared = place.home / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    planted = place.run("--mount", f"{shared}:rw", "-p", probe, "-c", f"ln -s {place.private} {shared}/sub")
    assert planted.returncode == 0 and (shared / "sub").is_symlink(), planted.stderr
    shown = place.run("--mount", f"{place.private}:/srv/p", "-p", probe, "-c", "cat /srv/p/id")
    assert shown.stdout == b"PRIVATE", shown.stderr  # given openly
    place.configure_probe({**GUARD, "mounts": [{"host": str(shared / "sub"), "mode": "rw"}]})
    by_configuration = place.run("-p", probe, "-c", f"cat {shared}/sub/id")
    place.configure_probe(GUARD)
    for result in (by_configuration,
                   place.run("--mount", f"{shared}/sub", "-p", probe, "-c", f"cat {shared}/sub/id"),
                   place.run("--mount", f"{shared}/sub/id", "-p", probe, "-c", f"cat {shared}/sub/id"),
                   place.run("--cwd", f"{shared}/sub", "--project", "-p", probe, "-c", "cat id"),
                   place.run("--cwd", f"{shared}/sub", "-p", probe, "-c", "cat id")):
        assert result.returncode == 1, result.stderr
        assert b"PRIVATE" not in result.stdout
        assert f"leads out of {shared} by the symbolic link {shared}/sub, which a server may have made" in result.stderr


def test_a_users_own_link_is_followed_and_told(place, probe):
    (place.home / "way").symlink_to(place.private)
    result = place.run("--mount", f"{place.home}/way", "-p", probe, "-c", f"cat {place.home}/way/id")
    assert result.stdout == b"PRIVATE", result.stderr
    assert f"leads to {place.private} by a symbolic link; that is mounted" in result.stderr
    result = place.run("--mount", place.private, "-p", probe, "-c", f"cat {place.private}/id")
    assert result.stdout == b"PRIVATE" and "symbolic link" not in result.stderr


# A directory whose file system is mounted when somebody uses it: mounts autofs at the first word (man 5 autofs, protocol
# 5, direct), says so, and answers one request by binding the second.
AUTOFS = r"""
import ctypes, fcntl, os, struct, subprocess, sys
at, source = sys.argv[1:]
os.setpgid(0, 0)  # whoever is of this group is not held up
asked, asks = os.pipe()
os.set_inheritable(asks, True)
libc = ctypes.CDLL(None, use_errno=True)
options = f"fd={asks},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
if libc.mount(b"npxc-test", at.encode(), b"autofs", 0, options.encode()) != 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.close(asks)
top = os.open(at, os.O_RDONLY)
print("ready", flush=True)
token = struct.unpack_from("iiI", os.read(asked, 400))[2]
subprocess.run(["mount", "--bind", source, at], check=True)
fcntl.ioctl(top, 0x9360, token)  # AUTOFS_IOC_READY
"""


@pytest.mark.skipif(os.geteuid() != 0 or "autofs" not in pathlib.Path("/proc/filesystems").read_text(), reason="mounts autofs")
def test_what_is_mounted_when_it_is_used_is_found(place, probe):
    at = place.home / "auto"
    at.mkdir()
    with subprocess.Popen([sys.executable, "-c", AUTOFS, at, place.project], stdout=subprocess.PIPE) as daemon:
        try:
            assert daemon.stdout.readline() == b"ready\n"
            result = place.run("--mount", at / "sub", "-p", probe, "-c", f"cat {at}/sub/id")
            assert (result.returncode, result.stdout) == (0, b"meant"), result.stderr
        finally:
            daemon.kill()
            while subprocess.run(["umount", "-l", at], stderr=subprocess.DEVNULL, check=False).returncode == 0:
                pass
