"""The journal of a CLI's calls, one JSON object a line: the shim and wrapper.py write it, each line under a lock."""

import fcntl
import json


def entries(path):
    """What stands there now. Read under the lock: without it a line may be seen of which only a part is written."""
    try:
        file = open(path, "rb")
    except FileNotFoundError:
        return []
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        return [json.loads(line) for line in file.read().splitlines()]
