"""Networks that stay busy."""

import time

from scenarios.base import ALLOWLIST, converse, first_call, of, parallel, plain, scenario, world_of
from worlds import wait_until

BUSY = "failed to delete network: cannot delete subnet ${network} with referring containers: somebody-elses"


def busy(**how):
    def edit(cassette):
        of(cassette, "network-delete")["busy"] = {
            **how, "key": "${network}", "answer": {"from": "edited for a scenario", "stderr": BUSY + "\n", "exit": 1}}
    return edit


@scenario("replay", timed=True)
def busy_forever(lab, runtime):
    """Busy until the launcher has gone and a bit longer; then free."""
    with world_of(lab, runtime, "busy_forever", ALLOWLIST, busy(for_ms=600000)) as world:
        session = world.start("answer", world.marker)
        converse(world, session)
        session.close()
        session.finish()
        time.sleep(1)  # still busy: whoever gives up now does not come back
        session.mark("free")
        runtime.load(world)
        if wait_until(world.networks_are_gone, 8 if lab.quick else 65, 0.02):
            session.mark("network gone")
        evidence = world.evidence(session)
        return evidence


@scenario("replay", timed=True)
def busy_then_free(lab, runtime):
    return parallel(lab, runtime, "busy_then_free", [
        (str(times), lambda times=times: plain(lab, runtime, "busy_then_free", ALLOWLIST, busy(times=times)))
        for times in (1, 2, 3, 4)])


@scenario("replay")
def gone_already(lab, runtime):
    """Somebody else deletes it in the same moment: the CLI fails and says that there is no such network."""
    def edit(cassette):
        delete = of(cassette, "network-delete")
        delete["effects"] = delete["effects"] * 2
    return plain(lab, runtime, "gone_already", ALLOWLIST, edit)


@scenario("replay")
def delete_hangs(lab, runtime):
    """The first delete never returns and ignores being told to end."""
    return plain(lab, runtime, "delete_hangs", ALLOWLIST, first_call("network-delete", hang=True, deaf=True))
