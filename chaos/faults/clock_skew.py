"""A wrong clock: a node's wall clock is ahead or behind, as without NTP, or after a bad correction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, field_validator

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import clocks
from chaos.model.fault import Evidence
from chaos.runtimes.base import Skewing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

LEAST_S = 5.0
"""The dates of HTTP have whole seconds: a smaller offset could not be told from none."""
NEAR_S = 2.5
"""How far the measured offset may be from the asked one: two roundings to a second, and a slow answer."""


class ClockSkew(Fault):
    """The wall clock of nodes is off by `offset` seconds; their monotonic clocks go on as they are."""

    name: ClassVar[str] = "clock_skew"
    band: ClassVar[str] = "#854d0e"
    needs: ClassVar[tuple[type, ...]] = (Skewing,)

    offset: float = Field(
        ge=-1e9, le=1e9, description="Seconds ahead of the right time; below 0: behind it.", examples=[-60.0]
    )

    @field_validator("offset")
    @classmethod
    def _can_be_seen(cls, offset: float) -> float:
        if abs(offset) < LEAST_S:
            raise ValueError(f"an offset below {LEAST_S:g} s cannot be proved: clocks are read in whole seconds")
        return offset

    def says(self) -> str:
        """How far off."""
        return f"wall clock {abs(self.offset):g} s {'ahead' if self.offset > 0 else 'behind'}"

    def undo_says(self) -> str:
        """Set it right."""
        return "set the nodes' clocks right"

    def inject(self, injection: Injection) -> None:
        """Set the clocks wrong."""
        injection.runtime.skew(injection.id, injection.aim.nodes, self.offset, injection.lease_s)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """How far each node's own clock is ahead of ours, by the date of its answers."""
        return {"ahead_s": clocks(injection.site, injection.aim.nodes)}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if every clock that could be read before is off by what was asked for."""
        known = {node: ahead for node, ahead in before["ahead_s"].items() if ahead is not None}
        last = during[-1]["ahead_s"] if during else {}
        off = {node: _moved(ahead, last.get(node)) for node, ahead in known.items()}
        hit = [node for node, moved in off.items() if moved is not None and abs(moved - self.offset) <= NEAR_S]
        says = ", ".join(f"{node} {_shown(moved)}" for node, moved in off.items()) or "no clock could be read"
        return Evidence(bit=bool(known) and len(hit) == len(known), says=says, measured={"moved_s": off})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every clock is where it was."""
        known = {node: ahead for node, ahead in before["ahead_s"].items() if ahead is not None}
        off = {node: _moved(ahead, after["ahead_s"].get(node)) for node, ahead in known.items()}
        wrong = [node for node, moved in off.items() if moved is None or abs(moved) > NEAR_S]
        says = ", ".join(f"{node} {_shown(off[node])}" for node in wrong) or "clocks are right again"
        return Evidence(bit=bool(wrong), says=says)


def _moved(before: float, now: float | None) -> float | None:
    return None if now is None else round(now - before, 1)


def _shown(moved: float | None) -> str:
    return "no answer" if moved is None else f"{moved:+.0f} s"


fault = ClockSkew
