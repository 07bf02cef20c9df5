"""A slow disk: what a server writes and reads takes its time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from chaos.faults.base import Fault, Injection
from chaos.model.fault import Evidence
from chaos.runtimes.base import Dragging

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

KIB = 1024
PROOF_S = 0.6
"""How long a proof takes at the asked pace."""
MOST = 16 * KIB * KIB
"""Bytes that a proof moves at most."""
ENOUGH = 0.6
"""The share of the asked time that a proof must take; the kernel lets a first piece through at once."""
SLOWER = 2.0
"""How much longer than before it must take, whatever was asked."""


class DiskSlow(Fault):
    """The disks of the nodes' data give and take only so much a second; what is cached is as fast as ever."""

    name: ClassVar[str] = "disk_slow"
    band: ClassVar[str] = "#78350f"
    needs: ClassVar[tuple[type, ...]] = (Dragging,)

    write_kb_s: float | None = Field(
        None, ge=16, le=1 << 22, examples=[1024], description="KiB a second that may be written."
    )
    read_kb_s: float | None = Field(None, ge=16, le=1 << 22, description="KiB a second that may be read.")
    iops: int | None = Field(None, ge=2, le=100_000, description="Operations a second, reads and writes each.")

    @model_validator(mode="after")
    def _harms(self) -> DiskSlow:
        if not (self.write_kb_s or self.read_kb_s or self.iops):
            raise ValueError("slows nothing down: give write_kb_s, read_kb_s or iops")
        return self

    def says(self) -> str:
        """The pace."""
        parts = [f"{self.write_kb_s:g} KiB/s written"] if self.write_kb_s else []
        parts += [f"{self.read_kb_s:g} KiB/s read"] if self.read_kb_s else []
        return ", ".join(parts + ([f"{self.iops} operations a second"] if self.iops else []))

    def undo_says(self) -> str:
        """The pace that was there."""
        return "give the disks of the nodes their pace back"

    def inject(self, injection: Injection) -> None:
        """Limit it."""
        injection.able(Dragging).drag(
            injection.id,
            injection.aim.nodes,
            injection.lease_s,
            write_bps=round((self.write_kb_s or 0) * KIB),
            read_bps=round((self.read_kb_s or 0) * KIB),
            iops=self.iops or 0,
        )

    def measure(self, injection: Injection) -> dict[str, Any]:
        """How long real work takes whoever is held as the node is."""
        disk = injection.able(Dragging)
        return {what: disk.time_disk(injection.aim.nodes, what, amount) for what, amount, _ in self._proofs()}

    def _proofs(self) -> list[tuple[str, int, float]]:
        """Kind, amount (bytes, or syncs), and the seconds that it takes at the asked pace."""
        proofs: list[tuple[str, int, float]] = []
        for what, pace in (("write", self.write_kb_s), ("read", self.read_kb_s)):
            if pace:
                size = min(MOST, round(pace * KIB * PROOF_S))
                proofs.append((what, size, size / (pace * KIB)))
        if self.iops:
            count = max(2, round(self.iops * PROOF_S))
            proofs.append(("sync", count, count / self.iops))
        return proofs

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if each proof took most of the asked time on every node, and longer than before."""
        bit, says, measured = bool(during), [], {}
        for what, _, asked_s in self._proofs():
            calm = max(before[what].values(), default=0.0)
            slow = min((took for figures in during for took in figures[what].values()), default=0.0)
            bit = bit and slow >= max(ENOUGH * asked_s, SLOWER * calm)
            says.append(f"{what} {calm * 1000:.0f} → {slow * 1000:.0f} ms")
            measured[what] = {"before_s": calm, "during_s": slow, "asked_s": asked_s}
        return Evidence(bit=bit, says=", ".join(says), measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if no proof takes most of the asked time any more, or each is as quick as before."""
        slow = []
        for what, _, asked_s in self._proofs():
            calm, now = max(before[what].values(), default=0.0), max(after[what].values(), default=0.0)
            if now >= max(ENOUGH * asked_s, SLOWER * calm):
                slow.append(f"{what} takes {now * 1000:.0f} ms")
        return Evidence(bit=bool(slow), says=", ".join(slow) or "the disk is as quick as before")


fault = DiskSlow
