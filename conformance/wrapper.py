#!/usr/bin/env python3
"""Stands before a real container CLI and keeps a journal of its calls, in the shim's form.

`faults` of wrapper.json spoil calls: {name, words (those the call begins with, or one that it holds), and either insert
(words put behind the first one, for the real CLI to refuse) or stdout, stderr, exit, hang instead of a call}; once each.
"""
import fcntl
import json
import os
import pathlib
import signal
import sys
import time

settings = json.loads((pathlib.Path(sys.argv[0]).parent / "wrapper.json").read_text())
start = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def append(path, entry):
    """Under a lock, as journal.py reads it."""
    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write((json.dumps(entry) + "\n").encode())
        file.flush()


append(settings["journal"] + ".began", sys.argv)  # the journal's line comes at the end of the call


def take_fault():
    for number, fault in enumerate(settings.get("faults", [])):
        words = fault["words"]
        if sys.argv[1:1 + len(words)] == words or (len(words) == 1 and words[0] in sys.argv):
            try:
                open("%s.fault-%d" % (settings["journal"], number), "x").close()
            except FileExistsError:
                continue
            return fault
    return None


fault = take_fault()
words = sys.argv[1:]
if fault and "insert" in fault:
    words[1:1] = fault["insert"]
child = os.fork()
if child == 0 and fault and "insert" not in fault:
    while fault.get("hang"):
        time.sleep(60)
    sys.stdout.write(fault.get("stdout", "").replace("${network}", sys.argv[-1]))
    sys.stderr.write(fault.get("stderr", ""))
    sys.stdout.flush()
    os._exit(fault.get("exit", 0))
if child == 0:
    os.execv(settings["real"], [sys.argv[0], *words])
null = os.open("/dev/null", os.O_RDWR)
for number in (0, 1):
    os.dup2(null, number)  # their ends are the real CLI's business
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(child, number))
_, status = os.waitpid(child, 0)
line = {"call": 0, "argv": sys.argv, "env": list(os.environ), "start_us": start,
        "end_us": time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000, "pid": os.getpid(), "near_miss": None, "refusal": None, "busy": False,
        "fault": fault["name"] if fault else None, "cut": False,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}
append(settings["journal"], line)
if os.WIFSIGNALED(status):
    signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
sys.exit(os.WEXITSTATUS(status))
