"""A flapping fault: any other one that comes and goes, as loose contacts and crash loops do."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from chaos.faults.applied import Turned

if TYPE_CHECKING:
    from chaos.faults.base import Injection


class Flap(Turned):
    """Another fault, on for a share of each period and off for the rest; the seed varies the moments."""

    name: ClassVar[str] = "flap"
    band: ClassVar[str] = "#c2410c"

    period: float = Field(ge=0.1, le=3600, examples=[4], description="Seconds from one start to the next.")
    duty: float = Field(0.5, gt=0, lt=1, description="Share of a period in which the fault is on.")
    spread: float = Field(0.0, ge=0, le=0.5, description="Each on and each off lasts up to this share longer or less.")

    def says(self) -> str:
        """The other fault, and its rhythm."""
        return f"{self.of} ({self.acting.says()}) on for {self.duty:.0%} of every {self.period:g} s"

    def steps(self, seed: int) -> tuple[float, ...]:
        """Off, on, off … until the end."""
        rng = random.Random(f"{seed}/flap")  # noqa: S311 - repeatable on purpose
        at, found = 0.0, list[float]()
        while True:
            share = self.duty if len(found) % 2 == 0 else 1 - self.duty
            at += self.period * share * (1 + self.spread * rng.uniform(-1, 1))
            if at >= self.duration:
                return tuple(found)
            found.append(at)

    def is_on(self, injection: Injection) -> bool:
        """It begins on, and each step turns it over."""
        return injection.step % 2 == 0


fault = Flap
