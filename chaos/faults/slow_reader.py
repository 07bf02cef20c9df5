"""Slow readers: users who take what they are sent byte by byte, so that the server's send buffers fill."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import answers, counters, middle, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SMALLEST = 60
"""Bytes that an answer has at least, so that a reader of N bytes a second takes SMALLEST / N seconds for it."""
SPENT = 5.0
"""Milliseconds that a healed link may be slower, beside three times its old round trip."""


class SlowReader(Fault):
    """Each connection is read at `bytes_per_s` only; the sender's buffers keep the rest."""

    name: ClassVar[str] = "slow_reader"
    band: ClassVar[str] = "#a16207"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    bytes_per_s: float = Field(
        gt=0, le=1e9, examples=[2000], description="Bytes a second that each connection is read at."
    )
    direction: Direction = Field("backward", description="backward: users read slowly; forward: the server does.")

    def says(self) -> str:
        """The pace."""
        who = {"backward": "users read", "forward": "servers read", "both": "both sides read"}[self.direction]
        return f"{who} {self.bytes_per_s:g} bytes/s"

    def effect(self) -> LinkEffect:
        """A pace of reading."""
        return LinkEffect(read_bps=self.bytes_per_s, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Slow the readers of live and new connections down."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Round trips through the links, answers past them, and the bytes that found their reader busy."""
        stats, links = injection.runtime.link_stats(), injection.aim.links
        targets = {link.target for link in injection.site.spec.links if link.name in links}
        return {
            "unread": counters(stats, links, "unread_bytes"),
            "rtt_ms": round_trips(injection.site, links, tries=1),
            "past": answers(injection.site, sorted(targets)),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if bytes waited for a busy reader, and links answer as late as such a reader must, or not at all."""
        unread = max((figures["unread"] for figures in during), default=before["unread"]) - before["unread"]
        calm, hurt = middle(before["rtt_ms"].values()), middle(during[-1]["rtt_ms"].values()) if during else None
        alive = bool(during) and all(ms is not None for figures in during for ms in figures["past"].values())
        late = calm is not None and (hurt is None or hurt >= self._least_ms())
        shown = "no answer in time" if hurt is None else f"an answer takes {hurt:.0f} ms"
        measured = {"unread_bytes": unread, "rtt_before_ms": calm, "rtt_during_ms": hurt, "servers_alive": alive}
        return Evidence(bit=unread > 0 and late and alive, says=f"{unread} bytes waited, {shown}", measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if links answer as before."""
        calm, now = middle(before["rtt_ms"].values()), middle(after["rtt_ms"].values())
        slow = calm is not None and (now is None or (now > 3 * calm + SPENT and now >= self._least_ms()))
        return Evidence(bit=slow, says="no answer" if now is None else f"an answer takes {now:.0f} ms")

    def _least_ms(self) -> float:
        return SMALLEST / self.bytes_per_s * 1000


fault = SlowReader
