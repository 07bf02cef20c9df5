"""A lost server: SIGKILL, with or without a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, processes
from chaos.model.fault import Evidence
from chaos.runtimes.base import Lifecycle

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class ServerLoss(Fault):
    """Nodes are killed, with no chance to say goodbye; healing starts them again if nothing did before."""

    name: ClassVar[str] = "server_loss"
    band: ClassVar[str] = "#7c3aed"
    needs: ClassVar[tuple[type, ...]] = (Lifecycle,)

    restart_after: float | None = Field(
        None, ge=0, le=3600, description="Seconds until the node is started again; none: at healing."
    )

    def says(self) -> str:
        """What happens to the node."""
        return f"SIGKILL, {self.back_says()}"

    def back_says(self) -> str:
        """When it comes back."""
        return "until healed" if self.restart_after is None else f"back after {self.restart_after:g} s"

    def undo_says(self) -> str:
        """Start what was killed."""
        return "start the killed nodes again"

    def inject(self, injection: Injection) -> None:
        """Kill."""
        runtime = injection.runtime
        runtime.kill(injection.id, injection.aim.nodes, injection.lease_s, self.restart_after)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """The processes, and whether they answer."""
        states = processes(injection.runtime, injection.aim.nodes)
        pids = {node: (state.pid, state.started) for node, state in states.items()}
        return {"process": pids, "answers": answers(injection.site, injection.aim.nodes)}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if every process that ran before is gone: no pid, or another one."""
        gone = {
            node: pid
            for node, (pid, started) in before["process"].items()
            if pid and any(figures["process"][node] != (pid, started) for figures in during)
        }
        bit = bool(gone) and len(gone) == len(before["process"])
        names = ", ".join(f"{node} (pid {pid})" for node, pid in gone.items()) or "nothing"
        return Evidence(bit=bit, says=f"{names} gone", measured={"gone": gone})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every node runs and answers."""
        down = [node for node in before["process"] if after["answers"].get(node) is None]
        return Evidence(bit=bool(down), says=f"down: {', '.join(down)}" if down else "all nodes answer")


fault = ServerLoss
