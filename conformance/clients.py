"""How known clients end a session, step by step, and other ways for one to end.

A ladder is a function of a session (worlds.Session): it takes the steps that its client takes, stops where that client
stops, and returns the steps that it came to. What they do is read in their sources; where a client says nothing of its
pauses, those here are said to be ours.
"""

import contextlib
import os
import pathlib
import signal
import sys

HERE = pathlib.Path(__file__).resolve().parent
PROGRAM = HERE / "client.py"


def children_of(pid):
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError, ValueError):
                stat = pathlib.Path("/proc", entry, "stat").read_text()
                if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
                    found.append(int(entry))
    return found


def kill_tree(pid, number):
    """As VS Code's terminateProcess.sh: the children first, each with its own."""
    for child in children_of(pid):
        kill_tree(child, number)
    with contextlib.suppress(OSError):
        os.kill(pid, number)


def climb(session, *steps):
    """steps: (name, what is done, seconds until the next; None: the last)."""
    taken = []
    for name, act, seconds in steps:
        if taken and ended(session, steps[len(taken) - 1][2]):
            break
        session.mark(name)
        session.mark("last step")
        act()
        taken.append(name)
    return taken


def ended(session, seconds):
    """Whether process and pipes are closed: SDKs wait for both. A client of its own process tells of the launcher's end."""
    return bool(session.await_(lambda: session.over or b"ended " in session.out, seconds))


def one(session, number):
    def act():
        with contextlib.suppress(ProcessLookupError):
            os.kill(session.process.pid, number)
    return act


def group(session, number):
    def act():
        with contextlib.suppress(ProcessLookupError):
            os.killpg(session.process.pid, number)
    return act


def tree(session, number):
    return lambda: kill_tree(session.process.pid, number)


def typescript_sdk(session):
    """1.x and 2.x: stdin.end(), 2 s, SIGTERM, 2 s, SIGKILL; the direct child only; it waits for `close`."""
    return climb(session, ("eof", session.close, 2), ("SIGTERM", one(session, signal.SIGTERM), 2),
                 ("SIGKILL", one(session, signal.SIGKILL), None))


def typescript_probe(session):
    """The 2.x probe of a server's era: stdin and SIGTERM at once, SIGKILL after 1 s."""
    def both():
        session.close()
        one(session, signal.SIGTERM)()
    return climb(session, ("eof and SIGTERM", both, 1), ("SIGKILL", one(session, signal.SIGKILL), None))


def python_sdk(session):
    """The child leads a session of its own: close stdin, 2 s, SIGTERM to the group, 2 s, SIGKILL to the group."""
    return climb(session, ("eof", session.close, 2), ("SIGTERM", group(session, signal.SIGTERM), 2),
                 ("SIGKILL", group(session, signal.SIGKILL), None))


def vs_code(session):
    """stdin.end(), 10 s, SIGTERM to the whole tree, 10 s, SIGKILL to the whole tree."""
    return climb(session, ("eof", session.close, 10), ("SIGTERM", tree(session, signal.SIGTERM), 10),
                 ("SIGKILL", tree(session, signal.SIGKILL), None))


def vs_code_last(session):
    """The last step alone, which a launcher that keeps its promises never sees."""
    return climb(session, ("SIGKILL", tree(session, signal.SIGKILL), None))


def zed(session):
    """kill_on_drop: SIGKILL, and its ends of the pipes are closed."""
    taken = climb(session, ("SIGKILL", one(session, signal.SIGKILL), None))
    session.close()
    return taken


def claude_code(session):
    """SIGINT first, then SIGTERM, then SIGKILL. Its pauses are not published: these are short, so that a signal comes
    while the one before is being obeyed."""
    return climb(session, ("SIGINT", one(session, signal.SIGINT), 0.1), ("SIGTERM", one(session, signal.SIGTERM), 0.4),
                 ("SIGKILL", one(session, signal.SIGKILL), None))


LADDERS = (typescript_sdk, typescript_probe, python_sdk, vs_code, vs_code_last, zed, claude_code)


# ---- through a client of its own process (client.py): what its pipes do is then its own ----

def closes_pipes(session):
    """All of its ends, and no signal."""
    return climb(session, ("pipes", lambda: session.say(b"pipes"), None))


def stops_reading(session):
    """stdout is full and stays so; then the ladder of the TypeScript SDK."""
    return climb(session, ("eof", lambda: session.say(b"eof"), 2), ("SIGTERM", lambda: session.say(b"term"), 2),
                 ("SIGKILL", lambda: session.say(b"kill"), None))


def dies(session):
    """SIGKILL of the client: its ends of the pipes close with it."""
    return climb(session, ("client killed", one(session, signal.SIGKILL), None))


OWN_CLIENT = {"reads": (closes_pipes, dies), "full": (stops_reading,)}
COMMAND = [sys.executable, "-S", str(PROGRAM)]
