"""What a watcher knows of a run so far: fed by the conductor and the load, asked by the views that draw it.

Tolerates any shape of input (it comes from another process); not thread-safe, its owner holds a lock.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.report.story import FLOWS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SECONDS_KEPT = 240
HAPPENINGS_KEPT = 40
NAMED = 2
"""More nodes than this are not named one by one."""
NOT_USERS = frozenset({"null"})
"""Flows of the load that no user makes: its own yardstick."""


@dataclass(frozen=True, slots=True)
class Tick:
    """One second of a flow in a region."""

    ok: int = 0
    bad: int = 0
    ms: tuple[float, ...] = ()

    def __add__(self, other: Tick) -> Tick:
        return Tick(self.ok + other.ok, self.bad + other.bad, self.ms + other.ms)


@dataclass(slots=True)
class Phase:
    """A phase that began; seconds are as planned, 0 if not known."""

    name: str
    seconds: float
    began: float


@dataclass(slots=True)
class Fault:
    """What is known of one injection. Times are of the feed's clock."""

    id: str
    name: str
    band: str = ""
    says: str = ""
    where: str = ""
    """Who is hit, once it is on."""
    duration: float = 0.0
    on: float | None = None
    off: float | None = None
    evidence: str = ""
    bit: bool | None = None


@dataclass(slots=True)
class Feed:
    """The run so far."""

    clock: Callable[[], float] = time.monotonic
    title: str = ""
    stack: str = ""
    seed: int = 0
    phases: list[Phase] = field(default_factory=list)
    faults: dict[str, Fault] = field(default_factory=dict)
    ticks: deque[dict[tuple[str, str], Tick]] = field(default_factory=lambda: deque(maxlen=SECONDS_KEPT))
    live: dict[str, int] = field(default_factory=dict)
    happenings: deque[str] = field(default_factory=lambda: deque(maxlen=HAPPENINGS_KEPT))
    second: int = 0

    def begin_phase(self, name: str, seconds: float) -> None:
        """A phase begins."""
        self.phases.append(Phase(name, seconds, self.clock()))

    def step_of_fault(self, kind: str, data: Mapping[str, Any]) -> Fault:
        """Note one step and return the fault as it is now known."""
        id_ = str(data.get("id") or data.get("name") or "fault")
        fault = self.faults.setdefault(id_, Fault(id_, str(data.get("name") or data.get("fault") or id_)))
        if kind == "intent":
            fault.name = str(data.get("name") or data.get("fault") or id_)
            fault.band, fault.says = str(data.get("band", "")), str(data.get("says", ""))
            fault.duration = _number(data.get("duration"))
        elif kind == "on":
            fault.on, fault.where = self.clock(), _where(data.get("reach"))
        elif kind == "bite":
            fault.bit, fault.evidence = data.get("bit") is True, str(data.get("says", ""))
        elif kind == "off":
            fault.off = fault.off or self.clock()
        return fault

    def add_second(self, data: Mapping[str, Any]) -> None:
        """Note what the load did in one second."""
        self.second = int(_number(data.get("t")))
        flows = data.get("flows") or {}
        self.ticks.append(
            {
                (flow, region): _tick(tick)
                for flow, regions in flows.items()
                if flow not in NOT_USERS
                for region, tick in regions.items()
            }
        )
        self.live = {str(name): int(_number(count)) for name, count in (data.get("live") or {}).items()}
        for text in data.get("last") or ():
            self.happen(f"{self.second:>4} s  {text}")

    def happen(self, text: str) -> None:
        """Note something for the list of last events."""
        self.happenings.append(text)

    def flows(self) -> list[str]:
        """Flows seen so far, in the order of reports."""
        seen = {flow for tick in self.ticks for flow, _ in tick}
        return sorted(seen, key=lambda flow: (FLOWS.index(flow) if flow in FLOWS else len(FLOWS), flow))

    def regions(self) -> list[str]:
        """Regions seen so far."""
        return sorted({region for tick in self.ticks for _, region in tick})

    def row(self, flow: str, region: str | None, seconds: int) -> list[Tick]:
        """The last seconds of a flow, oldest first; region None is all of them."""
        window = list(self.ticks)[-seconds:] if seconds else []
        return [
            sum((t for (f, r), t in second.items() if f == flow and region in {None, r}), Tick()) for second in window
        ]


def total(ticks: Iterable[Tick]) -> Tick:
    """All of them as one; latencies are merged, never averaged."""
    return sum(ticks, Tick())


def quantile(values: Iterable[float], share: float) -> float | None:
    """The nearest-rank quantile; None of nothing."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def _where(reach: Any) -> str:
    """A node or two by name, else the regions, else how many nodes."""
    if not isinstance(reach, dict):
        return ""
    nodes, regions = list(reach.get("nodes") or ()), list(reach.get("regions") or ())
    if reach.get("everything"):
        return "everybody"
    if nodes and (len(nodes) <= NAMED or not regions):
        return ", ".join(nodes) if len(nodes) <= NAMED else f"{len(nodes)} nodes"
    return ", ".join(regions)


def _tick(data: Mapping[str, Any]) -> Tick:
    ms = tuple(_number(value) for value in data.get("ms") or ())
    return Tick(int(_number(data.get("ok"))), int(_number(data.get("bad"))), ms)


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else 0.0
