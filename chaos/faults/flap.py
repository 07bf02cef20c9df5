"""A flapping fault: any other one that comes and goes, as loose contacts and crash loops do."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from chaos.faults.applied import Applied
from chaos.model.fault import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.base import Fault, Injection


class Flap(Applied):
    """Another fault, on for a share of each period and off for the rest; the seed varies the moments."""

    name: ClassVar[str] = "flap"
    band: ClassVar[str] = "#c2410c"

    period: float = Field(ge=0.1, le=3600, examples=[4], description="Seconds from one start to the next.")
    duty: float = Field(0.5, gt=0, lt=1, description="Share of a period in which the fault is on.")
    spread: float = Field(0.0, ge=0, le=0.5, description="Each on and each off lasts up to this share longer or less.")

    @model_validator(mode="after")
    def _can_be_applied(self) -> Flap:
        self.made()
        return self

    @property
    def acting(self) -> Fault:
        """What comes and goes."""
        return self.made()

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

    def is_on(self, step: int) -> bool:
        """It begins on, and each step turns it over."""
        return step % 2 == 0

    def inject(self, injection: Injection) -> None:
        """Put the other fault in, or take it out."""
        if self.is_on(injection.step):
            self.acting.inject(injection)
        else:
            injection.runtime.release(injection.id)

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the other fault bit while it was on, and was gone when it was off."""
        acting = self.acting
        on = [figures for figures in during if self.is_on(figures["step"])]
        off = [figures for figures in during if not self.is_on(figures["step"])]
        proof = acting.evidence(before, on)
        gone = acting.healed(before, off[0]) if off else Evidence(bit=True, says="never seen off")
        says = f"on: {proof.says}; off: {gone.says}"
        measured = proof.measured | {"looks_on": len(on), "looks_off": len(off)}
        return Evidence(bit=proof.bit and not gone.bit, says=says, measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if the other fault is."""
        return self.acting.healed(before, after)


fault = Flap
