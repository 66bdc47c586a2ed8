"""Runs a program beside a TCP listener that leads to a UNIX socket: bridge.py ADDRESS PORT SOCKET PROGRAM ARG..."""

import asyncio
import sys


async def copy(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        writer.write_eof()
    except OSError:
        writer.close()


async def main():
    address, port, socket, *program = sys.argv[1:]

    async def serve(reader, writer):
        up_reader, up_writer = await asyncio.open_unix_connection(socket)
        await asyncio.gather(copy(reader, up_writer), copy(up_reader, writer))
        up_writer.close()
        writer.close()

    await asyncio.start_server(serve, address, int(port), backlog=256)
    sys.exit(await (await asyncio.create_subprocess_exec(*program)).wait())


asyncio.run(main())
