"""The control that carries a run: starts stack and load before the experiment, ends both after it.

Under our own `chaos run` the session is made before; under the toolkit's stock `chaos run` this control makes it,
and gives the verdict at the end (the stock exit code stays the toolkit's).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.engine.session import Session, current, expect, expected, in_progress
from chaos.engine.toolkit import InterruptExecution
from chaos.execute import conclude_stock, session_for_document

if TYPE_CHECKING:
    from collections.abc import Callable

_stock = False


def configure_control(experiment: dict[str, Any]) -> None:
    """Called by the toolkit before anything else: make the session, if our own `chaos run` did not."""
    global _stock  # noqa: PLW0603 - the toolkit calls functions of a module, one after the other
    _stock = expected() is None
    if _stock:
        expect(session_for_document(experiment))


def before_experiment_control(context: dict[str, Any]) -> None:  # noqa: ARG001 - the toolkit passes it by name
    """Start stack and load, and hold the baseline."""
    session = expected()
    if session is None:
        raise InterruptExecution("the run could not be prepared; `chaos validate` says why")
    # The toolkit has set its own handlers by now; ours must be the last word.
    session.shield.arm()
    _guarded(session, session.open)


def before_activity_control(context: dict[str, Any]) -> None:  # noqa: ARG001
    """Let no further activity start once a signal came or the run broke."""
    _stop_if_broken()


def after_activity_control(context: dict[str, Any], state: dict[str, Any]) -> None:
    """Note what the toolkit made of an activity; end the method once a signal came or the run broke."""
    if in_progress() and (state.get("status") == "failed" or state.get("tolerance_met") is False):
        why = (state.get("exception") or [f"measured {state.get('output')}, which its tolerance does not allow"])[-1]
        current().miss(context["name"], why.strip().removeprefix("chaoslib.exceptions.ActivityFailed: "))
    _stop_if_broken()


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
