"""What doctor sees of an engine's links from inside, and that learn hears on each of them what was refused."""

import json

import pytest

from conftest import ours


def test_doctor_sees_both_links_work_and_gateways_weakness(world):
    before = ours()
    result = world.run("doctor", "--probe", "--json")
    assert (result.returncode, result.stderr) == (0, "")
    said = [(f["ok"], f.get("note", False), f["what"].split(" (")[0]) for f in json.loads(result.stdout)["findings"]
            if f["what"].startswith("link ")]
    both = ("what a rule allows is reached", "a name of no rule is refused", "an address of no rule is refused",
            "no way around npxc to 192.0.2.1", "no way around npxc to 2001:db8::1",
            "this machine's loopback is not the guest's")
    assert said == [(True, False, f"link {link}: {what}") for link in ("socket", "gateway") for what in both] + [
        (True, True, "link gateway: known weakness: the guest reached a port of this machine that listens on all "
                     "addresses")]
    assert not ours() - before


@pytest.mark.parametrize("link", ["socket", "gateway"])
def test_learn_hears_what_was_refused(world, probe, link):
    world.configure_probe({"network": {"link": link}})
    client = world.client("learn", "--json", probe)
    client.handshake()
    assert client.call("talk", host="api.learn.test", port=9999, text="x")["code"] == "EACCES"
    status, out, err = client.close()
    assert (status, out) == (0, b"")
    assert json.loads(err.splitlines()[-1])["learn"]["allow"] == ["api.learn.test:9999"]
