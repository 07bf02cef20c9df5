"""A stopped server: SIGTERM and time to say goodbye; it stays down until it is healed, as when a node is drained."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from chaos.faults.server_loss import ServerLoss
from chaos.runtimes.base import Stopping

if TYPE_CHECKING:
    from chaos.faults.base import Injection
    from chaos.model.fault import Undo
    from chaos.model.stack import Site


class Stop(ServerLoss):
    """Nodes are asked to end (SIGTERM), killed if they take longer than `grace`, and started again at healing."""

    name: ClassVar[str] = "stop"
    band: ClassVar[str] = "#3730a3"
    needs: ClassVar[tuple[type, ...]] = (Stopping,)

    grace: float = Field(3.0, gt=0, le=4, description="Seconds that a node has to end by itself.")

    def says(self) -> str:
        """What happens to the node."""
        return f"SIGTERM, SIGKILL after {self.grace:g} s, {self.back_says()}"

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:
        """Start what has ended, and what was asked to end and is still about to."""
        (undo,) = super().undo(fault_id, site)
        return (undo.model_copy(update={"arguments": undo.arguments | {"grace_s": self.grace}}),)

    def inject(self, injection: Injection) -> None:
        """Ask the nodes to end."""
        runtime = injection.runtime
        runtime.kill(injection.id, injection.aim.nodes, injection.lease_s, self.restart_after, self.grace)


fault = Stop
