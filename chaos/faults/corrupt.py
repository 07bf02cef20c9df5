"""Corrupted links: single bytes change on their way."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from chaos.faults.counted import Counted
from chaos.model.link import LinkEffect


class Corrupt(Counted):
    """With a probability per 1460 bytes, one byte becomes another; nothing is lost or added.

    The link proxy changes the stream, past every checksum of the network. netem changes packets: the receiver's
    checksum finds most of them, and they are as good as lost.
    """

    name: ClassVar[str] = "corrupt"
    band: ClassVar[str] = "#9f1239"
    counter: ClassVar[str] = "corrupted"
    counts: ClassVar[str] = "bytes changed"

    probability: float = Field(gt=0, le=1, examples=[0.01], description="Per 1460 bytes begun, 0 to 1.")

    def says(self) -> str:
        """How often."""
        return f"a byte in {self.probability:.3%} of segments changed"

    def effect(self) -> LinkEffect:
        """Bytes that change."""
        return LinkEffect(corrupt=self.probability, direction=self.direction)


fault = Corrupt
