"""A cut network: no byte passes links, silently or loudly: all links of a target, or those between parts of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, fell_silent, round_trips
from chaos.faults.targets import OWNER_ROLES, Aim
from chaos.faults.topology import Among, Parts, cut_apart
from chaos.model.fault import Evidence
from chaos.model.link import Direction, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import StackSpec

WAYS = ("two-way", "one-way")
"""Topologies that cut every link of the target; the others cut those that lie between parts of it."""


class Partition(Fault):
    """No bytes pass. silent: sockets stay open and nothing arrives; loud: connections are reset."""

    name: ClassVar[str] = "partition"
    band: ClassVar[str] = "#b91c1c"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    mode: Literal["silent", "loud"] = Field("silent", description="silent: bytes vanish; loud: connections are reset.")
    topology: Literal["two-way", "one-way", Parts] = Field(
        "two-way",
        description="two-way, one-way: all links of the target; bisect, isolate-one, ring, bridge: those among its "
        "nodes that lie across.",
    )
    among: Among = Field("nodes", description="What bisect and the like cut apart: single nodes, or whole regions.")
    direction: Direction = Field("both", description="forward: from the users (or the calling node) to the server.")

    @model_validator(mode="before")
    @classmethod
    def _one_way_has_a_direction(cls, given: Any) -> Any:
        """Either word stands for the other where only one is given."""
        if not isinstance(given, dict):
            return given
        if given.get("topology") == "one-way":
            return {"direction": "forward"} | given
        if given.get("direction", "both") != "both":
            return {"topology": "one-way"} | given
        return given

    @model_validator(mode="after")
    def _fits_together(self) -> Partition:
        if (self.topology == "one-way") == (self.direction == "both"):
            raise ValueError(f"topology {self.topology} cannot have direction {self.direction}")
        if self.topology in WAYS and self.among != "nodes":
            raise ValueError(f"topology {self.topology} cuts every link of its target: leave `among` out")
        if self.topology not in WAYS and self.target.role in OWNER_ROLES:
            raise ValueError(f"topology {self.topology} takes several nodes, and {self.target.role} is one")
        return self

    def says(self) -> str:
        """The cut in words."""
        if self.topology not in WAYS:
            return f"{self.mode} cut, {self.topology}{' of regions' if self.among == 'regions' else ''}"
        ways = "both ways" if self.direction == "both" else f"{self.direction} only"
        return f"{self.mode} cut, {ways}"

    def aim(self, spec: StackSpec, seed: int, owned: Mapping[str, Sequence[str]] | None = None) -> Aim:
        """All links of the target, or those that lie across."""
        aim = super().aim(spec, seed, owned)
        if self.topology == "two-way" or self.topology == "one-way":  # noqa: PLR1714 - narrows the type
            return aim
        return cut_apart(self.topology, self.among, self.target, aim, spec, seed)

    def effect(self) -> LinkEffect:
        """A block."""
        return LinkEffect(block=self.mode, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Block the links, live connections included."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Who answers through the links, through those within a part, and past them: links are cut, not nodes."""
        links = injection.aim.links
        targets = {link.target for link in injection.site.spec.links if link.name in links}
        return {
            "through": round_trips(injection.site, links, tries=1),
            "within": round_trips(injection.site, injection.aim.kept, tries=1),
            "past": answers(injection.site, sorted(targets)),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if links that answered no longer do, while their servers and all links within a part still answer."""
        answered = [link for link, ms in before["through"].items() if ms is not None]
        cut = [link for link in answered if during and all(figures["through"].get(link) is None for figures in during)]
        alive = all(ms is not None for figures in during for ms in figures["past"].values())
        beside = [link for link, ms in before["within"].items() if ms is not None]
        dead = {link for figures in during for link in fell_silent(before["within"], figures["within"])}
        says = f"{len(cut)} of {len(answered)} probed links answer nothing, servers alive: {'yes' if alive else 'no'}"
        if beside:
            says += f", {len(beside) - len(dead)} of {len(beside)} links within a part answer"
        bit = bool(answered) and len(cut) == len(answered) and alive and not dead
        measured = {"cut": cut, "probed": answered, "servers_alive": alive}
        return Evidence(bit=bit, says=says, measured=measured | {"within": beside, "hit_within": sorted(dead)})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every link that answered before answers again."""
        dead = fell_silent(before["through"], after["through"])
        return Evidence(bit=bool(dead), says=f"{len(dead)} links still dead" if dead else "links answer again")


fault = Partition
