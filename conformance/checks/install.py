"""Installations."""

from checks.base import LIVE, NotApplicable, check

SUCCEEDING = ("succeeds", "follows")


def changed(path, number, value):
    def spoil(e):
        e.seen["after"][path][number] = value
    return spoil


def silent(label):
    def spoil(e):
        e.seen["said"][label] = ""
    return spoil


@check("install-host-untouched", "traps", on=LIVE,
       spoil=[lambda e: e.seen["after"].pop("npxc-trap/thesis"), lambda e: e.seen["after"].update(new=[0] * 7),
              changed("key", 1, 0o644), changed("key", 2, 65533), changed("key", 4, 2), changed("key", 6, "{}"),
              changed(".", 5, 0), silent("succeeds"), silent("follows")])
def install_host_untouched(e):
    before, after, said = e.seen["before"], e.seen["after"], e.seen["said"]
    wrong = ["%s was removed" % path for path in before if path not in after]
    wrong += ["%s was made" % path for path in after if path not in before]
    wrong += ["%s was %s and is %s" % (path, before[path], after[path]) for path in before
              if path in after and list(before[path]) != list(after[path])]
    wrong += ["the package whose script %s did not answer: %s" % (label, e.err.strip()[-200:]) for label in SUCCEEDING
              if '"laid":' not in said[label]]
    if not wrong and not any('"laid":true' in said[label] for label in SUCCEEDING):
        raise NotApplicable("runs-no-install-scripts")
    return wrong + ["the install script of the one that %s did not run" % label for label in SUCCEEDING
                    if not wrong and '"laid":true' not in said[label]]
