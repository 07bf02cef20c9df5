"""Who is present in a document (the awareness protocol of y-protocols): last state per client, relayed, forgotten.

An update is: count, then per client its id (var uint), clock (var uint) and state (JSON text). A state counts if
its clock is newer, or if it says "null" (gone) at the same clock.
"""

from __future__ import annotations

from chaos.stacks.embedded.hocuspocus import Reader, uint, var

GONE = "null"
OUTDATED_S = 30.0
"""y-protocols' time after which a client that is not renewed has gone."""


class Awareness:
    """The states of a document's clients."""

    def __init__(self) -> None:
        self._clocks: dict[int, int] = {}
        self._states: dict[int, str] = {}
        self._seen: dict[int, float] = {}

    def apply(self, update: bytes, now: float) -> set[int]:
        """Take an update in; return the clients that it changed or renewed."""
        reader = Reader(update)
        changed = set()
        for _ in range(reader.uint()):
            client, clock, state = reader.uint(), reader.uint(), reader.text()
            known = self._clocks.get(client, -1)
            if clock > known or (clock == known and state == GONE and client in self._states):
                self._set(client, clock, state, now)
                changed.add(client)
        return changed

    def drop(self, clients: set[int], now: float) -> set[int]:
        """Mark clients as gone; return those that were present."""
        present = clients & self._states.keys()
        for client in present:
            self._set(client, self._clocks[client] + 1, GONE, now)
        return present

    def outdated(self, now: float) -> set[int]:
        """Clients that have not been renewed for too long."""
        return {client for client in self._states if now - self._seen[client] > OUTDATED_S}

    def present(self) -> set[int]:
        return set(self._states)

    def encode(self, clients: set[int]) -> bytes:
        """An update that tells the states of these clients."""
        parts = [uint(c) + uint(self._clocks[c]) + var(self._states.get(c, GONE)) for c in sorted(clients)]
        return uint(len(parts)) + b"".join(parts)

    def _set(self, client: int, clock: int, state: str, now: float) -> None:
        self._clocks[client] = clock
        self._seen[client] = now
        if state == GONE:
            self._states.pop(client, None)
        else:
            self._states[client] = state
