"""One link of the proxy: its listener, its live connections, and the faults that hold on it."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, cast

from chaos.runtimes.proxy_flow import End, Flow, Lane, reset
from chaos.runtimes.shaping import Effect, Impairment

BACKLOG = 1024
DIRECTIONS = ("forward", "backward")


class Side(asyncio.Protocol):
    """One of a connection's two sockets: feeds `reads`, and is where `writes` ends."""

    def __init__(self, connection: Connection, reads: Flow, writes: Flow) -> None:
        self.transport: asyncio.Transport | None = None
        self._connection = connection
        self._reads = reads
        self._writes = writes

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say it to the connection, which decides when bytes are read."""
        self.transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.made(self)

    def data_received(self, data: bytes) -> None:
        """The hot path."""
        flow = self._reads
        flow.lane.bytes += len(data)
        if flow.direct:
            flow.write(data)
        else:
            flow.push(data)

    def eof_received(self) -> bool:
        """The other direction lives on."""
        self._reads.push(End.CLOSE)
        return True

    def pause_writing(self) -> None:
        """The peer does not keep up."""
        self._writes.hold("sink")

    def resume_writing(self) -> None:
        """It does again."""
        self._writes.writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Gone by a close of ours, by a reset, or by a failed write."""
        self._writes.drop()
        self._reads.push(End.CLOSE if exc is None else End.RESET)
        self._connection.lost(self)


class Connection:
    """A client's connection and the one to the link's target that belongs to it."""

    def __init__(self, link: Link) -> None:
        self.link = link
        loop = asyncio.get_running_loop()
        self.forward = Flow(link.lanes["forward"], loop, self._end)
        self.backward = Flow(link.lanes["backward"], loop, self._end)
        self.client = Side(self, self.forward, self.backward)
        self.target = Side(self, self.backward, self.forward)
        self._ends = 0
        self._frozen: set[str] = set()
        self._connecting: asyncio.Task[None] | None = None

    def made(self, side: Side) -> None:
        """A socket is there: the client's first, then the target's."""
        if side is self.client and side.transport is not None:
            side.transport.pause_reading()
            self.link.joined(self)
            return
        client, target = self.client.transport, self.target.transport
        if client is None or target is None or client.is_closing():
            self._reset(self.target)
            return
        self.forward.connect(client, target)
        self.backward.connect(target, client)
        client.resume_reading()

    def dial(self) -> None:
        """Connect to the target."""
        if self._connecting is None:
            self._connecting = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.create_connection(lambda: self.target, "127.0.0.1", self.link.to)
        except OSError:
            self.link.refused += 1
            self._reset(self.client)

    def cut(self) -> None:
        """Reset both ends."""
        if self._connecting is not None:
            self._connecting.cancel()
        self._reset(self.client)
        self._reset(self.target)

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

    def lost(self, side: Side) -> None:
        """One of the sockets has gone."""
        if side is self.client:
            self.link.left(self)

    def _end(self, flow: Flow, end: End) -> None:
        """The end of a stream came out of its flow."""
        side = self.target if flow is self.forward else self.client
        if end is End.RESET:
            self._reset(side)
            return
        self._ends += 1
        transport = side.transport
        if transport is None or transport.is_closing():
            return
        if self._ends == len(DIRECTIONS):
            for one in (self.client.transport, self.target.transport):
                if one is not None:
                    one.close()
        else:
            transport.write_eof()

    @staticmethod
    def _reset(side: Side) -> None:
        if side.transport is not None:
            reset(side.transport)


class Link:
    """A listener on `port` whose connections go to `to`, both on 127.0.0.1."""

    def __init__(self, name: str, port: int, to: int) -> None:
        self.name = name
        self.port = port
        self.to = to
        self.lanes = {direction: Lane() for direction in DIRECTIONS}
        self.opened = 0
        self.refused = 0
        self.cut = 0
        self._connections: dict[Connection, None] = {}
        self._leaving: set[Connection] = set()
        """Their clients are gone, and their targets are not told yet."""
        self._waiting: set[Connection] = set()
        """Accepted by the kernel during a silent block; their SYN counts as not through yet."""
        self._faults: dict[str, dict[str, Impairment]] = {}
        self._server: asyncio.Server | None = None

    async def listen(self) -> None:
        """Open the port. Raises OSError."""
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", self.port))
        sock.setblocking(False)  # noqa: FBT003 - the socket module's way
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self).client, sock=sock, backlog=BACKLOG)

    def close(self) -> None:
        """Take no more connections, and cut those that live."""
        if self._server is not None:
            self._server.close()
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
            "dwell_ms": [round(ms, 3) for ms in (*forward.dwell_ms, *backward.dwell_ms)][-512:],
        }

    def _block(self, kind: str) -> bool:
        return any(one.effect.block == kind for lane in self.lanes.values() for one in lane.impairments)

    def cut_off(self, connection: Connection) -> None:
        """Reset one of its connections, and count it."""
        self.cut += 1
        connection.cut()


def directions(effect: Effect) -> tuple[str, ...]:
    """The lanes that an effect is on."""
    return DIRECTIONS if effect.direction == "both" else (effect.direction,)
