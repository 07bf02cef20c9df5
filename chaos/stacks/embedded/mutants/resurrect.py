"""A token that was deleted is put back a moment later, as by a merge that knows no tombstones."""

from __future__ import annotations

import asyncio

from chaos.stacks.embedded.mutants import rewritten, tokens_of
from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D6"
LATE_S = 1.5
"""Long enough for others to see it gone."""


def mutate(base: type[Document]) -> type[Document]:
    """Put back what goes."""

    class Undead(base):  # type: ignore[valid-type,misc]
        async def commit(self, batch: list[Edit]) -> None:
            before = tokens_of(self.state())
            await super().commit(batch)
            after = set(tokens_of(self.state()))
            if gone := [token for token in before if token not in after]:
                self.background.add(self._back(gone))

        async def _back(self, tokens: list[str]) -> None:
            await asyncio.sleep(LATE_S)
            await super().commit([Edit(None, rewritten(self.state(), lambda there: there.extend(tokens)))])

    return Undead
