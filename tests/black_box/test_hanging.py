"""A container CLI that hangs: at each of its calls when npxc is told to end, in a sweep, and behind a janitor that is told to."""

import json
import os
import pathlib
import signal
import time

import pytest

from conftest import RUNTIME, wait_until
from test_crash import Scenario
from test_sessions import write_lease
from tortured import Tortured

pytestmark = pytest.mark.skipif(RUNTIME is not None, reason="the runtime is the replay shim")
SESSION = Scenario("hanging", link="gateway", shim=True)

# Hangs for ever at the call of its number; its group is told of by a file, so that the test knows when it has come to it.
HANGING = r"""#!/bin/sh
PATH=/usr/bin:/bin
here=${0%/*}
i=1
until mkdir "$here/calls/$i" 2>/dev/null; do i=$((i + 1)); done
if [ "$i" = "$(cat "$here/hangs")" ]; then
	: >"$here/struck"
	exec sleep 1000
fi
exec "$here/real/docker" "$@"
"""
PROMISED_S = 2  # to the exit after a signal
SLACK_S = 6  # of a machine that is shared; a call's own time limits are 5 s and 20 s, several of them together


def test_a_signal_ends_the_session_whichever_call_of_the_cli_hangs(cache):
    plain = Tortured(SESSION, cache)
    try:
        process = plain.world.start(*SESSION.words)
        _, errors = process.communicate(plain.input, timeout=60)
        assert process.returncode == 0, errors
        count = plain.count()
    finally:
        plain.end()
    wrong, struck = [], 0
    for call in range(1, count + 1):
        run = Tortured(SESSION, cache)
        try:
            run.cli.write_text(HANGING)
            (run.tools / "hangs").write_text(str(call))
            process = run.world.start(*SESSION.words)
            process.stdin.write(run.input)
            process.stdin.flush()
            hangs = (run.tools / "struck").exists
            if not wait_until(hangs, 3):
                process.stdin.close()  # the calls of the teardown come after the end of input
                process.stdin = None
                assert wait_until(lambda: hangs() or process.poll() is not None), call
            struck += hangs()
            if process.poll() is not None:
                process.communicate()  # fewer calls this time: no network was asked for twice
                continue
            began = time.monotonic()
            process.terminate()
            process.communicate(timeout=60)
            took = time.monotonic() - began
            if process.returncode != 143 or took > PROMISED_S + SLACK_S:
                wrong.append(f"call {call}: status {process.returncode} after {took:.1f} s")
            if not wait_until(lambda: not run.left(), 40):
                wrong.append(f"call {call}: {run.left()}")
        finally:
            run.end()
    assert struck >= 6 and not wrong, "\n".join(wrong)


HANGS_AT_REMOVALS = """case "$1 $2" in
version*) echo '{"Client":{"Version":"28.2.2"}}';;
"rm "*|"network rm"|"network inspect") echo "$*" >>"${0%/*}/asked"; exec sleep 1000;;
esac
"""


def test_a_cli_that_hangs_costs_a_sweep_one_call(world, tmp_path):
    """Of all leases together: one that does not answer in time counts as down, and stays for a later sweep."""
    tools = tmp_path / "bin"
    tools.mkdir()
    docker = tools / "docker"
    docker.write_text("#!/bin/sh\nPATH=/usr/bin:/bin\n" + HANGS_AT_REMOVALS)
    docker.chmod(0o755)
    for i in range(1, 5):
        names = ("npxc-x-0000000%d" % i, "npxc-00112233445546778899aabbccddee%02x" % i)
        write_lease(world, *({"hold": {"id": k + 1, "kind": kind, "cli": str(docker), "runtime": "docker", "name": name,
                                       "environment": []}} for k, (kind, name) in enumerate(zip(("container", "network"), names))),
                    id="0000000%d" % i)
    result = world.run("gc", "--json", env={"PATH": str(tools)})
    assert result.returncode == 2, (result.stdout, result.stderr)
    assert len(json.loads(result.stdout)["kept"]) == 4
    removals = [line for line in (tools / "asked").read_text().splitlines() if line.startswith(("rm", "network rm"))]
    assert len(removals) == 1, removals


def test_a_janitor_that_is_told_to_end_tries_once_more_and_leaves_the_rest_on_the_lease(cache):
    run = Tortured(SESSION, cache)
    try:
        run.cli.write_text("#!/bin/sh\ncase \"$1 $2\" in 'network rm') echo 'Error response from daemon: has active endpoints' >&2; "
                           "echo >>\"${0%/*}/tries\"; exit 1;; esac\n"
                           'exec "${0%/*}/real/docker" "$@"\n')
        process = run.world.start(*SESSION.words)
        process.communicate(run.input, timeout=60)
        assert process.returncode == 0
        lease, = run.sessions.glob("*.lease")
        janitor = [json.loads(line) for line in lease.read_text().splitlines()][0]["janitor"]["pid"]
        assert pathlib.Path(f"/proc/{janitor}").exists()  # it tries in the background, for a minute
        before = len((run.tools / "tries").read_text().splitlines())
        os.kill(janitor, signal.SIGTERM)
        assert wait_until(lambda: not pathlib.Path(f"/proc/{janitor}").exists(), 20)
        assert len((run.tools / "tries").read_text().splitlines()) - before in (1, 2)
        assert lease.exists() and '"kind":"network"' in lease.read_text()
        run.cli.write_text('#!/bin/sh\nexec "${0%/*}/real/docker" "$@"\n')
        assert run.gc().returncode == 0
        assert wait_until(lambda: not run.left(), 10), run.left()
    finally:
        run.end()
