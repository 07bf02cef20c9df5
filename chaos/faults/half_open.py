"""Half-open connections: the dead peer that TCP does not notice, while everybody who comes anew gets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chaos.faults.measure import counters, fell_silent, living, round_trips
from chaos.faults.strike import Strike
from chaos.model.fault import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.base import Injection


class HalfOpen(Strike):
    """Live connections freeze: nothing arrives either way, no end and no reset, until healed; new ones work."""

    name: ClassVar[str] = "half_open"
    band: ClassVar[str] = "#6d28d9"
    strike: ClassVar[Literal["reset", "freeze"]] = "freeze"
    struck: ClassVar[str] = "frozen"

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Frozen connections, bytes that were held, and whether new connections pass."""
        stats, links = injection.runtime.link_stats(), injection.aim.links
        return {
            "live": living(stats, links, self.key),
            "frozen": counters(stats, links, "frozen"),
            "held": counters(stats, links, "blocked_bytes"),
            "through": round_trips(injection.site, links, tries=1),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if connections are frozen, bytes were held in them, and new connections pass."""
        frozen = max((figures["frozen"] for figures in during), default=0) - before["frozen"]
        held = max((figures["held"] for figures in during), default=before["held"]) - before["held"]
        passes = bool(during) and not fell_silent(before["through"], during[-1]["through"])
        says = f"{frozen} of {before['live']} connections frozen, {held} bytes held"
        measured = {"live_before": before["live"], "frozen": frozen, "held_bytes": held, "new_ones_pass": passes}
        return Evidence(bit=frozen > 0 and held > 0 and passes, says=says, measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if no more connections are frozen than before, and links answer."""
        left = after["frozen"] - before["frozen"]
        dead = fell_silent(before["through"], after["through"])
        return Evidence(bit=left > 0 or bool(dead), says=f"{max(0, left)} connections frozen, {len(dead)} links dead")


fault = HalfOpen
