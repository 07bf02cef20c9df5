"""The operator's audit log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from chaos.engine.audit import Audit
from chaos.errors import ExitCode, Halted, StorageFailed, UnsafeTarget
from chaos.experiment.document import load
from chaos.experiment.plan import asks, make_plan
from chaos.model.policy import Policy, Ruling
from chaos.model.verdict import Outcome, Verdict
from chaos.runtimes.carriers import survey
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.model.plan import Plan


def plan(**changes: Any) -> Plan:
    experiment = load("server_loss")
    found = survey("process", asks(experiment))
    return make_plan(experiment, load_stack("embedded"), found).model_copy(update=changes)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_is_written_down_from_begin_to_verdict(tmp_path: Path) -> None:
    """Who, when, what, and what came of it; the end is written once."""
    audit = Audit(Policy(file="p", audit=str(tmp_path / "log" / "a.jsonl")), plan(), "r1")
    audit.check()
    audit.begin()
    audit.end(Verdict(outcome=Outcome.FAIL, exit_code=ExitCode.FAIL, checks=(), says="1 failed"))
    audit.failed(Halted("too late"))
    begin, end = lines(tmp_path / "log" / "a.jsonl")
    assert (begin["event"], begin["run"], begin["seed"], begin["stack"]) == ("begin", "r1", 4712, "embedded")
    assert len(begin["faults"]) == 2
    assert {"who", "when", "host"} <= set(end)
    assert (end["event"], end["verdict"], end["exit_code"], end["says"]) == ("end", "fail", 1, "1 failed")


def test_a_run_without_a_verdict_says_why(tmp_path: Path) -> None:
    """Also for a bug; before its begin nothing is written."""
    policy = Policy(file="p", audit=str(tmp_path / "a.jsonl"))
    for error, code in ((Halted("halted by me"), 3), (ZeroDivisionError("by nothing"), 5)):
        audit = Audit(policy, plan(), "r1")
        audit.failed(error)
        audit.begin()
        audit.failed(error)
        assert lines(tmp_path / "a.jsonl")[-1]["exit_code"] == code
    assert [line["event"] for line in lines(tmp_path / "a.jsonl")] == ["begin", "end"] * 2


def test_a_forbidden_run_is_refused_and_written_down(tmp_path: Path) -> None:
    """Every broken rule is named, the kept ones are not."""
    ruled = (Ruling(rule="hosts", allowed=True, says="fine"), Ruling(rule="hours", allowed=False, says="now is night"))
    audit = Audit(Policy(file="p", audit=str(tmp_path / "a.jsonl")), plan(policy=ruled), "r1")
    with pytest.raises(UnsafeTarget) as caught:
        audit.check()
    assert caught.value.evidence == ("hours: now is night",)
    (line,) = lines(tmp_path / "a.jsonl")
    assert (line["event"], line["why"]) == ("refused", ["hours: now is night"])


def test_what_cannot_be_written_down_does_not_begin(tmp_path: Path) -> None:
    """A log that cannot be appended to ends the run before anything is touched."""
    (tmp_path / "file").write_text("")
    audit = Audit(Policy(file="p", audit=str(tmp_path / "file" / "a.jsonl")), plan(), "r1")
    with pytest.raises(StorageFailed):
        audit.begin()


def test_without_a_policy_there_is_no_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for one."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    audit = Audit(None, plan(), "r1")
    audit.check()
    audit.begin()
    assert list(tmp_path.iterdir()) == []
