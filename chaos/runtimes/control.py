"""Control sockets: one JSON line asks, one JSON line answers, over a unix socket; every wait is bounded.

The server side runs on asyncio in the supervisor and in the link proxy; the client side is blocking, opens one
connection per question and raises only leaves of `chaos.errors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed

LINE_LIMIT = 4 << 20
"""Bytes in the longest line that either side takes."""

Handler = Callable[[dict[str, Any]], Awaitable[Any]]


class AgentGone(StackFailed):
    """Nobody listens on the control socket: the supervisor or proxy has ended, and what it held with it."""


class AgentRefused(StackFailed):
    """The supervisor or proxy answered, and said that it could not do it."""


class AgentSilent(StackFailed):
    """The supervisor or proxy is there, but did not answer in time."""


class BadRequest(Exception):
    """What a handler raises for a request that it cannot serve; its text goes back to the client."""


def call(path: str, do: str, *, timeout_s: float = 5.0, **arguments: Any) -> Any:
    """Ask the agent at `path` to `do` something; return its value.

    Raises `AgentGone`, `AgentSilent` or `AgentRefused`, all of them `StackFailed`.
    """
    question = json.dumps({"do": do, **arguments}).encode() + b"\n"
    with _mapped(path, do, timeout_s), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout_s)
        sock.connect(path)
        sock.sendall(question)
        line = _read_line(sock)
    answer = _parse(line, path, do)
    if not answer.get("ok"):
        raise AgentRefused(f"`{do}` was refused: {answer.get('error', 'no reason given')}")
    return answer.get("value")


def _read_line(sock: socket.socket) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not parts or not parts[-1].endswith(b"\n"):
        part = sock.recv(65536)
        size += len(part)
        if not part or size > LINE_LIMIT:
            raise ConnectionResetError("the answer was cut short")
        parts.append(part)
    return b"".join(parts)


def _parse(line: bytes, path: str, do: str) -> dict[str, Any]:
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise AgentRefused(f"`{do}`: {path} answered something that is not a JSON object")
    return answer


@contextlib.contextmanager
def _mapped(path: str, do: str, timeout_s: float) -> Iterator[None]:
    """Turn what sockets raise into leaves of the error tree."""
    hint = "`chaos stack ps` shows what still runs"
    try:
        yield
    except TimeoutError as error:
        raise AgentSilent(f"`{do}`: no answer from {path} within {timeout_s:g} s", hint=hint) from error
    except (FileNotFoundError, ConnectionError) as error:
        raise AgentGone(f"`{do}`: the stack behind {path} is gone", hint=hint) from error
    except OSError as error:
        raise StackFailed(f"`{do}`: cannot talk to {path}: {error}", hint=hint) from error


async def serve(path: str, handler: Handler) -> asyncio.Server:
    """Listen on `path` (mode 0600) and answer each line with what `handler` returns; connections are independent."""

    async def session(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(json.dumps(await answer(line, handler)).encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # the client has gone, or its line is too long
            pass
        finally:
            writer.close()

    # Bound under another name and moved: who sees the socket can connect to it.
    draft = f"{path}.new"
    server = await asyncio.start_unix_server(session, draft, limit=LINE_LIMIT)
    _publish(Path(draft), path)
    return server


def _publish(draft: Path, path: str) -> None:
    draft.chmod(0o600)
    draft.rename(path)


def withdraw(path: str) -> None:
    """Remove a socket's file; one that is gone is no error."""
    Path(path).unlink(missing_ok=True)


async def answer(line: bytes, handler: Handler) -> dict[str, Any]:
    """What goes back for one request: `ok` with its `value`, or the `error` in words."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict):
            return {"ok": False, "error": "a request is a JSON object"}
        return {"ok": True, "value": await handler(request)}
    except BadRequest as error:
        return {"ok": False, "error": str(error)}
    except Exception as error:  # noqa: BLE001 - one bad request must not end the agent that holds the leases
        return {"ok": False, "error": f"{type(error).__name__}: {error}"}
