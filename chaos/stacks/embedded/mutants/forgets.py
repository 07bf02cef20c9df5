"""Edits are shown and acknowledged as durable at once, but stored only 2 s later; a crash loses the last ones."""

from __future__ import annotations

import asyncio

from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "server_loss"
CAUGHT_BY = "D2"
LATE_S = 2.0


def mutate(base: type[Document]) -> type[Document]:
    """Write behind."""

    class Forgetful(base):  # type: ignore[valid-type,misc]
        async def commit(self, batch: list[Edit]) -> None:
            self.show(batch)
            self.background.add(self._later(batch))

        async def _later(self, batch: list[Edit]) -> None:
            await asyncio.sleep(LATE_S)
            await self.store(batch)

    return Forgetful
