"""The end of a run whose parts do not end well."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, cast

import pytest

from chaos.engine.ledger import Ledger
from chaos.engine.rundir import RunDirectory
from chaos.engine.session import Session, in_progress
from chaos.errors import CannotJudge, ChaosError, InternalError, StackFailed, StillDirty
from chaos.model.event import Event, Phase, Type
from chaos.model.experiment import Threshold
from chaos.model.view import Unwatched
from chaos.record import Recorder, read_log

if TYPE_CHECKING:
    from pathlib import Path


class Place:
    """An admission that is given up any number of times."""

    def leave(self) -> None: ...


def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Session:
    """A session as `open` leaves it once it has its record, without a stack and a load."""
    session = Session(cast("Any", None), RunDirectory.create(tmp_path, "x"), Unwatched(), cast("Any", Place()))
    monkeypatch.setattr("chaos.engine.session._current", session)
    session._exits.callback(session._let_go)
    session._recorder = session._exits.enter_context(Recorder(tmp_path / "events" / "c.msgpack", "c"))
    session._exits.callback(session._look_once_more)
    session.shield.arm()
    return session


@pytest.mark.parametrize(
    ("raised", "noted"), [(StackFailed("the stack did not end"), StackFailed), (KeyError("a bug"), InternalError)]
)
def test_an_end_that_fails_is_noted_and_nothing_is_kept(
    raised: Exception, noted: type[ChaosError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever an end raises, the run lets go of the record and of the signals, and a second close does nothing."""
    before = signal.getsignal(signal.SIGTERM)
    session = opened(tmp_path, monkeypatch)
    finished: list[str] = []
    monkeypatch.setattr(session, "_finish_load", lambda: finished.append("load"))

    def fail() -> None:
        raise raised

    session._exits.callback(fail)
    session.close()
    session.close()
    assert isinstance(session.trouble, noted)
    assert finished == ["load"]
    assert not in_progress()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_that_never_got_its_record_gives_the_signals_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that cannot be begun leaves no run in progress behind."""
    before = signal.getsignal(signal.SIGTERM)
    session = opened(tmp_path, monkeypatch)
    session._recorder = None
    session.close()
    assert not in_progress()
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_run_keeps_a_copy_of_its_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was done and undone is told beside the record too."""
    session = opened(tmp_path, monkeypatch)
    session.ledger = Ledger.create("r", tmp_path / "state")
    session.ledger.intent("r.1", "harm", ())
    session._exits.callback(session._keep_ledger)
    monkeypatch.setattr(session, "_finish_load", lambda: None)
    session.close()
    assert session.trouble is None
    kept = tmp_path / "state" / "done" / "r.jsonl"
    assert (session.directory.path / "ledger.jsonl").read_text() == kept.read_text()


class Stubborn:
    """A ledger whose heal succeeds at the attempt with this number, if ever."""

    def __init__(self, succeeds_at: int) -> None:
        self.left = succeeds_at

    def heal(self, _say: object) -> tuple[str, ...]:
        self.left -= 1
        return ("r.1 (harm): no answer",) if self.left else ()


@pytest.mark.parametrize(("succeeds_at", "trouble"), [(2, CannotJudge), (9, StillDirty)])
def test_dirty_is_only_what_is_still_there_at_the_end(
    succeeds_at: int, trouble: type[ChaosError], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault that was gone at last, perhaps with its stack, leaves a run without a verdict, and nothing to heal."""
    session = opened(tmp_path, monkeypatch)
    session.ledger = cast("Any", Stubborn(succeeds_at))
    monkeypatch.setattr(session, "_finish_load", lambda: None)
    session.close()
    assert type(session.trouble) is trouble
    assert session.trouble is not None
    assert session.trouble.evidence == ("r.1 (harm): no answer",)


def going_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_step: int) -> tuple[list[float], list[Event]]:
    """What is waited, and recorded, by a recovery of 10 joins that may go on for 30 s, with so many more each step."""
    session = opened(tmp_path, monkeypatch)
    rule = Threshold(text="join.success >= 99%", phase="recovery", metric="join.success", op=">=", value=0.99)
    known = {"thresholds": [rule.model_dump()], "phases": {"extend": 30}}
    session.directory.write_json("plan.json", {"experiment": known, "spec": {}})
    load = Recorder(session.directory.path / "events" / "load.msgpack", "load")
    waited: list[float] = []

    def come(number: int) -> None:
        for _ in range(number):
            op = load.next_op()
            load.record(Type.INVOKE, "join", op=op)
            load.record(Type.OK, "join", op=op)
        load.flush()

    def wait(seconds: float) -> None:
        waited.append(seconds)
        come(per_step)

    monkeypatch.setattr(session, "wait", wait)
    monkeypatch.setattr(
        session, "_recorder", Recorder(session.directory.path / "events" / "conductor.msgpack", "conductor")
    )
    session._enter(Phase.RECOVERY, 11)
    come(10)
    session._go_on(10)
    told = [event for event in read_log(session.directory.path).events if event.f == "extended"]
    load.close()
    assert session._recorder is not None
    session._recorder.close()
    session._recorder = None
    session.close()
    return waited, told


def test_a_recovery_goes_on_until_its_rules_are_decided(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten more joins a step make 30 after two of three steps; the record says for which rule, and how long."""
    waited, told = going_on(tmp_path, monkeypatch, 10)
    assert waited == [10, 10]
    assert [event.value["seconds"] for event in told] == [10, 10]
    assert "join.success >= 99% (recovery): 10 of the 30" in told[0].value["rules"][0]


@pytest.mark.parametrize(("per_step", "steps"), [(0, 3), (1, 3), (20, 1)])
def test_a_recovery_goes_on_no_longer_than_it_may(
    per_step: int, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody comes it ends with its budget; where enough come it ends at once."""
    assert len(going_on(tmp_path, monkeypatch, per_step)[0]) == steps
