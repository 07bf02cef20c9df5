"""From a history to a verdict: validity, safety, objectives, recovery, and their merge; pure, total on any record."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from chaos.errors import ExitCode
from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict
from chaos.verdict import slo
from chaos.verdict.checks import registry
from chaos.verdict.effects import effects, is_effect, were_held
from chaos.verdict.endings import endings, is_dirty
from chaos.verdict.extension import looks
from chaos.verdict.findings import WITNESSES, Check, CheckFindings, merge, witness
from chaos.verdict.flows import measure
from chaos.verdict.health import weigh
from chaos.verdict.recovery import recovery
from chaos.verdict.steady import steady_state
from chaos.verdict.validity import line, validity
from chaos.verdict.windows import interleaved

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chaos.model.experiment import Threshold
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks

EXIT_CODES = {
    Outcome.PASS: ExitCode.PASS,
    Outcome.FAIL: ExitCode.FAIL,
    Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Outcome.DIRTY: ExitCode.DIRTY,
}
_FUNCTIONS = {"M": ("join", "rejoin", "leave"), "D": ("edit", "offline_edit")}


def judge(history: History, checks: Checks) -> Verdict:
    """The verdict on a run.

    Validity comes first: where it is missed, a missed objective is inconclusive and only a safety violation fails.
    The same history and rules give the same verdict, in the same order; nothing that a record holds makes it raise.
    """
    units: Mapping[str, list[Unit]] = measure(history, checks.bounds)
    asked = list(steady_state(history))
    valid = [_guarded("validity", Kind.VALIDITY, make) for make in _lines(history, checks, units)]
    if (fault := interleaved(history)) is not None:
        valid.append(_guarded("windows", Kind.VALIDITY, lambda: were_held(history, checks, fault)))
    valid += [result for result in asked if result.kind is Kind.VALIDITY]
    believed = all(result.outcome is Outcome.PASS for result in valid)
    counted = [result for check in registry().values() for result in _safety(history, checks, check)]
    safety = [result for result in counted if result.kind is Kind.SAFETY]
    compared = [result for result in counted if result.kind is not Kind.SAFETY]
    objectives = [
        _objective(history, checks, units, rule)
        for rule in checks.thresholds
        if not _counted(rule) and not is_effect(rule.metric)
    ]
    objectives += _effects(history, checks)
    came_back = _recovery(history, checks, units)
    deviated = [result for result in asked if result.kind is not Kind.VALIDITY]
    soft = [_softened(result, believed=believed) for result in [*objectives, *deviated, *compared, *came_back]]
    return verdict_of((*valid, *safety, *soft, *endings(history, checks)), dirty=is_dirty(history))


def verdict_of(results: tuple[CheckResult, ...], *, dirty: bool = False) -> Verdict:
    """Merge: fail > inconclusive > pass; nothing judged besides validity is inconclusive. Dirty outranks all."""
    outcome = merge(result.outcome for result in results)
    if outcome is Outcome.PASS and all(result.kind is Kind.VALIDITY for result in results):
        outcome = Outcome.INCONCLUSIVE
    shown = [one for one in results if one.kind is not Kind.VALIDITY or one.outcome is not Outcome.PASS]
    words = ((Outcome.FAIL, "failed"), (Outcome.PASS, "passed"), (Outcome.INCONCLUSIVE, "inconclusive"))
    counts = [(sum(one.outcome is kind for one in shown), word) for kind, word in words]
    says = ", ".join(f"{count} {word}" for count, word in counts if count) or "nothing was judged"
    outcome = Outcome.DIRTY if dirty else outcome
    return Verdict(outcome=outcome, exit_code=EXIT_CODES[outcome], checks=results, says=says)


def _lines(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> list[Callable[[], CheckResult]]:
    try:
        return list(validity(history, checks, units))
    except Exception as error:  # noqa: BLE001 - a record may hold anything, and a verdict is due all the same
        reason = _raised(error)
        return [lambda: line("validity", "the run can be believed", "not judged", reason)]


def _guarded(name: str, kind: Kind, make: Callable[[], CheckResult]) -> CheckResult:
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - as above
        return _broken(name, kind, error)


def _broken(name: str, kind: Kind, error: Exception, rule: Threshold | None = None) -> CheckResult:
    return CheckResult(
        id=name,
        name=rule.text if rule else name,
        kind=kind,
        phase=rule.phase if rule else "run",
        outcome=Outcome.INCONCLUSIVE,
        measured="not judged",
        threshold=rule.text if rule else "",
        reasons=(_raised(error),),
        place=rule.place if rule else None,
    )


def _raised(error: Exception) -> str:
    return f"the check itself failed: {type(error).__name__}: {error}"


def _counted(rule: Threshold) -> bool:
    return rule.metric == "recovery" or rule.metric in {check.metric for check in registry().values()}


def _found(history: History, checks: Checks, check: Check) -> CheckFindings:
    """What a check found; of a safety violation count only those whose observers are proved healthy."""
    found = check.run(history, checks.bounds)
    return weigh(history, checks.bounds, found) if check.kind is Kind.SAFETY else found


def _safety(history: History, checks: Checks, check: Check) -> list[CheckResult]:
    rules: list[Threshold | None] = [rule for rule in checks.thresholds if rule.metric == check.metric]
    if not rules and not (_flows(history, checks, check) and _applies(history, check)):
        return []
    try:
        found = _found(history, checks, check)
        if found.moot and not rules and not (found.violations or found.unproven):
            return []
        return [_safety_line(history, check, found, rule) for rule in rules or [None]]
    except Exception as error:  # noqa: BLE001 - as above
        return [_broken(check.id, check.kind, error, rule) for rule in rules or [None]]


def _flows(history: History, checks: Checks, check: Check) -> bool:
    if checks.load is not None:
        injected = not check.faults or any(one.fault in check.faults for one in checks.injections)
        return injected and check.wanted(checks.load)
    if check.faults and not any(fault.fault in check.faults for fault in history.faults):
        return False
    return any(f in history.ops for f in _FUNCTIONS.get(check.id[:1], ()))


def _applies(history: History, check: Check) -> bool:
    try:
        return check.applies(history)
    except Exception:  # noqa: BLE001 - as above; its run will say what is wrong
        return True


def _safety_line(history: History, check: Check, found: CheckFindings, rule: Threshold | None) -> CheckResult:
    number, unproven = len(found.violations), len(found.unproven)
    outcome, reasons = found.outcome, list(found.reasons)
    if number and rule is not None and slo.OPERATORS[rule.op](number, rule.value):
        outcome = Outcome.INCONCLUSIVE if found.inconclusive else Outcome.PASS
        reasons.insert(0, f"the experiment tolerates {rule.text}")
    if found.moot:
        reasons.insert(0, found.moot)
    if not found.judged and not reasons:
        reasons.append(f"{found.excused} excused, none left to judge" if found.excused else "nothing to judge")
    shown = [
        one for bad in (found.violations, found.unproven) for one in sorted(bad, key=lambda one: (one.t_ns, one.says))
    ]
    measured = [f"{number} of {found.judged}"] if found.judged else []
    measured += [f"{unproven} unproven"] if unproven else []
    return CheckResult(
        id=check.id,
        name=rule.text if rule else f"{check.metric} == 0",
        kind=check.kind,
        phase="run",
        outcome=outcome,
        measured=", ".join(measured) or "no samples",
        threshold=rule.text if rule else "",
        judged=found.judged,
        excused=found.excused,
        inconclusive=found.inconclusive,
        reasons=tuple(reasons[:WITNESSES]),
        witnesses=tuple(witness(history, violation) for violation in shown[:WITNESSES]),
        place=rule.place if rule else None,
        figures={"violations": number, "unproven": unproven, "unjudged": found.unjudged} | found.figures,
    )


def _objective(history: History, checks: Checks, units: Mapping[str, list[Unit]], rule: Threshold) -> CheckResult:
    try:
        if slo.is_objective(rule.metric):
            return slo.judge_threshold(rule, units, checks.assurance, looks(checks, rule))
        if rule.metric == "convergence":
            return _convergence(history, checks, rule)
    except Exception as error:  # noqa: BLE001 - as above
        return _broken(rule.metric, Kind.SLO, error, rule)
    return _broken(rule.metric, Kind.SLO, LookupError(f"no such metric: {rule.metric}"), rule)


def _effects(history: History, checks: Checks) -> list[CheckResult]:
    try:
        return effects(history, checks)
    except Exception as error:  # noqa: BLE001 - as above
        rules = [rule for rule in checks.thresholds if is_effect(rule.metric)]
        return [_broken(rule.metric, Kind.SLO, error, rule) for rule in rules]


def _convergence(history: History, checks: Checks, rule: Threshold) -> CheckResult:
    found = _found(history, checks, registry()["D3"])
    slowest = found.figures.get("convergence_s", math.inf)
    known = math.isfinite(slowest) and not found.inconclusive
    met = known and slo.OPERATORS[rule.op](slowest, rule.value)
    return CheckResult(
        id="convergence",
        name=rule.text,
        kind=Kind.RECOVERY,
        phase=rule.phase,
        outcome=Outcome.PASS if met else Outcome.FAIL if known or found.violations else Outcome.INCONCLUSIVE,
        measured=f"{slowest:.1f} s, {found.judged} documents" if known else "not seen",
        threshold=rule.text,
        judged=found.judged,
        inconclusive=found.inconclusive,
        reasons=tuple(found.reasons[:WITNESSES]),
        place=rule.place,
    )


def _recovery(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> list[CheckResult]:
    try:
        return recovery(history, checks, units)
    except Exception as error:  # noqa: BLE001 - as above
        return [_broken("recovery", Kind.RECOVERY, error)]


def _softened(result: CheckResult, *, believed: bool) -> CheckResult:
    """A missed objective counts only in a run that can be believed, and never in its baseline."""
    if result.outcome is not Outcome.FAIL or (believed and result.phase != "baseline"):
        return result
    reason = "missed before any fault" if result.phase == "baseline" else "missed, in a run that cannot be believed"
    return result.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reasons": (reason, *result.reasons)})
