"""Partitions among several nodes and lost regions, on real processes behind the link proxy."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from mesh_rig import NODES, open_links, write_mesh

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.faults import registry
from chaos.runtimes.process import start_stack
from chaos.runtimes.stackfile import load_stack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.model.fault import Evidence
    from chaos.runtimes.process import RunningStack


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    with start_stack(load_stack(str(write_mesh(tmp_path_factory.mktemp("mesh"))))) as running:
        yield running


def hit(
    mesh: RunningStack, ledger: Ledger, name: str, look: Callable[[], Any], **arguments: Any
) -> tuple[Evidence, dict[str, dict[str, Any]], Any]:
    """Run one fault for a moment: its proof, what was told, and what `look` saw while it was on."""
    told: dict[str, dict[str, Any]] = {}
    seen: list[Any] = []

    def tell(step: str, _: str, data: dict[str, Any]) -> None:
        told[step] = data
        if step == "on":
            seen.append(look())

    fault = registry()[name].model_validate({"target": {"service": "web"}, "duration": 2} | arguments)
    evidence = Injector(mesh.runtime, ledger, 7, threading.Event(), tell).run(fault, name)
    return evidence, told, seen[0]


@pytest.mark.parametrize("topology", ["bisect", "isolate-one", "ring", "bridge"])
def test_links_across_are_dead_and_all_others_answer(topology: str, mesh: RunningStack, tmp_path: Path) -> None:
    """What the record calls cut answers nothing; links within a part, of users, and afterwards all of them do."""
    ledger = Ledger.create("run", tmp_path)
    evidence, told, answering = hit(mesh, ledger, "partition", lambda: open_links(mesh.site), topology=topology)
    aim = told["on"]["aim"]
    assert evidence.bit, evidence
    assert evidence.measured["servers_alive"]
    assert answering == set(mesh.site.link_ports) - set(aim["links"])
    assert {f"users--{name}" for name in NODES} <= answering
    assert set(aim["kept"]) <= answering
    assert all(name in aim["parts"] for name in NODES)
    assert told["off-proof"]["clean"]
    assert open_links(mesh.site) == set(mesh.site.link_ports)


def test_regions_are_cut_apart_whole(mesh: RunningStack, tmp_path: Path) -> None:
    """Loudly, and between the regions alone: who is refused learns it at once."""
    evidence, told, answering = hit(
        mesh,
        Ledger.create("run", tmp_path),
        "partition",
        lambda: open_links(mesh.site),
        topology="bisect",
        among="regions",
        mode="loud",
    )
    assert evidence.bit, evidence
    assert set(told["on"]["aim"]["links"]) == {"a--c", "a--d", "b--c", "b--d"}
    assert answering == set(mesh.site.link_ports) - {"a--c", "a--d", "b--c", "b--d"}


def test_a_lost_region_is_dead_and_unreachable_and_comes_back_whole(mesh: RunningStack, tmp_path: Path) -> None:
    """Its nodes are gone and its links answer nothing; the other region goes on; then all of it is there again."""
    before = mesh.runtime.states()
    evidence, told, answering = hit(
        mesh, Ledger.create("run", tmp_path), "region_loss", lambda: open_links(mesh.site), target={"region": "east"}
    )
    assert evidence.bit, evidence
    assert set(evidence.measured["gone"]) == {"a", "b"}
    assert set(evidence.measured["links_out"]) == {"a--c", "a--d", "b--c", "b--d"}
    assert answering == {"users--c", "users--d", "c--d"}
    assert tuple(told["on"]["reach"]["regions"]) == ("east",)
    assert told["off-proof"]["clean"]
    after = mesh.runtime.states()
    assert {name for name in NODES if after[name].pid != before[name].pid} == {"a", "b"}
    assert open_links(mesh.site) == set(mesh.site.link_ports)
