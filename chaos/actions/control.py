"""The control that carries a run: starts stack and load before the experiment, ends both after it.

Under our own `chaos run` the session is made before; under the toolkit's stock `chaos run` this control makes it,
and gives the verdict at the end (the stock exit code stays the toolkit's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.engine.session import Session, current, expect, expected, in_progress
from chaos.engine.toolkit import InterruptExecution
from chaos.errors import ChaosError, InternalError
from chaos.execute import conclude_stock, session_for_document

if TYPE_CHECKING:
    from collections.abc import Callable

_stock = False
_refusal: ChaosError | None = None


def configure_control(experiment: dict[str, Any]) -> None:
    """Called by the toolkit before anything else: make the session, if our own `chaos run` did not."""
    global _stock  # noqa: PLW0603 - the toolkit calls functions of a module, one after the other
    _stock = expected() is None
    global _refusal  # noqa: PLW0603
    _refusal = None
    if _stock:
        try:
            expect(session_for_document(experiment))
        except ChaosError as error:  # the toolkit passes over what is raised here
            _refusal = error


def before_experiment_control(context: dict[str, Any]) -> None:  # noqa: ARG001 - the toolkit passes it by name
    """Start stack and load, and hold the baseline."""
    session = expected()
    if session is None:
        why = _refusal or InternalError("the run could not be prepared")
        raise InterruptExecution("; ".join((why.message, *why.evidence)))
    # The toolkit has set its own handlers by now; ours must be the last word.
    session.shield.arm()
    _guarded(session, session.open)


def before_activity_control(context: dict[str, Any]) -> None:  # noqa: ARG001
    """Let no further activity start once a signal came or the run broke."""
    _stop_if_broken()


def after_activity_control(context: dict[str, Any], state: dict[str, Any]) -> None:
    """Note what the toolkit made of an activity; end the method once a signal came or the run broke."""
    # What a hypothesis asks is told as a whole, below: the toolkit looks at its tolerances after this call.
    if in_progress() and "tolerance" not in context and state.get("status") == "failed":
        current().miss(context["name"], _why(state))
    _stop_if_broken()


def after_hypothesis_control(context: dict[str, Any], state: dict[str, Any] | None) -> None:  # noqa: ARG001
    """Note whether the steady state was met, and which probe said that it was not."""
    if not in_progress() or state is None:
        return
    wrong = [run for run in state.get("probes", ()) if run.get("tolerance_met") is not True]
    says = "; ".join(f"{run['activity']['name']}: {_why(run)}" for run in wrong)
    current().steady(met=state.get("steady_state_met") is True, says=says)


def _why(run: dict[str, Any]) -> str:
    raised = run.get("exception")
    if raised:
        return str(raised[-1]).strip().removeprefix("chaoslib.exceptions.ActivityFailed: ")
    return f"measured {run.get('output')}, which its tolerance does not allow"


def before_rollback_control(context: dict[str, Any]) -> None:  # noqa: ARG001
    """From here on nothing is interrupted any more."""
    if in_progress():
        current().rolling_back = True


def after_experiment_control(context: dict[str, Any], state: dict[str, Any]) -> None:  # noqa: ARG001
    """Heal, finish the load, end the stack; under the stock `chaos run`, judge as well."""
    session = expected()
    if session is None:
        return
    expect(None)
    session.close()
    if _stock:
        conclude_stock(session, state)


def _stop_if_broken() -> None:
    if not in_progress():
        return
    session = current()
    if session.rolling_back:
        return
    _guarded(session, session.shield.check)
    if session.trouble is not None:
        raise InterruptExecution(session.trouble.message)


def _guarded(session: Session, step: Callable[[], None]) -> None:
    """Run a step; whatever it raises is remembered, and the toolkit is told in the one way that it obeys."""
    try:
        with session.remembering():
            step()
    except Exception as error:
        raise InterruptExecution(str(error)) from error
