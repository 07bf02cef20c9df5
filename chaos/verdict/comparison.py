"""Two records against each other: did the second get worse than the first, beyond what chance explains.

Each phase of both runs is cut into ten windows, paired by their place, since the same plan sends the same users at
the same moments; a flow that is too rare for that in every phase is compared over the whole run. Per flow the windows
are compared as `chaos.verdict.pairs` says, with Holm's correction over all lines: a regression is a p95 beyond the
margin (1.5 by default) or a share of failures more than one point higher.

Checks and rules are compared by outcome: what passed and fails now is a regression.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict.flows import FLOWS, measure, null_answers, within
from chaos.verdict.history import NS
from chaos.verdict.pairs import MARGIN, POINT, UNDECIDED, Line, Pair, failing, slower
from chaos.verdict.stats import holm, quantile

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from chaos.model.verdict import Verdict
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.run import RunRecord

WINDOWS = 10
"""Pairs a phase: the fewest at which one of all 36 lines can be significant after Holm's correction,
2 ** -10 < 0.05 / 36."""
LEAST = 5
"""Operations that each window needs in both runs for a line to be compared."""
ALIKE, ALIKE_S = 2.0, 0.002
"""The null target's p95 may differ by this factor, or by so many seconds: on a machine that others begin to use, every
flow gets slower by several times as much as it does, since a request goes through several processes."""
PHASES = ("baseline", "fault", "recovery")


class _Compared(NamedTuple):
    """One flow in one phase."""

    metric: str
    phase: str
    line: Line


def compare(first: RunRecord, second: RunRecord, margin: float = MARGIN) -> tuple[CheckResult, ...]:
    """Every line that could be compared, worst first within its kind; pure.

    Fail: a regression. Pass: shown to be within the margin. Inconclusive: neither, or there are `doubts`. Nothing at
    all to compare is one inconclusive line.
    """
    why_not = tuple(doubts(first, second))
    lines = list(_lines(first, second, margin))
    adjusted = holm([one.line.p for one in lines])
    flows = [_told(one, p, margin, why_not) for one, p in zip(lines, adjusted, strict=True)]
    found = (*_changed(first.verdict, second.verdict), *flows)
    if not lines:
        needed = f"a flow needs {LEAST} operations in each of {WINDOWS} windows of a phase, in both runs"
        found = (*found, _result("flows", "run", Outcome.INCONCLUSIVE, "nothing to compare", (needed,)))
    return found


def doubts(first: RunRecord, second: RunRecord) -> Iterator[str]:
    """Why the two cannot be compared: one of them cannot be believed, or our own machine was not the same."""
    for which, run in (("first", first), ("second", second)):
        for one in run.verdict.checks:
            if one.kind is Kind.VALIDITY and one.outcome is not Outcome.PASS:
                yield f"the {which} run cannot be believed: {one.name} ({one.measured})"
    took = [_null_p95(run.history) for run in (first, second)]
    if all(took) and max(took) > ALIKE * min(took) and max(took) - min(took) > ALIKE_S:
        was, now = (f"{1000 * one:.1f} ms" for one in took)
        yield f"our own machine was not the same: a target that does nothing took {was}, then {now} (p95)"


def _null_p95(history: History) -> float:
    """Seconds; 0 without any answer."""
    took = sorted((event.t_ns - event.intended_ns) / NS for event in null_answers(history))
    return max(0.0, quantile(took, 0.95)) if took else 0.0


def _lines(first: RunRecord, second: RunRecord, margin: float) -> Iterator[_Compared]:
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
            yield _Compared(f"{flow}.p95", phase, slower(pairs, margin))
            yield _Compared(f"{flow}.success", phase, failing(pairs))


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


def _told(one: _Compared, p: float, margin: float, doubts: tuple[str, ...]) -> CheckResult:
    outcome = Outcome.INCONCLUSIVE if doubts else one.line.outcome(p)
    reasons = doubts or ((UNDECIDED,) if outcome is Outcome.INCONCLUSIVE else ())
    allowed = f"<= {margin:g}×" if one.line.ratio else f"<= {POINT * 100:g} point"
    return _result(one.metric, one.phase, outcome, one.line.text(), reasons, allowed, one.line.figures(p))


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
