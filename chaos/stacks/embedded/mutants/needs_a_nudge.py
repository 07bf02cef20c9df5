"""What a client wrote offline is acknowledged at its return, but saved and shown only when it writes something more."""

from __future__ import annotations

from typing import Any

from chaos.stacks.embedded.hocuspocus import EMPTY_UPDATE, Kind, Reader, Sync, uint, var
from chaos.stacks.embedded.shared import Document, Edit, Seat

SERVICE = "documents"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D8"


def mutate(base: type[Document]) -> type[Document]:
    """Take up a client's answer to the first exchange of states only with its next update."""

    class Sleepy(base):  # type: ignore[valid-type,misc]
        def __init__(self, *args: Any) -> None:
            self._asleep: dict[Seat, bytes] = {}
            super().__init__(*args)

        def hear(self, seat: Seat, kind: int, reader: Reader) -> None:
            if kind not in (Kind.SYNC, Kind.SYNC_REPLY):
                super().hear(seat, kind, reader)
                return
            step, payload = reader.uint(), reader.bytes()
            if step == Sync.STEP2 and payload != EMPTY_UPDATE:
                self._asleep[seat] = payload
                self.acknowledge(Edit(seat, payload))
                return
            if step == Sync.UPDATE and (late := self._asleep.pop(seat, None)) is not None:
                super().hear(seat, Kind.SYNC, Reader(uint(Sync.STEP2) + var(late)))
            super().hear(seat, kind, Reader(uint(step) + var(payload)))

    return Sleepy
