"""Did it come back: the time from heal to ten good seconds in a row, and the metastability gate.

A second is good unless one of its flows certainly misses its objective: the same rule that fails a threshold, on the
operations intended in that second. So one unlucky edit of thirty spoils nothing, and one failed join of one does.
Recovery = heal to the first of ten consecutive good seconds. The heal is the last `off` before the recovery phase: that
opens once the fault is proved to be gone, and what a slow stack takes until then must not be hidden.
Fail: the run's rule is missed, or it never came and the second half of the time since the heal still has bad seconds
(at least two, and a quarter of them). Inconclusive: too short.
Metastability (Bronson et al., HotOS 2021): the load stays on, the fault is gone, and goodput stays low. Fail: in the
last third a flow's share of served operations is certainly below 90 % of its share in the baseline, or a flow that
would have had at least ten operations by its baseline rate has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict import slo
from chaos.verdict.flows import per_second, within
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos.model.experiment import Threshold
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks
    from chaos.verdict.spans import PhaseSpan

IN_A_ROW = 10
GOODPUT = 0.9
DEFAULT_SUCCESS = 0.99
_EXPECTED = 10
_STILL_BAD = 2
_QUARTER = 4


def recovery(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> list[CheckResult]:
    """The recovery time (against each rule that names it) and the metastability gate; nothing without a fault."""
    named = [rule for rule in checks.thresholds if rule.metric == "recovery"]
    span = history.span(Phase.RECOVERY)
    # A phase that is too short to show recovery, in an experiment that asks for none, is no question left open.
    asked = not span or (span.end_ns - span.start_ns) >= IN_A_ROW * NS
    rules: list[Threshold | None] = [*named] or ([None] if asked else [])
    if not history.faults and not named:
        return []
    if span is None:
        return [_result(rule, Outcome.INCONCLUSIVE, "no samples", "the run has no recovery phase") for rule in rules]
    since = max((off for one in history.faults if (off := one.off_ns) and off <= span.start_ns), default=span.start_ns)
    goods = [is_good(second, objectives(checks)) for second in per_second(units, since, span.end_ns)]
    results = [_judge(rule, goods) for rule in rules]
    return [*results, metastability(history, units, span)]


def objectives(checks: Checks) -> dict[str, list[tuple[str, str, float]]]:
    """Per flow what a good second asks: the rules of the recovery phase, else of the run, else of the baseline."""
    found: dict[str, list[tuple[str, str, float]]] = {}
    for phase in ("recovery", "run", "baseline"):
        fresh: dict[str, list[tuple[str, str, float]]] = {}
        for rule in checks.thresholds:
            if rule.phase == phase and slo.is_objective(rule.metric):
                flow, _, word = rule.metric.rpartition(".")
                fresh.setdefault(flow, []).append((word, rule.op, rule.value))
        found = fresh | found
    return found


def is_good(second: Mapping[str, list[Unit]], wanted: Mapping[str, list[tuple[str, str, float]]]) -> bool | None:
    """Whether no flow of a second certainly missed what is wanted; None: nothing was asked in it."""
    if not second:
        return None
    return not any(
        slo.missed(slo.measured_of(word, units), op, value)
        for flow, units in second.items()
        for word, op, value in wanted.get(flow, [("success", ">=", DEFAULT_SUCCESS)])
    )


def first_of_row(goods: list[bool | None]) -> int | None:
    """The first of ten consecutive seconds none of which is bad and half of which have operations."""
    for at in range(len(goods) - IN_A_ROW + 1):
        row = goods[at : at + IN_A_ROW]
        if False not in row and row.count(True) >= IN_A_ROW // 2:
            return at
    return None


def _judge(rule: Threshold | None, goods: list[bool | None]) -> CheckResult:
    at = first_of_row(goods)
    half = goods[len(goods) // 2 :]
    bad = half.count(False)
    if at is not None:
        outcome = Outcome.PASS if rule is None or slo.OPERATORS[rule.op](at, rule.value) else Outcome.FAIL
        return _result(rule, outcome, f"{at:.1f} s", judged=len(goods), figures={"recovery_s": at})
    if bad >= _STILL_BAD and bad * _QUARTER >= len(half):
        text = f"never, in {len(goods)} s"
        return _result(rule, Outcome.FAIL, text, f"{bad} of the last {len(half)} seconds were bad", len(goods))
    if len(goods) < IN_A_ROW:
        reason = f"recovery takes {IN_A_ROW} good seconds in a row, and the phase has {len(goods)}"
    else:
        reason = f"good at the end, but the load ended before {IN_A_ROW} good seconds in a row"
    return _result(rule, Outcome.INCONCLUSIVE, "not seen", reason, len(goods))


def _result(
    rule: Threshold | None,
    outcome: Outcome,
    measured: str,
    reason: str = "",
    judged: int = 0,
    figures: dict[str, float] | None = None,
) -> CheckResult:
    return CheckResult(
        id="recovery",
        name=rule.text if rule else "recovery",
        kind=Kind.RECOVERY,
        phase="recovery",
        outcome=outcome,
        measured=measured,
        threshold=rule.text if rule else "",
        judged=judged,
        reasons=(reason,) if reason else (),
        place=rule.place if rule else None,
        figures=dict(figures or {}),
    )


def metastability(history: History, units: Mapping[str, list[Unit]], span: PhaseSpan) -> CheckResult:
    """Whether goodput in the last third of recovery is what it was before the fault."""
    since = span.end_ns - (span.end_ns - span.start_ns) // 3
    base = history.span(Phase.BASELINE)
    reasons, shares, judged = [], {}, 0
    for flow, found in units.items():
        before = within(found, Phase.BASELINE)
        last = [unit for unit in found if since <= unit.start_ns < span.end_ns]
        then, now = slo.share(before), slo.share(last)
        expected = len(before) * (span.end_ns - since) / max(1, base.end_ns - base.start_ns) if base else 0
        if not before or (not last and expected < _EXPECTED):
            continue
        judged += len(last)
        shares[flow] = {"before": then.value, "after": now.value if last else 0.0}
        if not last:
            reasons.append(
                f"{flow}: none in the last {(span.end_ns - since) / NS:.0f} s, about {expected:.0f} expected"
            )
        elif now.bounds.high < GOODPUT * then.value:
            reasons.append(
                f"{flow}: {100 * now.value:.0f} % served at the end, {100 * then.value:.0f} % before the fault"
            )
    outcome = Outcome.FAIL if reasons else Outcome.PASS if shares else Outcome.INCONCLUSIVE
    lowest = min((one["after"] / one["before"] for one in shares.values() if one["before"]), default=None)
    return CheckResult(
        id="metastability",
        name="comes back after the heal",
        kind=Kind.RECOVERY,
        phase="recovery",
        outcome=outcome,
        measured="no samples" if lowest is None else f"{100 * lowest:.0f} % of the baseline's goodput",
        judged=judged,
        reasons=tuple(reasons) or (() if shares else ("no flow has operations before the fault and at the end",)),
        figures={"shares": shares},
    )
