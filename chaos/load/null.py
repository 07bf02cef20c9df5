"""The null target: a server that answers each message with itself, to tell when this machine is the slow one.

`python -m chaos.load.null` prints its port and serves until its standard input ends.
"""

from __future__ import annotations

import asyncio
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed


async def _echo(connection: ServerConnection) -> None:
    try:
        while True:
            await connection.send(await connection.recv())
    except ConnectionClosed:
        return


async def _main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with serve(_echo, "127.0.0.1", 0, compression=None, ping_interval=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        sys.stdout.write(f"{port}\n")
        sys.stdout.flush()
        await reader.read()


if __name__ == "__main__":
    asyncio.run(_main())
