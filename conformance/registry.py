"""The requirements, and which of them can be decided where."""

import fnmatch
import json
import pathlib

from checks import CHECKS, REASONS

FILE = pathlib.Path(__file__).resolve().parent / "requirements.json"
BUILT = ("networks", "files", "endings", "hostile", "field")  # what is due by now; everything else is entered as not-run


# Decided where a sandbox is attacked or a package installed for real, not by a journal and two byte streams.
ELSEWHERE = {"egress": "decided by make attacks, see attacks/STATUS.md"}
ELSEWHERE_IDS = {"install-registry-only": "decided by tests/black_box/test_install.py"}


def load():
    return json.loads(FILE.read_text())


def choose(requirements, patterns):
    wanted = patterns or ["*"]
    return [r for r in requirements if any(fnmatch.fnmatch(r["id"], pattern) for pattern in wanted)]


def excuse(requirement, runtime):
    """(verdict, reason) when nothing is played for it there; None when it is to be decided."""
    identity = requirement["id"]
    if identity in ELSEWHERE_IDS or requirement["due"] in ELSEWHERE:
        return "not-run", ELSEWHERE_IDS.get(identity) or ELSEWHERE[requirement["due"]]
    if requirement["due"] not in BUILT:
        return "not-run", "due with the %s" % requirement["due"]
    if identity == "net-odd-version":
        return None if runtime.too_old else ("not-applicable", "version-accepted")
    if runtime.too_old:
        return "not-applicable", "version-refused"
    if (identity, runtime.family) in CHECKS:
        return None
    if runtime.family not in requirement["runtimes"]:
        return "not-applicable", "needs-live" if requirement["evidence"] == ["live"] else "no-networks"
    if runtime.family == "replay":
        return "not-applicable", "cli-cannot-express" if "argv" in requirement["evidence"] else "needs-live"
    if (identity, "replay") in CHECKS:
        return "not-applicable", "needs-replay"
    return "untestable", "there is no check for it on this runtime"


def decided_kinds(requirement, runtime):
    return [kind for kind in requirement["evidence"] if kind in runtime.decides]


assert all(reason == reason.lower() for reason in REASONS)
