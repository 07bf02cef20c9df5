"""A stack that runs, seen from the one who uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from chaos.errors import StackFailed, StorageFailed
from chaos.model.stack import Site, StackSpec
from chaos.runtimes import state
from chaos.runtimes.process import RunningStack

if TYPE_CHECKING:
    from pathlib import Path


def test_a_stack_that_went_away_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is there for as long as its supervisor holds its folder."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    folder = state.create("s")
    site = Site(spec=StackSpec(stack="s", services={}), supervisor="supervisor.sock", directory=str(folder.path))
    stack = RunningStack(site)
    stack.check()
    (folder.path / "logs" / "supervisor.log").write_text("link proxy ended\n")
    folder.unlock()
    with pytest.raises(StackFailed) as caught:
        stack.check()
    assert caught.value.evidence == ("link proxy ended",)
    folder.remove()


def test_an_attached_stack_cannot_go_away_from_us() -> None:
    """What nobody here started, nobody here watches."""
    RunningStack(Site(spec=StackSpec(stack="s", services={}))).check()


def test_logs_that_cannot_be_copied_are_told_in_our_words(tmp_path: Path) -> None:
    """A run directory that refuses is a `StorageFailed`; logs that are gone are nothing to tell."""
    stack = RunningStack(Site(spec=StackSpec(stack="s", services={}), directory=str(tmp_path / "stack")))
    stack.save_logs(tmp_path / "into")
    (tmp_path / "stack" / "logs").mkdir(parents=True)
    (tmp_path / "into").write_text("a file")
    with pytest.raises(StorageFailed):
        stack.save_logs(tmp_path / "into")
