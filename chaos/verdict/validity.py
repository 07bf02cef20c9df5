"""Can this run be believed: the proofs and the conditions without which a verdict means nothing.

Each line passes or is inconclusive, never fails. A missed one makes the run inconclusive, unless a safety violation
was confirmed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict import slo, sometimes
from chaos.verdict.flows import allowed_s, null_answers
from chaos.verdict.history import NS
from chaos.verdict.stats import quantile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from chaos.model.event import Event
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
    yield lambda: _record(history, checks)
    for fault in history.faults:
        yield lambda fault=fault: _fault(fault)  # type: ignore[misc]
    if len(history.faults) < len(checks.injections):
        yield lambda: _missing(history, checks)
    if "missed" in history.facts:
        yield lambda: _missed(history)
    yield lambda: _baseline(history, checks, units)
    yield lambda: _samples(history, checks, units)
    yield lambda: _lag(history, checks)
    yield lambda: _arrivals(history, checks)
    yield lambda: _null(history, checks)
    for name, holds in sometimes.wanted(history, checks):
        reason = "" if holds else "it did not happen in this run, so the checks that need it saw nothing"
        yield lambda name=name, holds=holds, reason=reason: line(  # type: ignore[misc]
            f"sometimes.{name.replace(' ', '-')}", name, "seen" if holds else "not seen", reason
        )


def workers(history: History, checks: Checks) -> tuple[str, ...]:
    """The load's workers that must have left a record: those of the plan, and those that the conductor started."""
    told = [event.value for event in history.facts.get("workers", ()) if isinstance(event.value, list)]
    started = (str(name) for names in told for name in names)
    return tuple(dict.fromkeys((*(checks.load.worker_names if checks.load else ()), *started)))


def _record(history: History, checks: Checks) -> CheckResult:
    gone = [name for name in workers(history, checks) if name not in history.last_ns]
    phases = {span.phase for span in history.phases}
    absent = [phase.value for phase in (Phase.BASELINE, Phase.FINAL, Phase.END) if phase not in phases]
    reason = ""
    if history.damage:
        reason = "; ".join(history.damage)
    elif history.malformed:
        reason = f"{history.malformed} rows of the record are not understood"
    elif absent:
        reason = f"the run never got to: {', '.join(absent)}"
    elif gone:
        reason = f"there is no record of {', '.join(gone)}"
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
    planned = [op.begin for op in history.of("join") if op.begin.intended_ns]
    edits = [op.begin for op in history.of("edit") if op.begin.intended_ns]
    # Who has nobody that joins is judged by its editors.
    joining = {event.worker for event in planned}
    begun = planned + [event for event in edits if event.worker not in joining]
    expecting = [name for name, told in _told(history).items() if told.get("planned") != 0]
    return _fast(
        "generator", "the load came on time", begun, expecting, checks, "the load came late: the machine was too slow"
    )


def _null(history: History, checks: Checks) -> CheckResult:
    answers = null_answers(history)
    reason = "a target that does nothing was slow: the machine, not the stack"
    return _fast("null-target", "our own machine stayed quick", answers, workers(history, checks), checks, reason)


def _fast(
    name: str, says: str, events: list[Event], expecting: Iterable[str], checks: Checks, reason: str
) -> CheckResult:
    """Each worker must have been quick: one that is slow is not made up for by the others."""
    limit = allowed_s(checks.bounds)
    took: dict[str, list[float]] = {worker: [] for worker in expecting}
    for event in events:
        took.setdefault(event.worker, []).append((event.t_ns - event.intended_ns) / NS)
    empty = [worker for worker, seconds in took.items() if not seconds]
    if empty or not took:
        by = f" by {', '.join(empty)}" if len(took) > 1 else ""
        return line(name, says, "no samples", f"nothing was recorded{by} to tell by")
    p99, slowest = max((quantile(sorted(seconds), 0.99), worker) for worker, seconds in took.items())
    who = f" by {slowest}, the slowest of {len(took)} workers" if len(took) > 1 else ""
    measured = f"p99 {max(0.0, p99) * 1000:.0f} ms{who} of {limit * 1000:.0f} ms allowed, n = {len(events)}"
    return line(name, says, measured, reason if p99 > limit else "", judged=len(events))


def _told(history: History) -> dict[str, dict[str, Any]]:
    """Per worker, what it says was due. At its end a load knows how many were due by then: the last word counts."""
    events = history.facts.get("arrivals", ())
    return {event.worker: event.value for event in events if isinstance(event.value, dict)}


def _arrivals(history: History, checks: Checks) -> CheckResult:
    says = "all who were planned came"
    told = _told(history)
    silent = [name for name in workers(history, checks) if name not in told]
    shares = [share for one in told.values() if (share := _share(one)) is not None]
    if silent or not shares or len(shares) < len(told):
        who = f": {', '.join(silent)}" if told and silent else ""
        return line("arrivals", says, "no samples", f"the load did not say what it planned{who}")
    if len({start for _, start, _ in shares}) > 1:
        return line("arrivals", says, "no samples", "the workers of the load did not begin at the same moment")
    final = history.span(Phase.FINAL)
    end = final.start_ns if final else history.end_ns
    due = sum(_due(planned, start, until, end) for planned, start, until in shares)
    came = _came(history)
    reason = "" if came >= math.floor(STARTED * due) else "the load did not start all of its users"
    return line("arrivals", says, f"{came} of {math.ceil(due)} or more", reason, judged=came)


def _share(told: Mapping[str, Any]) -> tuple[int, int, int] | None:
    """How many were due, from when, until when; None where it does not say."""
    planned, start, until = (told.get(name) for name in ("planned", "start_ns", "until_ns"))
    if isinstance(planned, int) and isinstance(start, int) and isinstance(until, int):
        return planned, start, until
    return None


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
