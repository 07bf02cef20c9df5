"""Whatever is killed, containers are themselves again within ten seconds, or after `chaos heal`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from docker_engine import Cans, cans
from docker_rig import FAULTS, ROOT, Conductor, passes, same_within, until

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


@pytest.mark.parametrize("conductor", ["silent", "delay"], indirect=True)
def test_what_the_kernel_can_end_ends_without_anybody(conductor: Conductor, web: Cans) -> None:
    """SIGKILL of both, and no heal: drops stop to match when their term is over, delays at once."""
    assert not passes(web.port)
    conductor.kill_agent()
    conductor.kill()
    until(lambda: passes(web.port), 10)
    assert heal().returncode == 0
    _after(web, {})


@pytest.mark.parametrize("conductor", ["slowdown"], indirect=True)
def test_without_its_agent_the_conductor_still_heals(conductor: Conductor, web: Cans) -> None:
    """SIGKILL of the agent alone: the heal of the run itself works from what the ledger holds."""
    during = web.snapshot()
    conductor.kill_agent()
    (book,) = ledgers()
    assert book.heal() == ()
    _after(web, during)


@pytest.mark.parametrize("conductor", ["slowdown"], indirect=True)
def test_an_agent_that_stands_still_keeps_nothing(conductor: Conductor, web: Cans) -> None:
    """SIGSTOP of the agent, SIGKILL of the conductor: `chaos heal` does the agent's work."""
    during = web.snapshot()
    os.kill(conductor.agent, signal.SIGSTOP)
    conductor.kill()
    done = heal()
    assert done.returncode == 0, done.stderr
    _after(web, during)
    os.kill(conductor.agent, signal.SIGCONT)
    until(lambda: not psutil.pid_exists(conductor.agent), 20)
    _after(web, during)


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
    calm = CALM[web.project]
    same_within(calm, web)
    assert during != calm
    return calm


CALM: dict[str, dict[str, object]] = {}


@pytest.fixture(autouse=True)
def _calm(web: Cans) -> None:
    """How the containers are before any fault: taken once, so that each test is held against the same."""
    if web.project not in CALM:
        CALM[web.project] = web.snapshot()
