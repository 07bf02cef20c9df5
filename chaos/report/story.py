"""What every report tells, taken out of a record once: the run as a story, without its verdict.

Times are seconds since the load began. Renderers take (`Story`, `Verdict`) and nothing else, so they stay pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


FLOWS = ("join", "rejoin", "resume", "leave", "say", "edit_ack", "edit")
"""The order in which reports show flows; others follow by name."""


@dataclass(frozen=True, slots=True)
class PhaseSpan:
    """A part of the run."""

    name: str
    start_s: float
    end_s: float

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return max(0.0, self.end_s - self.start_s)


@dataclass(frozen=True, slots=True)
class FaultSpan:
    """One injected fault: when it acted, what proves that it did, what proves that it is gone."""

    id: str
    name: str
    fault: str = ""
    """Its kind, for example `congestion`."""
    band: str = ""
    """Its colour on plots, `#rrggbb`."""
    says: str = ""
    """What it does, in words."""
    duration_s: float | None = None
    """As planned."""
    on_s: float | None = None
    """None: it was never injected."""
    off_s: float | None = None
    """None: it was still on when the record ended."""
    evidence: str = ""
    bit: bool | None = None
    """None: nobody looked."""
    measured: Mapping[str, Any] = field(default_factory=dict)
    off_says: str = ""
    clean: bool | None = None
    """Whether the proof of its absence holds; None: nobody looked."""
    reach: str = ""
    """What it touched, in words."""

    @property
    def heal_s(self) -> float | None:
        """Seconds from the planned end until it was off."""
        if self.on_s is None or self.off_s is None or self.duration_s is None:
            return None
        return max(0.0, self.off_s - self.on_s - self.duration_s)


@dataclass(frozen=True, slots=True)
class Point:
    """What one flow did in the second that begins at `t_s`; latencies are None where nothing succeeded."""

    t_s: float
    ok: int
    bad: int
    p50_ms: float | None = None
    p95_ms: float | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """A flow over time; region "" is all regions together."""

    flow: str
    region: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Figure:
    """A flow within a phase, over all its operations; region "" is all regions together."""

    flow: str
    phase: str
    region: str
    ok: int
    bad: int
    p50_ms: float | None = None
    p95_ms: float | None = None

    @property
    def share(self) -> float | None:
        """Of operations that succeeded; None where there were none."""
        total = self.ok + self.bad
        return self.ok / total if total else None


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """A line of the plan."""

    name: str
    target: str = ""
    carrier: str = ""
    undo: str = ""
    duration_s: float | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """A run, ready to be told."""

    run_id: str
    title: str
    description: str = ""
    file: str = ""
    """The experiment's file, as the user wrote it."""
    stack: str = ""
    stack_says: str = ""
    """`2 regions, 11 nodes`."""
    seed: int = 0
    assurance: str = ""
    directory: str = ""
    """The run directory, as people may type it."""
    replay: str = ""
    """The same by its own name, where the run can be carried out again as it was; empty: it cannot."""
    started: str = ""
    """Wall clock, ISO 8601, UTC; empty if unknown."""
    phases: tuple[PhaseSpan, ...] = ()
    faults: tuple[FaultSpan, ...] = ()
    series: tuple[Series, ...] = ()
    figures: tuple[Figure, ...] = ()
    plan: tuple[PlannedFault, ...] = ()
    blast_radius: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What a reader must know: a record cut short, a log that ends in the middle."""

    @property
    def end_s(self) -> float:
        """The end of the last thing that is known."""
        ends = [phase.end_s for phase in self.phases]
        ends += [fault.off_s for fault in self.faults if fault.off_s is not None]
        ends += [series.points[-1].t_s + 1 for series in self.series if series.points]
        return max(ends, default=0.0)

    @property
    def start_s(self) -> float:
        """The beginning of the first phase or second."""
        starts = [phase.start_s for phase in self.phases]
        starts += [series.points[0].t_s for series in self.series if series.points]
        return min(starts, default=0.0)

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions that users came through."""
        return tuple(sorted({series.region for series in self.series if series.region}))

    @property
    def flows(self) -> tuple[str, ...]:
        """Flows that have a series, in the order of reports."""
        seen = {series.flow for series in self.series}
        return tuple(sorted(seen, key=lambda flow: (FLOWS.index(flow) if flow in FLOWS else len(FLOWS), flow)))

    def of_flow(self, flow: str, region: str = "") -> tuple[Point, ...]:
        """The points of a flow; empty where there are none."""
        for series in self.series:
            if series.flow == flow and series.region == region:
                return series.points
        return ()

    def figure(self, flow: str, phase: str, region: str = "") -> Figure | None:
        """The figures of a flow in a phase, if there are any."""
        for figure in self.figures:
            if (figure.flow, figure.phase, figure.region) == (flow, phase, region):
                return figure
        return None

    def phase(self, name: str) -> PhaseSpan | None:
        """The phase of that name."""
        return next((phase for phase in self.phases if phase.name == name), None)
