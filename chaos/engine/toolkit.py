"""The bridge to Chaos Toolkit: the only module that runs its library."""

from __future__ import annotations

import copy
import logging
from typing import TYPE_CHECKING, Any

from chaoslib.exceptions import InterruptExecution
from chaoslib.experiment import run_experiment
from chaoslib.types import Strategy

if TYPE_CHECKING:
    from pathlib import Path

CONTROL = "chaos.actions.control"

__all__ = ["CONTROL", "InterruptExecution", "conduct"]


def conduct(document: dict[str, Any], log: Path) -> dict[str, Any]:
    """Run an experiment through the toolkit and return its journal. Its log goes to a file, not to the terminal.

    Must be called on the main thread. The steady state is asked for when the experiment's `runtime` says so; rollbacks
    are always played, whatever it says: what was injected is healed on every way out.
    """
    logger = logging.getLogger("chaostoolkit")
    before, propagated = list(logger.handlers), logger.propagate
    for handler in before:
        logger.removeHandler(handler)
    handler = _Log(log, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    settings = {"runtime": {"rollbacks": {"strategy": "always"}}}
    try:
        ready = prepared(document)
        when = Strategy.from_string(ready["runtime"]["hypothesis"].get("strategy", "default"))
        journal: dict[str, Any] = run_experiment(ready, settings=settings, strategy=when)
        return journal
    finally:
        logger.removeHandler(handler)
        handler.close()
        logger.propagate = propagated
        for handler in before:
            logger.addHandler(handler)


class _Log(logging.FileHandler):
    """A log that a full disk silences: the record says what the disk did, and a traceback a line helps nobody."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        ...


def prepared(document: dict[str, Any]) -> dict[str, Any]:
    """A copy with our control in it (it starts stack and load) and with rollbacks that are always played."""
    ready = copy.deepcopy(document)
    controls = ready.setdefault("controls", [])
    if not any(control.get("provider", {}).get("module") == CONTROL for control in controls):
        controls.insert(0, {"name": "collab-chaos", "provider": {"type": "python", "module": CONTROL}})
    runtime = ready.setdefault("runtime", {})
    runtime["rollbacks"] = {"strategy": "always"}
    runtime.setdefault("hypothesis", {"strategy": "default"})
    return ready
