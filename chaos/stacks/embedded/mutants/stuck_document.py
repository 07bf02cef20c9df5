"""Some documents take no edit any more after their first 30 updates: nothing is stored, shown or acknowledged."""

from __future__ import annotations

import asyncio
from typing import Any

from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D11"
FIRST = 30
STUCK = "036"
"""Last signs of the names of those that get stuck."""


def mutate(base: type[Document]) -> type[Document]:
    """Wait for ever."""

    class Stuck(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._taken = 0
            super().__init__(*args)

        async def commit(self, batch: list[Edit]) -> None:
            self._taken += len(batch)
            if self._taken > FIRST and self.name.endswith(tuple(STUCK)):
                await asyncio.Event().wait()
            await super().commit(batch)

    return Stuck
