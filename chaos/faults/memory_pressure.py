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
ROUNDED_MIB = 2.0
"""A limit is set to whole MiB, and a node goes on to take memory until it is."""
MORE = 0.1
"""What a node may have taken between the look before and the injection, as a share of what it held."""


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
        """What the kernel counts and allows of nodes that run, in MiB, and whether they answer."""
        memory = injection.able(Squeezing).memory(injection.aim.nodes)
        return {
            "held": {node: round(one.held / MIB, 2) for node, one in memory.items()},
            "limit": {node: round(one.limit / MIB, 2) for node, one in memory.items()},
            "hits": {node: one.hits for node, one in memory.items()},
            "answers": answers(injection.site, injection.aim.nodes),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the kernel's limit of each node was no more above what it held than was asked."""
        nodes = tuple(before["held"])
        seen = {node: [one for one in during if node in one["limit"]] for node in nodes}
        tight = [node for node in nodes if seen[node] and all(self._tight(node, before, one) for one in seen[node])]
        ended = [node for node in nodes if during and node not in during[-1]["limit"]]
        hits = {node: several[-1]["hits"][node] - before["hits"][node] for node, several in seen.items() if several}
        words = [
            f"{node} has {seen[node][-1]['limit'][node] - seen[node][-1]['held'][node]:.1f} MiB left, "
            f"limit hit {max(0, hits[node])} times"
            for node in tight
        ]
        says = ", ".join([*words, _named("killed by it", ended)] if ended else words) or "no limit is tighter"
        limits = {node: several[-1]["limit"][node] for node, several in seen.items() if several}
        measured = {"limit_mb": limits, "held_mb": dict(before["held"]), "hits": hits, "ended": ended}
        return Evidence(bit=bool(nodes) and len(tight) == len(nodes), says=says, measured=measured)

    def _tight(self, node: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
        held, limit = before["held"][node], now["limit"][node]
        return bool(limit < before["limit"][node] and limit <= held + self.leave_mb + max(ROUNDED_MIB, MORE * held))

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every limit is what it was, and every node answers."""
        tight = [node for node, limit in before["limit"].items() if after["limit"].get(node, limit) != limit]
        dumb = [node for node, ms in before["answers"].items() if ms is not None and after["answers"][node] is None]
        parts = (_named("another limit than before", tight), _named("no answer", dumb))
        says = "; ".join(part for part in parts if part) or "all limits are as before"
        return Evidence(bit=bool(tight or dumb), says=says)


def _named(what: str, nodes: Sequence[str]) -> str:
    return f"{what}: {', '.join(nodes)}" if nodes else ""


fault = MemoryPressure
