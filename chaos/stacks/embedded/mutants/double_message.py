"""Every fourth message is delivered twice."""

from __future__ import annotations

from chaos.stacks.embedded.room import Message, Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M11"


def mutate(base: type[Room]) -> type[Room]:
    """Send some messages again, as a retry without an identity would."""

    class Stutter(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def spread(self, heard: Message) -> None:
            super().spread(heard)
            if heard["n"] % 4 == 0:
                super().spread(heard)

    return Stutter
