"""Every second message waits for up to a tenth of a second, and the next one overtakes it."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.room import Message, Room

SERVICE = "meetings"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "M11"


def mutate(base: type[Room]) -> type[Room]:
    """Deliver out of order, as two queues of different length would."""

    class Overtaken(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self._waiting: list[Message] = []

        def spread(self, heard: Message) -> None:
            if heard["n"] % 2:
                self._waiting.append(heard)
            else:
                super().spread(heard)
                self._flush()

        def tick(self, now: float) -> None:
            self._flush()
            super().tick(now)

        def _flush(self) -> None:
            waiting, self._waiting = self._waiting, []
            for heard in waiting:
                super().spread(heard)

    return Overtaken
