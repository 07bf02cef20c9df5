"""M12, blast radius: whom no fault reached is served as before.

Compared are the operations of those whom no fault of the run reaches - through their region, their nodes, their room or
document -, the baseline against the time from the first injection to the last heal, per flow:
  - success: violation when the 95 % bound that favours the stack is more than 1 point below the baseline's share;
  - p95 of the time to the answer, failures waiting for their deadline: the operations of each side are cut, in the
    order of their times, into 10 windows of as many each; the i-th of one is paired with the i-th of the other, and
    the logarithms of their ratios to a margin of 1.5 times the baseline + `FLOOR_S` + what the null target, driven
    by the same loop, took longer, are given to the exact sign-flip test; the flows together at 5 % by Holm.
Where a fault is interleaved, its windows are compared as well, on against off, by `chaos.verdict.pairs`: their
order was drawn, so nothing but the fault explains a difference. p95 has the same margin, floor and null target there,
the share of failures one point. All chances of a run are corrected together. Faults that are not interleaved are
compared with the baseline, whose order is not drawn; the margin, the floor and the null target stand for that.
Violation: a flow that fails one of these. Unjudged: a flow with less than 30 operations on a side. No line at all
where a fault reaches everybody. Inconclusive: nothing was judged. It is a comparison, not a safety check: in a run
that cannot be believed it fails nothing.
Source: R. A. Fisher, The Design of Experiments, 1935; S. Holm, 1979; `docs/checks.md`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.event import Phase
from chaos.model.verdict import Kind
from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Violation
from chaos.verdict.history import NS
from chaos.verdict.pairs import ALPHA, MARGIN, POINT, failing, slower
from chaos.verdict.stats import holm, quantile, sign_flip, wilson
from chaos.verdict.windows import at, interleaved, reaches, sides, together, too_few, windows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op
    from chaos.verdict.spans import FaultSpan

FLOWS = {
    "getting in": (("join", "rejoin", "resume"), "join_s"),
    "leaving": (("leave",), "leave_s"),
    "speaking": (("say",), "edit_s"),
    "editing": (("edit",), "edit_s"),
}
"""What users want, the functions that serve it, and the bound that is their deadline."""
UNITS = {
    "getting in": ("join", "rejoin", "resume"),
    "leaving": ("leave",),
    "speaking": ("say",),
    "editing": ("edit_ack",),
}
"""The same by the names of `chaos.verdict.flows`."""
WINDOWS = 10
"""Two of ten may tell against it by a little, and the test still sees the rest; of eight, none may."""
FLOOR_S = 0.025
"""A slower answer that nobody feels is no harm: what a busy machine adds by itself, and far below any deadline."""
ENOUGH = 30
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


class _Claim(NamedTuple):
    """Something that may have got worse, and the chance that it is chance."""

    flow: str
    p: float
    figures: dict[str, float]
    says: str
    when: tuple[int, int]


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Compare every flow of the unreached."""
    found = CheckFindings()
    claims = [*_before_and_during(history, bounds, found), *_off_and_on(history, bounds, found)]
    found.judged += len(claims)
    for claim, corrected in zip(claims, holm([claim.p for claim in claims]), strict=True):
        found.figures[claim.flow] = claim.figures
        if corrected <= ALPHA:
            says = f"{claim.says} (chance does that in {100 * claim.p:.1f} of 100 runs)"
            found.violations.append(_violation(history, says, claim.when))
    if not found.judged:
        found.because("too few operations of those whom no fault reached")
    return found


def _off_and_on(history: History, bounds: Bounds, found: CheckFindings) -> Iterator[_Claim]:
    """The windows of the fault that is interleaved, if one is."""
    fault = interleaved(history)
    if fault is None:
        return
    parts = sides(history, bounds, fault)
    when = fault.start_ns, history.end_ns if fault.off_ns is None else fault.off_ns
    floors = _floors(history, fault)
    for flow, names in UNITS.items():
        pairs = together(*(parts[name].unreached for name in names))
        if why := too_few(pairs):
            found.unjudged += 1
            found.because(f"{flow}: {why}")
            continue
        failed = failing(pairs, POINT)
        # Where nobody failed on either side there is nothing to test, and no claim to correct the others for: whether
        # it is so does not depend on which side is which, so the test stays exact (R. E. Tarone, Biometrics 46, 1990).
        for line in (slower(pairs, MARGIN, floors), *((failed,) if failed.before or failed.after else ())):
            measure = "p95" if line.ratio else "share of failures"
            says = f"{flow}: {measure} of those whom no fault reached, {fault.name} off and on: {line.text()}"
            yield _Claim(f"{flow}, {measure}, off and on", line.p, line.figures(line.p), says, when)


def _floors(history: History, fault: FaultSpan) -> list[float]:
    """What each window with the fault may take longer, times the margin: the floor, and the null target's own."""
    held = windows(fault)
    took: dict[tuple[int, bool], list[float]] = {(one.pair, one.on): [] for one in held}
    for event in history.facts.get("null", ()):
        window = at(held, event.intended_ns) if event.type == "ok" and event.intended_ns else None
        if window:
            took[window.pair, window.on].append((event.t_ns - event.intended_ns) / NS)
    slow = {key: quantile(sorted(seconds), 0.95) if seconds else 0.0 for key, seconds in took.items()}
    pairs = dict.fromkeys(one.pair for one in held)
    return [(FLOOR_S + max(0.0, slow[pair, True] - slow[pair, False])) / MARGIN for pair in pairs]


def _before_and_during(history: History, bounds: Bounds, found: CheckFindings) -> list[_Claim]:
    """The baseline against the time of the faults that are not interleaved, if there are some."""
    before, during = _spans(history)
    if before is None or during is None:
        if interleaved(history) is None:
            found.because("there is no baseline, or no fault, to compare")
        return []
    slow = _null(history, before, during)
    claims = []
    for flow, (functions, bound) in FLOWS.items():
        deadline = float(getattr(bounds, bound))
        base, fault = _Side(*before), _Side(*during)
        for op in history.of(*functions):
            _count(history, op, deadline, (base, fault), found)
        if min(base.n, fault.n) < ENOUGH:
            found.unjudged += 1
            continue
        _shares(history, flow, base, fault, found)
        claims.append(_slower(flow, base, fault, slow))
    return claims


def _spans(history: History) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
    base = history.span(Phase.BASELINE)
    faults = [fault for fault in history.faults if fault.windows is None]
    ons = [fault.on_ns for fault in faults if fault.on_ns is not None]
    offs = [fault.off_ns for fault in faults if fault.off_ns is not None]
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
    if reaches(history, history.faults, op):
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
    found.violations.append(_violation(history, says, (fault.start_ns, fault.end_ns)))


def _slower(flow: str, base: _Side, fault: _Side, slow: Sequence[float]) -> _Claim:
    first, after = base.p95(), fault.p95()
    pairs = zip(first, after, slow, strict=True)
    ratios = [math.log(max(b, 1e-6) / (MARGIN * a + FLOOR_S + own)) for a, b, own in pairs]
    p, was, now = sign_flip(ratios), quantile(sorted(first), 0.5), quantile(sorted(after), 0.5)
    says = (
        f"{flow}: p95 of those whom no fault reached went from {1000 * was:.0f} ms to {1000 * now:.0f} ms, "
        f"more than {MARGIN:g} times"
    )
    figures = {"p": round(p, 4), "before_s": round(was, 4), "during_s": round(now, 4)}
    return _Claim(flow, p, figures, says, (fault.start_ns, fault.end_ns))


def _violation(history: History, says: str, when: tuple[int, int]) -> Violation:
    story = words.fault_story(history, *when)
    return Violation(when[0], says, ((when[0], says), *story), ())


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
