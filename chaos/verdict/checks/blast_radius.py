"""M12, blast radius: whom no fault reached is served as before.

Compared are the operations of those whom no fault of the run reaches - through their region, their nodes, their room or
document -, the baseline against the time from the first injection to the last heal, per flow:
  - success: violation when the 95 % bound that favours the stack is more than 1 point below the baseline's share;
  - p95 of the time to the answer, failures waiting for their deadline: the operations of each side are cut, in the
    order of their times, into 8 windows of as many each; the i-th of one is paired with the i-th of the other, and
    the logarithms of their ratios to a margin of 1.5 times the baseline + `FLOOR_S` + what the null target, driven
    by the same loop, took longer, are given to the exact sign-flip test; the flows together at 5 % by Holm.
Violation: a flow that fails one of the two. Unjudged: a flow with less than 24 operations on a side. No line at all
where a fault reaches everybody. Inconclusive: nothing was judged. It is a comparison, not a safety check: in a run
that cannot be believed it fails nothing.
Source: R. A. Fisher, The Design of Experiments, 1935; S. Holm, 1979; `docs/checks.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

from chaos.model.event import Phase
from chaos.model.verdict import Kind
from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Violation
from chaos.verdict.history import NS
from chaos.verdict.stats import holm, quantile, sign_flip, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

FLOWS = {
    "getting in": (("join", "rejoin", "resume"), "join_s"),
    "leaving": (("leave",), "leave_s"),
    "speaking": (("say",), "edit_s"),
    "editing": (("edit",), "edit_s"),
}
"""What users want, the functions that serve it, and the bound that is their deadline."""
WINDOWS = 8
MARGIN = 1.5
POINT = 0.01
LEVEL = 0.05
"""The chance of a false alarm that is accepted, over all flows."""
FLOOR_S = 0.025
"""A slower answer that nobody feels is no harm: what a busy machine adds by itself, and far below any deadline."""
ENOUGH = 24
"""Three in each window."""
BUSY = 10
"""Operations a second of a flow: half of them, the unreached, make enough in a baseline of 6 s."""


@dataclass(slots=True)
class _Side:
    """What the unreached did in a stretch of time."""

    start_ns: int
    end_ns: int
    good: int = 0
    took: list[tuple[int, float]] = field(default_factory=list)

    @property
    def n(self) -> int:
        return len(self.took)

    def add(self, at_ns: int, seconds: float, *, good: bool) -> None:
        self.took.append((at_ns, seconds))
        self.good += good

    def holds(self, at_ns: int) -> bool:
        return self.start_ns <= at_ns < self.end_ns

    def p95(self) -> list[float]:
        """Of each window; zeros where there are too few to make windows of."""
        seconds = [one for _, one in sorted(self.took)]
        ends = [len(seconds) * number // WINDOWS for number in range(WINDOWS + 1)]
        windows = [sorted(seconds[start:end]) for start, end in pairwise(ends)]
        return [quantile(window, 0.95) if window else 0.0 for window in windows]


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Compare every flow of the unreached."""
    found = CheckFindings()
    before, during = _spans(history)
    if before is None or during is None:
        found.because("there is no baseline, or no fault, to compare")
        return found
    slower = _null(history, before, during)
    sides: dict[str, tuple[_Side, _Side]] = {}
    for flow, (functions, bound) in FLOWS.items():
        deadline = float(getattr(bounds, bound))
        sides[flow] = (_Side(*before), _Side(*during))
        for op in history.of(*functions):
            _count(history, op, deadline, sides[flow], found)
    figures: dict[str, tuple[float, float, float]] = {}
    for flow, (base, fault) in sides.items():
        if min(base.n, fault.n) < ENOUGH:
            found.unjudged += 1
            continue
        _shares(history, flow, base, fault, found)
        figures[flow] = _slower(base, fault, slower)
    _latencies(history, figures, sides, found)
    if not found.judged:
        found.because("too few operations of those whom no fault reached")
    return found


def _spans(history: History) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    base = history.span(Phase.BASELINE)
    ons = [fault.on_ns for fault in history.faults if fault.on_ns is not None]
    offs = [fault.off_ns for fault in history.faults if fault.off_ns is not None]
    before = (base.start_ns, base.end_ns) if base is not None and base.end_ns > base.start_ns else None
    during = (min(ons), max(offs)) if ons and offs and max(offs) > min(ons) else None
    return before, during


def _count(history: History, op: Op, deadline_s: float, sides: tuple[_Side, _Side], found: CheckFindings) -> None:
    start = op.start_ns
    side = next((side for side in sides if side.holds(start)), None)
    if side is None:
        return
    seconds = (history.seen_until(op) - start) / NS
    if (op.cut_short or op.outcome == "open") and seconds < deadline_s:
        return
    if side is sides[0] and start + seconds * NS > side.end_ns:
        return  # what the fault found under way belongs to neither side
    nodes = history.nodes.get(op.session, frozenset()) | set(op.nodes)
    if any(fault.reaches(region=op.begin.region, nodes=nodes, key=op.begin.key) for fault in history.faults):
        found.excused += 1
        return
    good = op.outcome == "ok" and seconds <= deadline_s
    side.add(start, seconds if good else max(seconds, deadline_s), good=good)


def _null(history: History, before: tuple[int, int], during: tuple[int, int]) -> list[float]:
    """How much longer the null target took in each window of the fault, in seconds; never negative."""
    base, fault = _Side(*before), _Side(*during)
    for event in history.facts.get("null", ()):
        for side in (base, fault):
            if event.type == "ok" and event.intended_ns and side.holds(event.intended_ns):
                side.add(event.intended_ns, (event.t_ns - event.intended_ns) / NS, good=True)
    return [max(0.0, after - first) for first, after in zip(base.p95(), fault.p95(), strict=True)]


def _shares(history: History, flow: str, base: _Side, fault: _Side, found: CheckFindings) -> None:
    found.judged += 1
    best, share = wilson(fault.good, fault.n).high, base.good / base.n
    if best >= share - POINT:
        return
    says = (
        f"{flow}: {100 * base.good / base.n:.1f} % of those whom no fault reached were served before it, "
        f"{100 * fault.good / fault.n:.1f} % during it ({fault.good} of {fault.n})"
    )
    found.violations.append(_violation(history, says, fault))


def _slower(base: _Side, fault: _Side, slower: Sequence[float]) -> tuple[float, float, float]:
    """The chance that it is chance, and the typical p95 before and during, in seconds."""
    first, after = base.p95(), fault.p95()
    pairs = zip(first, after, slower, strict=True)
    ratios = [math.log(max(b, 1e-6) / (MARGIN * a + FLOOR_S + own)) for a, b, own in pairs]
    return sign_flip(ratios), quantile(sorted(first), 0.5), quantile(sorted(after), 0.5)


def _latencies(
    history: History,
    figures: dict[str, tuple[float, float, float]],
    sides: dict[str, tuple[_Side, _Side]],
    found: CheckFindings,
) -> None:
    found.judged += len(figures)
    together = holm([chance for chance, _, _ in figures.values()])
    for (flow, (chance, first, after)), corrected in zip(figures.items(), together, strict=True):
        found.figures[flow] = {"p": round(chance, 4), "before_s": round(first, 4), "during_s": round(after, 4)}
        if corrected <= LEVEL:
            says = (
                f"{flow}: p95 of those whom no fault reached went from {1000 * first:.0f} ms to {1000 * after:.0f} ms, "
                f"more than {MARGIN:g} times (chance does that in {100 * chance:.1f} of 100 runs)"
            )
            found.violations.append(_violation(history, says, sides[flow][1]))


def _violation(history: History, says: str, fault: _Side) -> Violation:
    story = words.fault_story(history, fault.start_ns, fault.end_ns)
    return Violation(fault.start_ns, says, ((fault.start_ns, says), *story), ())


def _leaves_somebody_out(history: History) -> bool:
    """Whether there is anybody whom no fault reaches, as far as the record tells."""
    if not history.faults:
        return False
    regions = {op.begin.region for functions, _ in FLOWS.values() for op in history.of(*functions)}
    known = [fault.reach for fault in history.faults if fault.reach is not None]
    if any(reach.everything for reach in known):
        return False
    return bool(regions - {region for reach in known for region in reach.regions})


check = Check(
    "M12",
    "whom no fault reached is served as before",
    "unreached.hurt",
    run,
    lambda load: max(load.participants / load.stay_s, load.editors / load.edit_every_s) >= BUSY,
    Kind.SLO,
    _leaves_somebody_out,
)
