"""Two records against each other: did the second get worse than the first, beyond what chance explains.

Each phase of both runs is cut into ten windows, paired by their place, since the same plan sends the same users at
the same moments; a flow that is too rare for that in every phase is compared over the whole run. Per flow the windows'
95th percentiles are compared as ratios, and their shares of failures as differences. A regression is a ratio beyond
the margin (1.5 by default) or a share of failures more than one point higher, by the exact sign-flip test on the ten
differences (R. A. Fisher, The Design of Experiments, 1935), with Holm's correction over all lines. The interval holds
90 % of the means of all subsets of the windows (J. A. Hartigan, JASA 64, 1969): no distribution is assumed. The noise
is what the first run's own windows differ by when each is cut in two, so a reader sees what this machine can tell
apart.

Checks and rules are compared by outcome: what passed and fails now is a regression.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict.flows import FLOWS, measure, within
from chaos.verdict.stats import Interval, holm, quantile, sign_flip, subset_means

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from chaos.model.verdict import Verdict
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.run import RunRecord

WINDOWS = 10
"""Pairs a phase: the fewest at which one of all 36 lines can be significant after Holm's correction,
2 ** -10 < 0.05 / 36."""
LEAST = 5
"""Operations that each window needs in both runs for a line to be compared."""
POINT = 0.01
"""How much higher a share of failures may be."""
ALPHA = 0.05
LONGEST_S = 60.0
"""Stands for a user who was never served: far beyond every deadline, and finite, so that a mean exists."""
SHORTEST_S = 0.001
"""Below a millisecond a ratio says more of the clock than of a server."""
PHASES = ("baseline", "fault", "recovery")


class Pair(NamedTuple):
    """The same window of two runs: its operations in the first, and in the second."""

    first: list[Unit]
    second: list[Unit]


@dataclass(frozen=True, slots=True)
class Line:
    """One flow in one phase, by one measure, before the correction."""

    metric: str
    phase: str
    before: float
    after: float
    differences: tuple[float, ...]
    """Per window: logarithm of the ratio, or difference of shares."""
    allowed: float
    """What a difference may be."""
    noise: float
    """The 95 % point of the first run's differences with itself."""
    p: float
    """The chance of such differences if they lay at what is allowed."""

    @property
    def interval(self) -> Interval:
        """Of the mean difference, 90 %: 5 % beyond each end."""
        means = subset_means(self.differences)
        return Interval(quantile(means, 0.05), quantile(means, 0.95))

    @property
    def is_ratio(self) -> bool:
        """Whether the differences are logarithms."""
        return self.metric.endswith(".p95")


def compare(first: RunRecord, second: RunRecord, margin: float = 1.5) -> tuple[CheckResult, ...]:
    """Every line that could be compared, worst first within its kind; pure.

    Fail: a regression. Pass: shown to be within the margin. Inconclusive: neither, or one of the runs cannot be
    believed. Nothing at all to compare is one inconclusive line.
    """
    verdicts = first.verdict, second.verdict
    doubts = tuple(_doubts("first", verdicts[0])) + tuple(_doubts("second", verdicts[1]))
    lines = list(_lines(first, second, math.log(margin)))
    adjusted = holm([line.p for line in lines])
    flows = [_told(line, p, margin, doubts) for line, p in zip(lines, adjusted, strict=True)]
    found = (*_changed(*verdicts), *flows)
    if not lines:
        needed = f"a flow needs {LEAST} operations in each of {WINDOWS} windows of a phase, in both runs"
        found = (*found, _result("flows", "run", Outcome.INCONCLUSIVE, "nothing to compare", (needed,)))
    return found


def _doubts(which: str, verdict: Verdict) -> Iterator[str]:
    for one in verdict.checks:
        if one.kind is Kind.VALIDITY and one.outcome is not Outcome.PASS:
            yield f"the {which} run cannot be believed: {one.name} ({one.measured})"


def _lines(first: RunRecord, second: RunRecord, allowed: float) -> Iterator[Line]:
    units = measure(first.history, first.checks.bounds), measure(second.history, second.checks.bounds)
    for flow in FLOWS:
        found = {
            phase: pairs
            for phase in (*PHASES, "run")
            if (pairs := _pairs(phase, first.history, units[0][flow], second.history, units[1][flow]))
        }
        if len(found) > 1:
            found.pop("run", None)
        for phase, pairs in found.items():
            yield _line(f"{flow}.p95", phase, pairs, _p95, _log_ratio, allowed)
            yield _line(f"{flow}.success", phase, pairs, _failures, lambda a, b: b - a, POINT)


def _pairs(phase: str, first: History, units_a: list[Unit], second: History, units_b: list[Unit]) -> list[Pair]:
    """The windows of a phase; none if one of them has too little in one of the runs."""
    pairs = [
        Pair(a, b) for a, b in zip(_windows(first, phase, units_a), _windows(second, phase, units_b), strict=False)
    ]
    return pairs if all(min(len(a), len(b)) >= LEAST for a, b in pairs) else []


def _windows(history: History, phase: str, units: list[Unit]) -> list[list[Unit]]:
    spans = [span for name in (PHASES if phase == "run" else (phase,)) if (span := history.span(Phase(name)))]
    if not spans:
        return []
    start, end = min(span.start_ns for span in spans), max(span.end_ns for span in spans)
    windows: list[list[Unit]] = [[] for _ in range(WINDOWS)]
    for unit in within(units, phase):
        at = (unit.start_ns - start) * WINDOWS // max(1, end - start)
        if 0 <= at < WINDOWS:
            windows[at].append(unit)
    return windows


def _line(
    metric: str,
    phase: str,
    pairs: Sequence[Pair],
    figure: Callable[[Sequence[Unit]], float],
    difference: Callable[[float, float], float],
    allowed: float,
) -> Line:
    differences = tuple(difference(figure(pair.first), figure(pair.second)) for pair in pairs)
    halves = sorted(abs(difference(figure(pair.first[::2]), figure(pair.first[1::2]))) for pair in pairs)
    return Line(
        metric=metric,
        phase=phase,
        before=figure([unit for pair in pairs for unit in pair.first]),
        after=figure([unit for pair in pairs for unit in pair.second]),
        differences=differences,
        allowed=allowed,
        noise=quantile(halves, 0.95),
        p=sign_flip([one - allowed for one in differences]),
    )


def _p95(units: Sequence[Unit]) -> float:
    return quantile(sorted(min(LONGEST_S, max(SHORTEST_S, unit.seconds)) for unit in units), 0.95)


def _failures(units: Sequence[Unit]) -> float:
    return sum(not unit.good for unit in units) / len(units)


def _log_ratio(before: float, after: float) -> float:
    return math.log(after / before)


def _told(line: Line, p: float, margin: float, doubts: tuple[str, ...]) -> CheckResult:
    low, high = line.interval
    outcome, reasons = Outcome.INCONCLUSIVE, doubts
    if not doubts and p <= ALPHA:
        outcome = Outcome.FAIL
    elif not doubts and high <= line.allowed:
        outcome = Outcome.PASS
    elif not doubts:
        reasons = ("neither shown to be worse than allowed nor shown to be within it",)
    mean = sum(line.differences) / len(line.differences)
    figures = {"before": line.before, "after": line.after, "low": low, "high": high, "p": p, "noise": line.noise}
    if line.is_ratio:
        figures |= {"low": math.exp(low), "high": math.exp(high), "noise": math.exp(line.noise)}
        measured = (
            f"{math.exp(mean):.2f}×  [{math.exp(low):.2f}, {math.exp(high):.2f}]  "
            f"{_ms(line.before)} → {_ms(line.after)}, noise {math.exp(line.noise):.2f}×"
        )
        allowed = f"<= {margin:g}×"
    else:
        measured = (
            f"{mean * 100:+.1f} points  [{low * 100:+.1f}, {high * 100:+.1f}]  failed "
            f"{line.before:.1%} → {line.after:.1%}, noise {line.noise * 100:.1f}"
        )
        allowed = f"<= {POINT * 100:g} point"
    return _result(line.metric, line.phase, outcome, measured, reasons, allowed, figures)


def _ms(seconds: float) -> str:
    return "never" if seconds >= LONGEST_S else f"{seconds * 1000:.0f} ms"


def _changed(first: Verdict, second: Verdict) -> Iterator[CheckResult]:
    """Checks and rules whose outcome is another; the same outcome twice is no news."""
    before = {(one.id, one.name, one.phase): one for one in first.checks if one.kind is not Kind.VALIDITY}
    after = {(one.id, one.name, one.phase): one for one in second.checks if one.kind is not Kind.VALIDITY}
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        if was and now and was.outcome is now.outcome:
            continue
        yield _turned(was, now)


def _turned(was: CheckResult | None, now: CheckResult | None) -> CheckResult:
    one = now or was
    assert one is not None  # noqa: S101 - the key came from one of the two
    words = [f"{item.outcome.value} ({item.measured})" if item else "not judged" for item in (was, now)]
    outcome = Outcome.INCONCLUSIVE if now is None else now.outcome
    return CheckResult(
        id=one.id,
        name=one.name,
        kind=one.kind,
        phase=one.phase,
        outcome=outcome,
        measured=" → ".join(words),
        reasons=now.reasons if now else (),
        witnesses=now.witnesses if now else (),
    )


def _result(
    metric: str,
    phase: str,
    outcome: Outcome,
    measured: str,
    reasons: tuple[str, ...] = (),
    threshold: str = "",
    figures: Mapping[str, float] | None = None,
) -> CheckResult:
    return CheckResult(
        id=metric,
        name=f"{metric} {threshold}".strip(),
        kind=Kind.SLO,
        phase=phase,
        outcome=outcome,
        measured=measured,
        threshold=threshold,
        reasons=reasons,
        figures=dict(figures or {}),
    )
