"""The experiment's own steady-state hypothesis, as the toolkit judged it before and after the method.

Not met before: the run proves nothing (validity). Met before and not after: the stack deviated (fail). An experiment
without a hypothesis has no such line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.model.verdict import CheckResult, Kind, Outcome

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.verdict.history import History


def steady_state(history: History) -> Iterator[CheckResult]:
    """One line for each time that the hypothesis was asked; a damaged note is inconclusive."""
    for event in history.facts.get("hypothesis", ()):
        value = event.value if isinstance(event.value, dict) else {}
        met, says = value.get("met") is True, str(value.get("says") or "the record does not say why")
        before = event.key == "before"
        missed = Outcome.INCONCLUSIVE if before or "met" not in value else Outcome.FAIL
        yield CheckResult(
            id=f"steady-state.{event.key}",
            name="the steady state holds",
            kind=Kind.VALIDITY if before else Kind.SLO,
            phase="baseline" if before else "recovery",
            outcome=Outcome.PASS if met else missed,
            measured="met" if met else "not met",
            judged=1,
            reasons=() if met else (says,),
        )
