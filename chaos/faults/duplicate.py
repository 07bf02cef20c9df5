"""Duplicated packets: some arrive twice, as after a retransmission that was not needed or over two paths."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from chaos.faults.counted import Counted
from chaos.model.link import LinkEffect


class Duplicate(Counted):
    """A share of the packets arrives twice. TCP throws the second away; what speaks UDP has to do so itself."""

    name: ClassVar[str] = "duplicate"
    band: ClassVar[str] = "#0f766e"
    counter: ClassVar[str] = "duplicated"
    counts: ClassVar[str] = "packets came twice"

    share: float = Field(gt=0, le=1, examples=[0.1], description="Share of packets that arrives twice, 0 to 1.")

    def says(self) -> str:
        """How many."""
        return f"{self.share:.3g} of packets twice"

    def effect(self) -> LinkEffect:
        """Second copies."""
        return LinkEffect(duplicate=self.share, direction=self.direction)


fault = Duplicate
