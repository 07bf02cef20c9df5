"""Every other client with an empty copy is given the document as it was 2 s ago; it catches up 2 s later."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from chaos.stacks.embedded import hocuspocus as wire
from chaos.stacks.embedded.hocuspocus import Sync
from chaos.stacks.embedded.shared import Document, Edit, Seat

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D9"
OLD_S = 2.0
NOTHING = b"\0"
"""The state vector of an empty copy."""


def mutate(base: type[Document]) -> type[Document]:
    """Answer from an old snapshot."""

    class Lagging(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._old: deque[tuple[float, bytes]] = deque()
            self._turn = False
            super().__init__(*args)

        async def commit(self, batch: list[Edit]) -> None:
            self._old.append((time.monotonic(), self.state()))
            while len(self._old) > 1 and self._old[1][0] < time.monotonic() - OLD_S:
                self._old.popleft()
            await super().commit(batch)

        def missing(self, seat: Seat, vector: bytes) -> bytes:
            found: bytes = super().missing(seat, vector)
            if vector != NOTHING or not self._old or time.monotonic() - self._old[-1][0] > OLD_S:
                return found
            self._turn = not self._turn
            if self._turn:
                self.background.add(self._catch_up(seat))
                return self._old[0][1]
            return found

        async def _catch_up(self, seat: Seat) -> None:
            await asyncio.sleep(OLD_S)
            if seat in self.seats:
                seat.send(wire.sync(seat.address, Sync.UPDATE, self.state()))

    return Lagging
