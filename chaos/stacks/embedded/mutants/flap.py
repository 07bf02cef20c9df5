"""A session that is cut off is taken off the roster at once, and comes back as if it were new when it resumes."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.room import Member, Room, Seat

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M7"


def mutate(base: type[Room]) -> type[Room]:
    """Have no resume window, but let everybody resume."""

    class Hasty(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._away: dict[str, Member] = {}

        def detach(self, seat: Seat) -> None:
            member = seat.member
            super().detach(seat)
            if member is not None and self.members.get(member.session) is member and member.line is None:
                self._away[member.session] = member
                self.remove(member, "gone")

        def comes_back(self, session: str) -> Member | None:
            member = self._away.pop(session, None)
            if member is not None:
                self.members[session] = member
            back: Member | None = super().comes_back(session)
            return back

    return Hasty
