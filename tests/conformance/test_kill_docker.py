"""SIGKILL at every step of a fault on containers of a real engine, and then nothing is left of it anywhere."""

from __future__ import annotations

import itertools
import signal
from typing import TYPE_CHECKING

import pytest
from docker_engine import Cans, cans
from docker_rig import FAULTS
from kill_cans import OUTSIDE, settled, snapshot
from kill_rig import Conductors

from chaos.engine import runs
from chaos.engine.ledger import ledgers
from chaos.engine.leftovers import heal
from chaos.engine.steps import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.needs_docker

HARMS = sorted(FAULTS)
CALM = (Step.INTENT, Step.UNDO, Step.HEALED)
"""At these nothing is in force."""
IN_FORCE = [step for step in Step if step not in CALM]
POINTS = [*zip(itertools.cycle(IN_FORCE), HARMS), *zip(CALM, HARMS, strict=False)]
"""Every kind of harm while it is in force, and every step; each step with each harm is `make soak`'s."""


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("mortal-cans")) as made:
        made.spec()
        yield made


@pytest.fixture(scope="module")
def conductors(web: Cans) -> Iterator[Conductors]:
    with Conductors() as them:
        them.prepare("chaos.runtimes.docker")
        yield them


@pytest.fixture(autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory, web: Cans, conductors: Conductors) -> None:
    """Nothing of another test is there to be healed."""
    assert not runs.abandoned()
    assert not ledgers()
    assert web.project
    assert conductors.pid


@pytest.mark.parametrize(("step", "harm"), POINTS)
def test_the_agent_takes_back_what_a_killed_conductor_did(
    step: Step, harm: str, web: Cans, conductors: Conductors
) -> None:
    """The conductor dies right there; containers and processes are as before by themselves, files after a heal."""
    before = snapshot(web, [conductors.pid])
    assert conductors.run(_file(web), FAULTS[harm], at=step) == -signal.SIGKILL
    now = settled(web, before, [conductors.pid], *OUTSIDE)
    assert {part: now[part] for part in OUTSIDE} == {part: before[part] for part in OUTSIDE}
    assert heal().left == []
    assert settled(web, before, [conductors.pid]) == before


@pytest.mark.parametrize(("step", "harm"), POINTS)
def test_a_heal_takes_back_what_a_killed_conductor_and_agent_did(
    step: Step, harm: str, web: Cans, conductors: Conductors
) -> None:
    """Both die right there; `chaos heal` makes containers, rules, quotas, processes and files what they were."""
    before = snapshot(web, [conductors.pid])
    assert conductors.run(_file(web), FAULTS[harm], at=step, agent=True) == -signal.SIGKILL
    assert settled(web, before, [conductors.pid], "processes")["processes"] == before["processes"]
    assert heal().left == []
    assert settled(web, before, [conductors.pid]) == before
    assert heal().healed == []


def _file(web: Cans) -> str:
    return str(web.folder / "stack.yaml")
