"""Servers that have to be installed before they run."""

import json
import os
import pathlib

TOP = pathlib.Path(__file__).resolve().parent.parent.parent


def stored_copy(source):
    """The same server with an install script of its own: a directory that is installed, not run where it lies."""
    place = TOP / "build" / f"stored-{os.getuid()}" / source.name
    manifest = json.loads((source / "package.json").read_text())
    wanted = {path.name: path.read_bytes() for path in source.iterdir() if path.is_file()}
    wanted["package.json"] = json.dumps({**manifest, "scripts": {"postinstall": "node -e 0"}}).encode()
    place.mkdir(parents=True, exist_ok=True)
    for name, data in wanted.items():
        if not (place / name).exists() or (place / name).read_bytes() != data:
            (place / name).write_bytes(data)
            (place / name).chmod(0o755)
    return place
