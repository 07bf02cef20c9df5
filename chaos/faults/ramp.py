"""A growing fault: one figure of any other fault goes from one value to another in equal steps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from chaos.faults.applied import Applied
from chaos.model.carrier import Ask
from chaos.model.fault import Evidence

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.base import Fault, Injection


class Ramp(Applied):
    """Another fault whose one figure goes from `start` to `end` in equal steps; each lasts as long as the others."""

    name: ClassVar[str] = "ramp"
    band: ClassVar[str] = "#b45309"

    figure: str = Field(examples=["delay_ms"], description="The argument of the other fault that grows or falls.")
    start: float = Field(examples=[10], description="Its first value.")
    end: float = Field(examples=[200], description="Its last value.")
    levels: int = Field(5, ge=2, le=100, description="How many values there are, both ends included.")

    @model_validator(mode="after")
    def _can_be_applied(self) -> Ramp:
        if self.figure in self.arguments:
            raise ValueError(f"{self.figure} is what the ramp sets; leave it out of `arguments`")
        self.at(0)
        self.at(self.levels - 1)
        return self

    def at(self, step: int) -> Fault:
        """The other fault after so many steps."""
        value = self.start + (self.end - self.start) * step / (self.levels - 1)
        return self.made(**{self.figure: value})

    @property
    def acting(self) -> Fault:
        """The other fault as it will be at the end, which is what it can do most."""
        return self.at(self.levels - 1)

    def asks(self) -> tuple[Ask, ...]:
        """What the other fault asks for at both ends: at one of them a figure may be nothing."""
        ends = (*self.at(0).asks(), *self.acting.asks())
        return tuple({ask.what: ask for ask in ends}.values())

    def says(self) -> str:
        """The other fault at both ends."""
        return f"{self.of}: {self.at(0).says()} → {self.acting.says()}, {self.levels} levels"

    def steps(self, seed: int) -> tuple[float, ...]:  # noqa: ARG002 - nothing is left to chance
        """Equal parts of the duration."""
        return tuple(self.duration * step / self.levels for step in range(1, self.levels))

    def inject(self, injection: Injection) -> None:
        """Put the other fault in, in place of the level before."""
        level = self.at(injection.step)
        if injection.step and not level.on_links:  # leases on links give way by themselves, those on nodes add up
            injection.runtime.release(injection.id)
        level.inject(injection)

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the other fault bit at the last level that was looked at."""
        if not during:
            return Evidence(bit=False, says="nobody looked")
        step = during[-1]["step"]
        proof = self.at(step).evidence(before, [figures for figures in during if figures["step"] == step])
        says = f"level {step + 1} of {self.levels}: {proof.says}"
        return Evidence(bit=proof.bit, says=says, measured=proof.measured | {"level": step + 1})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if the other fault is."""
        return self.acting.healed(before, after)


fault = Ramp
