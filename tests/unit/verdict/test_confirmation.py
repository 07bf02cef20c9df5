"""The second look: what fails twice with one seed is confirmed, what fails once is no pass."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from histories import Record
from whole_runs import checks, clean

from chaos.errors import ExitCode, InvalidInput
from chaos.model.verdict import Outcome
from chaos.verdict.confirmation import FILE, Confirmation, failed_safety, read
from chaos.verdict.run import RunRecord


def run_of(record: Record, *failed_again: str) -> RunRecord:
    run = RunRecord(Path("r"), "Classes survive", 1, record.history(), checks(), {"experiment": {}})
    return dataclasses.replace(run, second=Confirmation(run="again", failed=failed_again))


def haunted() -> Record:
    """A clean run in which one user who had left is listed once."""
    record = clean()
    record.look(46, ["p2.1"])
    return record


def test_what_fails_again_is_confirmed() -> None:
    """The run fails, and the line names the run that showed it again."""
    verdict = run_of(haunted(), "M3").verdict
    (line,) = [one for one in verdict.checks if one.id == "M3"]
    assert (verdict.exit_code, line.outcome) == (ExitCode.FAIL, Outcome.FAIL)
    assert "again in again" in line.reasons[0]


@pytest.mark.parametrize("others", [(), ("D1",)])
def test_what_fails_once_is_inconclusive(others: tuple[str, ...]) -> None:
    """Another check's failure confirms nothing; the witness stays in the report."""
    verdict = run_of(haunted(), *others).verdict
    (line,) = [one for one in verdict.checks if one.id == "M3"]
    assert (verdict.exit_code, line.outcome) == (ExitCode.INCONCLUSIVE, Outcome.INCONCLUSIVE)
    assert line.witnesses
    assert "seen once" in line.reasons[0]


def test_a_second_look_turns_nothing_else() -> None:
    """A failed objective needs no confirmation, and a clean run keeps its verdict."""
    slow = clean(bad_joins=(21, 40))
    failed = [one.id for one in run_of(slow).verdict.checks if one.outcome is Outcome.FAIL]
    assert failed == [one.id for one in dataclasses.replace(run_of(slow), second=None).verdict.checks
                      if one.outcome is Outcome.FAIL]  # fmt: skip
    assert "M3" not in failed
    assert failed
    assert run_of(clean()).verdict.outcome is Outcome.PASS
    assert failed_safety(run_of(clean()).verdict) == ()


@pytest.mark.parametrize("text", ["", "{", "[]", '{"run": 1}', '{"run": "x", "failed": "M3", "more": 1}'])
def test_a_damaged_confirmation_is_told(tmp_path: Path, text: str) -> None:
    """It neither confirms nor acquits."""
    (tmp_path / FILE).write_text(text)
    with pytest.raises(InvalidInput, match=FILE):
        read(tmp_path)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """No file is no second look."""
    assert read(tmp_path) is None
    told = Confirmation(run="again", failed=("M3",))
    (tmp_path / FILE).write_text(json.dumps(told.model_dump(mode="json")))
    assert read(tmp_path) == told
