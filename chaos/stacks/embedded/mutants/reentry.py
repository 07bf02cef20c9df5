"""A user who left the room is refused for ever, as if still in it."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.room import Message, Room, Seat

SERVICE = "meetings"
SHOWN_BY = "rejoin_churn"
CAUGHT_BY = "M6"


def mutate(base: type[Room]) -> type[Room]:
    """Forget to forget a user at the leave."""

    class OneWay(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._left: set[str] = set()

        def refusal(self, user: str) -> str:
            return "already-in" if user in self._left else super().refusal(user)

        def leave(self, seat: Seat, message: Message) -> None:
            if seat.member is not None:
                self._left.add(seat.member.user)
            super().leave(seat, message)

    return OneWay
