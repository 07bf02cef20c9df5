"""Cut connections: a share of those that live now is reset, once; whoever connects again gets through."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from chaos.faults.measure import counters, fell_silent, living, round_trips
from chaos.faults.strike import Strike
from chaos.model.fault import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.base import Injection

ENOUGH = 0.5
"""The share of the asked resets that must be counted: users come and go between the count and the cut."""


class Cut(Strike):
    """A share of the live connections of the links is reset, once, chosen by the seed; new ones pass."""

    name: ClassVar[str] = "cut"
    band: ClassVar[str] = "#be185d"
    strike: ClassVar[Literal["reset", "freeze"]] = "reset"
    struck: ClassVar[str] = "reset once"

    def measure(self, injection: Injection) -> dict[str, Any]:
        """The proxy's counters, and whether new connections pass."""
        stats, links = injection.runtime.link_stats(), injection.aim.links
        return {
            "live": living(stats, links, self.key),
            "reset": counters(stats, links, "reset"),
            "through": round_trips(injection.site, links, tries=1),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if most of the asked share of those that lived before was reset, and new connections pass."""
        asked = math.ceil(before["live"] * self.percentage / 100)
        cut = max((figures["reset"] for figures in during), default=before["reset"]) - before["reset"]
        passes = bool(during) and not fell_silent(before["through"], during[-1]["through"])
        bit = cut >= max(1, ENOUGH * asked) and passes
        says = f"{cut} of {before['live']} connections reset, new ones pass: {'yes' if passes else 'no'}"
        return Evidence(bit=bit, says=says, measured={"live_before": before["live"], "asked": asked, "reset": cut})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """Nothing lasts: it is gone when new connections pass."""
        dead = fell_silent(before["through"], after["through"])
        return Evidence(bit=bool(dead), says=f"{len(dead)} links still dead" if dead else "links answer")


fault = Cut
