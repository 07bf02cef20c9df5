"""How a run is carried out once more: what is written down of it, and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.engine import replay
from chaos.engine.replay import Replay
from chaos.engine.rundir import RunDirectory
from chaos.errors import InvalidInput, UsageError

if TYPE_CHECKING:
    from pathlib import Path

WORDS = Replay(
    experiment="experiments/mine.yaml",
    stack="embedded",
    seed=7,
    sets=("load.participants=48", "embedded.secret=pa=ss", "embedded.mutant=ghost"),
)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    directory = RunDirectory.create(tmp_path, "mine")
    directory.write("experiment.yaml", "title: mine\n")
    replay.save(directory, WORDS)
    return directory.path


def test_a_secret_is_not_written_down_and_has_to_be_given_again(run: Path) -> None:
    """Neither the file nor the error holds it; given again, everything is as it was."""
    assert "pa=ss" not in (run / replay.FILE).read_text()
    with pytest.raises(UsageError, match=r"embedded\.secret"):
        replay.load(run, ())
    known, experiment = replay.load(run, ("embedded.secret=pa=ss",))
    assert known == WORDS
    assert experiment == run / "experiment.yaml"


def test_what_is_set_now_outranks_what_was_set_then(run: Path) -> None:
    """One value a name, the new one; a new name is added."""
    known, _ = replay.load(run, ("embedded.secret=x", "embedded.mutant=", "load.rooms=4"))
    assert known.sets == ("load.participants=48", "embedded.secret=x", "embedded.mutant=", "load.rooms=4")


@pytest.mark.parametrize("text", [None, "", "[]", '{"seed": "seven"}'])
def test_a_directory_that_cannot_be_replayed_is_told(run: Path, text: str | None) -> None:
    """Missing or damaged words, and a missing experiment, name the file."""
    if text is None:
        (run / replay.FILE).unlink()
    else:
        (run / replay.FILE).write_text(text)
    with pytest.raises(InvalidInput, match=replay.FILE):
        replay.load(run, ())


def test_without_its_experiment_nothing_is_replayed(run: Path) -> None:
    """The copy is what is run."""
    (run / "experiment.yaml").unlink()
    with pytest.raises(InvalidInput) as told:
        replay.load(run, ("embedded.secret=x",))
    assert "no copy" in told.value.problems[0].message
