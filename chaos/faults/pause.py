"""A frozen server: SIGSTOP, so that it holds what it had and wakes up not knowing that time has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, processes
from chaos.model.fault import Evidence
from chaos.runtimes.base import Pausing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Pause(Fault):
    """Nodes stand still; their sockets stay open. Healing lets them go on."""

    name: ClassVar[str] = "pause"
    band: ClassVar[str] = "#0e7490"
    needs: ClassVar[tuple[type, ...]] = (Pausing,)

    def says(self) -> str:
        """The signal."""
        return "SIGSTOP"

    def undo_says(self) -> str:
        """Let it go on."""
        return "let the nodes go on (SIGCONT)"

    def inject(self, injection: Injection) -> None:
        """Stop."""
        injection.runtime.pause(injection.id, injection.aim.nodes, injection.lease_s)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """What the kernel says of the processes, and whether they answer."""
        states = processes(injection.runtime, injection.aim.nodes)
        return {
            "state": {node: state.state for node, state in states.items()},
            "answers": answers(injection.site, injection.aim.nodes),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if every node that answered stood still and answered no more."""
        nodes = [node for node, ms in before["answers"].items() if ms is not None]
        still = [
            node
            for node in nodes
            if during and all(f["state"][node] == "stopped" and f["answers"][node] is None for f in during)
        ]
        bit = bool(nodes) and len(still) == len(nodes)
        return Evidence(bit=bit, says=f"{', '.join(still) or 'nothing'} stopped", measured={"stopped": still})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every node answers."""
        dumb = [node for node, ms in before["answers"].items() if ms is not None and after["answers"][node] is None]
        return Evidence(bit=bool(dumb), says=f"no answer: {', '.join(dumb)}" if dumb else "all nodes answer")


fault = Pause
