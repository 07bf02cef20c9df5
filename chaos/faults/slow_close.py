"""Slow closes: who has gone is still there for the other end, as behind a proxy or a NAT that is slow to tell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import counters, farewells, fell_silent, middle, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PATIENCE_S = 2.0
"""A look waits no longer for an end; an end that has not come by then is late by as much."""


class SlowClose(Fault):
    """Closes and resets arrive `linger_ms` late; bytes and new connections pass as before."""

    name: ClassVar[str] = "slow_close"
    band: ClassVar[str] = "#9f1239"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    linger_ms: float = Field(
        gt=0, le=600_000, examples=[3000], description="Milliseconds that the end of a connection is late, one way."
    )
    direction: Direction = Field(
        "both", description="forward: servers learn late that users have gone; backward: users, that servers have."
    )

    def says(self) -> str:
        """How late."""
        who = {"forward": "servers", "backward": "users", "both": "both sides"}[self.direction]
        return f"{who} learn of a close {self.linger_ms:g} ms late"

    def effect(self) -> LinkEffect:
        """Late ends."""
        return LinkEffect(close_ms=self.linger_ms, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Hold back the ends of live and new connections."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Ends that were held, how long it takes until a closed connection is closed by the other end, and answers."""
        links = injection.aim.links
        return {
            "held": counters(injection.runtime.link_stats(), links, "held_ends"),
            "ends_ms": farewells(injection.site, links, PATIENCE_S),
            "through": round_trips(injection.site, links, tries=1),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if ends were held, a close is answered as late as it must be, and links answer all the same."""
        held = max((figures["held"] for figures in during), default=before["held"]) - before["held"]
        calm, late = middle(before["ends_ms"].values()), middle(during[-1]["ends_ms"].values()) if during else None
        passes = bool(during) and not fell_silent(before["through"], during[-1]["through"])
        slow = bool(during) and calm is not None and (late is None or late >= self._least_ms())
        shown = f"after {late:.0f} ms" if late is not None else f"not within {PATIENCE_S:g} s"
        says = f"{held} ends held; a close is answered {shown}"
        measured = {"held_ends": held, "close_before_ms": calm, "close_during_ms": late, "links_answer": passes}
        return Evidence(bit=held > 0 and slow and passes, says=says, measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if a close is answered as before, and links answer."""
        calm, now = middle(before["ends_ms"].values()), middle(after["ends_ms"].values())
        slow = calm is not None and (now is None or now >= calm + self._least_ms() / 2)
        dead = fell_silent(before["through"], after["through"])
        shown = "not answered" if now is None else f"answered after {now:.0f} ms"
        return Evidence(bit=slow or bool(dead), says=f"a close is {shown}, {len(dead)} links dead")

    def _least_ms(self) -> float:
        """Both ways: the end goes there and comes back."""
        ways = 2 if self.direction == "both" else 1
        return min(0.9 * ways * self.linger_ms, PATIENCE_S * 900)


fault = SlowClose
