"""A session on the replay shim, behind a program that does harm at calls of the container CLI."""

import json
import pathlib
import subprocess

from test_crash import FAULTY, Run

# Each line of `plan`: WHEN (before, after) CALL KIND WHAT. Who is killed is stopped first, so that nobody sees another die;
# who they are is on the session's board (src/base/fault.c). A call that is "late" fails at once and is done when those who
# asked have long gone on, as a service does that has its own time. "down" is every call from then on. `run` lives as long
# as its container: "after" it is then.
BETWEEN = r"""#!/bin/sh
PATH=/usr/bin:/bin
here=${0%/*}
i=1
until mkdir "$here/calls/$i" 2>/dev/null; do i=$((i + 1)); done
mode=
home=${here%/*}
# The launcher's and the janitor's pids, as far as they are theirs still: numbers are given out again.
who() {
	launcher= janitor=
	! grep -qs "HOME=$home" "/proc/$1/environ" || launcher=$1
	! grep -qs "HOME=$home" "/proc/$2/environ" || janitor=$2
}
act() {
	while read -r when call kind what; do
		[ "$what" != down ] || [ "$1" != before ] || [ "$i" -lt "$call" ] || mode=down
		[ "$when $call" = "$1 $i" ] || continue
		: >"$here/struck.$1.$i.$kind"
		who $(od -An -td4 -j4 -N8 "$here/../board")
		victims=
		case $what in *launcher*) victims=$launcher ;; esac
		case $what in *janitor*) victims="${victims:+$victims }$janitor" ;; esac
		victims=${victims% }
		case $kind in
		cli) [ "$mode" = down ] || mode=$what ;;
		kill)
			# whoever asked last: this call dies with it
			[ "${victims#$PPID }" = "$victims" ] || victims="${victims#$PPID } $PPID"
			[ -z "$victims" ] || { kill -STOP $victims; kill -KILL $victims; }
			;;
		stop) [ -z "$victims" ] || kill -STOP $victims ;;
		signal) [ -z "$launcher" ] || kill "-$what" "$launcher" ;;
		full) cat /dev/zero >"$here/../$what/filler" ;;
		esac 2>/dev/null
	done <"$here/plan"
}
act before "$@"
case $mode in
hang-first) exec sleep 600 ;;
down)
	echo "Cannot connect to the Docker daemon at unix:///nowhere. Is the docker daemon running?" >&2
	exit 1
	;;
late)
	setsid sh -c ': >"$0"; sleep 0.3; exec "$@"' "$here/late.$i" "$here/real/docker" "$@" >/dev/null 2>&1 &
	until [ -e "$here/late.$i" ]; do sleep 0.01; done # what is of this call's group ends with it
	echo "Error: connection reset" >&2
	exit 1
	;;
?*) export NPXC_SHIM_FAULT="*:$mode" ;;
esac
grep -q "^after $i " "$here/plan" || exec "$here/real/docker" "$@"
"$here/real/docker" "$@"
status=$?
act after "$@"
exit "$status"
"""


class Tortured(Run):
    """`strikes`: the lines of the plan."""

    def __init__(self, scenario, cache, strikes=()):
        self.strikes = strikes
        super().__init__(scenario, 1, cache)

    def add_shim(self):
        super().add_shim()
        tools = self.cli.parent
        (tools / "real").mkdir()
        (tools / "calls").mkdir()
        self.cli.rename(tools / "real" / "docker")
        settings = json.loads((tools / "shim.json").read_text())
        settings.update(state="../../state", journal="../../journal.jsonl")
        (tools / "real" / "shim.json").write_text(json.dumps(settings))
        self.arm(self.strikes)
        self.cli.write_text(BETWEEN)
        self.cli.chmod(0o755)
        self.real = tools / "real" / "docker"

    class board:
        id = ""

    def arm(self, strikes):
        plan = self.home / "bin" / "plan"
        plan.with_suffix(".new").write_text("".join(line + "\n" for line in strikes))
        plan.with_suffix(".new").rename(plan)

    def begin(self, strikes):
        """From here on calls count."""
        for call in (self.home / "bin").glob("calls/*"):
            call.rmdir()
        self.arm(strikes)

    def struck(self):
        return len(list((self.home / "bin").glob("struck.*")))

    def count(self):
        return len(list((self.tools / "calls").iterdir()))

    def calls(self):
        journal = pathlib.Path(self.home / "journal.jsonl")
        return [json.loads(line)["argv"][1:3] for line in journal.read_text().splitlines()] if journal.exists() else []

    def gc(self):
        return subprocess.run([str(FAULTY), "gc", "--json"], env={**self.world.env, "PATH": str(self.tools)},
                              cwd=self.world.project, capture_output=True, timeout=120)

    def end(self):
        if self.cli is not None:
            self.cli = self.real
        super().end()
