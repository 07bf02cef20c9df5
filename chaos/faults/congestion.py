"""A congested network: delay, jitter, loss and a shared rate on the links of a region, a service or a node."""

from __future__ import annotations

import functools
import json
from importlib.resources import files
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, model_validator

from chaos.faults.base import Fault, Injection
from chaos.faults.measure import counters, middle, round_trips
from chaos.model.fault import Evidence
from chaos.model.link import Direction, Distribution, LinkEffect
from chaos.runtimes.base import Shaping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIGURES = ("delay_ms", "jitter_ms", "distribution", "loss", "rate_kbps")
ENOUGH = 0.6
"""The share of the asked round-trip growth that must be measured. Jitter and a probe's own noise stay well below it."""
SPENT = 5.0
"""Milliseconds within which a healed link must be back at its old round trip, beside twice that round trip."""


@functools.cache
def profiles() -> dict[str, dict[str, Any]]:
    """Named networks: data, in `profiles.json`."""
    loaded: dict[str, dict[str, Any]] = json.loads(files(__package__).joinpath("profiles.json").read_text("utf-8"))
    return loaded


class Congestion(Fault):
    """Slow, lossy, narrow links. Either a named `profile` or figures; figures outrank the profile's."""

    name: ClassVar[str] = "congestion"
    band: ClassVar[str] = "#d97706"
    needs: ClassVar[tuple[type, ...]] = (Shaping,)
    on_links: ClassVar[bool] = True

    profile: str | None = Field(None, description="congested, mobile-3g, lossy-wifi, cross-region or satellite.")
    delay_ms: float = Field(0.0, ge=0, le=10_000, examples=[120], description="Added one way, in milliseconds.")
    jitter_ms: float = Field(0.0, ge=0, le=10_000, description="Standard deviation of the delay, in milliseconds.")
    distribution: Distribution = Field("normal", description="Of the delay about its mean; pareto has rare, long ones.")
    loss: float = Field(
        0.0, ge=0, lt=1, examples=[0.02], description="Share of segments lost; a byte stream feels each as a stall."
    )
    rate_kbps: float | None = Field(
        None, gt=0, examples=[2000], description="Bandwidth in kbit/s, each way, that all hit links share."
    )
    direction: Direction = Field("both", description="forward: from the users (or the calling node) to the server.")

    @model_validator(mode="before")
    @classmethod
    def _fill_from_profile(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("profile") is None:
            return given
        known = profiles().get(given["profile"])
        if known is None:
            raise ValueError(f"unknown profile {given['profile']!r}; there are {', '.join(sorted(profiles()))}")
        return {key: value for key, value in known.items() if key in FIGURES} | given

    @model_validator(mode="after")
    def _harms(self) -> Congestion:
        if not (self.delay_ms or self.jitter_ms or self.loss or self.rate_kbps):
            raise ValueError("congests nothing: give a profile, or delay_ms, jitter_ms, loss or rate_kbps")
        return self

    def says(self) -> str:
        """The figures, one way."""
        parts = []
        if self.delay_ms or self.jitter_ms:
            kind = "" if self.distribution == "normal" else f" ({self.distribution})"
            parts.append(f"+{self.delay_ms:g} ms ± {self.jitter_ms:g}{kind} each way")
        if self.loss:
            parts.append(f"{self.loss:.2%} stalls".replace(".00", ""))
        if self.rate_kbps:
            parts.append(f"{self.rate_kbps:g} kbit/s shared")
        return ", ".join(parts)

    def effect(self) -> LinkEffect:
        """All of the figures."""
        figures = {name: getattr(self, name) for name in FIGURES}
        return LinkEffect(**figures, direction=self.direction)

    def inject(self, injection: Injection) -> None:
        """Shape the links, live connections included."""
        self.shape(injection)

    def measure(self, injection: Injection) -> dict[str, Any]:
        """Round trips through the links, and the proxy's counters."""
        links = injection.aim.links
        # The counters last: what happened to these very round trips is part of the proof.
        trips = round_trips(injection.site, links)
        stats = injection.runtime.link_stats()
        return {
            "rtt_ms": trips,
            "delayed_bytes": counters(stats, links, "delayed_bytes"),
            "stalls": counters(stats, links, "stalls"),
        }

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:
        """It bit if round trips grew by most of what was asked, or, without a delay, if bytes were held up."""
        calm = middle(before["rtt_ms"].values())
        hurt = middle(middle(figures["rtt_ms"].values()) for figures in during)
        held = max((figures["delayed_bytes"] for figures in during), default=0) - before["delayed_bytes"]
        stalls = max((figures["stalls"] for figures in during), default=0) - before["stalls"]
        ways = 2 if self.direction == "both" else 1
        measured = {"rtt_before_ms": calm, "rtt_during_ms": hurt, "held_bytes": held, "stalls": stalls}
        if self.delay_ms and calm is not None and hurt is not None:
            bit = hurt - calm >= ENOUGH * ways * self.delay_ms
            return Evidence(bit=bit, says=f"rtt {calm:.0f} → {hurt:.0f} ms, {stalls} stalls", measured=measured)
        bit = stalls > 0 or (held > 0 and self.loss == 0)
        return Evidence(bit=bit, says=f"{held} bytes held up, {stalls} stalls", measured=measured)

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:
        """It is gone if round trips are as before."""
        calm, now = middle(before["rtt_ms"].values()), middle(after["rtt_ms"].values())
        slow = now is None or (calm is not None and now > 3 * calm + SPENT and now > ENOUGH * self.delay_ms)
        shown = "no answer" if now is None else f"rtt {now:.0f} ms"
        return Evidence(bit=slow, says=shown, measured={"rtt_after_ms": now})


fault = Congestion
