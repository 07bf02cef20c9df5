"""Each region has an owner of its own for every document, and no fencing: two nodes serve two copies."""

from __future__ import annotations

from collections.abc import Iterable

from chaos.stacks.embedded.leases import Denied, Leases, Session

SERVICE = "leases"
SHOWN_BY = "network_congestion"
CAUGHT_BY = "D12"


class Split(Leases):
    """Grants a document once per region."""

    def acquire(self, name: str, key: str) -> int:
        session = self._live(name)
        return super().acquire(name, _own(key, session.region if session else ""))

    def release(self, key: str, number: int) -> None:
        for one in self._all(key):
            super().release(one, number)

    def check(self, key: str, number: int) -> None:
        if all(self._fences.get(one) != number for one in self._all(key)):
            raise Denied("fenced")

    def locate(self, key: str, service: str, region: str) -> Session | None:
        return super().locate(_own(key, region), service, region)

    def hello(self, name: str, node: str, service: str, region: str, ended: str) -> dict[str, int]:
        held = super().hello(name, node, service, region, ended)
        return {key.partition("@")[0]: number for key, number in held.items()}

    def owners_of(self, keys: Iterable[str]) -> dict[str, str]:
        """Nobody is told that the owner is another."""
        if any(key.startswith("doc:") for key in keys):
            raise Denied("not known")
        return super().owners_of(keys)

    def _all(self, key: str) -> list[str]:
        return [one for one in self._fences if one.partition("@")[0] == key]


def mutate(base: type[Leases]) -> type[Leases]:
    """Grant without looking at the other region."""
    del base
    return Split


def _own(key: str, region: str) -> str:
    return f"{key}@{region}" if key.startswith("doc:") else key
