"""Wall clocks that are set wrong while a program runs: libfaketime, preloaded into processes that a stack starts."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from mesh_rig import write_mesh

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults.clock_skew import ClockSkew
from chaos.faults.measure import clocks as read_clocks
from chaos.runtimes import clocks
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.fault import Evidence
    from chaos.runtimes.process import RunningStack

HOUR_S = 3600.0


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """Four nodes whose clocks can be set."""
    if not clocks.library():
        pytest.skip(clocks.NOT_INSTALLED)
    with start_stack(load_stack(str(write_mesh(tmp_path_factory.mktemp("mesh")))), clocks=True) as running:
        yield running


def skew(mesh: RunningStack, folder: Path, kind: type[ClockSkew] = ClockSkew, **more: Any) -> tuple[Evidence, Any]:
    """Run it on node a: its proof, and all clocks while it was on."""
    seen: list[Any] = []
    clean: list[bool] = []

    def tell(step: str, _: str, data: dict[str, Any]) -> None:
        if step == "on":
            seen.append(read_clocks(mesh.site, mesh.site.node_ports))
        if step == "off-proof":
            clean.append(data["clean"])

    fault = kind.model_validate({"target": {"node": "a"}, "duration": 0.5, "offset": HOUR_S} | more)
    evidence = Injector(mesh.runtime, Ledger.create("run", folder), 1, threading.Event(), tell).run(fault, "skew")
    assert clean == [True]
    return evidence, seen[0]


def near(ahead: float | None, asked: float) -> bool:
    return ahead is not None and abs(ahead - asked) <= 2


@pytest.mark.parametrize("offset", [HOUR_S, -86400.0])
def test_one_clock_is_wrong_and_then_right_again(offset: float, mesh: RunningStack, tmp_path: Path) -> None:
    """Ahead or behind, live, on the node that was meant and on no other; proved by its own answers."""
    evidence, seen = skew(mesh, tmp_path, offset=offset)
    assert evidence.bit, evidence
    assert near(seen["a"], offset)
    assert all(near(seen[node], 0) for node in "bcd")
    assert near(read_clocks(mesh.site, ["a"])["a"], 0)


def test_its_proof_fails_when_nothing_is_injected(mesh: RunningStack, tmp_path: Path) -> None:
    """The evidence reads the node's clock, and does not believe the fault."""

    class Toothless(ClockSkew):
        def inject(self, injection: Any) -> None: ...

    evidence, _ = skew(mesh, tmp_path, Toothless)
    assert not evidence.bit


def test_offsets_add_up_and_outlast_a_restart(mesh: RunningStack) -> None:
    """Two faults on one node, whose process is killed meanwhile; each release takes its own part back."""
    mesh.runtime.skew("s.1", ("a",), HOUR_S, 30)
    mesh.runtime.skew("s.2", ("a",), 60.0, 30)
    mesh.runtime.kill("k.1", ("a",), 30, None)
    mesh.runtime.release("k.1")
    assert near(read_clocks(mesh.site, ["a"])["a"], HOUR_S + 60)
    mesh.runtime.release("s.1")
    assert near(read_clocks(mesh.site, ["a"])["a"], 60)
    mesh.runtime.release("s.2")
    mesh.runtime.release("s.2")
    assert near(read_clocks(mesh.site, ["a"])["a"], 0)


def test_a_lease_that_nobody_renews_ends_by_itself(mesh: RunningStack) -> None:
    """Without a renewal the clock is right again when the term is over."""
    mesh.runtime.skew("e.1", ("a",), HOUR_S, 0.5)
    until = time.monotonic() + 10
    while not near(read_clocks(mesh.site, ["a"])["a"], 0):
        assert time.monotonic() < until
    assert mesh.runtime.active() == ()


def test_nothing_is_left_in_shared_memory(mesh: RunningStack) -> None:
    """What libfaketime lays down for each process is gone as soon as it serves, and after it was killed."""
    before = {state.pid for state in mesh.runtime.states().values()}
    mesh.runtime.kill("k.2", ("b",), 30, None)
    mesh.runtime.release("k.2")
    pids = before | {state.pid for state in mesh.runtime.states().values()}
    assert len(pids) == 5
    assert not [pid for pid in pids for name in clocks.SHARED if Path("/dev/shm", name.format(pid)).exists()]


def test_without_a_preload_it_is_refused(tmp_path: Path) -> None:
    """A stack whose nodes were started without it says so, and nothing is held then."""
    with start_stack(load_stack(str(write_mesh(tmp_path)))) as plain:
        with pytest.raises(StackFailed, match="a: runs without libfaketime"):
            plain.runtime.skew("s.1", ("a",), HOUR_S, 5)
        assert plain.runtime.active() == ()
