"""The parts of a run that have a length: its phases, and the faults with their reach and proofs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from pydantic import ValidationError

from chaos.model.event import Event, Phase
from chaos.model.fault import Evidence, Reach, Windows

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

IN_FLIGHT_NS = 100_000_000
"""What was asked so shortly before a fault set in may have been on its way. It is no matter whether an answer came:
else a lost answer could turn a verdict."""
Value = TypeVar("Value", Reach, Evidence, Windows)


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A phase from its opening to the opening of the next (or the end of the record)."""

    phase: Phase
    start_ns: int
    end_ns: int

    @property
    def length_s(self) -> float:
        """Its length in seconds."""
        return (self.end_ns - self.start_ns) / 1e9


class Turn(NamedTuple):
    """A step of a fault, from the moment that it was taken to the moment that the next one, or the heal, was begun."""

    step: int
    on: bool
    start_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """One injection: when the harm could be there, whom it reaches, and what was proved about it."""

    id: str
    name: str
    fault: str
    band: str
    start_ns: int
    """The intent: harm may begin between it and `on`."""
    on_ns: int | None = None
    off_ns: int | None = None
    """The first `off`: healing twice is no second fault."""
    reach: Reach | None = None
    """None: unknown (the injection broke off, or its record is damaged)."""
    bites: tuple[Evidence, ...] = ()
    off_clean: bool | None = None
    off_says: str = ""
    turns: tuple[Turn, ...] = ()
    """The steps of a fault that has some, as they were taken."""
    windows: Windows | None = None
    """That its steps are windows to be compared."""

    def harm_ns(self, grace_s: float) -> tuple[int, float]:
        """From a moment before the intent to off + grace; without an off the fault lasts for ever."""
        return self.start_ns - IN_FLIGHT_NS, math.inf if self.off_ns is None else self.off_ns + grace_s * 1e9

    def harms(self, start_ns: int, end_ns: int, grace_s: float) -> bool:
        """Whether [start, end] overlaps the time of harm."""
        since, until = self.harm_ns(grace_s)
        return start_ns <= until and end_ns >= since

    def reaches(self, *, region: str, nodes: Collection[str], key: str) -> bool:
        """Whether its target set touches this part of the stack; an unknown reach touches all of it."""
        reach = self.reach
        if reach is None or reach.everything:
            return True
        return region in reach.regions or key in reach.keys or any(node in reach.nodes for node in nodes)


def phase_spans(events: Sequence[Event], end_ns: int) -> tuple[PhaseSpan, ...]:
    """The phases that `phase` events open; unknown words are passed over."""
    known = {phase.value: phase for phase in Phase}
    opens = [event for event in events if event.f in known]
    stops = [after.t_ns for _, after in pairwise(opens)] + [end_ns]
    return tuple(PhaseSpan(known[event.f], event.t_ns, stop) for event, stop in zip(opens, stops, strict=False))


def fault_spans(events: Iterable[Event]) -> tuple[FaultSpan, ...]:
    """The injections that `fault` events tell of, in the order of their intents."""
    by_id: dict[str, list[Event]] = {}
    for event in events:
        by_id.setdefault(event.key, []).append(event)
    spans = [_fault_span(key, found) for key, found in by_id.items()]
    return tuple(sorted(spans, key=lambda span: (span.start_ns, span.id)))


def _fault_span(key: str, events: list[Event]) -> FaultSpan:
    first: dict[str, Event] = {}
    for event in events:
        first.setdefault(event.f, event)
    intent = _dict(first.get("intent"))
    proof = _dict(first.get("off-proof"))
    on, off = first.get("on"), first.get("off")
    bites = (_parse(Evidence, event.value) for event in events if event.f == "bite")
    return FaultSpan(
        id=key,
        name=str(intent.get("name") or key),
        fault=str(intent.get("fault", "")),
        band=str(intent.get("band", "")),
        start_ns=events[0].t_ns,
        on_ns=on.t_ns if on else None,
        off_ns=off.t_ns if off else None,
        reach=_parse(Reach, _dict(on).get("reach")) if on else None,
        bites=tuple(bite for bite in bites if bite is not None),
        off_clean=proof.get("clean") is True if proof else None,
        off_says=str(proof.get("says", "")),
        turns=_turns(events),
        windows=_parse(Windows, intent.get("windows")) if "windows" in intent else None,
    )


def _turns(events: Sequence[Event]) -> tuple[Turn, ...]:
    """A step ends where the next event of its fault begins; what the change itself took belongs to neither side."""
    found = []
    for event, after in pairwise(events):
        value = _dict(event)
        if event.f == "step" and type(value.get("step")) is int:
            took = _dict(after).get("took_s") if after.f == "step" else 0.0
            end_ns = after.t_ns - round(took * 1e9 if isinstance(took, int | float) and math.isfinite(took) else 0)
            found.append(Turn(value["step"], value.get("on") is True, event.t_ns, max(event.t_ns, end_ns)))
    return tuple(found)


def _dict(event: Event | None) -> dict[str, Any]:
    return event.value if event is not None and isinstance(event.value, dict) else {}


def _parse(model: type[Value], data: object) -> Value | None:
    try:
        return model.model_validate(data)
    except ValidationError:
        return None
