"""A session that resumed is shown the roster of the moment at which it was cut off, for as long as it stays."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.room import Message, Room, Seat

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M7"


def mutate(base: type[Room]) -> type[Room]:
    """Answer from a copy that nobody renews."""

    class Frozen(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._copies: dict[str, list[str]] = {}
            self._asking = ""

        def hear(self, seat: Seat, message: Message) -> None:
            self._asking = seat.member.session if seat.member is not None else ""
            super().hear(seat, message)
            self._asking = ""

        def detach(self, seat: Seat) -> None:
            if seat.member is not None:
                self._copies[seat.member.session] = super().roster()
            super().detach(seat)

        def roster(self) -> list[str]:
            return self._copies.get(self._asking) or super().roster()

    return Frozen
