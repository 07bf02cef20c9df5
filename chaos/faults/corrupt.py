"""Corrupted streams: single bytes change on their way, past every checksum of the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import counters, fell_silent, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Corrupt(Fault):
    """With a probability per 1460 bytes, one byte of the stream becomes another; nothing is lost or added."""

    name: ClassVar[str] = "corrupt"
    band: ClassVar[str] = "#9f1239"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    probability: float = Field(gt=0, le=1, examples=[0.01], description="Per 1460 bytes begun, 0 to 1.")
    direction: Direction = Field("both", description="forward: from the users (or the calling node) to the server.")

    def says(self) -> str:
        """How often."""
        return f"a byte in {self.probability:.3%} of segments changed"

    def effect(self) -> LinkEffect:
        """Bytes that change."""
        return LinkEffect(corrupt=self.probability, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Garble the links, live connections included."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Who answers through the links, and how many bytes were changed until now and during this look."""
        links = injection.aim.links
        earlier = counters(injection.runtime.link_stats(), links, "corrupted")
        through = round_trips(injection.site, links, tries=1)
        changed = counters(injection.runtime.link_stats(), links, "corrupted")
        return {"through": through, "changed": changed, "now": changed - earlier}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if bytes were changed."""
        changed = max((figures["changed"] for figures in during), default=before["changed"]) - before["changed"]
        return Evidence(bit=changed > 0, says=f"{changed} bytes changed", measured={"changed": changed})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if nothing is changed any more and links answer."""
        dead = fell_silent(before["through"], after["through"])
        return Evidence(
            bit=bool(dead) or after["now"] > 0, says=f"{after['now']} bytes changed, {len(dead)} links dead"
        )


fault = Corrupt
