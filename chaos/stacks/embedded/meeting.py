"""A meeting node: rooms over WebSocket at /rooms/ROOM, each owned under a lease of the store."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

from chaos.stacks.embedded import mutants
from chaos.stacks.embedded.calls import Calls
from chaos.stacks.embedded.leases import Denied
from chaos.stacks.embedded.room import Message, Room, Rules, Seat, parse
from chaos.stacks.embedded.serving import SERVICE_RESTART, Background, Node, arguments, log, push, start, unavailable
from chaos.stacks.embedded.tenancy import Lease, Tenancy

TICK_S = 0.1
STALL_S = 0.3
"""A tick later than this means that the node was held up, and its clients' silence is not theirs."""
IDLE_S = 5.0
"""An empty room is given back after this."""


class Wire:
    """One participant's socket, mute unless the room's lease holds at the very moment."""

    def __init__(self, connection: ServerConnection, tenancy: Tenancy, lease: Lease, background: Background) -> None:
        self._connection = connection
        self._tenancy = tenancy
        self._lease = lease
        self._background = background

    def tell(self, message: Message) -> None:
        if self._tenancy.holds(self._lease):
            push(self._connection, json.dumps(message))

    def close(self, code: int, reason: str) -> None:
        self._background.close(self._connection, code, reason)


class Hall:
    """A room, its lease, and the sockets in it."""

    def __init__(self, room: Room, lease: Lease) -> None:
        self.room = room
        self.lease = lease
        self.sockets: set[ServerConnection] = set()
        self.idle_since = time.monotonic()


class MeetingNode(Node):
    """Owns rooms, admits participants, forgets everything when its leases lapse."""

    def __init__(self, options: Any) -> None:
        super().__init__("meetings", options)
        self._rules = Rules(
            options.secret,
            self.name,
            options.capacity,
            options.window,
            options.silence,
            options.retry_after,
            {room: int(number) for room, _, number in (word.partition("=") for word in options.limit)},
        )
        self._room = mutants.select(options.mutant, "meetings", Room)
        self._halls: dict[str, Hall] = {}
        self.tenancy = Tenancy(self, "meetings", Calls(options.store), self._drop_all)

    async def run(self) -> None:
        """Serve until told to end."""
        renewing = asyncio.create_task(self.tenancy.run())
        ticking = asyncio.create_task(self._tick())
        await self.serve(self.handle, self.admit)
        renewing.cancel()
        ticking.cancel()

    async def goodbye(self) -> None:
        self._drop_all()
        await self.tenancy.end()

    def ready(self) -> bool:
        return self.tenancy.begun

    def owned(self) -> dict[str, Any]:
        return {"keys": sorted(name for name, hall in self._halls.items() if self.tenancy.holds(hall.lease))}

    def gauges(self) -> dict[str, float]:
        return {
            "rooms": len(self._halls),
            "participants": self._participants(),
            "sockets": sum(len(hall.sockets) for hall in self._halls.values()),
            "lease_valid": float(self.tenancy.valid),
        }

    async def admit(self, connection: ServerConnection, kind: str, key: str) -> Response | None:
        """Own the room before the WebSocket opens, so that a refusal is an HTTP answer and quick."""
        if kind != "rooms" or not key:
            return connection.respond(404, "not found\n")
        try:
            self._open(key, await self.tenancy.claim(f"room:{key}"))
        except (Denied, TimeoutError) as reason:
            self.counts["not_mine"] += 1
            return unavailable(connection, f"cannot own {key}: {reason or 'the store does not answer'}")
        connection.hall = self._halls[key]  # type: ignore[attr-defined]
        return None

    def _open(self, key: str, lease: Lease) -> None:
        hall = self._halls.get(key)
        if hall is None or hall.lease != lease:
            room = self._room(key, lease.number, self._rules, time.monotonic, self.counts, self._participants)
            self._halls[key] = hall = Hall(room, lease)
            log(f"owns room {key} under {lease.number}")
        hall.idle_since = time.monotonic()

    async def handle(self, connection: ServerConnection) -> None:
        """Carry one socket's messages to its room, as long as the room is this node's."""
        hall: Hall = connection.hall  # type: ignore[attr-defined]
        seat = Seat(Wire(connection, self.tenancy, hall.lease, self.background))
        hall.sockets.add(connection)
        try:
            async for frame in connection:
                if not self.tenancy.holds(hall.lease):
                    await connection.close(SERVICE_RESTART, "the room has moved")
                    return
                message = parse(frame)
                if message is None:
                    await connection.close(1007, "not a JSON object")
                    return
                hall.room.hear(seat, message)
                if seat.over:
                    await connection.close(1000, "left")
                    return
        finally:
            hall.room.detach(seat)
            hall.sockets.discard(connection)
            hall.idle_since = time.monotonic()

    def _drop_all(self) -> None:
        """The leases are lost: forget the rooms, send everybody away."""
        halls, self._halls = tuple(self._halls.values()), {}
        for hall in halls:
            for connection in hall.sockets:
                self.background.close(connection, SERVICE_RESTART, "the room has moved")

    def _participants(self) -> int:
        return sum(len(hall.room.members) for hall in self._halls.values())

    async def _tick(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(TICK_S)
            now = time.monotonic()
            late, last = now - last - TICK_S, now
            for name, hall in tuple(self._halls.items()):
                if not self.tenancy.holds(hall.lease):
                    continue
                if late > STALL_S:
                    hall.room.credit(late)
                hall.room.tick(now)
                if not hall.room.members and not hall.sockets and now - hall.idle_since > IDLE_S:
                    del self._halls[name]
                    self.tenancy.release(hall.lease)


async def main() -> None:
    """Start a meeting node."""
    parser = arguments("meeting")
    parser.add_argument("--store", required=True, help="ws://HOST:PORT of the store")
    parser.add_argument("--secret", required=True)
    parser.add_argument("--capacity", type=int, default=400)
    parser.add_argument("--window", type=float, default=2.2)
    parser.add_argument("--silence", type=float, default=2.2)
    parser.add_argument("--retry-after", type=float, default=0.5)
    parser.add_argument("--limit", action="append", default=[], metavar="ROOM=N", help="admit only N to this room")
    parser.add_argument("--mutant", default="")
    await MeetingNode(parser.parse_args()).run()


if __name__ == "__main__":
    start(main)
