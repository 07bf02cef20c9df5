"""A node's side of the store's calls: one pipelined WebSocket, opened again when lost, unanswered calls sent again."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import msgpack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage

from chaos.stacks.embedded.leases import Denied
from chaos.stacks.embedded.serving import push

RECONNECT_S = 0.1
CONNECT_TIMEOUT_S = 1.0


class Calls:
    """Calls to the store. They are idempotent there, so a lost connection is no failure, only a delay."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/") + "/rpc"
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[asyncio.Future[Any], bytes]] = {}
        self._socket: ClientConnection | None = None
        self.on_open: Callable[[], None] = lambda: None
        """Called on each new connection, before the unanswered calls are sent again."""

    @property
    def connected(self) -> bool:
        return self._socket is not None

    def send(self, do: str, **fields: Any) -> asyncio.Future[Any]:
        """Send a call now, in the caller's order; the future gives the answer, or Denied if the store says no."""
        number = next(self._ids)
        frame: bytes = msgpack.packb({"id": number, "do": do, **fields})
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        self._waiting[number] = (future, frame)
        if self._socket is not None:
            push(self._socket, frame)
        return future

    async def call(self, do: str, timeout_s: float | None = None, **fields: Any) -> Any:
        """Send and wait; TimeoutError if the answer is not there in time (the call may have been carried out)."""
        return await asyncio.wait_for(self.send(do, **fields), timeout_s)

    def reset(self, reason: str) -> None:
        """Fail every unanswered call with Denied, and begin again on a new connection."""
        for future, _ in tuple(self._waiting.values()):
            if not future.done():
                future.set_exception(Denied(reason))
        if self._socket is not None:
            self._socket.transport.abort()
            self._socket = None

    async def run(self) -> None:
        """Keep a connection open for ever."""
        while True:
            try:
                socket = await connect(
                    self._url,
                    compression=None,
                    ping_interval=None,
                    proxy=None,
                    max_size=None,
                    max_queue=256,
                    open_timeout=CONNECT_TIMEOUT_S,
                    close_timeout=CONNECT_TIMEOUT_S,
                )
            except (OSError, TimeoutError, InvalidHandshake, InvalidMessage):
                await asyncio.sleep(RECONNECT_S)
                continue
            await self._talk(socket)

    async def _talk(self, socket: ClientConnection) -> None:
        again = [frame for _, frame in self._waiting.values()]
        self._socket = socket
        self.on_open()
        for frame in again:
            push(socket, frame)
        try:
            async for answer in socket:
                self._answer(msgpack.unpackb(answer))
        except ConnectionClosed:
            pass
        finally:
            if self._socket is socket:
                self._socket = None
            socket.transport.abort()

    def _answer(self, answer: dict[str, Any]) -> None:
        future, _ = self._waiting.get(answer["id"], (None, b""))
        if future is None or future.done():
            return
        if "no" in answer:
            future.set_exception(Denied(answer["no"]))
        else:
            future.set_result(answer["ok"])
