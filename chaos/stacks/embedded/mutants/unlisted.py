"""The roster leaves out about a quarter of those who are in the room."""

from __future__ import annotations

import zlib

from chaos.stacks.embedded.room import Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M2"


def mutate(base: type[Room]) -> type[Room]:
    """Show a part of the members."""

    class Forgetful(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def roster(self) -> list[str]:
            return [name for name in super().roster() if zlib.crc32(self.members[name].user.encode()) % 4]

    return Forgetful
