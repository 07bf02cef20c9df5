"""The rooms protocol of the embedded meetings: JSON text frames over a WebSocket, one connection a participant.

Requests carry an `id`, and their answer carries it back; everything else that the server sends is a push.
A join is authorised by HMAC-SHA256(secret, user); `resume` by the word that the join's answer gave.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import TYPE_CHECKING, Any

from websockets.exceptions import ConnectionClosed

from chaos.backends.base import Backend, BackendError, Entry, Lost, NotSent, Refused
from chaos.backends.socket import closed_reason, drop, open_socket, retrieved, sending, shut

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

BEAT_S = 1.0
SILENT_S = 3.0
"""Beats are answered: a connection that has said nothing for so long is dead."""
_BEAT = '{"t":"beat"}'


class RoomSession:
    """One participant in one room; see `chaos.backends.base.MeetingSession`."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.session = entry.session
        self.node = ""
        self.on_gone: Callable[[str], None] | None = None
        self.on_heard: Callable[[str, str], None] | None = None
        self._socket: ClientConnection | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._id = 0
        self._in = False
        self._word = ""
        self._last = 0
        """Number of the last broadcast that arrived: a resume says it, and is sent what came since, and no more."""
        self._heard_at = 0.0

    def __repr__(self) -> str:
        state = "in" if self._in else "out"
        return f"<room session {self.session} {state} {self.entry.key} via {self.entry.region}>"

    async def join(self) -> None:
        token = hmac.new(self.entry.secret.encode(), self.entry.user.encode(), hashlib.sha256).hexdigest()
        await self._enter({"t": "join", "user": self.entry.user, "session": self.session, "token": token})

    async def resume(self) -> None:
        if not self._word:
            raise Refused("expired")
        who = {"user": self.entry.user, "session": self.session}
        await self._enter({"t": "resume", **who, "resume": self._word, "n": self._last})

    async def say(self, text: str) -> None:
        await self._ask({"t": "say", "text": text})

    async def roster(self) -> tuple[str, ...]:
        answer = await self._ask({"t": "roster"})
        self.node = str(answer.get("node", self.node))
        return tuple(answer["sessions"])

    async def leave(self) -> None:
        await self._ask({"t": "leave"})
        self._in = False
        socket = self._socket
        await self.cut(socket_too=False)
        if socket is not None:
            await shut(socket)

    async def cut(self, *, socket_too: bool = True) -> None:
        self._in = False
        socket, self._socket = self._socket, None
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        self._end("cut")
        if socket is not None and socket_too:
            drop(socket)

    async def _enter(self, request: dict[str, Any]) -> None:
        await self.cut()
        url = self.entry.url.replace("{key}", self.entry.key)
        self._socket = socket = await open_socket(url)
        self._heard_at = asyncio.get_running_loop().time()
        self._tasks = (asyncio.create_task(self._read(socket)),)
        try:
            answer = await self._ask(request)
        except BaseException:
            await self.cut()
            raise
        self.node = str(answer.get("node", ""))
        self._word = str(answer.get("resume", self._word))
        if not answer.get("resumed"):
            self._last = max(self._last, int(answer.get("n", 0)))
        if self._socket is socket:
            self._in = True
            self._tasks += (asyncio.create_task(self._beat(socket)),)
        elif self.on_gone is not None:
            # It went in the moment of its answer: who came in hears of it once he knows that he is in.
            asyncio.get_running_loop().call_soon(self.on_gone, "reset")

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        socket = self._socket
        if socket is None:
            raise NotSent("not connected")
        self._id += 1
        number = self._id
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        future.add_done_callback(retrieved)  # the connection may go while the question is being sent
        self._waiting[number] = future
        try:
            with sending():
                await socket.send(json.dumps({**request, "id": number}, separators=(",", ":")))
            answer = await future
        finally:
            self._waiting.pop(number, None)
        if answer["t"] in {"refused", "error"}:
            raise Refused(
                str(answer.get("reason", "refused")),
                node=str(answer.get("node", "")),
                retry_after_s=answer.get("retry_after_s"),
            )
        return answer

    async def _read(self, socket: ClientConnection) -> None:
        clock = asyncio.get_running_loop().time
        reason = "reset"
        try:
            while True:
                text = await socket.recv()
                self._heard_at = clock()
                self._got(json.loads(text))
        except ConnectionClosed as error:
            reason = closed_reason(error)
        except (ValueError, KeyError, TypeError) as error:
            reason = f"nonsense from the server: {error}"
            drop(socket)
        if self._socket is socket:
            self._gone(reason)

    def _got(self, message: dict[str, Any]) -> None:
        kind = message["t"]
        if kind == "heard":
            self._last = max(self._last, int(message.get("n", 0)))
            if self.on_heard is not None:
                self.on_heard(message["from"], message["text"])
        elif "id" in message:
            future = self._waiting.get(message["id"])
            if future is not None and not future.done():
                future.set_result(message)

    async def _beat(self, socket: ClientConnection) -> None:
        clock = asyncio.get_running_loop().time
        try:
            while self._socket is socket:
                if clock() - self._heard_at > SILENT_S:
                    drop(socket)
                    self._gone("silent")
                    return
                await socket.send(_BEAT)
                await asyncio.sleep(BEAT_S)
        except (ConnectionClosed, OSError):
            return  # the reader says why

    def _gone(self, reason: str) -> None:
        """The connection ended from the other side."""
        told, self._in = self._in, False
        self._socket = None
        self._end(reason)
        if told and self.on_gone is not None:
            self.on_gone(reason)

    def _end(self, reason: str) -> None:
        error: BackendError = Lost(reason)
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)
        self._waiting.clear()


backend = Backend(
    name="rooms",
    serves="meetings",
    ack="received",
    says="JSON rooms over WebSocket: the embedded stack's meetings",
    session=RoomSession,
)
