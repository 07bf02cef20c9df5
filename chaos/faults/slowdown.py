"""A slow cloud: nodes get a share of their processor time, and the links around them a delay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import middle, round_trips, work_ratios
from chaos.model.fault import Evidence, Reach, Undo
from chaos.model.link import LinkEffect
from chaos.runtimes.base import Shaping, Throttling
from chaos.runtimes.undo import link_release, process_release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Site

ENOUGH = 0.6
"""The share of the asked slow-down that must be measured; a busy small machine makes the calm figure itself uneven."""


class Slowdown(Fault):
    """A node, or every node of a region, computes at `cpu_share` of its pace; its links get `delay_ms` each way."""

    name: ClassVar[str] = "slowdown"
    band: ClassVar[str] = "#4d7c0f"
    needs: ClassVar[tuple[type, ...]] = (Throttling, Shaping)

    cpu_share: float = Field(
        1.0, gt=0.01, le=1, examples=[0.3], description="Share of processor time that is left, 0.01 to 1."
    )
    delay_ms: float = Field(
        0.0, ge=0, le=10_000, examples=[50], description="Added one way to the links, in milliseconds."
    )
    jitter_ms: float = Field(0.0, ge=0, le=10_000, description="Standard deviation of that delay, in milliseconds.")

    @model_validator(mode="after")
    def _harms(self) -> Slowdown:
        if self.cpu_share == 1 and not self.delay_ms:
            raise ValueError("slows nothing down: give cpu_share below 1 or delay_ms above 0")
        return self

    def says(self) -> str:
        """Share and delay."""
        parts = [f"{self.cpu_share:.0%} of the processor time"] if self.cpu_share < 1 else []
        return ", ".join(parts + ([f"+{self.delay_ms:g} ms each way"] if self.delay_ms else []))

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:
        """Both halves, for whichever was put in."""
        slow = process_release(site, fault_id).model_copy(update={"says": "give the nodes their processor time back"})
        return (slow, link_release(site, fault_id))

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """The nodes, and where whole regions are slow, everybody in them."""
        found = super().reach(injection, owned)
        regions = set(found.regions) | ({self.target.region} if self.target.region else set())
        return found.model_copy(update={"regions": tuple(sorted(regions)), "links": injection.aim.links})

    def effect(self) -> LinkEffect | None:
        """The delay, if it has one."""
        return LinkEffect(delay_ms=self.delay_ms, jitter_ms=self.jitter_ms) if self.delay_ms else None

    def uses(self) -> tuple[type, ...]:
        """Processor time only where some is taken away."""
        return self.needs if self.cpu_share < 1 else (Shaping,)

    def inject(self, injection: Injection) -> None:
        """Throttle, then delay."""
        if self.cpu_share < 1:
            injection.runtime.throttle(injection.id, injection.aim.nodes, self.cpu_share, injection.lease_s)
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """How long a fixed piece of work takes on the nodes, and round trips through the links."""
        work = work_ratios(injection.site, injection.aim.nodes) if self.cpu_share < 1 else {}
        links = round_trips(injection.site, injection.aim.links) if self.delay_ms else {}
        return {"work": work, "rtt_ms": links}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if work takes longer by most of the asked ratio, and round trips grew by most of the asked delay."""
        calm_work = middle(before["work"].values())
        slow_work = middle(middle(figures["work"].values()) for figures in during)
        calm_rtt = middle(before["rtt_ms"].values())
        slow_rtt = middle(middle(figures["rtt_ms"].values()) for figures in during)
        bit, says = True, []
        if self.cpu_share < 1:
            asked = 1 / self.cpu_share
            bit = calm_work is not None and slow_work is not None and slow_work >= max(1.2, ENOUGH * asked)
            says.append(f"work takes {_shown(calm_work)} → {_shown(slow_work)} × its processor time")
        if self.delay_ms:
            grown = None if calm_rtt is None or slow_rtt is None else slow_rtt - calm_rtt
            bit = bit and grown is not None and grown >= ENOUGH * 2 * self.delay_ms
            says.append(f"rtt {_shown(calm_rtt)} → {_shown(slow_rtt)} ms")
        figures = {"work_before": calm_work, "work_during": slow_work, "rtt_before": calm_rtt, "rtt_during": slow_rtt}
        return Evidence(bit=bit, says=", ".join(says), measured=figures)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if work and round trips are nearer to the old figures than to the asked ones."""
        work, rtt = middle(after["work"].values()), middle(after["rtt_ms"].values())
        usual = middle(before["work"].values()) or 1.0
        # A machine that others keep busy has no calm figure: gone is what is below half of the way to the asked ratio.
        slow = self.cpu_share < 1 and (work is None or work > max(2 * usual, usual * (1 + 1 / self.cpu_share) / 2))
        calm = middle(before["rtt_ms"].values()) or 0.0
        late = self.delay_ms > 0 and (rtt is None or rtt - calm > ENOUGH * 2 * self.delay_ms)
        return Evidence(bit=slow or late, says=f"work {_shown(work)} ×, rtt {_shown(rtt)} ms")


def _shown(figure: float | None) -> str:
    return "nothing" if figure is None else f"{figure:.3g}"


fault = Slowdown
