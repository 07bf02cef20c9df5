"""Half-open connections: the dead peer that TCP does not notice, while everybody who comes anew gets through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import counters, fell_silent, living, round_trips
from chaos.model.fault import Evidence, Reach
from chaos.model.link import LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class HalfOpen(Fault):
    """Live connections freeze: nothing arrives either way, no end and no reset, until healed; new ones work."""

    name: ClassVar[str] = "half_open"
    band: ClassVar[str] = "#6d28d9"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    percentage: float = Field(100.0, gt=0, le=100, description="Percent of the live connections, rounded up.")
    key: str = Field("", description="Only connections of this room or document.")

    def says(self) -> str:
        """How many."""
        return f"{self.percentage:g} % of live connections{self.key and f' of {self.key}'} frozen"

    def effect(self) -> LinkEffect:
        """Connections that freeze, once."""
        return LinkEffect(strike="freeze", share=self.percentage / 100, key=self.key)

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """Whoever uses these links, or the one room or document."""
        found = super().reach(injection, owned)
        return Reach(keys=(self.key,)) if self.key else found

    def inject(self, injection: Injection) -> None:
        """Freeze them."""
        self.shape(injection)

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
