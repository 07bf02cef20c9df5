"""What every node of the stack does alike: options, admin endpoints, counters, and serving until it is told to end."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import signal
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import parse_qs, unquote

from websockets.asyncio.connection import Connection, broadcast
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

SERVICE_RESTART = 1012
"""Close code: this node no longer serves what the client came for; come back at once, elsewhere."""
NODE_HEADER = "X-Node"
"""Header of a handshake's answer: the node at the far end, also through gateways."""
LARGEST_FRAME = 32 * 2**20
LARGEST_BACKLOG = 8 * 2**20
"""Bytes that may wait for one slow reader before it is cut off."""
LARGEST_WORK_MS = 50

Admit = Callable[[ServerConnection, str, str], Awaitable[Response | None]]
"""(connection, kind, key) of a WebSocket request /KIND/KEY -> a refusal, or None to let it in."""


def arguments(role: str) -> argparse.ArgumentParser:
    """Options that every node takes."""
    parser = argparse.ArgumentParser(prog=f"chaos.stacks.embedded.{role}", allow_abbrev=False)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 in a container")
    parser.add_argument("--name", default=role)
    parser.add_argument("--region", default="")
    return parser


def start(main: Callable[[], Coroutine[Any, Any, None]]) -> NoReturn:
    """Run a node's main coroutine to its end, on uvloop where that is installed."""
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    try:
        import uvloop  # noqa: PLC0415 - optional

        uvloop.run(main())
    except ImportError:
        asyncio.run(main())
    sys.exit(0)


def log(text: str) -> None:
    """One line to the node's log, with the second of the day that it was said at."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def push(connection: Connection, frame: str | bytes) -> None:
    """Send without yielding, so that no time can pass between a caller's check and the send; cut a hopeless reader."""
    broadcast((connection,), frame)
    if connection.transport.get_write_buffer_size() > LARGEST_BACKLOG:
        connection.transport.abort()


class Background:
    """Tasks that nobody awaits, held until they end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def add(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def close(self, connection: Connection, code: int, reason: str) -> None:
        """Close a connection in the background; the close handshake is bounded by its `close_timeout`."""
        self.add(connection.close(code, reason))

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log(f"background work failed: {error!r}")


class Work:
    """A fixed amount of arithmetic, sized once in CPU time, so that its wall time tells the share of a processor."""

    ROUNDS = 20_000

    def __init__(self) -> None:
        self._rounds_per_ms = 0.0

    @staticmethod
    def _spin(rounds: int) -> float:
        began = time.thread_time()
        x = 1
        for _ in range(rounds):
            x = (x * 1103515245 + 12345) & 0x7FFFFFFF
        return (time.thread_time() - began) * 1000

    def burn(self, ms: float) -> dict[str, float]:
        """Do the work that takes `ms` on an undisturbed core; it blocks the node meanwhile, as real work would."""
        if not self._rounds_per_ms:
            self._rounds_per_ms = self.ROUNDS / max(min(self._spin(self.ROUNDS) for _ in range(3)), 0.01)
        began = time.monotonic()
        cpu_ms = self._spin(int(self._rounds_per_ms * max(0.0, min(ms, LARGEST_WORK_MS))))
        return {"cpu_ms": round(cpu_ms, 3), "wall_ms": round((time.monotonic() - began) * 1000, 3)}


class Node:
    """A process of the stack: its name, its counters and what it tells over HTTP on its own port."""

    def __init__(self, role: str, options: argparse.Namespace) -> None:
        self.role = role
        self.name: str = options.name
        self.region: str = options.region
        self.port: int = options.port
        self.host: str = options.host
        self.counts: Counter[str] = Counter()
        self.background = Background()
        self._work = Work()

    def ready(self) -> bool:
        """Whether the node can serve; asked by /healthz."""
        return True

    def owned(self) -> dict[str, Any]:
        """What /owned answers."""
        return {"keys": []}

    def gauges(self) -> dict[str, float]:
        """Present values for /metrics."""
        return {}

    def answers_as(self, connection: ServerConnection) -> str:
        """The name that a client's handshake is answered with; asked once it was admitted."""
        del connection
        return self.name

    async def goodbye(self) -> None:
        """Give back what the node holds, before it ends in an orderly way."""

    def metrics(self) -> str:
        """Counters and gauges in the Prometheus text format."""
        labels = f'{{node="{self.name}",role="{self.role}",region="{self.region}"}}'
        lines = []
        for kind, values in (("counter", dict(self.counts)), ("gauge", {"up": 1.0, **self.gauges()})):
            for key, value in sorted(values.items()):
                name = f"embedded_{key}" + ("_total" if kind == "counter" else "")
                lines += [f"# TYPE {name} {kind}", f"{name}{labels} {value:g}"]
        return "\n".join(lines) + "\n"

    def admin(self, connection: ServerConnection, path: str, query: str) -> Response:
        """Answer an HTTP request that is no WebSocket's."""
        match path:
            case "/healthz":
                return connection.respond(200, "ok\n") if self.ready() else connection.respond(503, "starting\n")
            case "/metrics":
                return _typed(connection.respond(200, self.metrics()), "text/plain; version=0.0.4; charset=utf-8")
            case "/owned":
                return _json(connection, self.owned())
            case "/work":
                try:
                    return _json(connection, self._work.burn(float(parse_qs(query).get("ms", ["20"])[0])))
                except ValueError:
                    return connection.respond(400, "ms must be a number\n")
        return connection.respond(404, "not found\n")

    async def serve(self, handler: Callable[[ServerConnection], Awaitable[None]], admit: Admit) -> None:
        """Serve until SIGTERM or SIGINT, then close every client with 1012."""

        async def first(connection: ServerConnection, request: Request) -> Response | None:
            path, _, query = request.path.partition("?")
            if "websocket" not in request.headers.get("Upgrade", "").lower():
                return self.admin(connection, path, query)
            kind, _, key = path.lstrip("/").partition("/")
            return await admit(connection, kind, unquote(key))

        def sign(connection: ServerConnection, _request: Request, response: Response) -> None:
            if response.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
                response.headers[NODE_HEADER] = self.answers_as(connection)

        async def handle(connection: ServerConnection) -> None:
            with contextlib.suppress(ConnectionClosed):
                await handler(connection)

        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with serve(
            handle,
            self.host,
            self.port,
            process_request=first,
            process_response=sign,
            compression=None,
            ping_interval=None,
            close_timeout=1,
            max_size=LARGEST_FRAME,
            max_queue=64,
            backlog=512,
        ) as server:
            log(f"{self.role} {self.name} serves on port {self.port}")
            await stop.wait()
            await self.goodbye()
            closing = [connection.close(SERVICE_RESTART, "service restart") for connection in server.connections]
            await asyncio.gather(*closing, return_exceptions=True)


def unavailable(connection: ServerConnection, why: str, retry_after_s: float = 0.5) -> Response:
    """A quick refusal that says when to come back."""
    response = connection.respond(503, why + "\n")
    response.headers["Retry-After"] = f"{retry_after_s:g}"
    return response


def _json(connection: ServerConnection, value: Any) -> Response:
    return _typed(connection.respond(200, json.dumps(value) + "\n"), "application/json")


def _typed(response: Response, kind: str) -> Response:
    del response.headers["Content-Type"]
    response.headers["Content-Type"] = kind
    return response
