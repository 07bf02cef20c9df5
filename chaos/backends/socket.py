"""One WebSocket client connection, with every failure told in the words of `chaos.backends.base`."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException

from chaos.backends.base import Lost, NotSent, Refused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from websockets.asyncio.client import ClientConnection

BUSY = (429, 502, 503, 504)
"""Statuses of a handshake by which a gateway says: not now."""

NODE_HEADERS = ("X-Chaos-Node", "X-Node", "X-Served-By")
"""Headers of the handshake's answer that may name the server node."""


async def open_socket(url: str, *, ping_s: float | None = None, silent_s: float | None = None) -> ClientConnection:
    """Connect, without a proxy of the environment and without compression.

    `ping_s`, `silent_s`: how often the WebSocket itself is asked whether it lives, and how long it may not answer.
    Raises `Refused` (busy, with the time to come back), `NotSent` (no connection) or `TimeoutError`.
    """
    with _opening():
        return await connect(
            url,
            compression=None,
            proxy=None,
            open_timeout=None,
            ping_interval=ping_s,
            ping_timeout=silent_s,
            close_timeout=1.0,
            max_size=64 * 1024 * 1024,
            max_queue=256,
            user_agent_header=None,
        )


@contextmanager
def _opening() -> Iterator[None]:
    try:
        yield
    except InvalidStatus as error:
        status = error.response.status_code
        if status not in BUSY:
            raise Refused(f"HTTP {status}") from error
        raise Refused("busy", retry_after_s=_retry_after(error.response.headers.get("Retry-After"))) from error
    except TimeoutError:
        raise
    except (InvalidHandshake, InvalidURI, ConnectionClosed, EOFError) as error:
        raise NotSent(f"no handshake: {error}") from error
    except (OSError, WebSocketException) as error:
        raise NotSent(f"no connection: {error}") from error


def _retry_after(text: str | None) -> float | None:
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None


@contextmanager
def sending() -> Iterator[None]:
    """What fails within may have been sent: `Lost`."""
    try:
        yield
    except ConnectionClosed as error:
        raise Lost(closed_reason(error)) from error
    except TimeoutError:
        raise
    except OSError as error:
        raise Lost(f"connection: {error}") from error


def closed_reason(error: ConnectionClosed) -> str:
    """`closed 1012 service restart`, or `reset` where there was no closing frame."""
    frame = error.rcvd
    if frame is None:
        return "no answer to pings" if error.sent is not None and error.sent.code == 1011 else "reset"  # noqa: PLR2004
    return f"closed {frame.code} {frame.reason}".rstrip()


def node_of(socket: ClientConnection) -> str:
    """The node that the handshake's answer names; empty where it names none."""
    headers = socket.response.headers if socket.response is not None else {}
    for name in NODE_HEADERS:
        value = headers.get(name)
        if value:
            return str(value)
    return ""


def drop(socket: ClientConnection) -> None:
    """Cut the connection at once, without a closing frame."""
    socket.transport.abort()


async def shut(socket: ClientConnection) -> None:
    """Close in order, for at most a second and a bit; then cut."""
    try:
        async with asyncio.timeout(1.5):
            await socket.close()
    except (TimeoutError, OSError, ConnectionClosed):
        drop(socket)


def retrieved(future: asyncio.Future[Any]) -> None:
    """For an answer that may fail while nobody waits for it, as a callback: that is no error."""
    if not future.cancelled():
        future.exception()
