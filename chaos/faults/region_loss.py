"""A lost region: its nodes die and its links go dead in the same moment, as when a data centre loses its power."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, fell_silent, round_trips
from chaos.faults.server_loss import ServerLoss
from chaos.model.fault import Evidence, Reach, Target, Undo
from chaos.model.link import LinkEffect
from chaos.runtimes.base import Lifecycle, Shaping
from chaos.runtimes.undo import link_release, process_release

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Site


class RegionLoss(Fault):
    """All nodes of a region are killed and all its links are cut, until healed: then all come back together."""

    name: ClassVar[str] = "region_loss"
    band: ClassVar[str] = "#581c87"
    needs: ClassVar[tuple[type, ...]] = (Lifecycle, Shaping)

    target: Target = Field(description="Which region is lost: `region` alone.", examples=[{"region": "cn-east"}])
    mode: Literal["silent", "loud"] = Field(
        "silent", description="silent: the region's links take bytes and give none; loud: connections are reset."
    )

    @model_validator(mode="after")
    def _is_a_region(self) -> RegionLoss:
        if not self.target.region or self.target != Target(region=self.target.region):
            raise ValueError('the target of a lost region is the region alone: {"region": "NAME"}')
        return self

    def says(self) -> str:
        """Both halves."""
        return f"every node killed, every link cut ({self.mode}), until healed"

    def effect(self) -> LinkEffect:
        """A cut of all links."""
        return LinkEffect(block=self.mode)

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:
        """Links first: nodes may need them to come up."""
        start = process_release(site, fault_id).model_copy(update={"says": "start the killed nodes again"})
        return (link_release(site, fault_id), start)

    def reach(self, injection: Injection, owned: Mapping[str, Sequence[str]]) -> Reach:
        """Everybody in the region, and what its nodes owned."""
        found = super().reach(injection, owned)
        regions = {*found.regions, *filter(None, [self.target.region])}
        return found.model_copy(update={"regions": tuple(sorted(regions)), "links": injection.aim.links})

    def inject(self, injection: Injection) -> None:
        """Cut first, so that nobody hears the nodes die."""
        if injection.aim.links:
            self.shape(injection)
        injection.runtime.kill(injection.id, injection.aim.nodes, injection.lease_s, None)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """The processes, and who answers through the links that lead out of the region, and past them."""
        lost = set(injection.aim.nodes)
        out = [one for one in injection.site.spec.links if one.name in injection.aim.links and one.target not in lost]
        return {
            **self._nodes.measure(injection),
            "out": round_trips(injection.site, [one.name for one in out], tries=1),
            "beyond": answers(injection.site, sorted({one.target for one in out})),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if every process is gone, and no link that leads out answers although its server does."""
        gone = self._nodes.evidence(before, during)
        answered = [link for link, ms in before["out"].items() if ms is not None]
        open_ones = [link for link in answered if any(figures["out"].get(link) is not None for figures in during)]
        dumb = {node for figures in during for node in fell_silent(before["beyond"], figures["beyond"])}
        says = f"{gone.says}; {len(answered) - len(open_ones)} of {len(answered)} links out of it answer nothing"
        measured = gone.measured | {"links_out": answered, "open": open_ones, "beyond_silent": sorted(dumb)}
        return Evidence(bit=gone.bit and bool(during) and not open_ones and not dumb, says=says, measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every node runs and answers, and so do the links that lead out."""
        down = self._nodes.healed(before, after)
        dead = fell_silent(before["out"], after["out"])
        return Evidence(bit=down.bit or bool(dead), says=f"{down.says}, {len(dead)} links dead" if dead else down.says)

    @property
    def _nodes(self) -> ServerLoss:
        return ServerLoss(target=self.target, duration=self.duration)


fault = RegionLoss
