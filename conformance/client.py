#!/usr/bin/env -S python3 -S
"""A client in a process of its own, for ends in which the client's pipes matter.

    client.py reads|full LAUNCHER WORD...

Starts the launcher in a session of its own, its three pipes held here alone. `reads`: one request and its reply. `full`:
requests without end, of whose replies but the first is read, until nothing more can be written. Then prints "up PID" and
does what it is told by lines: pipes (closes all of them), eof (stdin), term, kill (the launcher). Tells each end of the
launcher: "ended STATUS" and goes on until its own stdin closes.
"""

import os
import select
import signal
import sys
import time

REQUEST = b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n'


def start(words):
    theirs, ours = [], []
    for number in range(3):
        read, write = os.pipe()
        theirs.append(read if number == 0 else write)
        ours.append(write if number == 0 else read)
    pid = os.fork()
    if pid == 0:
        os.setsid()
        for number in range(3):
            os.dup2(theirs[number], number)
        os.execv(words[0], words)
    for number in theirs:
        os.close(number)
    return pid, ours


def fill(pipe):
    """Until both ways are full: nothing can be written for a whole second."""
    os.set_blocking(pipe, False)
    number = 1
    while select.select([], [pipe], [], 1)[1]:
        number += 1
        try:
            os.write(pipe, REQUEST % number)
        except BlockingIOError:
            time.sleep(0.01)
        except BrokenPipeError:
            return


def main():
    mode, words = sys.argv[1], sys.argv[2:]
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    pid, (to_server, from_server, errors) = start(words)
    os.write(to_server, REQUEST % 1)
    if not os.read(from_server, 1 << 16):
        sys.exit("client: no reply: %s" % os.read(errors, 1 << 16).decode(errors="replace"))
    if mode == "full":
        fill(to_server)
    os.write(1, b"up %d\n" % pid)
    open_ends, ended = {to_server, from_server, errors}, False
    while True:
        if select.select([0], [], [], 0.01)[0]:
            said = os.read(0, 100)
            if not said:
                return
            for word in said.split():
                closing = {b"pipes": open_ends, b"eof": {to_server}}.get(word, set()) & open_ends
                for number in list(closing):
                    os.close(number)
                open_ends -= closing
                number = {b"term": signal.SIGTERM, b"kill": signal.SIGKILL}.get(word)
                if number and not ended:
                    os.kill(pid, number)
        if not ended:
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                ended = True
                os.write(1, b"ended %d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
