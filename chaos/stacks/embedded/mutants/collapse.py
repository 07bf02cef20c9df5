"""A gateway connects one client at a time, the slower the more are waiting, also those who have given up by then."""

from __future__ import annotations

import asyncio
from typing import Any

from chaos.stacks.embedded.gateway import Gateway, Relay

SERVICE = "gateway"
SHOWN_BY = "broken_sockets"
CAUGHT_BY = "metastability"
ALONE_S = 0.01
"""What a client takes while nobody else waits."""
CROWD = 3
"""So many who wait make it twice as long."""


def mutate(base: type[Gateway]) -> type[Gateway]:
    """Work that nobody waits for any more keeps the others waiting, who then try again: it never comes back."""

    class Congested(base):  # type: ignore[valid-type,misc]
        def __init__(self, options: Any) -> None:
            super().__init__(options)
            self._lane = asyncio.Lock()
            self._waiting = 0

        async def reach(self, kind: str, key: str, *, relayed: bool) -> Relay:
            if not relayed:
                await asyncio.shield(self.background.add(self._turn()))
            relay: Relay = await super().reach(kind, key, relayed=relayed)
            return relay

        async def _turn(self) -> None:
            self._waiting += 1
            async with self._lane:
                await asyncio.sleep(ALONE_S * (1 + self._waiting / CROWD))
            self._waiting -= 1

    return Congested
