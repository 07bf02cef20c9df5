"""The effect of an interleaved fault on those whom it reaches, per flow: the windows with it against those without.

One line for each rule (`join.p95.effect <= 1.5x`, `join.success.effect <= 1 point`). Fail: the exact sign-flip test
says at 5 %, by Holm over all such rules of the experiment, that the effect is larger. Pass: the 90 % interval of the
mean lies within it. Inconclusive: neither, or a window with fewer than two operations, or less than eight pairs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict.flows import FLOWS
from chaos.verdict.pairs import UNDECIDED, failing, slower
from chaos.verdict.stats import holm
from chaos.verdict.validity import line
from chaos.verdict.windows import interleaved, sides, too_few, windows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.experiment import Threshold
    from chaos.verdict.history import History
    from chaos.verdict.pairs import Line, Pair
    from chaos.verdict.rules import Checks
    from chaos.verdict.spans import FaultSpan

WORD = ".effect"
MEASURES = {"p95": slower, "success": failing}
NO_WINDOWS = "no fault of this run came in windows (`interleave`)"


def is_effect(metric: str) -> bool:
    """Whether the metric is the effect of an interleaved fault on a flow: `join.p95.effect`."""
    flow, _, word = metric.removesuffix(WORD).rpartition(".")
    return metric.endswith(WORD) and flow in FLOWS and word in MEASURES


def effects(history: History, checks: Checks) -> list[CheckResult]:
    """The lines of the rules on effects, in their order; pure."""
    rules = [rule for rule in checks.thresholds if is_effect(rule.metric)]
    made = [_compared(history, checks, rule) for rule in rules]
    corrected = iter(holm([one.p for one, _ in made if one is not None]))
    return [
        _missing(rule, why) if one is None else _told(rule, one, next(corrected))
        for rule, (one, why) in zip(rules, made, strict=True)
    ]


def were_held(history: History, checks: Checks, fault: FaultSpan) -> CheckResult:
    """The line of validity that all planned windows were there; its figures are the effects, asked for or not."""
    planned = fault.windows.pairs if fault.windows else 0
    done = len(windows(fault)) // 2
    reason = "" if done == planned else "a pair is compared only if both of its windows were held"
    shown = dict(_shown(history, checks, fault))
    says = "; ".join(f"{name} {one.text()}" for name, one in shown.items())
    found = line("windows", f"{fault.name} came in windows", f"{done} of {planned} pairs", reason, phase="fault")
    figures = {name: one.figures(one.p) for name, one in shown.items()}
    return found.model_copy(update={"figures": figures, "measured": "; ".join(filter(None, (found.measured, says)))})


def _shown(history: History, checks: Checks, fault: FaultSpan) -> Iterator[tuple[str, Line]]:
    for flow, both in sides(history, checks.bounds, fault).items():
        if not too_few(both.reached):
            yield f"{flow}.p95", slower(both.reached)


def _compared(history: History, checks: Checks, rule: Threshold) -> tuple[Line | None, str]:
    fault = interleaved(history)
    if fault is None:
        return None, NO_WINDOWS
    flow, _, word = rule.metric.removesuffix(WORD).rpartition(".")
    pairs: list[Pair] = sides(history, checks.bounds, fault)[flow].reached
    why = too_few(pairs)
    return (None, why) if why else (MEASURES[word](pairs, rule.value), "")


def _missing(rule: Threshold, why: str) -> CheckResult:
    return _result(rule, Outcome.INCONCLUSIVE, "no samples", (why,))


def _told(rule: Threshold, one: Line, p: float) -> CheckResult:
    outcome = one.outcome(p)
    if outcome is Outcome.PASS and rule.op == "<" and one.interval.high >= one.allowed:
        outcome = Outcome.INCONCLUSIVE
    reasons = (UNDECIDED,) if outcome is Outcome.INCONCLUSIVE else ()
    figures = one.figures(p) | {"pairs": len(one.differences), "target": rule.value}
    return _result(rule, outcome, one.text(), reasons).model_copy(
        update={"figures": figures, "judged": len(one.differences)}
    )


def _result(rule: Threshold, outcome: Outcome, measured: str, reasons: tuple[str, ...]) -> CheckResult:
    return CheckResult(
        id=rule.metric,
        name=rule.text,
        kind=Kind.SLO,
        phase=rule.phase,
        outcome=outcome,
        measured=measured,
        threshold=rule.text,
        reasons=reasons,
        place=rule.place,
    )
