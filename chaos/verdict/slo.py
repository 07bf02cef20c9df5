"""Objectives per flow and phase: the three-valued rule, on shares and on quantiles, with n and interval always shown.

Fail: the 95 % bound that favours the stack misses the target. Pass, assurance `measured`: the measured value meets it
on at least 30 units; `proven`: the other bound meets it too. Between the two: inconclusive.
"""

from __future__ import annotations

import math
import operator
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict.flows import FLOWS, Unit, within
from chaos.verdict.stats import ERROR, Interval, needed, quantile, quantile_interval, wilson, z_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos.model.experiment import Threshold

MEASURED = 30
"""The fewest units on which a measured value counts."""
OPERATORS = {"<": operator.lt, "<=": operator.le, "==": operator.eq, ">=": operator.ge, ">": operator.gt}
QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


class Measured(NamedTuple):
    """A value with its bounds."""

    value: float
    bounds: Interval
    n: int


def share(units: list[Unit], looks: int = 1) -> Measured:
    """The share of units that were served in time; each bound errs with 5 % over so many `looks` together."""
    good = sum(unit.good for unit in units)
    bounds = wilson(good, len(units), z_of(ERROR / looks))
    return Measured(good / len(units) if units else math.nan, bounds, len(units))


def latency(units: list[Unit], q: float, looks: int = 1) -> Measured:
    """A quantile of the time to an answer, in seconds; a unit that got none is slower than all that did."""
    times = sorted(unit.seconds for unit in units)
    value = quantile(times, q) if times else math.nan
    bounds = quantile_interval(times, q, ERROR / looks) if times else Interval(-math.inf, math.inf)
    return Measured(value, Interval(max(0.0, bounds.low), bounds.high), len(times))


def measured_of(metric: str, units: list[Unit], looks: int = 1) -> Measured:
    """`success` or a quantile of these units; raises `KeyError` on another word."""
    return share(units, looks) if metric == "success" else latency(units, QUANTILES[metric], looks)


def missed(found: Measured, op: str, target: float) -> bool:
    """Whether even the bound that favours the stack misses the target: certain, as far as 95 % is."""
    meets = OPERATORS[op]
    low, high = found.bounds
    if not found.n:
        return False
    if op == "==":
        return not low <= target <= high
    return not meets(high if op in {">", ">="} else low, target)


def judge_threshold(
    threshold: Threshold, units: Mapping[str, list[Unit]], assurance: str, looks: int = 1
) -> CheckResult:
    """The line of one objective: `FLOW.success` or `FLOW.pNN`. `looks`: how often it may have been looked at."""
    flow, _, word = threshold.metric.rpartition(".")
    chosen = within(units[flow], threshold.phase)
    found = measured_of(word, chosen, looks)
    outcome, reasons = _outcome(found, threshold, assurance, word, looks)
    return CheckResult(
        id=threshold.metric,
        name=threshold.text,
        kind=Kind.SLO,
        phase=threshold.phase,
        outcome=outcome,
        measured=_text(found, word, sum(unit.good for unit in chosen)),
        threshold=threshold.text,
        judged=found.n,
        reasons=reasons,
        place=threshold.place,
        figures=_figures(found, threshold),
    )


def is_objective(metric: str) -> bool:
    """Whether the metric is one of a flow: `join.success`, `edit_ack.p95`."""
    flow, _, word = metric.rpartition(".")
    return flow in FLOWS and (word == "success" or word in QUANTILES)


def can_be_decided(threshold: Threshold, result: CheckResult, assurance: str) -> bool:
    """Whether more samples may decide an objective that is inconclusive: no number of them proves 100 %."""
    everybody = threshold.metric.endswith(".success") and threshold.value >= 1
    proof_only = assurance == "proven" and result.judged >= MEASURED and result.figures.get("value") == 1
    return result.outcome is Outcome.INCONCLUSIVE and not (everybody and proof_only)


def _outcome(
    found: Measured, rule: Threshold, assurance: str, word: str, looks: int
) -> tuple[Outcome, tuple[str, ...]]:
    if not found.n:
        return Outcome.INCONCLUSIVE, (f"no {rule.metric.rpartition('.')[0]} in this phase",)
    if missed(found, rule.op, rule.value):
        return Outcome.FAIL, ()
    meets = OPERATORS[rule.op]
    if not meets(found.value, rule.value):
        return Outcome.INCONCLUSIVE, ("below the target, but so few that chance alone could do it",)
    if found.n < MEASURED:
        return Outcome.INCONCLUSIVE, (f"{found.n} of the {MEASURED} that a measured value takes",)
    if assurance == "proven" and not meets(
        found.bounds.low if rule.op in {">", ">="} else found.bounds.high, rule.value
    ):
        return Outcome.INCONCLUSIVE, (_to_prove(rule, word, looks),)
    return Outcome.PASS, ()


def _to_prove(rule: Threshold, word: str, looks: int) -> str:
    if word == "success" and 0 < rule.value < 1:
        return f"measured, not proven: {needed(rule.value, z=z_of(ERROR / looks))} without a failure would prove it"
    return "measured, not proven: the interval does not clear the target"


def _figures(found: Measured, rule: Threshold) -> dict[str, float | int | None]:
    known = {"value": found.value, "low": found.bounds.low, "high": found.bounds.high, "target": rule.value}
    return {"n": found.n} | {name: value if math.isfinite(value) else None for name, value in known.items()}


def _text(found: Measured, word: str, good: int) -> str:
    if not found.n:
        return "no samples"
    low, high = found.bounds
    if word == "success":
        return f"{_percent(found.value)} %  [{_percent(low)}, {_percent(high)}]  {good} of {found.n}"
    return f"{_ms(found.value)}  [{_ms(low)}, {_ms(high)}]  n = {found.n}"


def _percent(part: float) -> str:
    # Rounded down, so that 99.96 % never reads as the 100 % that it is not.
    return "100" if part >= 1 else f"{math.floor(part * 1000) / 10:.1f}"


def _ms(seconds: float) -> str:
    if not math.isfinite(seconds):
        return "never"
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"  # noqa: PLR2004 - 10 ms
