"""Runs on disk: the plan's rules and the record, and what is said of a directory that is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from whole_runs import checks, write

from chaos.errors import InvalidInput
from chaos.model.verdict import Outcome
from chaos.verdict.judge import judge
from chaos.verdict.run import load_run


def test_a_run_is_judged_from_disk(tmp_path: Path) -> None:
    """A run read back has its title, seed and rules, and gets the verdict that its history gets."""
    run = load_run(write(tmp_path))
    assert (run.title, run.seed, run.checks) == ("Classes survive", 4711, checks())
    assert judge(run.history, run.checks).outcome is Outcome.PASS


def test_a_cut_record_is_inconclusive(tmp_path: Path) -> None:
    """A log that ends in the middle of an event is read up to there, and never passes."""
    file = write(tmp_path) / "events" / "load.msgpack"
    file.write_bytes(file.read_bytes()[:-7])
    run = load_run(tmp_path)
    assert run.history.damage == ("load.msgpack ends in the middle of an event",)
    assert judge(run.history, run.checks).outcome is not Outcome.PASS


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        (None, "cannot be read"),
        ("{", "is not JSON"),
        ("[]", "is not the plan"),
        ("{}", "is not the plan"),
        ('{"experiment": {"thresholds": [{"text": "x"}]}, "spec": {}}', "thresholds.0.phase: field required"),
    ],
)
def test_what_is_no_run_is_said(plan: str | None, says: str, tmp_path: Path) -> None:
    """A directory without a plan that we understand gives a clear message and exit code 2."""
    if plan is not None:
        (tmp_path / "plan.json").write_text(plan)
    with pytest.raises(InvalidInput) as caught:
        load_run(tmp_path)
    assert any(says in line for line in caught.value.evidence)


def test_a_plan_without_a_record_is_said(tmp_path: Path) -> None:
    """No events: the message names what is missing."""
    plan = {"experiment": {"title": "x", "seed": "odd"}, "spec": {}}
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(InvalidInput) as caught:
        load_run(tmp_path)
    assert "holds no record" in caught.value.evidence[0]
