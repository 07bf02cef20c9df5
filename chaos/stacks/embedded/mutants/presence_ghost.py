"""Whoever leaves a document without a word is shown as present in it for ever."""

from __future__ import annotations

import time

from chaos.stacks.embedded.shared import Document, Seat

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D10"


def mutate(base: type[Document]) -> type[Document]:
    """Forget to forget the presence of who is gone."""

    class Haunted(base):  # type: ignore[valid-type,misc]
        def leave(self, seat: Seat) -> None:
            self.seats.discard(seat)
            self.idle_since = time.monotonic()

        def tick(self, now: float) -> None:
            """Do nothing."""

    return Haunted
