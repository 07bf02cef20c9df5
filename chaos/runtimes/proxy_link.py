"""One link of the proxy: its listener, its live connections, and the faults that hold on it."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import socket
import urllib.parse
from collections import Counter
from typing import Any

from chaos.runtimes.proxy_flow import Flow
from chaos.runtimes.proxy_lane import Lane, Store
from chaos.runtimes.proxy_wire import End, Loop, Wire
from chaos.runtimes.shaping import Effect, Impairment

BACKLOG = 1024
ACCEPT_AGAIN_S = 0.1
REQUEST = 2048
"""Bytes in which the first line of a request is looked for."""
RESERVE = 16
"""Descriptors that connections leave free: whoever takes a fault back needs one."""
DIRECTIONS = ("forward", "backward")


class First:
    """Stands before a client's stream until its first bytes are there, and reads in them what it asks for."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._stream = connection.client.reads
        connection.client.reads = self

    def feed(self) -> None:
        """Look without taking anything, once, and step aside."""
        wire = self._connection.client
        wire.reads = self._stream
        # Through the wire: a reset that is waiting here is told once only.
        if request := wire.take(_peek, wire.sock):
            self._connection.key = asked(request)
            self._stream.feed()

    def room(self) -> None:
        """As the stream."""
        self._stream.room()

    def push(self, what: End) -> None:
        """As the stream."""
        self._stream.push(what)

    def drop(self) -> None:
        """As the stream."""
        self._stream.drop()


def _peek(sock: socket.socket) -> bytes:
    return sock.recv(REQUEST, socket.MSG_PEEK)


def asked(request: bytes) -> str:
    """The last part of the path of an HTTP request, which names the room or document; empty for anything else."""
    words = request.split(b"\r\n", 1)[0].split(b" ")
    if len(words) != len((b"GET", b"/", b"HTTP/1.1")) or not words[2].startswith(b"HTTP/"):
        return ""
    path = words[1].partition(b"?")[0].decode("utf-8", "replace")
    return urllib.parse.unquote(path.rpartition("/")[2])


class Connection:
    """A client's connection and the one to the link's target that belongs to it."""

    def __init__(self, link: Link, sock: socket.socket, loop: Loop) -> None:
        self.link = link
        self.forward = Flow(link.lanes["forward"], loop, self._end)
        self.backward = Flow(link.lanes["backward"], loop, self._end)
        self.client = Wire(sock, loop, self.forward, self.backward, self._lost)
        self.target: Wire | None = None
        self.key = ""
        """The room or document that its request names."""
        First(self)
        self._loop = loop
        self._ends = 0
        self._frozen: set[str] = set()
        self._connecting: asyncio.Task[None] | None = None

    def dial(self) -> None:
        """Connect to the target."""
        if self._connecting is None:
            self._connecting = self._loop.create_task(self._dial())

    async def _dial(self) -> None:
        try:
            sock = await self._reach()
        except OSError:
            self.link.refused += 1
            self.client.reset()
            return
        self.target = Wire(sock, self._loop, self.backward, self.forward, self._lost)
        if self.client.closed:
            self.target.reset()
            return
        self.forward.connect(self.client, self.target)
        self.backward.connect(self.target, self.client)

    async def _reach(self) -> socket.socket:
        sock = socket.socket()
        try:
            _leave_some(os.dup(sock.fileno()))
            sock.setblocking(False)  # noqa: FBT003 - the socket module's way
            await self._loop.sock_connect(sock, ("127.0.0.1", self.link.to))
        except BaseException:
            sock.close()
            raise
        return sock

    def cut(self) -> None:
        """Reset both ends."""
        if self._connecting is not None:
            self._connecting.cancel()
        self.client.reset()
        if self.target is not None:
            self.target.reset()

    @property
    def frozen(self) -> bool:
        """A fault holds back what comes, and its ends."""
        return bool(self._frozen)

    @property
    def waits(self) -> bool:
        """The target has not heard all of it yet."""
        return self.forward.waits

    def freeze(self, fault: str) -> None:
        """Hold everything from now on, until the last fault that froze it thaws it."""
        self._frozen.add(fault)
        self.forward.frozen = self.backward.frozen = True
        self.changed(lifted=False)

    def thaw(self, fault: str) -> None:
        """One fault less; `changed` is to follow."""
        self._frozen.discard(fault)
        self.forward.frozen = self.backward.frozen = self.frozen

    def changed(self, *, lifted: bool) -> None:
        """The link's impairments changed."""
        self.forward.changed(lifted=lifted)
        self.backward.changed(lifted=lifted)

    def _lost(self, wire: Wire) -> None:
        """One of the sockets has gone."""
        if wire is self.client:
            self.link.left(self)

    def _end(self, flow: Flow, end: End) -> None:
        """The end of a stream came out of its flow."""
        wire = flow.sink
        if wire is None or wire.closed:
            return
        self._ends += 1
        if end is End.RESET:
            wire.reset()
        elif self._ends == len(DIRECTIONS):
            for one in (self.client, self.target):
                if one is not None:
                    one.close()
        else:
            wire.shutdown()


class Link:
    """A listener on `port` whose connections go to `to`, both on 127.0.0.1."""

    def __init__(self, name: str, port: int, to: int, store: Store) -> None:
        self.name = name
        self.port = port
        self.to = to
        self.lanes = {direction: Lane(store) for direction in DIRECTIONS}
        self.opened = 0
        self.refused = 0
        self.cut = 0
        self._connections: dict[Connection, None] = {}
        self._leaving: set[Connection] = set()
        """Their clients are gone, and their targets are not told yet."""
        self._waiting: set[Connection] = set()
        """Accepted by the kernel during a silent block; their SYN counts as not through yet."""
        self._faults: dict[str, dict[str, Impairment]] = {}
        self._listener: socket.socket | None = None

    def listen(self, loop: Loop) -> None:
        """Open the port. Raises OSError."""
        self._listener = sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.listen(BACKLOG)
        sock.setblocking(False)  # noqa: FBT003 - the socket module's way
        loop.add_reader(sock, self._accept, loop, sock)

    def _accept(self, loop: Loop, listener: socket.socket) -> None:
        """Take who waits. Without descriptors left they wait longer, as for a server that is behind."""
        try:
            for _ in range(BACKLOG):
                _leave_some(os.dup(listener.fileno()))
                client, _ = listener.accept()
                self.joined(Connection(self, client, loop))
        except BlockingIOError:
            pass
        except OSError:
            loop.remove_reader(listener)
            loop.call_later(ACCEPT_AGAIN_S, self._listen_again, loop, listener)

    def _listen_again(self, loop: Loop, listener: socket.socket) -> None:
        if self._listener is listener:
            loop.add_reader(listener, self._accept, loop, listener)

    def close(self, loop: Loop) -> None:
        """Take no more connections, and cut those that live."""
        if self._listener is not None:
            loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        for connection in tuple(self._connections):
            connection.cut()

    def impair(self, fault: str, by_direction: dict[str, Impairment] | None) -> None:
        """Put a fault on the link in place of what it did here before; None lifts it. Live connections feel it now."""
        lifted = self._faults.pop(fault, None) is not None
        if by_direction is not None:
            self._faults[fault] = by_direction
        elif not lifted:
            return
        for direction, lane in self.lanes.items():
            lane.impair([one[direction] for one in self._faults.values() if direction in one])
        if self._block("loud"):
            for connection in self.live():
                self.cut_off(connection)
            return
        for connection in (*self._connections, *self._leaving):
            connection.thaw(fault)
            connection.changed(lifted=lifted)
        self._leaving = {connection for connection in self._leaving if connection.waits}
        if not self._block("silent"):
            waiting, self._waiting = self._waiting, set()
            for connection in waiting:
                connection.dial()

    def live(self) -> tuple[Connection, ...]:
        """Connections whose clients are here, oldest first."""
        return tuple(self._connections)

    def joined(self, connection: Connection) -> None:
        """A client is here."""
        self._connections[connection] = None
        self.opened += 1
        if self._block("loud"):
            self.cut_off(connection)
        elif self._block("silent"):
            self._waiting.add(connection)
        else:
            connection.dial()

    def left(self, connection: Connection) -> None:
        """A client is gone."""
        self._connections.pop(connection, None)
        self._waiting.discard(connection)
        if connection.waits:
            self._leaving.add(connection)

    def stats(self) -> dict[str, Any]:
        """As `chaos.model.link.LinkStats`."""
        forward, backward = self.lanes["forward"], self.lanes["backward"]
        return {
            "connections": len(self._connections),
            "keys": Counter(one.key for one in self._connections if one.key),
            "opened": self.opened,
            "refused": self.refused,
            "reset": self.cut,
            "bytes_forward": forward.bytes,
            "bytes_backward": backward.bytes,
            "delayed_bytes": forward.delayed_bytes + backward.delayed_bytes,
            "stalls": forward.stalls + backward.stalls,
            "blocked_bytes": forward.blocked_bytes + backward.blocked_bytes,
            "frozen": sum(connection.frozen for connection in self._connections),
            "corrupted": forward.corrupted + backward.corrupted,
            "unread_bytes": forward.unread_bytes + backward.unread_bytes,
            "held_ends": forward.held_ends + backward.held_ends,
            "dwell_ms": [round(ms, 3) for ms in (*forward.dwell_ms, *backward.dwell_ms)][-512:],
        }

    def _block(self, kind: str) -> bool:
        return any(one.effect.block == kind for lane in self.lanes.values() for one in lane.impairments)

    def cut_off(self, connection: Connection) -> None:
        """Reset one of its connections, and count it."""
        self.cut += 1
        connection.cut()


def _leave_some(spare: int) -> None:
    """Raise OSError if this descriptor, which is closed, is one of the last: numbers are given from the lowest on."""
    os.close(spare)
    if spare >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - RESERVE:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def directions(effect: Effect) -> tuple[str, ...]:
    """The lanes that an effect is on."""
    return DIRECTIONS if effect.direction == "both" else (effect.direction,)
