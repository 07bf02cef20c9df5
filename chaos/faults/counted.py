"""What faults have in common that do something to single packets or segments: a counter shows that it happened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import counters, fell_silent, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PIECES = 10
"""Segments of a probe's request: as many as a new connection may send at once, so that some can be met."""


class Counted(Fault):
    """It bit if `counter` of `LinkStats` grew, by the traffic that is there and by probes of many segments."""

    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True
    counter: ClassVar[str]
    counts: ClassVar[str]
    """In words: `packets lost`."""

    direction: Direction = Field("both", description="forward: from the users (or the calling node) to the server.")

    def inject(self, injection: Injection) -> None:
        """Shape the links, live connections included."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Who answers through the links, and how much was counted until now and during this look."""
        links = injection.aim.links
        earlier = counters(injection.runtime.link_stats(), links, self.counter)
        through = round_trips(injection.site, links, tries=1, pieces=PIECES)
        counted = counters(injection.runtime.link_stats(), links, self.counter)
        return {"through": through, "counted": counted, "now": counted - earlier}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if it was counted."""
        counted = max((figures["counted"] for figures in during), default=before["counted"]) - before["counted"]
        return Evidence(bit=counted > 0, says=f"{counted} {self.counts}", measured={self.counter: counted})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if nothing is counted any more and links answer."""
        dead = fell_silent(before["through"], after["through"])
        says = f"{after['now']} {self.counts}, {len(dead)} links dead"
        return Evidence(bit=bool(dead) or after["now"] > 0, says=says)
