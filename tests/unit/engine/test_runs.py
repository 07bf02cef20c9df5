"""Which runs are in progress, and that no two have one target."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from chaos.engine import runs
from chaos.engine.runs import RunFile, enrol
from chaos.errors import Refused


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))


def names(found: tuple[RunFile, ...]) -> list[str]:
    return [one.run for one in found]


def test_a_run_is_in_progress_until_it_leaves() -> None:
    """Its file is there with its process, and gone afterwards; leaving twice is no error."""
    place = enrol(RunFile(run="r1", target="stack-1"))
    (known,) = runs.in_progress()
    assert (known.run, known.pid) == ("r1", os.getpid())
    assert runs.is_in_progress("r1")
    place.leave()
    place.leave()
    assert runs.in_progress() == runs.abandoned() == ()


def test_a_second_run_on_the_same_target_is_refused_by_name() -> None:
    """The refusal names the run that has it; another target is free, and so is this one once it is left."""
    first = enrol(RunFile(run="r1", target="stack-1"))
    enrol(RunFile(run="r2", target="stack-2")).leave()
    with pytest.raises(Refused, match=r"stack-1 is the target of run r1 \(process \d+\)"):
        enrol(RunFile(run="r3", target="stack-1"))
    assert names(runs.in_progress()) == ["r1"]
    first.leave()
    enrol(RunFile(run="r3", target="stack-1")).leave()


def test_runs_that_start_their_own_stacks_do_not_meet() -> None:
    """They have no target until their stack is there; then nobody else may have it."""
    first, second = enrol(RunFile(run="r1")), enrol(RunFile(run="r2"))
    first.started("embedded-1")
    with pytest.raises(Refused, match="r1"):
        enrol(RunFile(run="r3", target="embedded-1"))
    first.leave()
    second.leave()


def test_the_lock_of_a_dead_process_is_no_lock() -> None:
    """A process that ends without leaving blocks nobody; its file says what it was, until it is forgotten."""
    child = os.fork()
    if not child:
        enrol(RunFile(run="r1", target="stack-1"))
        os._exit(0)
    os.waitpid(child, 0)
    assert names(runs.abandoned()) == ["r1"]
    assert runs.in_progress() == ()
    place = enrol(RunFile(run="r2", target="stack-1"))
    runs.forget("r1")
    runs.forget("r2")
    assert runs.abandoned() == ()
    assert names(runs.in_progress()) == ["r2"]
    place.leave()


def test_a_file_that_says_nothing_is_still_a_run() -> None:
    """Half-written or damaged, it is known by its name."""
    runs.folder().mkdir()
    (runs.folder() / "r1.json").write_text('{"run": "r')
    assert names(runs.abandoned()) == ["r1"]
