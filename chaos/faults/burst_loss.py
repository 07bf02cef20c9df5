"""Losses in bursts: a radio link, or a queue that overflows, loses many packets in a row and then none for long."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from chaos.faults.counted import Counted
from chaos.model.bursts import gilbert_elliott
from chaos.model.link import LinkEffect


class BurstLoss(Counted):
    """A share of all packets is lost, several in a row (a Gilbert-Elliott chain). A byte stream stalls for each."""

    name: ClassVar[str] = "burst_loss"
    band: ClassVar[str] = "#a21caf"
    counter: ClassVar[str] = "stalls"
    counts: ClassVar[str] = "packets lost"

    loss: float = Field(gt=0, lt=1, examples=[0.05], description="Share of all packets that is lost, 0 to 1.")
    burst: float = Field(10.0, ge=1, le=10_000, description="Mean length of a bad spell, in packets (1 / r).")
    density: float = Field(1.0, gt=0, le=1, description="Share of packets lost in a bad spell (1 - h), 0 to 1.")

    @model_validator(mode="after")
    def _can_be(self) -> BurstLoss:
        if gilbert_elliott(self.loss, self.burst, self.density)[0] > 1:
            most = self.density * self.burst / (self.burst + 1)
            raise ValueError(f"bursts of this length and density lose at most {most:.3g} of all packets")
        return self

    def says(self) -> str:
        """How many, and in what lumps."""
        return f"{self.loss:.3g} of packets lost, in bad spells of {self.burst:g}"

    def effect(self) -> LinkEffect:
        """The chain."""
        return LinkEffect(burst_loss=self.loss, burst=self.burst, density=self.density, direction=self.direction)


fault = BurstLoss
