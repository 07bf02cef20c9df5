"""A cut network: no byte passes the links, silently or loudly, in one direction or both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Partition(Fault):
    """No bytes pass. silent: sockets stay open and nothing arrives; loud: connections are reset."""

    name: ClassVar[str] = "partition"
    band: ClassVar[str] = "#b91c1c"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    mode: Literal["silent", "loud"] = Field("silent", description="silent: bytes vanish; loud: connections are reset.")
    direction: Direction = Field("both", description="forward: from the users (or the calling node) to the server.")

    def says(self) -> str:
        """The cut in words."""
        ways = "both ways" if self.direction == "both" else f"{self.direction} only"
        return f"{self.mode} cut, {ways}"

    def effect(self) -> LinkEffect:
        """A block."""
        return LinkEffect(block=self.mode, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Block the links, live connections included."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Who answers through the links, and who answers past them: the link is cut, not the node."""
        links = injection.aim.links
        targets = {link.target for link in injection.site.spec.links if link.name in links}
        return {
            "through": round_trips(injection.site, links, tries=1),
            "past": answers(injection.site, sorted(targets)),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if links that answered no longer do while their servers still answer past them."""
        answered = [link for link, ms in before["through"].items() if ms is not None]
        cut = [link for link in answered if during and all(figures["through"].get(link) is None for figures in during)]
        alive = all(ms is not None for figures in during for ms in figures["past"].values())
        says = f"{len(cut)} of {len(answered)} probed links answer nothing, servers alive: {'yes' if alive else 'no'}"
        bit = bool(answered) and len(cut) == len(answered) and alive
        return Evidence(bit=bit, says=says, measured={"cut": cut, "probed": answered, "servers_alive": alive})

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if every link that answered before answers again."""
        dead = [link for link, ms in before["through"].items() if ms is not None and after["through"].get(link) is None]
        return Evidence(bit=bool(dead), says=f"{len(dead)} links still dead" if dead else "links answer again")


fault = Partition
