"""Did the stack's own monitoring warn: the time from the fault to the first of its alerts, beside the first bad second.

Invariant: once users are hurt by a fault, an alert of the stack's own begins to fire within the rule's time of the
first fault's intent. The monitoring is looked at once a second, and at once as a fault begins. An alert *began* between
two looks that were answered, one without it and one with it. It counts when the first of the two was asked after the
intent, and when it did not fire at the last look before: so neither what fired already, nor what may have begun before
the fault, is taken for a warning. Measured is the later of the two looks.
Fail: the rule's time went by under looks without a hole, no alert began in it, and users had a bad second (as in
`recovery`). Inconclusive: the monitoring could not be asked as the fault set in, or in the time that the rule allows;
the run ended before that; when the alert began is uncertain; nobody was hurt, so no alert was due.
Without a rule it never fails; and there is no line where no alert was due.
Source: detection time, in Beyer et al., The Site Reliability Workbook (2018), chapter 5.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.model.event import Phase
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict import slo
from chaos.verdict.flows import per_second
from chaos.verdict.history import NS
from chaos.verdict.recovery import is_good, objectives

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.model.experiment import Threshold
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History, Op
    from chaos.verdict.rules import Checks

HOLE_NS = 3 * NS
"""A look a second; who was not looked at for longer than this may have warned unseen."""
_LONGEST = 80
Alert = tuple[str, tuple[tuple[str, str], ...]]
"""Its name and its labels: the same alert on another node is another one."""


class Look(NamedTuple):
    """What fired at a moment between two; None: it could not be asked."""

    number: int
    asked_ns: int
    seen_ns: int
    firing: frozenset[Alert] | None
    why: str


class Rise(NamedTuple):
    """An alert that began to fire between two moments after the fault; the first may lie before it."""

    alert: Alert
    after_s: float
    seen_s: float


class Watched(NamedTuple):
    """What the looks of a run show; seconds count from the first fault's intent."""

    sure: tuple[Rise, ...]
    """Alerts that began to fire after the fault, the first one first."""
    unsure: tuple[Rise, ...]
    """Alerts that began about when the fault did."""
    before: frozenset[Alert]
    """What fired already at the last look before."""
    looks: tuple[tuple[float, float, str], ...]
    """From the last look before the fault on, of those that were answered: when it was asked, when the next one was,
    and why none was answered between."""
    silent: str = ""
    """Why none was answered after the last of them."""
    blind: str = ""
    """Why nothing can be said."""


def warning(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> list[CheckResult]:
    """The time to the first alert (against each rule that names it); nothing where nobody asks."""
    named = [rule for rule in checks.thresholds if rule.metric == "warning"]
    rules: list[Threshold | None] = [*named]
    if not named and checks.alerts is not None and history.faults:
        rules = [None]
    if not rules:
        return []
    if checks.alerts is None or not history.faults:
        why = "no fault was put in" if checks.alerts else "the stack file names no `alerts` to ask"
        return [_line(rule, Outcome.INCONCLUSIVE, "not judged", why) for rule in rules]
    watched = watch(history, history.faults[0].start_ns)
    hurt_s = first_bad_s(history, checks, units)
    lines = (_judge(rule, watched, hurt_s) for rule in rules)
    return [line for line in lines if line is not None]


def first_bad_s(history: History, checks: Checks, units: Mapping[str, list[Unit]]) -> int | None:
    """Whole seconds from the first fault's intent to the first second that was bad for users; None: none was."""
    since = history.faults[0].start_ns
    span = history.span(Phase.RECOVERY)
    wanted = objectives(checks)
    seconds = per_second(units, since, span.end_ns if span else history.end_ns)
    return next((at for at, second in enumerate(seconds) if is_good(second, wanted) is False), None)


def watch(history: History, fault_ns: int) -> Watched:
    """What the looks of a record show of alerts that began after a moment. Total on any record."""
    looks = [_look(op) for op in history.ops.get("alerts", ())]
    earlier = [at for at, look in enumerate(looks) if look.asked_ns < fault_ns]
    at = earlier[-1] if earlier else -1
    blind = _blind(looks, at)
    if blind:
        return Watched((), (), frozenset(), (), blind=blind)
    answered = [(place, look, look.firing) for place, look in enumerate(looks) if look.firing is not None]
    before = looks[at].firing or frozenset()
    sure: list[Rise] = []
    unsure: list[Rise] = []
    for (_, one, then), (_, other, now) in pairwise(answered):
        after_s, seen_s = (one.asked_ns - fault_ns) / NS, (other.seen_ns - fault_ns) / NS
        rises = [Rise(alert, after_s, seen_s) for alert in sorted(now - then)]
        if after_s >= 0:
            sure += [rise for rise in rises if rise.alert not in before]
        elif seen_s > 0:
            unsure += rises
    spans = tuple(
        ((one.asked_ns - fault_ns) / NS, (other.asked_ns - fault_ns) / NS, _why(looks[place + 1 : until]))
        for (place, one, _), (until, other, _) in pairwise(answered)
        if place >= at
    )
    return Watched(
        sure=tuple(sorted(sure, key=lambda rise: rise.seen_s)),
        unsure=tuple(unsure),
        before=before,
        looks=spans,
        silent=_why(looks[answered[-1][0] + 1 :]),
    )


def _blind(looks: Sequence[Look], at: int) -> str:
    """Why the looks around the fault do not tell what fired before it; empty: they do."""
    if all(look.firing is None for look in looks):
        return f"the stack's alerts could not be asked: {_why(looks) or 'the record holds no answer'}"
    if at < 0:
        return "the stack's alerts were not asked before the fault"
    if looks[at].firing is None:
        return f"the stack's alerts could not be asked as the fault set in: {looks[at].why or 'no answer'}"
    if all(look.firing is None for look in looks[at + 1 :]):
        return f"the stack's alerts could not be asked after the fault: {_why(looks[at + 1 :]) or 'nobody asked'}"
    if looks[at + 1].number != looks[at].number + 1:
        return "a look at the stack's alerts is missing in the record, as the fault set in"
    return ""


def _why(looks: Sequence[Look]) -> str:
    return next((look.why for look in looks if look.why), "")


def _look(op: Op) -> Look:
    end = op.end
    if end is None or end.type != "obs":
        return Look(op.begin.op, op.begin.t_ns, op.begin.t_ns, None, op.error)
    found = _alerts(end.value)
    return Look(op.begin.op, op.begin.t_ns, end.t_ns, found, "" if found is not None else "its row is damaged")


def _alerts(value: Any) -> frozenset[Alert] | None:
    """The alerts of a look's row; None where it is none of ours."""
    if not isinstance(value, list | tuple) or not all(isinstance(one, dict) for one in value):
        return None
    if not all(isinstance(one.get("name"), str) and isinstance(one.get("labels"), dict) for one in value):
        return None
    pairs = ((one["name"], one["labels"]) for one in value)
    return frozenset(
        (name, tuple(sorted((str(key), str(label)) for key, label in labels.items()))) for name, labels in pairs
    )


def _judge(rule: Threshold | None, watched: Watched, hurt_s: int | None) -> CheckResult | None:
    first = watched.sure[0] if watched.sure else None
    measured = _measured(watched, first, hurt_s)
    figures: dict[str, Any] = {} if hurt_s is None else {"hurt_s": hurt_s}
    if first is not None:
        figures |= {"warning_s": round(first.seen_s, 3), "alert": first.alert[0], "labels": dict(first.alert[1])}
        if rule is None or slo.OPERATORS[rule.op](first.seen_s, rule.value):
            return _line(rule, Outcome.PASS, measured, figures=figures)
    reasons = [watched.blind] if watched.blind else list(_open(rule, watched, first))
    if not reasons and hurt_s is None:
        if rule is None:
            return None
        reasons = ["users were not hurt, so no alert was due"]
    if not reasons and rule is None:
        reasons = ["no alert began to fire, and no rule (`warning < 60 s`) says how soon one is due"]
    outcome = Outcome.INCONCLUSIVE if reasons else Outcome.FAIL
    if watched.before:
        reasons.append(f"fired before the fault already: {', '.join(_names(watched.before))}")
    return _line(rule, outcome, measured, *reasons, figures=figures)


def _open(rule: Threshold | None, watched: Watched, first: Rise | None) -> Iterator[str]:
    """What keeps an alert that was not seen in time from being one that did not come in time."""
    until = rule.value if rule else watched.looks[-1][1]
    for rise in watched.unsure:
        yield f"{_short(rise.alert)} began to fire as the fault did, perhaps before it"
    if rule and first and slo.OPERATORS[rule.op](first.after_s, rule.value):
        after = f"{first.after_s:.1f} s and {first.seen_s:.1f} s after the fault"
        yield f"{_short(first.alert)} began to fire between {after}"
    for one, other, why in watched.looks:
        if one < until and (other - one) * NS > HOLE_NS:
            yield f"the stack's alerts were not seen from {max(one, 0):.1f} to {other:.1f} s: {why or 'nobody asked'}"
    if watched.looks[-1][1] < until:
        seen = f"the stack's alerts were seen for {watched.looks[-1][1]:.1f} s after the fault only"
        yield f"{seen}: {watched.silent or 'the run ended'}"


def _measured(watched: Watched, first: Rise | None, hurt_s: int | None) -> str:
    hurt = (
        "users were not hurt" if hurt_s is None else f"users were hurt {f'after {hurt_s} s' if hurt_s else 'at once'}"
    )
    if first is not None:
        return f"alert {_short(first.alert)} {first.seen_s:.1f} s after the fault; {hurt}"
    return f"not seen; {hurt}" if watched.blind else f"no alert in {watched.looks[-1][1]:.0f} s; {hurt}"


def _short(alert: Alert) -> str:
    return alert[0] if len(alert[0]) <= _LONGEST else alert[0][: _LONGEST - 1] + "…"


def _names(alerts: frozenset[Alert]) -> list[str]:
    return sorted({_short(alert) for alert in alerts})[:5]


def _line(
    rule: Threshold | None, outcome: Outcome, measured: str, *reasons: str, figures: dict[str, Any] | None = None
) -> CheckResult:
    return CheckResult(
        id="warning",
        name=rule.text if rule else "warning",
        kind=Kind.RECOVERY,
        phase="run",
        outcome=outcome,
        measured=measured,
        threshold=rule.text if rule else "",
        reasons=reasons,
        place=rule.place if rule else None,
        figures=dict(figures or {}),
    )
