"""A restarted server: SIGTERM and a new process, as in every deployment."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from chaos.faults.server_loss import ServerLoss
from chaos.runtimes.base import Stopping

if TYPE_CHECKING:
    from chaos.faults.base import Injection


class Restart(ServerLoss):
    """Nodes are asked to end (SIGTERM), killed if they take longer than `grace`, and started again."""

    name: ClassVar[str] = "restart"
    band: ClassVar[str] = "#4338ca"
    needs: ClassVar[tuple[type, ...]] = (Stopping,)

    restart_after: float | None = Field(
        0.0, ge=0, le=3600, description="Seconds from SIGTERM until the node may start again; none: at healing."
    )
    grace: float = Field(3.0, gt=0, le=4, description="Seconds that a node has to end by itself.")

    def says(self) -> str:
        """What happens to the node."""
        back = "until healed" if self.restart_after is None else f"back after {self.restart_after:g} s"
        return f"SIGTERM, SIGKILL after {self.grace:g} s, {back}"

    def inject(self, injection: Injection) -> None:
        """Ask the nodes to end."""
        runtime = injection.runtime
        runtime.kill(injection.id, injection.aim.nodes, injection.lease_s, self.restart_after, self.grace)


fault = Restart
