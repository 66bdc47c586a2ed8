"""Installations: a package whose install script makes traps of its directory."""

import json
import os
import stat

from scenarios.base import LIVE, REQUEST, scenario, world_of

NAME = "npxc-trap"

# The server says whether the script of its own version has run.
SERVER = r"""#!/bin/sh
laid=false
[ -e "$(dirname "$(readlink -f "$0")")/laid-LABEL" ] && laid=true
exec sed -u "s/\"method\":\"[^\"]*\"/\"result\":{\"laid\":$laid}/"
"""

CLIMB = """own=$PWD
top=$own
while [ "${top##*/}" != node_modules ]; do
	top=${top%/*}
	[ -n "$top" ] || exit 0
done
tree=${top%/*}
"""

SCRIPTS = {
    # It fails, and whoever clears its package away by name meets the host's directory of that name.
    "fails": CLIMB + """mv "$top" "$tree/moved" && ln -s 'VICTIM' "$top"
exit 1
""",
    # It succeeds. What is written, made readable, measured, recorded and removed later meets links and closed doors.
    "succeeds": CLIMB + """for place in "$own" "$top" "$tree"; do
	ln -s 'VICTIM' "$place/out"
	ln -s 'VICTIM/key' "$place/key"
	ln 'VICTIM/key' "$place/hard" 2> /dev/null
done
for name in npxc.json package-lock.json package.json .package-lock.json; do
	ln -sf 'VICTIM/key' "$tree/$name"
	ln -sf 'VICTIM/key' "$top/$name"
done
mkdir -p closed/under
ln -s 'VICTIM' closed/under/out
mkfifo fifo
(
	level=0
	while [ $level -lt 300 ]; do
		mkdir d && cd d || exit
		level=$((level + 1))
	done
	ln -s 'VICTIM' out
)
: > laid-succeeds
chmod 0 closed/under closed
exit 0
""",
    # A version without traps takes the place of that one, which is cleared away.
    "follows": ": > laid-follows\n",
}


def write_package(directory, label, victim):
    directory.mkdir(exist_ok=True)
    (directory / "package.json").write_text(json.dumps({
        "name": NAME, "version": "1.0.0", "bin": {NAME: "trap.sh"}, "files": ["trap.sh", "lay.sh"],
        "scripts": {"install": "sh lay.sh"}}))
    (directory / "trap.sh").write_text(SERVER.replace("LABEL", label))
    (directory / "lay.sh").write_text("# %s\n" % label + SCRIPTS[label].replace("VICTIM", str(victim)))
    for name in ("package.json", "trap.sh", "lay.sh"):
        (directory / name).chmod(0o755)


def picture(directory):
    """{path: all that tells whether it was touched}"""
    def one(path):
        info = path.lstat()
        return [stat.S_IFMT(info.st_mode), stat.S_IMODE(info.st_mode), info.st_uid, info.st_gid, info.st_nlink,
                info.st_ctime_ns, path.read_text() if stat.S_ISREG(info.st_mode) else None]
    return {str(path.relative_to(directory)): one(path) for path in [directory, *directory.rglob("*")]}


def make_victim(directory):
    """Named like what a launcher may remove, read or write; open to the user that a sandbox of root runs as."""
    for name in (NAME, "node_modules/" + NAME):
        (directory / name).mkdir(parents=True)
        (directory / name / "thesis").write_text("my thesis\n")
        (directory / name / "package.json").write_text('{"name":"%s","version":"6.6.6"}' % NAME)
    (directory / "key").write_text("KEY\n")
    (directory / "key").chmod(0o600)
    for place, _, _ in os.walk(directory):
        os.chmod(place, 0o777)


@scenario(*LIVE)
def traps(lab, runtime):
    """Three states of a package directory, each installed and started."""
    with world_of(lab, runtime, "traps") as world:
        victim, package = world.home / "victim", world.home / NAME
        make_victim(victim)
        world.configure_package({"network": {"mode": "none"}}, NAME, package)
        before, said = picture(victim), {}
        for label in SCRIPTS:
            write_package(package, label, victim)
            session = world.start(world.marker, server=package)
            session.send(REQUEST % 1)
            session.await_output(b'"laid":')
            session.close()
            session.finish()
            said[label] = bytes(session.out).decode(errors="replace")
        evidence = world.evidence(session)
        evidence.seen = {"before": before, "after": picture(victim), "said": said}
        return evidence
