"""What is on disk before anything is touched, and how it is taken back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.engine import ledger as ledgers
from chaos.engine.ledger import Ledger, read
from chaos.errors import StillDirty, StorageFailed
from chaos.model.fault import Undo

if TYPE_CHECKING:
    from pathlib import Path

UNDO = Undo(primitive="link.release.v1", arguments={"proxy": "/nowhere", "fault": "r.1"}, says="lift")


def test_an_intent_is_open_until_it_is_healed(tmp_path: Path) -> None:
    """Only the line `healed` closes an entry."""
    ledger = Ledger.create("r", tmp_path)
    ledger.intent("r.1", "congestion", (UNDO,))
    for step in ("injected", "healing"):
        ledger.step("r.1", step)
        assert [entry.step for entry in ledger.open_entries()] == [step]
    ledger.step("r.1", "healed")
    assert ledger.open_entries() == ()


def test_a_torn_last_line_is_ignored(tmp_path: Path) -> None:
    """A crash in the middle of a line leaves the entry as the line before had it."""
    ledger = Ledger.create("r", tmp_path)
    ledger.intent("r.1", "congestion", (UNDO,))
    with ledger.path.open("a") as file:
        file.write('{"fault": "r.1", "step": "heal')
    assert [(entry.fault, entry.step, entry.undo) for entry in read(ledger.path)] == [("r.1", "intent", (UNDO,))]


def test_a_torn_line_costs_no_other_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a disk that was full for a while the ledger is written on, and read whole but for the torn line."""
    monkeypatch.setattr(ledgers, "undo", lambda _: "done")
    ledger = Ledger.create("r", tmp_path)
    ledger.intent("r.1", "congestion", (UNDO,))
    with ledger.path.open("a") as file:
        file.write('{"fault": "r.1", "step": "heal')
    assert ledger.heal() == ()
    assert ledger.open_entries() == ()


def test_the_same_run_has_one_ledger(tmp_path: Path) -> None:
    """A second ledger of the same run is refused rather than mixed in."""
    Ledger.create("r", tmp_path)
    with pytest.raises(StorageFailed):
        Ledger.create("r", tmp_path)


def test_heal_undoes_newest_first_and_twice_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Healing goes backwards through what is open; healing again finds nothing to do."""
    undone: list[str] = []
    monkeypatch.setattr(ledgers, "undo", lambda step: undone.append(step.arguments["fault"]) or "done")
    ledger = Ledger.create("r", tmp_path)
    for name in ("r.1", "r.2"):
        ledger.intent(name, "x", (UNDO.model_copy(update={"arguments": {"fault": name}}),))
    said: list[str] = []
    assert ledger.heal(say=lambda entry, text: said.append(f"{entry.fault} {text}")) == ()
    assert undone == ["r.2", "r.1"]
    assert said == ["r.2 done", "r.1 done"]
    assert ledger.heal() == ()
    assert undone == ["r.2", "r.1"]


def test_heal_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One fault can be taken back while another stays in force."""
    monkeypatch.setattr(ledgers, "undo", lambda _: "done")
    ledger = Ledger.create("r", tmp_path)
    ledger.intent("r.1", "x", (UNDO,))
    ledger.intent("r.2", "y", (UNDO,))
    ledger.heal(only="r.1")
    assert [entry.fault for entry in ledger.open_entries()] == ["r.2"]


def test_what_cannot_be_undone_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failing undo is named, its entry stays open, and the next one is still tried."""

    def stubborn(step: Undo) -> str:
        if step.arguments["fault"] == "r.2":
            raise StillDirty("no answer")
        return "done"

    monkeypatch.setattr(ledgers, "undo", stubborn)
    ledger = Ledger.create("r", tmp_path)
    for name in ("r.1", "r.2"):
        ledger.intent(name, "x", (UNDO.model_copy(update={"arguments": {"fault": name}}),))
    assert ledger.heal() == ("r.2 (x): no answer",)
    assert [entry.fault for entry in ledger.open_entries()] == ["r.2"]


def test_a_full_disk_does_not_keep_a_fault_in_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ledger cannot be written the undo still runs, and the entry stays open for another heal."""
    undone: list[str] = []
    monkeypatch.setattr(ledgers, "undo", lambda step: undone.append(step.primitive) or "done")
    ledger = Ledger.create("r", tmp_path)
    ledger.intent("r.1", "x", (UNDO,))

    def full(*_: object) -> None:
        raise StorageFailed("disk full")

    monkeypatch.setattr(Ledger, "step", full)
    assert ledger.heal() == ()
    assert undone == ["link.release.v1"]
    assert len(ledger.open_entries()) == 1
