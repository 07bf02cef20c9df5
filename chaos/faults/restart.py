"""A restarted server: SIGTERM and a new process, as in every deployment."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from chaos.faults.stop import Stop


class Restart(Stop):
    """Nodes are asked to end (SIGTERM), killed if they take longer than `grace`, and started again."""

    name: ClassVar[str] = "restart"
    band: ClassVar[str] = "#4338ca"

    restart_after: float | None = Field(
        0.0, ge=0, le=3600, description="Seconds from SIGTERM until the node may start again; none: at healing."
    )


fault = Restart
