"""The second look: a safety violation counts against a gate once it was seen again with the same seed.

A run directory with `confirmation.json` names the run that was made to confirm it, and the safety checks that failed
there. A check that failed only the first time becomes inconclusive, which is not a pass: it was seen once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pydantic import ValidationError

from chaos.errors import InvalidInput, Problem
from chaos.model.stack import Frozen
from chaos.model.verdict import Kind, Outcome, Verdict
from chaos.verdict.judge import verdict_of

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.model.verdict import CheckResult

FILE = "confirmation.json"


class Confirmation(Frozen):
    """What a second run of the same experiment and seed has shown."""

    run: str
    """Its name under the same `runs/`."""
    failed: tuple[str, ...] = ()
    """Ids of the safety checks that failed in it."""


def read(directory: Path) -> Confirmation | None:
    """The second look at a run; None where there was none. Raises `InvalidInput`."""
    file = directory / FILE
    if not file.exists():
        return None
    try:
        return Confirmation.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError) as error:
        raise InvalidInput((Problem(str(file), 0, 0, "is no confirmation of a run"),)) from error


def failed_safety(verdict: Verdict) -> tuple[str, ...]:
    """Ids of the safety checks that failed."""
    return tuple(dict.fromkeys(one.id for one in verdict.checks if _failed(one)))


def weighed(verdict: Verdict, second: Confirmation | None) -> Verdict:
    """The verdict after a second look; the same without one."""
    if second is None:
        return verdict
    checks = tuple(_weighed(one, second) if _failed(one) else one for one in verdict.checks)
    return verdict_of(checks, dirty=verdict.outcome is Outcome.DIRTY)


def _weighed(one: CheckResult, second: Confirmation) -> CheckResult:
    if one.id in second.failed:
        return one.model_copy(update={"reasons": (f"confirmed: it failed again in {second.run}", *one.reasons)})
    reason = f"seen once: the same seed did not show it again in {second.run}"
    return one.model_copy(update={"outcome": Outcome.INCONCLUSIVE, "reasons": (reason, *one.reasons)})


def _failed(one: CheckResult) -> bool:
    return one.kind is Kind.SAFETY and one.outcome is Outcome.FAIL
