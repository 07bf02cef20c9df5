"""Now and then a merge puts two tokens that everybody has seen in the other order."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.mutants import rewritten
from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D7"
EVERY = 30
"""Updates."""
BACK = 12
"""So far from the end of the document: tokens that others have seen by then."""


def mutate(base: type[Document]) -> type[Document]:
    """Swap two neighbours."""

    def swap(tokens: Any) -> None:
        at = len(tokens) - BACK
        if at >= 0:
            first, second = list(tokens)[at : at + 2]
            del tokens[at : at + 2]
            tokens.insert(at, second)
            tokens.insert(at + 1, first)

    class Shuffling(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._taken = 0
            super().__init__(*args)

        async def commit(self, batch: list[Edit]) -> None:
            await super().commit(batch)
            before, self._taken = self._taken, self._taken + len(batch)
            if before // EVERY != self._taken // EVERY:
                await super().commit([Edit(None, rewritten(self.state(), swap))])

    return Shuffling
