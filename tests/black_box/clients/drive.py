"""What drive.mjs does, with the official SDK for Python: the same wishes, the same report.

It runs on the Python of ci/python-sdk. That SDK signals the group of the process that it started; it does not tell when
that one's pipes were closed.
"""

import json
import os
import signal
import sys
import tempfile

import anyio
import mcp.client.stdio
from mcp import ClientSession, StdioServerParameters, types

wanted = json.loads(sys.argv[1])
seen = {"results": [], "progress": 0, "processes": []}
started = []


def witness():
    """Every process that the SDK starts, and every signal that it sends to the group of one."""
    open_process, killpg = anyio.open_process, os.killpg

    async def opening(*words, **more):
        process = await open_process(*words, **more)
        seen["processes"].append({"pid": process.pid, "signals": []})
        started.append(process)
        return process

    def killing(group, number):
        for process in seen["processes"]:
            if process["pid"] == group and number != 0:  # 0: a look whether any of it is left
                process["signals"].append(signal.Signals(number).name)
        killpg(group, number)

    anyio.open_process, os.killpg = opening, killing


async def roots(_):
    if wanted["roots"] == "silence":
        await anyio.sleep_forever()
    return types.ListRootsResult(roots=[types.Root(uri="file://" + wanted["cwd"], name="project")])


async def sample(*_):
    return types.CreateMessageResult(role="assistant", model="none",
                                     content=types.TextContent(type="text", text="sampled by the client"))


async def progress(*_):
    seen["progress"] += 1


async def talk(errors):
    server = StdioServerParameters(command=wanted["command"], args=wanted["args"], cwd=wanted["cwd"], env=wanted["env"])
    async with mcp.client.stdio.stdio_client(server, errlog=errors) as (read, write):
        async with ClientSession(read, write, list_roots_callback=roots if wanted["roots"] else None,
                                 sampling_callback=sample if wanted["sampling"] else None) as session:
            seen["server"] = (await session.initialize()).serverInfo.model_dump(exclude_none=True)
            seen["tools"] = [tool.name for tool in (await session.list_tools()).tools]
            for call in wanted["calls"]:
                result = await session.call_tool(call["name"], call["arguments"], progress_callback=progress)
                seen["results"].append(result.model_dump(mode="json", by_alias=True, exclude_none=True))
            if wanted.get("hold"):
                print("held", flush=True)
                await anyio.sleep_forever()


witness()
with tempfile.TemporaryFile("w+") as errors:
    try:
        anyio.run(talk, errors)
    except Exception as error:  # the report tells it
        seen["error"] = repr(error)
    errors.seek(0)
    seen["stderr"] = errors.read()
for process, told in zip(started, seen["processes"]):
    status = process.returncode
    told["status"] = status if status is not None and status >= 0 else None
    told["signal"] = signal.Signals(-status).name if status is not None and status < 0 else None
print(json.dumps(seen))
