"""How a run ended, where it did not end by itself: a stop condition was met, or a fault could not be taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.model.verdict import CheckResult, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.event import Event
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks

DIRTY = "dirty"


def endings(history: History, checks: Checks) -> Iterator[CheckResult]:
    """A line for each such ending in the record; none for a run that ended by itself, healed."""
    for event in history.facts.get("stop", ()):
        yield _stopped(history, checks, event)
    left = [str(one) for event in history.facts.get(DIRTY, ()) for one in _list(event.value)]
    if history.facts.get(DIRTY):
        yield CheckResult(
            id=DIRTY,
            name="everything was taken back",
            kind=Kind.VALIDITY,
            phase="run",
            outcome=Outcome.INCONCLUSIVE,
            measured=f"{len(left)} left",
            reasons=tuple(left),
        )


def is_dirty(history: History) -> bool:
    """Whether the run ended with a fault that could not be taken back."""
    return bool(history.facts.get(DIRTY))


def _stopped(history: History, checks: Checks, event: Event) -> CheckResult:
    figures: dict[str, Any] = event.value if isinstance(event.value, dict) else {}
    rule = next((rule for rule in checks.stop if rule.text == event.key), None)
    good, bad = (figures.get(name) for name in ("ok", "bad"))
    number = good + bad if isinstance(good, int) and isinstance(bad, int) else 0
    at_s = history.seconds(event.t_ns)
    return CheckResult(
        id="stop",
        name=f"stop if {event.key}",
        kind=Kind.SLO,
        phase="fault",
        outcome=Outcome.FAIL,
        measured=_measured(figures, good, number),
        threshold=event.key,
        judged=number,
        reasons=(f"users fared worse than the experiment allows: ended and healed at {at_s:.0f} s",),
        place=rule.place if rule else None,
        figures=figures,
    )


def _measured(figures: dict[str, Any], good: object, number: int) -> str:
    value, seconds = figures.get("value"), figures.get("for_s")
    over = f" in {seconds:g} s" if isinstance(seconds, int | float) else ""
    return f"{_shown(value)}{over}, {good} of {number} succeeded"


def _shown(value: object) -> str:
    if value is None:
        return "no answer"
    return f"{value:.3g}" if isinstance(value, int | float) else "?"


def _list(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else [value]
