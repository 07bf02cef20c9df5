"""Fixtures that several files here begin with: a link proxy, a small stack, and a state directory of one's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from proxy_rig import Rig, rig
from stack_rig import write_stack

from chaos.runtimes import process
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from chaos.runtimes.process import RunningStack


@pytest.fixture(scope="module")
def shared_proxy() -> Iterator[Rig]:
    """One proxy for all tests of a file."""
    with rig() as one:
        yield one


@pytest.fixture
def proxy(shared_proxy: Rig) -> Iterator[Rig]:
    """The proxy, with nothing in force before a test and after it."""
    shared_proxy.quiet()
    yield shared_proxy
    shared_proxy.quiet()


@pytest.fixture
def own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A state directory of the test's own; what a test that failed has left running is ended."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))
    yield
    for site in process.list_stacks():
        process.stop_stack(site.id)


@pytest.fixture
def stack(own_state: None, tmp_path: Path) -> Iterator[RunningStack]:
    """A small stack of processes."""
    with process.start_stack(load_stack(str(write_stack(tmp_path)))) as running:
        yield running
