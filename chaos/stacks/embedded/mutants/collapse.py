"""A gateway that loses many clients at once is slow to connect them until nobody waits, not even who has given up."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from websockets.asyncio.server import ServerConnection

from chaos.stacks.embedded.gateway import Gateway, Relay, Unreachable

SERVICE = "gateway"
SHOWN_BY = "broken_sockets"
CAUGHT_BY = "metastability"
MANY = 8
"""So many clients lost within a second empty the cache."""
WARM_S, COLD_S = 0.005, 0.1
"""What connecting a client takes, one after the other: with an empty cache fewer a second than come."""
FULL = 40
"""So many wait; others are told to try again."""
ABRUPT = (None, 1006)


def mutate(base: type[Gateway]) -> type[Gateway]:
    """Work that nobody waits for any more keeps the others waiting, who then try again: it never comes back."""

    class Congested(base):  # type: ignore[valid-type,misc]
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self._lane = asyncio.Lock()
            self._waiting = 0
            self._cold = False
            self._lost: deque[float] = deque(maxlen=MANY)

        async def handle(self, connection: ServerConnection) -> None:
            try:
                await super().handle(connection)
            finally:
                if connection.close_code in ABRUPT:
                    self._lost.append(time.monotonic())
                    self._cold |= len(self._lost) == MANY and self._lost[-1] - self._lost[0] < 1

        async def reach(self, kind: str, key: str, *, relayed: bool) -> Relay:
            if self._waiting >= FULL:
                raise Unreachable("too many wait")
            if not relayed:
                await asyncio.shield(self.background.add(self._turn()))
            relay: Relay = await super().reach(kind, key, relayed=relayed)
            return relay

        async def _turn(self) -> None:
            self._waiting += 1
            async with self._lane:
                await asyncio.sleep(COLD_S if self._cold else WARM_S)
            self._waiting -= 1
            self._cold &= self._waiting > 0

    return Congested
