"""Every fourth message is acknowledged, and nobody gets it."""

from __future__ import annotations

from chaos.stacks.embedded.room import Message, Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M11"


def mutate(base: type[Room]) -> type[Room]:
    """Lose messages on their way to the others."""

    class Mute(base):  # type: ignore[valid-type,misc]
        __slots__ = ()

        def spread(self, heard: Message) -> None:
            if heard["n"] % 4:
                super().spread(heard)

    return Mute
