"""Reordered packets: some overtake others, as over paths of different length."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from chaos.faults.counted import Counted
from chaos.model.link import LinkEffect


class Reorder(Counted):
    """Packets wait for `delay_ms`, but for a share that goes at once and so overtakes those that wait."""

    name: ClassVar[str] = "reorder"
    band: ClassVar[str] = "#1d4ed8"
    counter: ClassVar[str] = "reordered"
    counts: ClassVar[str] = "packets out of turn"

    share: float = Field(gt=0, lt=1, examples=[0.25], description="Share of packets that does not wait, 0 to 1.")
    delay_ms: float = Field(20.0, gt=0, le=10_000, description="How long the others wait, one way, in milliseconds.")

    def says(self) -> str:
        """How many overtake, and by how much."""
        return f"{self.share:.3g} of packets {self.delay_ms:g} ms ahead of their turn"

    def effect(self) -> LinkEffect:
        """A delay that not all have."""
        return LinkEffect(reorder=self.share, delay_ms=self.delay_ms, direction=self.direction)


fault = Reorder
