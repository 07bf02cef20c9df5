"""What earlier runs left behind: found, told, taken back, and never a traceback."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chaos.engine import ledger as ledger_room
from chaos.engine import leftovers, runs
from chaos.engine.ledger import Ledger, ledgers, scan
from chaos.engine.leftovers import heal, notes
from chaos.errors import StillDirty, UsageError
from chaos.model.fault import Undo
from chaos.model.stack import Site, StackSpec

if TYPE_CHECKING:
    from collections.abc import Callable

UNDO = Undo(primitive="link.release.v1", arguments={"proxy": "/nowhere", "fault": "r.1"}, says="lift")


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(leftovers, "list_stacks", lambda: ())
    return tmp_path / "state"


@pytest.fixture
def undone(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Faults whose undo was executed; those called `stubborn` refuse."""
    done: list[str] = []

    def undo(step: Undo) -> str:
        if step.says == "stubborn":
            raise StillDirty("no answer")
        done.append(step.arguments["fault"])
        return "released"

    monkeypatch.setattr(ledger_room, "undo", undo)
    return done


def begun(run: str, says: str = "lift") -> Ledger:
    """A ledger with one open fault."""
    book = Ledger.create(run)
    undo = UNDO.model_copy(update={"says": says, "arguments": {"fault": f"{run}.1"}})
    book.intent(f"{run}.1", "congestion", (undo,))
    book.step(f"{run}.1", "injected")
    return book


def test_runs_that_are_over_are_healed_and_put_away(undone: list[str], state: Path) -> None:
    """Their ledgers leave the list and are kept to look at; healing again finds nothing."""
    begun("r1")
    begun("r2")
    done = heal()
    assert [(one.run, one.undone) for one in done.healed] == [("r1", "released"), ("r2", "released")]
    assert undone == ["r1.1", "r2.1"]
    assert ledgers() == ()
    assert sorted(path.name for path in (state / "ledger" / "done").iterdir()) == ["r1.jsonl", "r2.jsonl"]
    assert heal().healed == []


def test_a_dry_run_changes_nothing(undone: list[str]) -> None:
    """It names fault and undo, and leaves ledger and harm as they are."""
    book = begun("r1")
    text = book.path.read_text()
    (one,) = heal(dry=True).healed
    assert (one.fault, one.undo, one.undone) == ("r1.1", ("lift",), "")
    assert undone == []
    assert book.path.read_text() == text


@pytest.mark.parametrize(
    "asked", [lambda: heal(["r1"]), lambda: heal(every=True)], ids=["by its name", "with all others"]
)
def test_a_run_in_progress_is_healed_only_when_asked_for(
    asked: Callable[[], leftovers.Healing], undone: list[str]
) -> None:
    """By default it is named and left alone; its ledger stays its own."""
    place = runs.enrol(runs.RunFile(run="r1"))
    begun("r1")
    done = heal()
    assert (done.healed, done.in_progress, undone) == ([], ["r1"], [])
    assert notes() == ()
    assert [one.fault for one in asked().healed] == ["r1.1"]
    assert [book.run for book in ledgers()] == ["r1"]
    place.leave()


def test_only_the_named_run_is_healed(undone: list[str]) -> None:
    """Others keep what they have; a name that nobody knows is a usage error, one that is healed already is not."""
    begun("r1")
    begun("r2")
    heal(["r2"])
    assert undone == ["r2.1"]
    assert heal(["r2"]).healed == []
    with pytest.raises(UsageError, match="no run r3"):
        heal(["r3"])


def test_what_stays_is_named_with_the_command(undone: list[str]) -> None:
    """The others are healed all the same, and the ledger stays for another try."""
    begun("r1", "stubborn")
    begun("r2")
    done = heal()
    assert done.left == ["r1.1 (congestion): no answer"]
    assert undone == ["r2.1"]
    with pytest.raises(StillDirty) as caught:
        done.check("chaos heal")
    assert (caught.value.evidence, caught.value.hint) == (("r1.1 (congestion): no answer",), "chaos heal")
    assert [book.run for book in ledgers()] == ["r1"]
    assert "chaos heal --run r1" in notes()[0]


def test_a_damaged_line_is_healed_by_the_mark_of_its_run(undone: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An intent may have stood there: every stack is asked for leases that carry the run's id."""
    released = []

    class Runtime:
        def __init__(self, site: Site) -> None:
            self.site = site

        def active(self) -> tuple[str, ...]:
            return ("r1.1", "r1.2", "r10.1", "other.1")

        def release(self, fault: str) -> None:
            released.append(fault)

    site = Site(spec=StackSpec(stack="s", services={}), directory="/x/s-1")
    monkeypatch.setattr(leftovers, "list_stacks", lambda: (site,))
    monkeypatch.setattr(leftovers, "ProcessRuntime", Runtime)
    book = begun("r1")
    with book.path.open("a") as file:
        file.write('{"fault": "r1.2", "step": "int\n{"fault": "r1.9", "step": "healed"}\nnull\n')
    assert scan(book.path).damaged == (3, 4, 5)
    done = heal()
    assert (undone, released) == (["r1.1"], ["r1.1", "r1.2"])
    assert done.healed[-1].undone == "released r1.1, r1.2"
    assert done.left == []
    assert ledgers() == ()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([
    b'{"fault": "r.1", "step": "intent", "says": "x", "undo": []}', b'{"fault": "r.1", "step": "healed"}',
    b'{"fault": ["r"], "step": 3}', b'{"fault": "r.2", "step": "intent", "undo": 7}', b"[" * 5000,
])), max_size=6))  # fmt: skip
def test_no_ledger_is_too_damaged_to_be_read(tmp_path: Path, lines: list[bytes]) -> None:
    """Whatever bytes are in the file, reading and healing it raise nothing."""
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n".join(lines))
    scan(path)
    book = Ledger(path)
    assert book.heal() == ()
    assert book.open_entries() == ()


def test_a_ledger_that_cannot_be_read_is_left_and_named(state: Path) -> None:
    """A directory in a ledger's place is no traceback."""
    (state / "ledger" / "r1.jsonl").mkdir(parents=True)
    assert "cannot read the ledger" in heal().left[0]
    assert "cannot read the ledger" in notes()[0]


def test_the_litter_of_dead_runs_is_swept(undone: list[str], state: Path) -> None:
    """A killed run with nothing open leaves nothing to tell; one with a fault keeps ledger and file."""
    for run in ("r1", "r2", "r3"):
        child = os.fork()
        if not child:
            runs.enrol(runs.RunFile(run=run))
            os._exit(0)
        os.waitpid(child, 0)
    Ledger.create("r1")
    begun("r2").step("r2.1", "healed")
    begun("r3")
    leftovers.sweep()
    assert [book.run for book in ledgers()] == ["r3"]
    assert [known.run for known in runs.abandoned()] == ["r3"]
    assert undone == []


def test_only_the_last_finished_ledgers_are_kept(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Older ones are deleted; one without any fault is not kept at all."""
    monkeypatch.setattr(ledger_room, "KEPT", 2)
    monkeypatch.setattr(ledger_room, "undo", lambda _: "done")
    for number in range(4):
        begun(f"r{number}")
        heal()
    Ledger.create("r9").put_away()
    assert sorted(path.stem for path in (state / "ledger" / "done").iterdir()) == ["r2", "r3"]


def test_a_stack_that_outlived_its_run_is_told_and_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was to die with the run that started it; the file of that run is forgotten with it."""
    site = Site(spec=StackSpec(stack="s", services={}), directory="/x/s-1")
    ended: list[str] = []
    monkeypatch.setattr(leftovers, "list_stacks", lambda: (site,))
    monkeypatch.setattr(leftovers, "stop_stack", ended.append)
    runs.folder().mkdir(parents=True)
    (runs.folder() / "r1.json").write_text(runs.RunFile(run="r1", owns="s-1").model_dump_json())
    assert notes() == ("stack s-1 of run r1, which has ended, still runs: chaos stack down s-1",)
    assert [one.undone for one in heal().healed] == ["ended"]
    assert ended == ["s-1"]
    assert runs.abandoned() == ()
