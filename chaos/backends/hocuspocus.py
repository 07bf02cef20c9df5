"""Hocuspocus: Yjs documents over a WebSocket, each frame addressed to a document.

Frame: document name (string), type (integer), payload. After the connection is open the client sends its
token, its state vector and its awareness; the server answers with what the client lacks and asks for what it
lacks itself. The server answers each answer and each update with one SyncStatus, in order: that is the
acknowledgement, so the n-th status belongs to the n-th update of a connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections import deque
from typing import TYPE_CHECKING

from websockets.exceptions import ConnectionClosed

from chaos.backends import yjs
from chaos.backends.base import Backend, BackendError, Entry, Lost, NotSent, Refused
from chaos.backends.socket import closed_reason, drop, node_of, open_socket, retrieved, sending, shut
from chaos.backends.yjs import STEP_1, STEP_2, UPDATE, Copy, Reader, awareness_update, var_bytes, var_string, var_uint

if TYPE_CHECKING:
    from collections.abc import Callable

    from websockets.asyncio.client import ClientConnection

SYNC, AWARENESS, AUTH, QUERY_AWARENESS, SYNC_REPLY, CLOSE, SYNC_STATUS, PING, PONG = 0, 1, 2, 3, 4, 7, 8, 9, 10
TOKEN, DENIED, AUTHENTICATED = 0, 1, 2

CLIENT_VERSION = "3.4.4"
"""The version of the protocol's client library that the wire here corresponds to; sent behind the token."""

PING_S = 1.5
SILENT_S = 3.0
"""A connection whose pings, or whose updates, stay unanswered for so long is dead."""
AWARENESS_S = 12.0
"""y-protocols forgets who has not renewed an awareness for 30 s; clients renew at less than half of it."""

Ack = asyncio.Future[None]


class DocumentClient:
    """One client of one document; see `chaos.backends.base.DocumentSession`."""

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.session = entry.session
        self.node = ""
        self.synced = False
        self.on_gone: Callable[[str], None] | None = None
        self.on_tokens: Callable[[], None] | None = None
        self._name = var_string(entry.key)
        self._copy = Copy(self._changed)
        self._clock = 0
        self._applying = False
        self._socket: ClientConnection | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._lost = "not connected"
        self._opened: Ack | None = None
        self._pulse: Ack | None = None
        self._handed_over: Ack | None = None
        """Done when the server acknowledged what it lacked at the start of this connection."""
        self._answered = False
        self._acks: deque[tuple[Ack, float]] = deque()
        self._others = yjs.Presence()

    def __repr__(self) -> str:
        state = "synced" if self.synced else "connecting" if self._socket is not None else "off"
        return f"<document client {self.session} {state} {self.entry.key}, {len(self._acks)} unacknowledged>"

    # -- the local copy

    def tokens(self) -> tuple[str, ...]:
        return self._copy.tokens()

    def latest(self) -> str:
        return self._copy.latest

    def present(self) -> tuple[str, ...]:
        return self._others.sessions()

    def forget(self) -> None:
        if self._socket is not None:
            message = "a copy is thrown away while it is not connected"
            raise RuntimeError(message)
        self._copy.on_change = None
        self._copy = Copy(self._changed)

    def edit_offline(self, token: str) -> None:
        update = self._copy.append(token)
        if self._socket is not None and self._answered:
            # Too late for the answer to the server's state vector: it goes as an update of its own.
            self._tasks += (asyncio.create_task(self._send_late(self._socket, update, self._due())),)

    async def _send_late(self, socket: ClientConnection, update: bytes, ack: Ack) -> None:
        ack.add_done_callback(retrieved)
        try:
            await socket.send(self._frame(SYNC, UPDATE, var_bytes(update)))
        except (ConnectionClosed, OSError):
            return  # the reader says why

    def _changed(self) -> None:
        if self._applying and self.on_tokens is not None:
            self.on_tokens()

    # -- the connection

    async def open(self) -> None:
        await self.cut()
        url = self.entry.url.replace("{key}", self.entry.key)
        self._others = yjs.Presence()
        self._socket = socket = await open_socket(url, ping_s=PING_S, silent_s=SILENT_S)
        self.node = node_of(socket)
        loop = asyncio.get_running_loop()
        self._opened = opened = loop.create_future()
        self._handed_over = loop.create_future()
        self._tasks = (asyncio.create_task(self._read(socket)),)
        try:
            with sending():
                await socket.send(self._frame(AUTH, TOKEN, var_string(self._token()) + var_string(CLIENT_VERSION)))
                await socket.send(self._frame(SYNC, STEP_1, var_bytes(self._copy.state())))
                await socket.send(self._presence())
            await opened
        except BaseException:
            opened.add_done_callback(retrieved)
            await self.cut()
            raise
        self._tasks += (asyncio.create_task(self._renew(socket)),)

    async def edit(self, token: str) -> None:
        await self._change(self._copy.append, token)

    async def delete(self, token: str) -> None:
        await self._change(self._copy.remove, token)

    async def _change(self, change: Callable[[str], bytes], token: str) -> None:
        socket = self._socket
        if socket is None or not self.synced:
            raise NotSent(self._lost)
        update = change(token)
        ack = self._due()
        with sending():
            await socket.send(self._frame(SYNC, UPDATE, var_bytes(update)))
        await ack

    async def settled(self) -> None:
        if self._socket is None or self._handed_over is None:
            raise NotSent(self._lost)
        await asyncio.shield(self._handed_over)
        # The last one is enough: acknowledgements come in order.
        if self._acks:
            await asyncio.shield(self._acks[-1][0])

    async def pulse(self) -> None:
        socket = self._socket
        if socket is None or not self.synced:
            raise NotSent(self._lost)
        if self._pulse is None:
            self._pulse = asyncio.get_running_loop().create_future()
            self._pulse.add_done_callback(retrieved)
            with sending():
                await socket.send(self._frame(SYNC, STEP_1, var_bytes(self._copy.state())))
        pulse = self._pulse
        if pulse is None:
            return  # answered while it was being sent
        await asyncio.shield(pulse)

    async def close(self) -> None:
        socket = self._socket
        if socket is not None and self.synced:
            try:
                await socket.send(self._name + var_uint(AWARENESS) + var_bytes(self._next_awareness(here=False)))
            except (ConnectionClosed, OSError):
                socket = None
        await self._stop("closed")
        if socket is not None:
            await shut(socket)

    async def cut(self) -> None:
        socket = self._socket
        await self._stop("cut")
        if socket is not None:
            drop(socket)

    async def _stop(self, reason: str) -> None:
        self._socket = None
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        self._end(Lost(reason), reason)

    # -- what is sent

    def _frame(self, kind: int, sub: int, payload: bytes) -> bytes:
        return self._name + var_uint(kind) + var_uint(sub) + payload

    def _token(self) -> str:
        if not self.entry.secret:
            return self.entry.user
        return hmac.new(self.entry.secret.encode(), self.entry.user.encode(), hashlib.sha256).hexdigest()

    def _next_awareness(self, *, here: bool = True) -> bytes:
        self._clock += 1
        state = {"user": self.entry.user, "session": self.session} if here else None
        return awareness_update(self._copy.client, self._clock, state)

    def _presence(self) -> bytes:
        return self._name + var_uint(AWARENESS) + var_bytes(self._next_awareness())

    def _due(self) -> Ack:
        loop = asyncio.get_running_loop()
        ack: Ack = loop.create_future()
        self._acks.append((ack, loop.time()))
        return ack

    async def _renew(self, socket: ClientConnection) -> None:
        """Keep the awareness alive, and end a connection that no longer acknowledges."""
        clock = asyncio.get_running_loop().time
        renewed = clock()
        try:
            while self._socket is socket:
                await asyncio.sleep(0.5)
                now = clock()
                if self._acks and now - self._acks[0][1] > SILENT_S:
                    drop(socket)
                    self._gone(socket, "silent: updates stay unacknowledged")
                elif now - renewed > AWARENESS_S:
                    renewed = now
                    await socket.send(self._presence())
        except (ConnectionClosed, OSError):
            return  # the reader says why

    # -- what is received

    async def _read(self, socket: ClientConnection) -> None:
        try:
            while True:
                data = await socket.recv()
                if isinstance(data, str):
                    continue
                reply = self._got(data)
                if reply is not None:
                    await socket.send(reply)
        except ConnectionClosed as error:
            self._gone(socket, closed_reason(error))
        except BackendError as error:
            drop(socket)
            self._gone(socket, error.reason, error)
        except (ValueError, OSError) as error:
            drop(socket)
            self._gone(socket, f"nonsense from the server: {error}")

    def _got(self, data: bytes) -> bytes | None:
        """Take one frame; returns the frame to answer with."""
        reader = Reader(data)
        reader.string()  # the document; a connection of ours speaks of one only
        kind = reader.uint()
        if kind in (SYNC, SYNC_REPLY):
            return self._got_sync(reader)
        if kind == SYNC_STATUS:
            self._acknowledged(saved=reader.uint() == 1)
        elif kind == AUTH:
            return self._got_auth(reader)
        elif kind == AWARENESS:
            self._others.apply(reader.bytes())
        elif kind == PING:
            return self._name + var_uint(PONG)
        elif kind == QUERY_AWARENESS:
            return self._presence()
        elif kind == CLOSE:
            raise Lost(f"closed by the server: {reader.string() if reader.more else ''}")
        return None

    def _got_sync(self, reader: Reader) -> bytes | None:
        step = reader.uint()
        payload = reader.bytes()
        if step == STEP_1:
            if self._answered:
                return None  # it follows a pulse: all that we have was sent, and each update is on its way
            self._answered = True
            if self._handed_over is not None:
                self._acks.append((self._handed_over, asyncio.get_running_loop().time()))
            return self._frame(SYNC, STEP_2, var_bytes(self._copy.diff(payload)))
        self._applying = True
        try:
            self._copy.apply(payload)
        finally:
            self._applying = False
        if step == STEP_2:
            self.synced = True
            for future in (self._opened, self._pulse):
                if future is not None and not future.done():
                    future.set_result(None)
            self._pulse = None
        return None

    def _got_auth(self, reader: Reader) -> bytes | None:
        word = reader.uint()
        if word == DENIED:
            raise Refused(reader.string() or "denied")
        if word == TOKEN:
            return self._frame(AUTH, TOKEN, var_string(self._token()) + var_string(CLIENT_VERSION))
        return None

    def _acknowledged(self, *, saved: bool) -> None:
        if not self._acks:
            return
        ack, _ = self._acks.popleft()
        if ack.done():
            return
        if saved:
            ack.set_result(None)
        else:
            ack.set_exception(Refused("not saved"))

    def _gone(self, socket: ClientConnection, reason: str, error: BackendError | None = None) -> None:
        """The connection ended from the other side."""
        if self._socket is not socket:
            return
        told = self.synced
        self._socket = None
        self._end(error or Lost(reason), reason)
        if told and self.on_gone is not None:
            self.on_gone(reason)

    def _end(self, error: BackendError, reason: str) -> None:
        self._lost = reason
        self.synced = self._answered = False
        waiting = [ack for ack, _ in self._acks]
        waiting += [future for future in (self._opened, self._pulse, self._handed_over) if future is not None]
        self._acks.clear()
        self._opened = self._pulse = self._handed_over = None
        for future in waiting:
            if not future.done():
                future.set_exception(error)
                future.add_done_callback(retrieved)


backend = Backend(
    name="hocuspocus",
    serves="documents",
    ack="applied",
    says="Hocuspocus 2.3 and later: Yjs documents, each update acknowledged",
    session=DocumentClient,
)
