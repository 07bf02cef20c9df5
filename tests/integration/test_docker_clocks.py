"""Wall clocks of containers that run with libfaketime preloaded: set wrong, taken back, also without an agent."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from docker_engine import Cans, cans, docker, start_can
from docker_rig import until

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults.clock_skew import ClockSkew
from chaos.faults.measure import clocks as read_clocks
from chaos.runtimes import clocks
from chaos.runtimes.docker import DockerStack, attach, look

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.needs_docker
FILE = "/tmp/clock"
FAULT = ClockSkew.model_validate({"target": {"node": "front"}, "duration": 1, "offset": -3600})


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    """`ticks` is a container that was started as libfaketime wants it, with this machine's own library."""
    if not clocks.library():
        pytest.skip(clocks.NOT_INSTALLED)
    with cans(tmp_path_factory.mktemp("cans")) as made:
        folder = tmp_path_factory.mktemp("clock")
        (folder / "clock").write_text("+0\n")
        words = clocks.environment(FILE, {}) | {"LD_PRELOAD": "/opt/libfaketime.so"}
        env = [word for name, value in words.items() for word in ("-e", f"{name}={value}")]
        start_can(made, "ticks", "-v", f"{clocks.library()}:/opt/libfaketime.so:ro", "-v", f"{folder}:/tmp", *env)
        yield made


@pytest.fixture
def stack(web: Cans) -> Iterator[DockerStack]:
    with attach(web.spec(**{"node: front": "node: ticks"})) as attached:
        until(lambda: read_clocks(attached.site, ["front"])["front"] is not None)
        yield attached


def ahead(stack: DockerStack) -> float | None:
    return read_clocks(stack.site, ["front"])["front"]


def test_its_clock_is_wrong_and_then_right_again(stack: DockerStack, web: Cans, tmp_path: Path) -> None:
    """Live, proved by its own answers; afterwards the file says what it said before."""
    evidence = Injector(stack.runtime, Ledger.create("run", tmp_path), 1, threading.Event(), lambda *_: None).run(
        FAULT, "skew"
    )
    assert evidence.bit, evidence
    assert abs(ahead(stack) or 0) <= 2
    assert docker("exec", web.name("ticks"), "cat", FILE) == "+0\n"


def test_it_outlasts_a_restart_until_it_is_healed(stack: DockerStack, web: Cans) -> None:
    """The file is the container's own: a restart by somebody else neither heals nor hides it."""
    stack.runtime.skew("c.1", ("front",), 3600, 30)
    docker("restart", "-t", "0", web.name("ticks"))
    until(lambda: abs((ahead(stack) or 0) - 3600) <= 2)
    stack.runtime.release("c.1")
    assert abs(ahead(stack) or 0) <= 2
    assert docker("exec", web.name("ticks"), "cat", FILE) == "+0\n"


def test_without_its_agent_the_ledger_takes_it_back(web: Cans, tmp_path: Path) -> None:
    """SIGKILL of the agent: what the file said before stands in the ledger; until then nothing attacks it again."""
    spec = web.spec(**{"node: front": "node: ticks"})
    ledger = Ledger.create("run", tmp_path)
    with attach(spec) as stack:
        ledger.intent("c.2", FAULT.says(), FAULT.undo("c.2", stack.site))
        stack.runtime.skew("c.2", ("front",), -3600, 30)
        stack.agent.kill()
    with pytest.raises(StackFailed, match="wrong clock of an earlier run"):
        look(spec)
    assert ledger.heal() == ()
    assert docker("exec", web.name("ticks"), "cat", FILE) == "+0\n"
    assert "skewing" not in look(spec).containers["front"].lacks


def test_a_container_without_the_library_is_refused(stack: DockerStack) -> None:
    """Its own words say so before a run, and the agent says so too."""
    assert stack.site.containers["web"].lacks["skewing"] == clocks.NOT_PRELOADED
    with pytest.raises(StackFailed, match="web runs without libfaketime"):
        stack.runtime.skew("c.3", ("web",), 60, 5)
    assert stack.runtime.active() == ()
