"""The sandbox."""

import json
import re

from checks.base import LIVE, NotApplicable, check, option, without


# ---- box: by the argument list ----

def run_or(e):
    return [] if e.run else ["the server was not started: %s" % e.err.strip()[-200:]]


def on_argv(identity, *spoils):
    return check(identity, "sandbox", on=("replay",), spoil=spoils)


@on_argv("box-rootfs-read-only", without("--read-only"))
def box_rootfs_read_only_by_argv(e):
    return run_or(e) or ([] if e.run.has("--read-only") else ["no --read-only"])


def add_option(*words):
    def spoil(e):
        e.run.argv[2:2] = words
    return spoil


@on_argv("box-caps-empty", option("--cap-drop", "NET_RAW"), add_option("--cap-add", "SYS_ADMIN"))
def box_caps_empty_by_argv(e):
    if not e.run:
        return run_or(e)
    return ([] if "ALL" in e.run.values("--cap-drop") else ["no --cap-drop ALL"]) + \
        ["--cap-add %s" % name for name in e.run.values("--cap-add")]


@on_argv("box-not-root", option("--user", "0:0"), option("--user", "root"), option("--user", None))
def box_not_root_by_argv(e):
    if not e.run:
        return run_or(e)
    users = e.run.values("-u", "--user") + e.run.values("--uid")
    if not users:
        return ["no --user"]
    return ["the server runs as %s" % user for user in users if re.split(":", user)[0] in ("0", "root", "")]


PROMISED = {"PATH", "HOME", "TMPDIR", "LANG", "TERM", "TZ"}


def names_of(values):
    return {value.split("=", 1)[0] for value in values}


@on_argv("box-env-empty", add_option("-e", "NOT_FORWARDED"), add_option("--env-file", "/x"), option("-e", "OTHER=1"))
def box_env_empty_by_argv(e):
    if not e.run:
        return run_or(e)
    names = names_of(e.run.values("-e", "--env"))
    wrong = ["--env-file" for _ in e.run.values("--env-file")]
    if names - PROMISED != {"FORWARDED"}:
        wrong.append("declared was FORWARDED, the server gets %s" % sorted(names - PROMISED))
    if not {"PATH", "HOME", "TMPDIR", "LANG"} <= names:
        wrong.append("missing: %s" % sorted({"PATH", "HOME", "TMPDIR", "LANG"} - names))
    return wrong


def home_of(e):
    return next((value.split("=", 1)[1] for value in e.run.values("-e", "--env") if value.startswith("HOME=")), None)


def no_home_tmpfs(e):
    argv = e.run.argv
    index = next(i for i, word in enumerate(argv) if word == "--tmpfs" and argv[i + 1] == home_of(e))
    del argv[index:index + 2]


@on_argv("box-home-writable", no_home_tmpfs)
def box_home_writable_by_argv(e):
    if not e.run:
        return run_or(e)
    home = home_of(e)
    mounts = [value.split(":")[1] for value in e.run.values("-v", "--volume")]
    wrong = [] if home and home in e.run.values("--tmpfs") else ["HOME is %s, the tmpfs mounts are %s" % (home, e.run.values("--tmpfs"))]
    return wrong + (["HOME is the host's"] if home in mounts else [])


def no_tmpfs(path):
    def spoil(e):
        argv = e.run.argv
        index = next(i for i, word in enumerate(argv) if word == "--tmpfs" and argv[i + 1] == path)
        del argv[index:index + 2]
    return spoil


@on_argv("box-tmp-writable", no_tmpfs("/tmp"), no_tmpfs("/run"))
def box_tmp_writable_by_argv(e):
    return run_or(e) or ["no tmpfs at %s" % path for path in ("/tmp", "/run") if path not in e.run.values("--tmpfs")]


@on_argv("box-limits", option("--memory", None), option("--cpus", None),
         lambda e: setattr(e.run, "argv", [word for word in e.run.argv if not word.startswith("nproc=")]))
def box_limits_by_argv(e):
    if not e.run:
        return run_or(e)
    wrong = []
    for what, found in (("memory", e.run.values("-m", "--memory")), ("processors", e.run.values("-c", "--cpus")),
                        ("processes", [v for v in e.run.values("--ulimit") if v.startswith("nproc=")] + e.run.values("--pids-limit"))):
        if not found:
            wrong.append("no limit of %s" % what)
    return wrong


@check("box-secrets-not-in-argv", "sandbox",
       spoil=[lambda e: e.seen["holders"].append("argument list of process 1")])
def box_secrets_not_in_argv(e):
    wrong = ["the value is in: %s" % where for where in e.seen["holders"]]
    wrong += ["the value is in a call of the CLI: %s" % call.kind for call in e.calls
              if any(e.seen["secret"] in word for word in call.argv)]
    got = e.seen["live"].get("env", {}).get("value", {}).get("FORWARDED") if "live" in e.seen else None
    if "live" in e.seen and got != e.seen["secret"]:
        wrong.append("the server did not get the variable")
    if "live" not in e.seen and e.run and "FORWARDED" not in names_of(e.run.values("-e", "--env")) and not e.run.values("--env-file"):
        wrong.append("the variable was not forwarded")
    return wrong + ([] if "live" in e.seen else run_or(e))


# ---- box: as seen from inside ----

def on_live(identity, *spoils):
    return check(identity, "sandbox", on=LIVE, spoil=spoils)


def answer(e, label):
    """The probe's result, or {} with ok False."""
    return e.seen["live"].get(label) or {"ok": False, "code": "no answer; stderr: " + e.err.strip()[-200:]}


def status_field(e, name):
    for line in (answer(e, "process").get("value") or "").splitlines():
        if line.startswith(name + ":"):
            return line.split(":", 1)[1].strip()
    return None


def live(label, **result):
    def spoil(e):
        e.seen["live"][label] = result
    return spoil


READ_ONLY = ("/x", "/usr/x", "/etc/x", "/opt/x", "/var/x", "/proc/sys/kernel/core_pattern")


@on_live("box-rootfs-read-only", live("write /x", ok=True), live("write /usr/x", ok=True))
def box_rootfs_read_only_live(e):
    wrong = []
    for path in READ_ONLY:
        result = answer(e, "write " + path)
        if result.get("ok") or result.get("code") not in ("EROFS", "EACCES", "ENOENT", "EPERM"):
            wrong.append("writing %s: %s" % (path, result))
    return wrong


def field_becomes(name, value):
    def spoil(e):
        text = e.seen["live"]["process"]["value"]
        e.seen["live"]["process"]["value"] = re.sub(r"(?m)^%s:.*$" % name, "%s:\t%s" % (name, value), text)
    return spoil


@on_live("box-caps-empty", field_becomes("CapEff", "0000000000000400"), field_becomes("CapBnd", "000001ffffffffff"))
def box_caps_empty_live(e):
    return ["%s is %s" % (name, status_field(e, name)) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
            if status_field(e, name) is None or int(status_field(e, name), 16) != 0]


@on_live("box-not-root", field_becomes("Uid", "0\\t0\\t0\\t0"), live("process", ok=False))
def box_not_root_live(e):
    ids = [status_field(e, name) for name in ("Uid", "Gid")]
    return [] if all(text and "0" not in text.split() for text in ids) else [
        "the server's user and group are %s (%s)" % (ids, answer(e, "process").get("code"))]


@on_live("box-no-new-privs", field_becomes("NoNewPrivs", "0"))
def box_no_new_privs(e):
    return [] if status_field(e, "NoNewPrivs") == "1" else ["NoNewPrivs is %s" % status_field(e, "NoNewPrivs")]


@on_live("box-not-an-orphan", field_becomes("PPid", "1"), field_becomes("Pid", "1"), live("process", ok=False))
def box_not_an_orphan(e):
    pid, parent = (status_field(e, name) for name in ("Pid", "PPid"))
    if pid is None or parent is None:
        return ["the server's process is not known (%s)" % answer(e, "process").get("code")]
    return (["the server is process 1"] if pid == "1" else []) + (
        ["the server's parent is process %s" % parent] if parent in ("0", "1") else [])


def more_variables(e):
    e.seen["live"]["env"]["value"]["AWS_PROFILE"] = "x"


@on_live("box-env-empty", more_variables, live("env", ok=False))
def box_env_empty_live(e):
    names = set(answer(e, "env").get("value") or {})
    wrong = []
    # PWD: a shell that starts the server may set it; podman itself adds container, and docker too HOSTNAME
    extra = names - PROMISED - {"FORWARDED", "PWD", "container", "HOSTNAME"} - ({"SHLVL", "_", "OLDPWD"})
    if extra:
        wrong.append("variables that nobody declared: %s" % sorted(extra))
    missing = {"PATH", "HOME", "TMPDIR", "LANG", "FORWARDED"} - names
    if missing:
        wrong.append("missing: %s (%s)" % (sorted(missing), answer(e, "env").get("code")))
    return wrong


@on_live("box-home-writable", live("home", ok=True, value={"status": 1, "stdout": ""}), live("home", ok=False))
def box_home_writable_live(e):
    result = answer(e, "home").get("value") or {}
    wrong = []
    if result.get("status") != 0 or not str(result.get("stdout", "")).startswith("/"):
        wrong.append("writing into HOME: %s" % (result or answer(e, "home")))
    return wrong + ["it is the host's: %s" % path for path in e.seen["host has x"] if path.startswith(e.seen["home"])]


@on_live("box-tmp-writable", live("write /tmp/x", ok=False, code="EROFS"), lambda e: e.seen["host has x"].append("/tmp/x"))
def box_tmp_writable_live(e):
    wrong = ["writing %s: %s" % (path, answer(e, "write " + path)) for path in ("/tmp/x", "/run/x")
             if not answer(e, "write " + path).get("ok")]
    return wrong + ["it is the host's: %s" % path for path in e.seen["host has x"] if not path.startswith(e.seen["home"])]


def sees(path):
    def spoil(e):
        e.seen["live"]["read " + e.seen["hidden"][path]] = {"ok": True, "value": "secret"}
    return spoil


@on_live("box-host-files-hidden", sees(0), sees(3), live("processes", ok=True, value=200))
def box_host_files_hidden(e):
    wrong = ["%s can be read" % path for path in e.seen["hidden"]
             if answer(e, "read " + path).get("code") not in ("ENOENT", "EACCES")]
    count = answer(e, "processes").get("value")
    if not isinstance(count, int) or count > 8:
        wrong.append("the server sees %s processes" % count)
    return wrong


# From which ABI of Landlock on the kernel can stop it, and a word that says of what is left that it is this.
DOORS = (("abstract", 6, "abstract"), ("late", 9, "UNIX socket"))


def reaches(label, landlock, *remains):
    def spoil(e):
        e.seen["live"][label] = {"ok": True, "value": {"status": 0, "stdout": "hello\n"}}
        e.seen["landlock"], e.seen["remains"] = landlock, list(remains)
    return spoil


@check("box-no-late-socket", "late_sockets", on=("bwrap",),
       spoil=[reaches("abstract", 6, "abstract UNIX sockets"), reaches("abstract", 5, "a UNIX socket"),
              reaches("late", 9, "a UNIX socket"), reaches("late", 8, "abstract ones"), live("late", ok=False),
              live("own", ok=True, value={"status": 1, "stdout": "PermissionError\n"}),
              lambda e: e.seen["outside"].update(late="ConnectionRefusedError")])
def box_no_late_socket(e):
    wrong = ["outside of the sandbox too the %s socket says %s" % pair for pair in e.seen["outside"].items() if pair[1] != "hello"]
    said = {label: str((answer(e, label).get("value") or {}).get("stdout", "")).strip() for label, _, _ in DOORS + (("own", 0, ""),)}
    wrong += ["the server could not try the %s socket: %s" % (label, answer(e, label)) for label in said if not said[label]]
    if said["own"] != "hello":
        wrong.append("its own abstract socket says %s" % said["own"])
    for label, needed, word in DOORS:
        if said[label] != "hello":
            continue
        if e.seen["landlock"] >= needed:
            wrong.append("the %s socket was reached, which this kernel can stop (Landlock ABI %d)" % (label, e.seen["landlock"]))
        elif not any(word in line for line in e.seen["remains"]):
            wrong.append("the %s socket was reached, and inspect does not say so" % label)
    if not wrong and all(said[label] == "hello" for label, _, _ in DOORS):
        raise NotApplicable("kernel-offers-no-way")
    return wrong


@check("box-limits", "limits", on=("bwrap", "podman", "docker"),
       spoil=[lambda e: e.seen["memory"].update(allocate={"ok": True, "value": 57}),
              lambda e: e.seen["processes"].update(spawn={"ok": True, "value": {"stdout": "started\n", "stderr": ""}})])
def box_limits_live(e):
    try:
        said = json.loads(e.seen["plan"]).get("limits", {})
    except ValueError:
        said = {}
    if said.get("memory_enforced") is False or "not enforced" in e.seen["said"]:
        raise NotApplicable("limit-not-enforced")
    wrong = []
    memory = e.seen["memory"].get("allocate")
    if memory is None:
        wrong.append("the server could not be asked: %s" % e.seen["said"].strip()[-200:])
    elif memory.get("ok"):
        wrong.append("900 MiB could be had where 256 MiB are allowed")
    many = e.seen["processes"].get("spawn") or {}
    value = many.get("value") or {}
    if many.get("ok") and "started" in str(value.get("stdout")) and not value.get("stderr"):
        wrong.append("900 processes could be started")
    return wrong
