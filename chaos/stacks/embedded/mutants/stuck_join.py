"""Every fourth wish to join a room is neither granted nor refused, once for each user; the connection stays."""

from __future__ import annotations

from typing import ClassVar

from chaos.stacks.embedded.room import Message, Room, Seat

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M1"
EACH = 4


def mutate(base: type[Room]) -> type[Room]:
    """Say nothing."""

    class Silent(base):  # type: ignore[valid-type,misc]
        asked = 0
        ignored: ClassVar[set[str]] = set()

        def hear(self, seat: Seat, message: Message) -> None:
            if message.get("t") == "join":
                Silent.asked += 1
                user = str(message.get("user"))
                if Silent.asked % EACH == 0 and user not in Silent.ignored:
                    Silent.ignored.add(user)
                    return
            super().hear(seat, message)

    return Silent
