#!/usr/bin/env python3
"""Stands before a real container CLI and keeps a journal of its calls, in the shim's form."""
import json
import os
import pathlib
import signal
import sys
import time

settings = json.loads((pathlib.Path(sys.argv[0]).parent / "wrapper.json").read_text())
start = time.monotonic_ns() // 1000
child = os.fork()
if child == 0:
    os.execv(settings["real"], [sys.argv[0], *sys.argv[1:]])
null = os.open("/dev/null", os.O_RDWR)
for number in (0, 1):
    os.dup2(null, number)  # their ends are the real CLI's business
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
    signal.signal(number, lambda number, _: os.kill(child, number))
_, status = os.waitpid(child, 0)
line = {"call": 0, "argv": sys.argv, "env": list(os.environ), "start_us": start,
        "end_us": time.monotonic_ns() // 1000, "pid": os.getpid(), "near_miss": None, "refusal": None, "busy": False,
        "fault": None, "cut": False,
        "exit": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
        "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None}
with open(settings["journal"], "a") as journal:
    journal.write(json.dumps(line) + "\n")
if os.WIFSIGNALED(status):
    signal.signal(os.WTERMSIG(status), signal.SIG_DFL)
    os.kill(os.getpid(), os.WTERMSIG(status))
sys.exit(os.WEXITSTATUS(status))
