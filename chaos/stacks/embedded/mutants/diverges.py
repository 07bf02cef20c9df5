"""Now and then one of those who have a document open is not told of an update, and nobody notices."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.shared import Document, Edit, Seat

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D3"
EACH = 10
"""One update of so many is kept from somebody."""


def mutate(base: type[Document]) -> type[Document]:
    """Leave somebody out."""

    class Partial(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._shown = 0
            super().__init__(*args)

        def show(self, batch: list[Edit]) -> None:
            for edit in batch:
                self._shown += 1
                left_out = self._one_but(edit.seat) if self._shown % EACH == 0 else None
                if left_out is not None:
                    self.seats.discard(left_out)
                super().show([edit])
                if left_out is not None:
                    self.seats.add(left_out)

        def _one_but(self, author: Seat | None) -> Seat | None:
            return next((seat for seat in self.seats if seat is not author), None)

    return Partial
