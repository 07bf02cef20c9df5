"""What is said while a session is cut off never reaches it."""

from __future__ import annotations

from chaos.stacks.embedded.room import Member, Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M7"
BEYOND = 2**62


def mutate(base: type[Room]) -> type[Room]:
    """Replay nothing at a resume."""

    class Deaf(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def heard_by(self, member: Member, n: object) -> int:
            super().heard_by(member, n)
            return BEYOND

    return Deaf
