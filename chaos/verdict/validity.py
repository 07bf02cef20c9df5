"""Can this run be believed: the proofs and the conditions without which a verdict means nothing.

Each line passes or is inconclusive, never fails. A missed one makes the run inconclusive, unless a safety violation
was confirmed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict import slo, sometimes
from chaos.verdict.flows import allowed_s, null_answers
from chaos.verdict.history import NS
from chaos.verdict.stats import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks
    from chaos.verdict.spans import FaultSpan

STARTED = 0.99
_IDLE = {"join": "join", "edit_ack": "edit"}


def line(name: str, says: str, measured: str, reason: str = "", *, phase: str = "run", judged: int = 0) -> CheckResult:
    """A line of validity: it passes when there is no reason against it."""
    return CheckResult(
        id=name,
        name=says,
        kind=Kind.VALIDITY,
        phase=phase,
        outcome=Outcome.INCONCLUSIVE if reason else Outcome.PASS,
        measured=measured,
        judged=judged,
        reasons=(reason,) if reason else (),
    )


def validity(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> Iterator[Callable[[], CheckResult]]:
    """Every line, as a call that the judge may guard by itself."""
    yield lambda: _record(history)
    for fault in history.faults:
        yield lambda fault=fault: _fault(fault)  # type: ignore[misc]
    if len(history.faults) < len(checks.injections):
        yield lambda: _missing(history, checks)
    if "missed" in history.facts:
        yield lambda: _missed(history)
    yield lambda: _baseline(history, checks, units)
    yield lambda: _samples(history, checks, units)
    yield lambda: _lag(history, checks)
    yield lambda: _arrivals(history)
    yield lambda: _null(history, checks)
    for name, holds in sometimes.wanted(history, checks):
        reason = "" if holds else "it did not happen in this run, so the checks that need it saw nothing"
        yield lambda name=name, holds=holds, reason=reason: line(  # type: ignore[misc]
            f"sometimes.{name.replace(' ', '-')}", name, "seen" if holds else "not seen", reason
        )


def _record(history: History) -> CheckResult:
    phases = {span.phase for span in history.phases}
    absent = [phase.value for phase in (Phase.BASELINE, Phase.FINAL, Phase.END) if phase not in phases]
    reason = ""
    if history.damage:
        reason = "; ".join(history.damage)
    elif history.malformed:
        reason = f"{history.malformed} rows of the record are not understood"
    elif absent:
        reason = f"the run never got to: {', '.join(absent)}"
    return line("record", "the record is whole", f"{len(history.events)} events", reason, judged=len(history.events))


def _fault(fault: FaultSpan) -> CheckResult:
    bit = [bite for bite in fault.bites if bite.bit]
    if fault.on_ns is None:
        reason = "it was never on"
    elif not fault.bites:
        reason = "no proof that it bit"
    elif not bit:
        reason = f"it did not bite: {fault.bites[-1].says}"
    elif fault.off_ns is None:
        reason = "it was never taken out"
    elif fault.off_clean is None:
        reason = "no proof that it is gone"
    else:
        reason = "" if fault.off_clean else f"it is not gone: {fault.off_says}"
    measured = f"bit: {bit[-1].says}" if bit else "no bite"
    return line(f"fault.{fault.id}", f"{fault.name} bit, and is gone", measured, reason, phase="fault")


def _missing(history: History, checks: Checks) -> CheckResult:
    planned, done = len(checks.injections), len(history.faults)
    return line("faults", "every fault was injected", f"{done} of {planned}", "the method ended early", phase="fault")


def _missed(history: History) -> CheckResult:
    missed = [f"{event.key}: {event.value}" for event in history.facts["missed"]]
    return line("activities", "every action and probe did its work", f"{len(missed)} failed", "; ".join(missed))


def _baseline(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> CheckResult:
    rules = [rule for rule in checks.thresholds if rule.phase == "baseline" and slo.is_objective(rule.metric)]
    results = [slo.judge_threshold(rule, units, checks.assurance) for rule in rules]
    bad = [f"{one.name}: {one.measured}" for one in results if one.outcome is not Outcome.PASS]
    if history.span(Phase.BASELINE) is None:
        bad = ["there was no baseline"]
    met = len(results) - sum(one.outcome is not Outcome.PASS for one in results)
    return line("baseline", "the baseline held", f"{met} of {len(results)} rules", "; ".join(bad), phase="baseline")


def _samples(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> CheckResult:
    wanted = []
    if checks.load is not None:
        wanted = [
            flow for flow, count in (("join", checks.load.participants), ("edit_ack", checks.load.editors)) if count
        ]
    phases = [span for phase in (Phase.BASELINE, Phase.FAULT) if (span := history.span(phase)) is not None]
    idle = [
        f"no {_IDLE[flow]} during {span.phase.value}"
        for flow in wanted
        for span in phases
        if span.length_s >= 1 and not any(unit.phase is span.phase for unit in units[flow])
    ]
    counted = {flow: len(found) for flow, found in units.items() if found}
    total = sum(counted.values())
    reason = "; ".join(idle) or ("" if total else "no user did anything")
    return line("samples", "users were there all the time", f"{total} operations", reason, judged=total)


def _lag(history: History, checks: Checks) -> CheckResult:
    limit = allowed_s(checks.bounds)
    planned = [op.begin for op in history.of("join") if op.begin.intended_ns]
    if not planned:
        planned = [op.begin for op in history.of("edit") if op.begin.intended_ns]
    late = sorted((event.t_ns - event.intended_ns) / NS for event in planned)
    return _fast("generator", "the load came on time", late, limit, "the load came late: the machine was too slow")


def _null(history: History, checks: Checks) -> CheckResult:
    limit = allowed_s(checks.bounds)
    took = sorted((event.t_ns - event.intended_ns) / NS for event in null_answers(history))
    reason = "a target that does nothing was slow: the machine, not the stack"
    return _fast("null-target", "our own machine stayed quick", took, limit, reason)


def _fast(name: str, says: str, seconds: list[float], limit: float, reason: str) -> CheckResult:
    if not seconds:
        return line(name, says, "no samples", "nothing was recorded to tell by")
    p99 = quantile(seconds, 0.99)
    measured = f"p99 {max(0.0, p99) * 1000:.0f} ms of {limit * 1000:.0f} ms allowed, n = {len(seconds)}"
    return line(name, says, measured, reason if p99 > limit else "", judged=len(seconds))


def _arrivals(history: History) -> CheckResult:
    says = "all who were planned came"
    # A load that knows at its end how many were due by then says so again: the last word counts.
    told = [event.value for event in history.facts.get("arrivals", ()) if isinstance(event.value, dict)] or [{}]
    planned, start, until = (told[-1].get(name) for name in ("planned", "start_ns", "until_ns"))
    if not (isinstance(planned, int) and isinstance(start, int) and isinstance(until, int)):
        return line("arrivals", says, "no samples", "the load did not say what it planned")
    final = history.span(Phase.FINAL)
    end = final.start_ns if final else history.end_ns
    due = _due(planned, start, until, end)
    came = _came(history)
    reason = "" if came >= math.floor(STARTED * due) else "the load did not start all of its users"
    return line("arrivals", says, f"{came} of {math.ceil(due)} or more", reason, judged=came)


def _due(planned: int, start: int, until: int, end: int) -> float:
    """Return how many arrivals the plan has before the load's end, at the least.

    The plan tells their number up to `until` only. Of a Poisson stream a part p of the time holds a binomial number;
    three standard deviations below its mean is what a load that started everybody falls short of once in 700 runs.
    """
    if end >= until or until <= start:
        return planned
    part = max(0.0, (end - start) / (until - start))
    return max(0.0, planned * part - 3 * math.sqrt(planned * part * (1 - part)))


def _came(history: History) -> int:
    """Users who came by plan. Twins are left out, as in the plan's own number: others decide when one comes."""
    people = {op.begin.user for op in history.of("join") if not _is_twin(op.begin.value)}
    return len(people | {op.begin.user for op in history.of("edit", "offline_edit")})


def _is_twin(value: object) -> bool:
    return isinstance(value, dict) and bool(value.get("twin"))
