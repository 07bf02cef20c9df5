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
from chaos.verdict.flows import FLOWS, measure, within
from chaos.verdict.pairs import MARGIN, POINT, UNDECIDED, Line, Pair, failing, slower
from chaos.verdict.stats import holm

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
PHASES = ("baseline", "fault", "recovery")


class _Compared(NamedTuple):
    """One flow in one phase."""

    metric: str
    phase: str
    line: Line


def compare(first: RunRecord, second: RunRecord, margin: float = MARGIN) -> tuple[CheckResult, ...]:
    """Every line that could be compared, worst first within its kind; pure.

    Fail: a regression. Pass: shown to be within the margin. Inconclusive: neither, or one of the runs cannot be
    believed. Nothing at all to compare is one inconclusive line.
    """
    verdicts = first.verdict, second.verdict
    doubts = tuple(_doubts("first", verdicts[0])) + tuple(_doubts("second", verdicts[1]))
    lines = list(_lines(first, second, margin))
    adjusted = holm([one.line.p for one in lines])
    flows = [_told(one, p, margin, doubts) for one, p in zip(lines, adjusted, strict=True)]
    found = (*_changed(*verdicts), *flows)
    if not lines:
        needed = f"a flow needs {LEAST} operations in each of {WINDOWS} windows of a phase, in both runs"
        found = (*found, _result("flows", "run", Outcome.INCONCLUSIVE, "nothing to compare", (needed,)))
    return found


def _doubts(which: str, verdict: Verdict) -> Iterator[str]:
    for one in verdict.checks:
        if one.kind is Kind.VALIDITY and one.outcome is not Outcome.PASS:
            yield f"the {which} run cannot be believed: {one.name} ({one.measured})"


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
