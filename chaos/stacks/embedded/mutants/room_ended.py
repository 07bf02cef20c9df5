"""Twelve seconds after a room was opened it ends, whoever is in it."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.room import Room

SERVICE = "meetings"
SHOWN_BY = "rejoin_churn"
CAUGHT_BY = "M10"
AFTER_S = 12.0


def mutate(base: type[Room]) -> type[Room]:
    """Close the room on everybody, once."""

    class Closing(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._over = False

        def tick(self, now: float) -> None:
            super().tick(now)
            if not self._over and now - self.opened > AFTER_S:
                self._over = True
                for member in tuple(self.members.values()):
                    line = member.line
                    self.remove(member, "ended")
                    if line is not None:
                        line.close(4000, "the room has ended")

    return Closing
