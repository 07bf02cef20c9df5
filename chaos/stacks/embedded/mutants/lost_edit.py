"""An edit is acknowledged at once, but stored and shown to others only 1.5 s later; a crash in between loses it."""

from __future__ import annotations

import asyncio

from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "server_loss"
CAUGHT_BY = "D1"
LATE_S = 1.5


def mutate(base: type[Document]) -> type[Document]:
    """Acknowledge before the store."""

    class Hasty(base):  # type: ignore[valid-type,misc]
        async def commit(self, batch: list[Edit]) -> None:
            for edit in batch:
                self.acknowledge(edit)
            self.background.add(self._later([Edit(None, edit.update) for edit in batch]))

        async def _later(self, batch: list[Edit]) -> None:
            await asyncio.sleep(LATE_S)
            await super().commit(batch)

    return Hasty
