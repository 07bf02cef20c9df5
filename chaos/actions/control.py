"""The control that carries a run: starts stack and load before the experiment, ends both after it.

Under our own `chaos run` the session is made before; under the toolkit's stock `chaos run` this control makes it,
and gives the verdict at the end (the stock exit code stays the toolkit's).
"""

from __future__ import annotations

from typing import Any

from chaos.engine.session import Session, current, in_progress
from chaos.engine.toolkit import InterruptExecution
from chaos.errors import ChaosError, InternalError

_pending: Session | None = None
_stock = False


def expect(session: Session) -> None:
    """Hand over the session that the next experiment of this process shall open."""
    global _pending, _stock  # noqa: PLW0603 - the toolkit finds this module by name and passes no object on
    _pending, _stock = session, False


def configure_control(experiment: dict[str, Any]) -> None:
    """Called by the toolkit before anything else: make the session, if nobody did."""
    global _pending, _stock  # noqa: PLW0603
    if _pending is None:
        from chaos.execute import session_for_document  # noqa: PLC0415 - only under the stock `chaos run`

        _pending, _stock = session_for_document(experiment), True


def before_experiment_control(context: dict[str, Any]) -> None:  # noqa: ARG001 - the toolkit passes it by name
    """Start stack and load, and hold the baseline."""
    if _pending is None:
        raise InterruptExecution("the run could not be prepared; see the log")
    # The toolkit has set its own handlers by now; ours must be the last word.
    _pending.shield.arm()
    _guarded(_pending, _pending.open)


def before_activity_control(context: dict[str, Any]) -> None:  # noqa: ARG001
    """Let no further activity start once a signal came or the run broke."""
    _stop_if_broken()


def after_activity_control(context: dict[str, Any], state: dict[str, Any]) -> None:  # noqa: ARG001
    """End the method once a signal came or the run broke."""
    _stop_if_broken()


def before_rollback_control(context: dict[str, Any]) -> None:  # noqa: ARG001
    """From here on nothing is interrupted any more."""
    if in_progress():
        current().rolling_back = True


def after_experiment_control(context: dict[str, Any], state: dict[str, Any]) -> None:  # noqa: ARG001
    """Heal, finish the load, end the stack; under the stock `chaos run`, judge as well."""
    global _pending  # noqa: PLW0603
    session, _pending = _pending, None
    if session is None:
        return
    session.close()
    if _stock:
        from chaos.execute import conclude_stock  # noqa: PLC0415

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


def _guarded(session: Session, step: Any) -> None:
    """Run a step; whatever it raises is remembered, and the toolkit is told in the one way that it obeys."""
    try:
        step()
    except ChaosError as error:
        session.note(error)
        raise InterruptExecution(error.message) from error
    except Exception as error:
        session.note(InternalError(f"{type(error).__name__}: {error}"))
        raise InterruptExecution(str(error)) from error
