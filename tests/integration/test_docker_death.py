"""Whatever is killed, containers are themselves again within ten seconds, or after `chaos heal`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import Cans, cans
from docker_rig import FAULTS, ROOT, Conductor, same_within

from chaos.engine.ledger import ledgers
from chaos.errors import StackFailed
from chaos.runtimes.docker import attach

pytestmark = pytest.mark.needs_docker


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        made.spec()
        yield made


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))


@pytest.fixture
def conductor(request: pytest.FixtureRequest, web: Cans, tmp_path: Path) -> Iterator[Conductor]:
    """It has just said `on`: the fault that the test names is in."""
    fault, arguments = FAULTS[request.param]
    running = Conductor(web.folder / "stack.yaml", fault, json.dumps(arguments), tmp_path / "conductor.log")
    try:
        running.reach("on")
        yield running
    finally:
        running.kill()


def heal() -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "chaos", "heal"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("conductor", sorted(FAULTS), indirect=True)
def test_without_its_conductor_a_fault_ends(conductor: Conductor, web: Cans) -> None:
    """SIGKILL of the conductor: its agent takes everything back, and ends."""
    during = web.snapshot()
    conductor.kill()
    before = _after(web, during)
    assert heal().returncode == 0
    assert web.snapshot() == before


@pytest.mark.parametrize("conductor", sorted(FAULTS), indirect=True)
def test_without_conductor_and_agent_a_heal_ends_it(conductor: Conductor, web: Cans) -> None:
    """SIGKILL of both: `chaos heal` takes everything back from the ledger alone, and again is no error."""
    during = web.snapshot()
    conductor.kill_agent()
    conductor.kill()
    assert [entry.step for book in ledgers() for entry in book.open_entries()] == ["injected"]
    done = heal()
    assert done.returncode == 0, done.stderr
    before = _after(web, during)
    assert not [entry for book in ledgers() for entry in book.open_entries()]
    assert heal().returncode == 0
    assert web.snapshot() == before


@pytest.mark.parametrize("conductor", ["slowdown"], indirect=True)
def test_a_conductor_that_stands_still_loses_its_lease(conductor: Conductor, web: Cans) -> None:
    """A stopped conductor holds its pipe but renews nothing: the lease runs out."""
    during = web.snapshot()
    conductor.process.send_signal(signal.SIGSTOP)
    _after(web, during)


def test_what_an_earlier_run_left_is_not_attacked(web: Cans, tmp_path: Path) -> None:
    """A container that is still paused or slowed is refused, with the command that heals it."""
    fault, arguments = FAULTS["slowdown"]
    running = Conductor(web.folder / "stack.yaml", fault, json.dumps(arguments), tmp_path / "conductor.log")
    running.reach("on")
    running.kill_agent()
    running.kill()
    with pytest.raises(StackFailed, match="earlier run") as caught:
        attach(web.spec())
    assert "chaos heal" in caught.value.hint
    assert heal().returncode == 0
    attach(web.spec()).close()


def _after(web: Cans, during: dict[str, object]) -> dict[str, object]:
    """Wait until the containers are calm; returns how they are then, which differs from how they were in the fault."""
    calm = CALM.setdefault(web.project, {})
    same_within(calm, web)
    assert during != calm
    return calm


CALM: dict[str, dict[str, object]] = {}


@pytest.fixture(autouse=True)
def _calm(web: Cans) -> None:
    """How the containers are before any fault: taken once, so that each test is held against the same."""
    CALM.setdefault(web.project, web.snapshot())
    assert os.geteuid() == 0
