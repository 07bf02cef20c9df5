"""A leave is never answered, nor carried out, for about half of the users."""

from __future__ import annotations

import zlib

from chaos.stacks.embedded.room import Message, Room, Seat

SERVICE = "meetings"
SHOWN_BY = "rejoin_churn"
CAUGHT_BY = "M5"


def mutate(base: type[Room]) -> type[Room]:
    """Lose every leave of the users whose name has an odd checksum."""

    class Sticky(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def leave(self, seat: Seat, message: Message) -> None:
            if seat.member is None or zlib.crc32(seat.member.user.encode()) % 2 == 0:
                super().leave(seat, message)

    return Sticky
