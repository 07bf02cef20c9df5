"""A server that is short of memory, and goes on with what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers
from chaos.model.fault import Evidence
from chaos.runtimes.base import Squeezing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MIB = 2**20
ROUNDED_MIB = 1.5
"""A limit is set to whole MiB, and the node goes on to take and give back memory."""


class MemoryPressure(Fault):
    """Nodes may take only `leave_mb` more memory than they hold; beyond it the kernel slows them down or ends them."""

    name: ClassVar[str] = "memory_pressure"
    band: ClassVar[str] = "#a16207"
    needs: ClassVar[tuple[type, ...]] = (Squeezing,)

    leave_mb: float = Field(
        8.0, ge=1, le=65536, description="Memory (MiB) that a node may take beyond what it holds at the injection."
    )

    def says(self) -> str:
        """What is left."""
        return f"{self.leave_mb:g} MiB of memory left"

    def undo_says(self) -> str:
        """The limit that was there."""
        return "give the nodes their memory limits back"

    def inject(self, injection: Injection) -> None:
        """Limit it."""
        squeezing = injection.able(Squeezing)
        squeezing.squeeze(injection.id, injection.aim.nodes, round(self.leave_mb * MIB), injection.lease_s)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """What the kernel counts and allows, and whether the nodes answer."""
        memory = injection.able(Squeezing).memory(injection.aim.nodes)
        return {
            "left_mb": {node: round((one.limit - one.held) / MIB, 2) for node, one in memory.items()},
            "limit": {node: one.limit for node, one in memory.items()},
            "hits": {node: one.hits for node, one in memory.items()},
            "answers": answers(injection.site, injection.aim.nodes),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the kernel leaves each node no more than was asked, and every one that answered still runs."""
        left = {node: [figures["left_mb"][node] for figures in during] for node in before["left_mb"]}
        lower = all(figures["limit"][node] < was for figures in during for node, was in before["limit"].items())
        tight = all(most <= self.leave_mb + ROUNDED_MIB for several in left.values() for most in several)
        hits = sum(max(0, during[-1]["hits"][node] - was) for node, was in before["hits"].items()) if during else 0
        words = ", ".join(f"{node} has {several[-1]:g} MiB left" for node, several in left.items() if several)
        says = f"{words or 'nothing measured'}, limit hit {hits} times"
        return Evidence(bit=bool(during) and lower and tight, says=says, measured={"left_mb": left, "hits": hits})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every limit is what it was, and every node answers."""
        tight = [node for node, limit in before["limit"].items() if after["limit"][node] != limit]
        dumb = [node for node, ms in before["answers"].items() if ms is not None and after["answers"][node] is None]
        says = "; ".join(
            part for part in (_named("another limit than before", tight), _named("no answer", dumb)) if part
        )
        return Evidence(bit=bool(tight or dumb), says=says or "all limits are as before")


def _named(what: str, nodes: Sequence[str]) -> str:
    return f"{what}: {', '.join(nodes)}" if nodes else ""


fault = MemoryPressure
