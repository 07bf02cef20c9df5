"""A participant that vanishes without a leave is never taken off the roster."""

from __future__ import annotations

from chaos.stacks.embedded.room import Member, Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M3"


def mutate(base: type[Room]) -> type[Room]:
    """Break the clean-up after the resume window."""

    class Haunted(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def expire(self, member: Member) -> None:
            """Do nothing."""

    return Haunted
