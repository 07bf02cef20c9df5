"""What the experiment's own hypothesis weighs in the verdict."""

from __future__ import annotations

from typing import Any

import pytest
from histories import Record
from whole_runs import checks, clean

from chaos.model.verdict import CheckResult, Outcome
from chaos.verdict.judge import judge

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def lines(record: Record) -> dict[str, CheckResult]:
    return {one.id: one for one in judge(record.history(), checks()).checks}


def asked(when: str, value: Any) -> Record:
    record = clean()
    record.add(9.0 if when == "before" else 40.0, "info", "hypothesis", key=when, value=value)
    return record


@pytest.mark.parametrize(("when", "outcome"), [("before", INCONCLUSIVE), ("after", FAIL)])
def test_a_steady_state_that_is_not_met(when: str, outcome: Outcome) -> None:
    """Before the method it makes the run worthless; after it the stack has deviated. The probe is named."""
    found = lines(asked(when, {"met": False, "says": "joins: measured 0.4"}))[f"steady-state.{when}"]
    assert (found.outcome, found.reasons) == (outcome, ("joins: measured 0.4",))


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_steady_state_that_is_met(when: str) -> None:
    """It passes, as a line of its own."""
    assert lines(asked(when, {"met": True, "says": ""}))[f"steady-state.{when}"].outcome is PASS


def test_a_damaged_note_is_no_pass() -> None:
    """A note that does not say whether it was met is inconclusive."""
    assert lines(asked("after", "?"))["steady-state.after"].outcome is INCONCLUSIVE


def test_an_activity_that_failed_makes_the_run_inconclusive() -> None:
    """An action or a probe of the method that did not do its work is told, whatever else passed."""
    record = clean()
    record.add(12.0, "info", "missed", key="rejoin once", value="UsageError: no region mars")
    found = lines(record)["activities"]
    assert (found.outcome, found.reasons) == (INCONCLUSIVE, ("rejoin once: UsageError: no region mars",))
