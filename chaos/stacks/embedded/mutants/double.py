"""A user who comes in again is not taken out of his earlier session, and both are listed for a while."""

from __future__ import annotations

from chaos.stacks.embedded.room import Member, Room

SERVICE = "meetings"
SHOWN_BY = "rejoin_churn"
CAUGHT_BY = "M8"
LATE_S = 2.4
"""So much longer than the window; still within the bound for ghosts."""


def mutate(base: type[Room]) -> type[Room]:
    """Replace nobody, and be slow to forget."""

    class Crowded(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def replace(self, user: str, session: str) -> None:
            """Leave the earlier session where it is."""

        def expire(self, member: Member) -> None:
            if self.clock() - member.gone_at > self.rules.window_s + LATE_S:
                super().expire(member)

    return Crowded
