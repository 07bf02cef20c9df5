"""Is a local server up: asks its port, or an HTTP path on it, without blocking the loop and without polling hard."""

from __future__ import annotations

import asyncio
import socket

EVERY_S = 0.02
ANSWER_S = 1.0


async def wait_healthy(port: int, path: str | None) -> None:
    """Return once the server on 127.0.0.1:`port` accepts (path None) or answers 200; waits for ever."""
    while not await is_healthy(port, path):  # noqa: ASYNC110 - another process's state has no event
        await asyncio.sleep(EVERY_S)


async def is_healthy(port: int, path: str | None) -> bool:
    """One try of at most a second."""
    sock = socket.socket()
    sock.setblocking(False)  # noqa: FBT003 - the socket module's way
    try:
        # A refusal on loopback comes back from connect itself: polling a port not yet open costs two system calls.
        async with asyncio.timeout(ANSWER_S):
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
            return path is None or await _asks(sock, port, path)
    except (OSError, TimeoutError):
        return False
    finally:
        sock.close()


async def _asks(sock: socket.socket, port: int, path: str) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(
        sock, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode()
    )
    head = b""
    while b"\r\n" not in head and (part := await loop.sock_recv(sock, 4096)):
        head += part
    parts = head.split(b" ", 2)
    return len(parts) > 1 and parts[0].startswith(b"HTTP/1.") and parts[1] == b"200"
