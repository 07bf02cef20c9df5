"""An interleaved fault: any other one, on and off in windows whose order is drawn, so that its effect shows."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, model_validator

from chaos.faults.applied import Turned
from chaos.model.fault import Windows

if TYPE_CHECKING:
    from chaos.faults.base import Injection


class Interleave(Turned):
    """Another fault, on in one window of each pair and off in the other; the seed draws which comes first."""

    name: ClassVar[str] = "interleave"
    band: ClassVar[str] = "#a16207"
    first_step: ClassVar[int] = -2
    """It is proved before its windows, on and off, since a look may last longer than one of them."""

    pairs: int = Field(
        8, ge=8, le=12, description="Pairs of windows; each window lasts the duration over twice as many."
    )
    settle: float = Field(
        0.5, ge=0, le=60, description="Seconds at the start of each window that do not count: what lingers fades."
    )

    @model_validator(mode="after")
    def _leaves_something(self) -> Interleave:
        if self.settle >= self.window_s:
            raise ValueError(
                f"each of {2 * self.pairs} windows lasts {self.window_s:g} s, and the first {self.settle:g} s "
                "of it do not count; nothing would be left"
            )
        return self

    @property
    def window_s(self) -> float:
        """How long each window lasts."""
        return self.duration / (2 * self.pairs)

    def says(self) -> str:
        """The other fault, and its windows."""
        return f"{self.of} ({self.acting.says()}) in {self.pairs} of {2 * self.pairs} windows of {self.window_s:g} s"

    def steps(self, seed: int) -> tuple[float, ...]:  # noqa: ARG002 - the seed draws what happens in them
        """The windows, one after the other."""
        return tuple(self.window_s * number for number in range(1, 2 * self.pairs))

    def is_on(self, injection: Injection) -> bool:
        """In the one window of its pair that a coin says, thrown for each pair; before them, as it begins."""
        if injection.step < 0:
            return injection.step == self.first_step
        pair, second = divmod(injection.step, 2)
        first_is_on = random.Random(f"{injection.seed}/interleave/{pair}").random() < 0.5  # noqa: S311, PLR2004
        return first_is_on != bool(second)

    def windows(self) -> Windows:
        """Its pairs."""
        return Windows(pairs=self.pairs, settle_s=self.settle)


fault = Interleave
