"""Containers of an engine that is not on this host: harmed and healed by a helper container, which ends by itself."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import Cans, cans, docker
from docker_rig import FAULTS, ROOT, Conductor, same_within, traffic, until
from far_rig import Far, far_engine

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger, ledgers
from chaos.errors import StackFailed, UsageError
from chaos.faults import registry
from chaos.model.carrier import Ask
from chaos.model.link import LinkEffect
from chaos.runtimes import carriers, ways
from chaos.runtimes.docker import attach, look
from chaos.runtimes.docker_engine import HELPER, About
from chaos.runtimes.docker_helper import unusable
from chaos.runtimes.state import root

pytestmark = pytest.mark.needs_docker


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        made.spec()
        yield made


@pytest.fixture
def far(web: Cans) -> Iterator[Far]:
    assert web.project
    with far_engine() as engine:
        yield engine


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))


def helpers(title: str = "") -> list[str]:
    return docker("ps", "-aq", "--filter", f"label={HELPER}{'=' * bool(title)}{title}").split()


def heal(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", "heal", *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def conductor(web: Cans, name: str, tmp_path: Path) -> Conductor:
    """It has just said `on`."""
    fault, arguments = FAULTS[name]
    running = Conductor(web.folder / "stack.yaml", fault, json.dumps(arguments), tmp_path / "conductor.log")
    running.reach("on")
    return running


def helper_of(running: Conductor) -> str:
    """The helper behind the near end that a conductor started."""
    orders = Path(f"/proc/{running.agent}/cmdline").read_text().split("\0")[-2]
    (found,) = helpers(Path(orders).parent.name)
    return found


def kill_all(running: Conductor, helper: str) -> None:
    """SIGKILL to the helper, its near end and the conductor, in an order in which none can do anything about it."""
    docker("kill", helper)
    running.kill_agent()
    running.kill()


def test_faults_bite_and_heal_from_afar(web: Cans, far: Far, tmp_path: Path) -> None:
    """Every kind of harm proves that it bit and is taken back, all by one helper, which is gone afterwards."""
    before = web.snapshot()
    with attach(web.spec()) as stack:
        assert stack.site.helper
        (helper,) = helpers(stack.site.id)
        assert ways.ask_through(stack.site, "users--web", "/healthz", 2.0).body == b"ok"
        ledger = Ledger.create("run", tmp_path)
        injector = Injector(stack.runtime, ledger, 1, threading.Event(), lambda *_: None)
        for name in ("delay", "loss", "server_loss"):
            fault, arguments = FAULTS[name]
            with traffic(web.port):
                evidence = injector.run(registry()[fault].model_validate({**arguments, "duration": 1.5}), name)
            assert evidence.bit, (name, evidence)
            same_within(before, web)
    assert helper not in docker("ps", "-aq", "--no-trunc")


@pytest.mark.thorough
def test_without_its_conductor_a_fault_ends(web: Cans, far: Far, tmp_path: Path) -> None:
    """SIGKILL of the conductor: helper and near end take everything back and go."""
    before = web.snapshot()
    running = conductor(web, "rate", tmp_path)
    helper = helper_of(running)
    running.kill()
    same_within(before, web)
    until(lambda: helper not in helpers())
    assert heal().returncode == 0


@pytest.mark.thorough
def test_when_the_way_is_cut_the_helper_ends_by_itself(web: Cans, far: Far, tmp_path: Path) -> None:
    """Nobody renews and nobody is told: the lease runs out beside the containers, then the helper goes."""
    before = web.snapshot()
    running = conductor(web, "slowdown", tmp_path)
    helper = helper_of(running)
    far.cut()
    try:
        with pytest.MonkeyPatch.context() as beside:
            beside.setenv("DOCKER_HOST", f"unix://{far.path}")
            same_within(before, web, 15)
            until(lambda: helper not in helpers(), 20)
    finally:
        far.mend()
        running.kill()
    assert heal().returncode == 0


def test_a_heal_after_the_helper_was_killed_uses_another(web: Cans, far: Far, tmp_path: Path) -> None:
    """SIGKILL of helper, near end and conductor: the ledger is enough, and DOCKER_HOST is not needed again."""
    before = web.snapshot()
    running = conductor(web, "server_loss", tmp_path)
    helper = helper_of(running)
    kill_all(running, helper)
    assert web.snapshot() != before
    with pytest.MonkeyPatch.context() as elsewhere:
        elsewhere.delenv("DOCKER_HOST")
        done = heal()
    assert done.returncode == 0, done.stderr
    same_within(before, web)
    until(lambda: not helpers("release"), 30)
    assert not [entry for book in ledgers() for entry in book.open_entries()]


@pytest.mark.thorough
def test_a_heal_from_another_machine_goes_by_the_marks(web: Cans, far: Far, tmp_path: Path) -> None:
    """Everybody is dead and the ledger is on the machine that died: `chaos heal --all` from any other one is enough."""
    before = web.snapshot()
    running = conductor(web, "rate", tmp_path)
    helper = helper_of(running)
    kill_all(running, helper)
    shutil.rmtree(root())
    done = heal("--all")
    assert done.returncode == 0, done.stderr
    assert web.name("web") in done.stdout
    same_within(before, web)


@pytest.mark.thorough
def test_a_heal_from_another_machine_leaves_a_run_alone(web: Cans, far: Far, tmp_path: Path) -> None:
    """What a living helper holds stays, and is named."""
    with attach(web.spec()) as stack, pytest.MonkeyPatch.context() as elsewhere:
        stack.runtime.pause("m.1", ("web",), 30)
        during = web.snapshot()
        elsewhere.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "other"))
        done = heal("--all")
        assert done.returncode == 0, done.stderr
        assert "holds" in done.stdout
        assert web.name("web") in done.stdout
        assert web.snapshot() == during


def test_a_helper_that_cannot_be_made_is_a_usage_error(web: Cans, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image that the engine does not have is named before anything is started, with what to do."""
    monkeypatch.setenv("COLLAB_CHAOS_HELPER", "nobody/nothing:1")
    with pytest.raises(UsageError, match=r"tcp://.* has no image nobody/nothing:1") as caught:
        look(web.spec())
    assert "COLLAB_CHAOS_HELPER" in caught.value.hint
    until(lambda: not helpers("release"), 30)  # one that a test before has asked may still be on its way out


def test_a_plan_has_carriers_tried_beside_the_containers(web: Cans, far: Far) -> None:
    """What a helper finds is what is found here, since this is the engine's host too; and cuts work everywhere."""
    asks = Ask.parts(LinkEffect(delay_ms=5, rate_kbps=100, block="silent"))
    assert look(web.spec()).helper
    beside, here = (carriers.survey(runtime, asks) for runtime in (carriers.HELPER, "docker"))
    for ask in asks:
        assert beside.tried[ask] == here.tried[ask], ask
    assert beside.means(asks[-1], ("web",)).carrier == "iptables"
    assert not helpers("why_not")


def test_a_socket_of_another_engine_is_refused(web: Cans, far: Far, monkeypatch: pytest.MonkeyPatch) -> None:
    """A helper works through the engine that started it, or not at all; nothing is left of it."""
    monkeypatch.setenv("COLLAB_CHAOS_HELPER_SOCKET", "/dev/null")
    with pytest.raises(StackFailed, match="the agent did not start"):
        attach(web.spec())
    until(lambda: not helpers("cans"))


def test_engines_that_no_helper_reaches_are_refused_in_words() -> None:
    """Rootless engines and Windows containers have a reason; Docker Desktop and plain engines have none."""
    plain = About(id="", system="Debian", linux=True, rootless=False)
    assert unusable(plain) == ""
    assert unusable(plain._replace(system="Docker Desktop")) == ""
    assert "rootless" in unusable(plain._replace(rootless=True))
    assert "Windows" in unusable(plain._replace(linux=False, system="Windows Server"))


@pytest.mark.thorough
def test_a_ledger_of_another_engine_is_not_thought_healed(web: Cans, far: Far, tmp_path: Path) -> None:
    """A container that is not there because its engine is not does not count as gone."""
    running = conductor(web, "pause", tmp_path)
    helper = helper_of(running)
    before = web.snapshot()
    kill_all(running, helper)
    (book,) = ledgers()
    whole = book.path.read_text()
    book.path.write_text(whole.replace('"engine": {"id": "', '"engine": {"id": "not-'))
    done = heal()
    assert done.returncode == 4
    assert "another engine" in done.stdout + done.stderr
    assert web.snapshot() == before
    book.path.write_text(whole)
    assert heal().returncode == 0
    assert web.snapshot()["web"]["status"] == "running"
