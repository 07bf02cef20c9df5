"""Now and then a document gets a token that nobody wrote."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.mutants import rewritten
from chaos.stacks.embedded.shared import Document, Edit

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D5"
EVERY = 25
"""Updates."""


def mutate(base: type[Document]) -> type[Document]:
    """Write without a writer."""

    class Possessed(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._taken = 0
            super().__init__(*args)

        async def commit(self, batch: list[Edit]) -> None:
            await super().commit(batch)
            before, self._taken = self._taken, self._taken + len(batch)
            if before // EVERY != self._taken // EVERY:
                token = f"{self.name}-nobody-{self._taken}"
                await super().commit([Edit(None, rewritten(self.state(), lambda tokens: tokens.append(token)))])

    return Possessed
