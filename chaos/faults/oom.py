"""A server that runs out of memory: the kernel's out-of-memory killer ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.measure import processes
from chaos.faults.server_loss import ServerLoss
from chaos.model.fault import Evidence
from chaos.runtimes.base import Starving

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.faults.base import Injection


class Oom(ServerLoss):
    """The kernel's out-of-memory killer ends nodes; healing starts them again if nothing did before."""

    name: ClassVar[str] = "oom"
    band: ClassVar[str] = "#9d174d"
    needs: ClassVar[tuple[type, ...]] = (Starving,)

    restart_after: float | None = Field(
        None, ge=0, le=3600, description="Seconds until the node is started again; none: at healing."
    )

    def says(self) -> str:
        """What happens to the node."""
        back = "until healed" if self.restart_after is None else f"back after {self.restart_after:g} s"
        return f"killed for want of memory, {back}"

    def inject(self, injection: Injection) -> None:
        """Take its memory."""
        starving = injection.able(Starving)
        starving.starve(injection.id, injection.aim.nodes, injection.lease_s, self.restart_after)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """As of any lost server, and how often the kernel had it killed, as the engine was told."""
        states = processes(injection.runtime, injection.aim.nodes)
        return {**super().measure(injection), "starved": {node: state.starved for node, state in states.items()}}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if every process is gone, and its end was the out-of-memory killer's."""
        gone = super().evidence(before, during)
        starved = [
            node
            for node, count in before["starved"].items()
            if any(figures["starved"][node] > count for figures in during)
        ]
        says = f"{gone.says}, out of memory: {', '.join(starved) or 'none'}"
        bit = gone.bit and len(starved) == len(before["starved"])
        return Evidence(bit=bit, says=says, measured={**gone.measured, "starved": starved})


fault = Oom
