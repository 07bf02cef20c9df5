"""`python way_to_engine.py PATH [SOCKET]`: a port, or a socket, that leads to the socket PATH; it says which."""

from __future__ import annotations

import asyncio
import contextlib
import sys


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()


async def _serve(path: str, at: str = "") -> None:
    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(path)
        await asyncio.gather(_carry(reader, far_writer), _carry(far_reader, writer))
        far_writer.close()
        writer.close()

    if at:
        server = await asyncio.start_unix_server(session, at)
    else:
        server = await asyncio.start_server(session, "127.0.0.1", 0)
    print(at or server.sockets[0].getsockname()[1], flush=True)
    with contextlib.suppress(asyncio.CancelledError):
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
