"""What a fault asks of a runtime, and what was found out about who can carry it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pydantic import Field

from chaos.model.link import Direction, LinkEffect
from chaos.model.stack import Frozen


class Ask(Frozen):
    """One thing that a fault asks for."""

    what: str
    """A capability (`pausing`: the name of its protocol in lower case), or a part of an effect on links (`delay`)."""
    effect: LinkEffect | None = None
    """That part alone, with its figures; none: a capability."""

    @classmethod
    def parts(cls, effect: LinkEffect | None) -> tuple[Ask, ...]:
        """What an effect asks for, part by part; each may have a carrier of its own."""
        found = effect.parts() if effect is not None else {}
        return tuple(cls(what=what, effect=part) for what, part in found.items())


class Tried(Frozen):
    """A carrier that was looked at for one ask."""

    carrier: str
    why_not: str = ""
    """Why it cannot; empty: it can."""
    not_on: dict[str, str] = Field(default_factory=dict, exclude=True)
    """Nodes that it cannot reach although it works elsewhere, and why."""
    once: str = Field("", exclude=True)
    """Of carriers with the same word here a link can have only one at a time."""

    def on(self, nodes: Iterable[str]) -> Tried:
        """The same for these nodes alone."""
        why = self.why_not or "; ".join(f"{node}: {self.not_on[node]}" for node in nodes if node in self.not_on)
        return Tried(carrier=self.carrier, why_not=why)


class Means(Frozen):
    """What will carry one ask."""

    ask: str
    carrier: str = ""
    """Empty: nothing can."""
    instead_of: tuple[Tried, ...] = ()
    """What would have been better, and why it cannot."""
    once: str = ""
    direction: Direction = "both"

    def clashes(self, other: Means) -> bool:
        """Whether another fault's cannot be on the same link at the same time."""
        same_way = self.direction == other.direction or "both" in {self.direction, other.direction}
        return self.once != "" and self.once == other.once and same_way


@dataclass(frozen=True, slots=True)
class Survey:
    """All carriers that were tried for some asks, the best first."""

    tried: Mapping[Ask, tuple[Tried, ...]] = field(default_factory=dict)

    def means(self, ask: Ask, nodes: Iterable[str]) -> Means:
        """The first carrier that can do it on all of these nodes. Raises `KeyError` for what was not surveyed."""
        nodes, failed = tuple(nodes), list[Tried]()
        for one in self.tried[ask]:
            here = one.on(nodes)
            if not here.why_not:
                way = ask.effect.direction if ask.effect is not None else "both"
                tried = tuple(failed)
                return Means(ask=ask.what, carrier=here.carrier, instead_of=tried, once=one.once, direction=way)
            failed.append(here)
        return Means(ask=ask.what, instead_of=tuple(failed))
