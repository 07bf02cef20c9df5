"""Whatever happens to the tool: SIGKILL at every step of a fault, and then nothing is left."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from kill_rig import FAULTS, WITHIN_S, Conductors, detached, files, settled, snapshot

from chaos.engine import runs
from chaos.engine.ledger import ledgers
from chaos.engine.leftovers import heal, notes
from chaos.engine.steps import Step
from chaos.runtimes.launch import wait_gone
from chaos.runtimes.process import list_stacks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.runtimes.process import RunningStack

MATRIX = ("link", "pause", "throttle", "kill")
"""One fault for every undo primitive, and for every kind of lease behind it."""
IN_FORCE = {Step.INJECT, Step.INJECTED, Step.HOLD, Step.HEAL, Step.HEALING}
OUTSIDE = ("nodes", "kernel", "leases", "link", "processes")
"""Everything but what is on disk: that waits for `chaos heal`."""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with detached(tmp_path_factory.mktemp("mortal")) as running:
        yield running


@pytest.fixture(scope="module")
def conductors() -> Iterator[Conductors]:
    with Conductors() as them:
        yield them


@pytest.mark.parametrize("what", MATRIX)
@pytest.mark.parametrize("step", list(Step))
def test_a_kill_at_any_step_leaves_nothing_after_a_heal(
    step: Step, what: str, stack: RunningStack, conductors: Conductors
) -> None:
    """The conductor dies right there; `chaos heal` makes nodes, links, processes and files what they were."""
    before = snapshot(stack)
    assert conductors.run(stack.site.id, FAULTS[what], at=step) == -signal.SIGKILL
    assert bool(stack.runtime.active()) is (step in IN_FORCE)
    (dead,) = runs.abandoned()
    assert [book.run for book in ledgers()] == [dead.run]
    assert heal().left == []
    assert settled(stack, before) == before
    assert heal().healed == []


def test_without_a_heal_the_leases_run_out(stack: RunningStack, conductors: Conductors) -> None:
    """Four faults held by four dead conductors: within ten seconds the stack is itself, and the next run says more."""
    before = snapshot(stack)
    pids = [conductors.start(stack.site.id, FAULTS[what], at=Step.INJECTED) for what in MATRIX]
    assert {conductors.wait(pid) for pid in pids} == {-signal.SIGKILL}
    assert len(stack.runtime.active()) == len(MATRIX)
    assert settled(stack, before, *OUTSIDE) | {"files": []} == before | {"files": []}
    assert len([note for note in notes() if "chaos heal --run" in note]) == len(MATRIX)
    assert len(heal().healed) == len(MATRIX)
    assert settled(stack, before) == before
    assert notes() == ()


def test_a_fault_that_a_living_conductor_holds_is_left_alone(stack: RunningStack, conductors: Conductors) -> None:
    """A heal passes over a run in progress, says so, and obeys when it is named."""
    before = snapshot(stack)
    pid = conductors.start(stack.site.id, FAULTS["link"], at=Step.HOLD, duration=3)
    _until_held(stack)
    (known,) = runs.in_progress()
    done = heal()
    assert (done.healed, done.in_progress) == ([], [known.run])
    assert len(stack.runtime.active()) == 1
    assert [one.run for one in heal([known.run]).healed] == [known.run]
    assert stack.runtime.active() == ()
    assert conductors.wait(pid) == -signal.SIGKILL
    heal()
    assert settled(stack, before) == before


def test_conductors_and_supervisor_die_together(conductors: Conductors, tmp_path: Path) -> None:
    """Then there is no stack any more: no process of it, stopped ones included, and after a heal no file."""
    before = files()
    with detached(tmp_path) as stack:
        pids = [conductors.start(stack.site.id, FAULTS[what], at=Step.HOLD, duration=60) for what in MATRIX]
        _until_held(stack, len(MATRIX))
        (supervisor,) = [p for p in psutil.process_iter() if _is_supervisor(p, stack.site.directory)]
        for pid in (*pids, supervisor.pid):
            os.kill(pid, signal.SIGKILL)
        assert {conductors.wait(pid) for pid in pids} == {-signal.SIGKILL}
        wait_gone(Path(stack.site.directory), WITHIN_S)
        nodes = [p for p in psutil.process_iter() if stack.site.directory in " ".join(_line(p))]
        psutil.wait_procs(nodes, timeout=WITHIN_S)
        assert [p for p in psutil.process_iter() if str(tmp_path) in " ".join(_line(p))] == []
        assert heal().left == []
        assert stack.site.id not in {site.id for site in list_stacks()}
    assert files() == before


def test_every_undo_primitive_is_in_the_matrix() -> None:
    """A primitive of processes or links that a fault writes into its ledger is one that this suite has killed over."""
    from chaos.faults import registry
    from chaos.model.stack import Site, StackSpec
    from chaos.runtimes.undo import REGISTRY

    site = Site(spec=StackSpec(stack="s", services={}))
    models = [(registry()[name], arguments) for name, arguments in (FAULTS[what] for what in MATRIX)]
    undos = [model.model_validate({**arguments, "duration": 1}).undo("f", site) for model, arguments in models]
    assert {undo.primitive for steps in undos for undo in steps} == {
        name for name in REGISTRY if name.startswith(("process.", "link."))
    }


def _until_held(stack: RunningStack, count: int = 1) -> None:
    until = time.monotonic() + WITHIN_S
    while len(stack.runtime.active()) < count:
        assert time.monotonic() < until
        time.sleep(0.02)


def _line(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline() if process.status() != psutil.STATUS_ZOMBIE else []
    except psutil.Error:
        return []


def _is_supervisor(process: psutil.Process, directory: str) -> bool:
    line = _line(process)
    return "chaos.runtimes.supervisor" in line and any(directory in word for word in line)
