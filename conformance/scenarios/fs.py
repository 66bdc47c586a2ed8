"""Names and files."""

import json
import shutil

from evidence import Evidence
from scenarios.base import converse, sandbox_arguments, scenario, world_of
from worlds import LIGHT


@scenario("replay", "bwrap")
def two_packages(lab, runtime):
    """@a/b-c and @a-b/c, each with data that it keeps."""
    whole = Evidence("two_packages", runtime.name)
    with world_of(lab, runtime, "two_packages") as world:
        for name in ("@a/b-c", "@a-b/c"):
            directory = world.home / name.replace("/", "+")
            shutil.copytree(LIGHT, directory)
            package = json.loads((directory / "package.json").read_text())
            package["name"] = name
            package["bin"] = {"light": "light.sh"}
            (directory / "package.json").write_text(json.dumps(package))
            world.configure_package({"network": {"mode": "none"}, "storage": {"persist": True}}, name)
            before = len(world.runtime.calls(world))
            session = world.start("answer", world.marker, server=directory)
            converse(world, session)
            argv = sandbox_arguments(world, session)
            session.close()
            session.finish()
            part = world.evidence(session)
            part.calls = part.calls[before:]
            part.seen["argv"] = argv if runtime.family == "bwrap" else (part.run.argv if part.run else None)
            part.seen["home"] = str(world.home)
            whole.parts[name] = part
    return whole
