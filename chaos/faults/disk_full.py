"""A full disk: what a server writes is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.model.fault import Evidence
from chaos.runtimes.base import Filling

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIB = 1024


class DiskFull(Fault):
    """The disks of the nodes' data have only `leave_kb` left; the stack file says where these lie (`data`)."""

    name: ClassVar[str] = "disk_full"
    band: ClassVar[str] = "#92400e"
    needs: ClassVar[tuple[type, ...]] = (Filling,)

    leave_kb: int = Field(0, ge=0, le=65536, description="Space (KiB) that is left free.")

    def says(self) -> str:
        """What is left."""
        return f"{self.leave_kb} KiB of disk left"

    def undo_says(self) -> str:
        """The file goes."""
        return "remove the file that fills the disk"

    def inject(self, injection: Injection) -> None:
        """Fill it."""
        injection.able(Filling).fill(injection.id, injection.aim.nodes, self.leave_kb * KIB, injection.lease_s)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """A real write of a little more than is left."""
        tried = injection.able(Filling).try_write(injection.aim.nodes, self.leave_kb * KIB)
        return {
            "refused": {node: one.refused for node, one in tried.items()},
            "free_kb": {node: one.free // KIB for node, one in tried.items()},
            "filled": [node for node, one in tried.items() if injection.id in one.fills],
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if the write went through before, and found no room during it on any node, as long as that ran."""
        free = [node for node, why in before["refused"].items() if not why]
        seen = {node: [one for one in during if node in one["refused"]] for node in free}
        full = [node for node in free if seen[node] and {one["refused"][node] for one in seen[node]} == {"ENOSPC"}]
        left = {node: seen[node][-1]["free_kb"][node] for node in full}
        words = ", ".join(f"{node}: {before['free_kb'][node]} → {kb} KiB, ENOSPC" for node, kb in left.items())
        bit = bool(full) and len(full) == len(before["refused"])
        return Evidence(bit=bit, says=words or "writes go through", measured={"free_kb": left})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if what could be written before can be written again, and its file is not there."""
        full = [node for node, why in before["refused"].items() if not why and after["refused"].get(node, "ended")]
        left = sorted({*full, *after["filled"]})
        return Evidence(bit=bool(left), says=f"still full: {', '.join(left)}" if left else "writes go through")


fault = DiskFull
