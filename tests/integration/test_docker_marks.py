"""With the ledger lost, `chaos heal --all` finds by its marks what is ours on containers, and touches nothing else."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker_engine import Cans, cans, docker
from docker_rig import FAULTS, ROOT, Conductor, same_within, until

from chaos.engine.ledger import ledgers
from chaos.runtimes.docker import attach
from chaos.runtimes.docker_engine import PAUSED, STOPPED, Engine
from chaos.runtimes.docker_net import run
from chaos.runtimes.state import root

pytestmark = pytest.mark.needs_docker
THOROUGH = pytest.mark.thorough


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        made.spec()
        yield made


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))


def heal(*words: str, every: bool = True) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", "heal", *(["--all"] if every else []), *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def orphan(web: Cans, name: str, log: Path) -> None:
    """A fault whose conductor and agent are dead and whose ledger is lost."""
    fault, arguments = FAULTS[name]
    running = Conductor(web.folder / "stack.yaml", fault, json.dumps(arguments), log)
    running.reach("on")
    running.kill_agent()
    running.kill()
    shutil.rmtree(root())


def notes(web: Cans) -> set[str]:
    with contextlib.closing(Engine()) as engine:
        ids = {engine.facts(web.name(node)).id for node in ("web", "front")}
        return {note.did for note in engine.notes() if note.container in ids}


@pytest.mark.parametrize(
    "name",
    ["loss", "pause", pytest.param("rate", marks=THOROUGH), "server_loss", pytest.param("slowdown", marks=THOROUGH)],
)
def test_what_no_ledger_knows_is_found_by_its_marks(name: str, web: Cans, tmp_path: Path) -> None:
    """A dry run names the container and changes nothing; a heal makes it what it was; another one finds nothing."""
    before = web.snapshot()
    orphan(web, name, tmp_path / "log")
    during = web.snapshot()
    dry = heal("--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert web.name("web") in dry.stdout
    assert web.snapshot() == during
    done = heal()
    assert done.returncode == 0, done.stderr
    assert web.name("web") in done.stdout
    same_within(before, web)
    assert notes(web) == set()
    assert web.name("web") not in heal().stdout


def test_a_damaged_ledger_is_made_up_for_by_the_marks(web: Cans, tmp_path: Path) -> None:
    """Where the line with the undo cannot be read, a heal of the run takes back what nobody holds any more."""
    before = web.snapshot()
    fault, arguments = FAULTS["pause"]
    running = Conductor(web.folder / "stack.yaml", fault, json.dumps(arguments), tmp_path / "log")
    running.reach("on")
    running.kill_agent()
    running.kill()
    (book,) = ledgers()
    book.path.write_bytes(b"torn\n" + book.path.read_bytes().partition(b"\n")[2])
    assert heal(every=False).returncode == 0
    same_within(before, web)


def test_what_is_not_ours_is_left_alone(web: Cans) -> None:
    """Pauses, stops, chains, quotas and queueing disciplines of others stay, whatever they are called."""
    docker("pause", web.name("front"))
    run(web.pid("web"), "iptables", "-N", "cc-12345678-i")
    run(web.pid("web"), "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "cc-12345678-i")
    run(web.pid("web"), "tc", "qdisc", "add", "dev", "eth0", "root", "handle", "7:", "htb")
    try:
        before = web.snapshot()
        assert heal().returncode == 0
        assert web.snapshot() == before
    finally:
        docker("unpause", web.name("front"))
        run(web.pid("web"), "iptables", "-F")
        run(web.pid("web"), "iptables", "-X", "cc-12345678-i")
        run(web.pid("web"), "tc", "qdisc", "del", "dev", "eth0", "root")


def test_what_an_agent_holds_for_somebody_else_is_left_to_it(web: Cans, tmp_path: Path) -> None:
    """A run of another state directory keeps its faults, and is named; one of this directory has to let go."""
    with attach(web.spec()) as stack:
        stack.runtime.pause("m.1", ("web",), 30)
        during = web.snapshot()
        mine = root()
        with pytest.MonkeyPatch.context() as elsewhere:
            elsewhere.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "other"))
            kept = heal()
        assert kept.returncode == 0, kept.stderr
        assert f"process {stack.agent.pid} holds" in kept.stdout
        assert web.snapshot() == during
        assert root() == mine
        assert "m.1" in heal().stdout
        assert stack.runtime.active() == ()


def test_a_note_of_what_is_over_is_torn_up(web: Cans) -> None:
    """A container that somebody else has let go on, or started again, is not touched for an old note's sake."""
    before = web.snapshot()
    with contextlib.closing(Engine()) as engine:
        facts = engine.facts(web.name("web"))
        for did in (PAUSED, STOPPED):
            engine.note(did, facts)
    assert notes(web) == {PAUSED, STOPPED}
    assert heal().returncode == 0
    assert web.snapshot() == before


def test_a_stopped_container_has_a_note_while_it_is_held(web: Cans) -> None:
    """The note is there for as long as the harm is."""
    with attach(web.spec()) as stack:
        stack.runtime.kill("n.1", ("web",), 30, None)
        assert notes(web) == {STOPPED}
        stack.runtime.release("n.1")
        until(lambda: notes(web) == set())
