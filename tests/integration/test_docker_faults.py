"""Faults on containers of a real engine: they bite, heal, heal twice, and leave alone what is not theirs."""

from __future__ import annotations

import contextlib
import socket
import statistics
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_engine import Cans, cans, docker
from docker_rig import (
    FAULTS,
    OF_PACKETS,
    ask,
    datagrams,
    datagrams_lost,
    docker_address,
    fetch_s,
    left_as_it_was,
    live_connection,
    same_within,
    traffic,
    until,
)
from far_rig import near_engine

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.faults.base import Fault
from chaos.model.link import LinkEffect
from chaos.runtimes.base import Runtime
from chaos.runtimes.docker import DockerStack, attach
from chaos.runtimes.docker_net import run
from chaos.runtimes.docker_rules import chain

pytestmark = pytest.mark.needs_docker
LEASE_S = 30.0


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cans]:
    with cans(tmp_path_factory.mktemp("cans")) as made:
        yield made


@pytest.fixture(scope="module")
def stack(web: Cans) -> Iterator[DockerStack]:
    with attach(web.spec()) as attached:
        yield attached


@pytest.fixture
def before(web: Cans, stack: DockerStack) -> Iterator[dict[str, Any]]:
    """How the containers are; afterwards they have to be the same."""
    with left_as_it_was(web, stack) as snapshot:
        yield snapshot


def made(name: str, duration: float = 1.5) -> Fault:
    fault, arguments = (FAULTS | OF_PACKETS)[name]
    return registry()[fault].model_validate({**arguments, "duration": duration})


def test_the_runtime_has_every_capability(stack: DockerStack) -> None:
    """What a fault may need, containers have."""
    assert isinstance(stack.runtime, Runtime)
    assert {state.state for state in stack.runtime.states().values()} == {"up"}
    assert stack.runtime.logs("web")[-1] == "serving"


@pytest.mark.parametrize("name", sorted(FAULTS | OF_PACKETS))
def test_it_bites_and_heals(name: str, web: Cans, stack: DockerStack, tmp_path: Path, before: dict[str, Any]) -> None:
    """It proves that it bit, and afterwards containers, rules and quotas are as they were."""
    told: list[tuple[str, dict[str, Any]]] = []
    ledger = Ledger.create("run", tmp_path)
    injector = Injector(stack.runtime, ledger, 1, threading.Event(), lambda step, _, data: told.append((step, data)))
    needs_traffic = name in {"loss", "rate", "burst loss"}
    with contextlib.ExitStack() as exits:
        for _ in range(5 if name == "cut" else 0):
            exits.enter_context(live_connection(web, (docker_address(web), 8080)))
        exits.enter_context(traffic(web.port) if needs_traffic else contextlib.nullcontext())
        evidence = injector.run(made(name), name)
    assert evidence.bit, evidence
    assert [step for step, _ in told] == ["intent", "on", "bite", "off", "off-proof"]
    assert told[-1][1]["clean"], told
    assert ledger.open_entries() == ()
    assert stack.runtime.active() == ()


@pytest.mark.parametrize("name", ["silent", "pause", "slowdown", *OF_PACKETS])
def test_its_proof_fails_when_nothing_is_injected(name: str, stack: DockerStack, tmp_path: Path) -> None:
    """The evidence is a measurement of the containers, and does not believe the fault."""
    fault, arguments = (FAULTS | OF_PACKETS)[name]

    class Toothless(registry()[fault]):  # type: ignore[misc]  # the class is known only at run time
        def inject(self, injection: Any) -> None: ...

    injector = Injector(stack.runtime, Ledger.create("run", tmp_path), 1, threading.Event(), lambda *_: None)
    assert not injector.run(Toothless.model_validate({**arguments, "duration": 0.5}), name).bit


@pytest.mark.parametrize("name", sorted(FAULTS | OF_PACKETS))
def test_healing_again_or_without_injection_is_no_error(
    name: str, stack: DockerStack, tmp_path: Path, before: dict[str, Any]
) -> None:
    """The undo changes nothing where its fault was never put in, as often as it is asked."""
    fault = made(name)
    ledger = Ledger.create("run", tmp_path)
    for _ in range(2):
        ledger.intent("run.1", fault.says(), fault.undo("run.1", stack.site))
        assert ledger.heal() == ()


def test_a_delay_is_felt_on_a_live_connection(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """60 ms each way make 120 ms a round trip on a connection that was open before, and none after."""
    with live_connection(web, (docker_address(web), 8080)) as sock:
        calm = statistics.median(ask(sock) for _ in range(5))
        stack.runtime.shape("d.1", ("front--web",), LinkEffect(delay_ms=60), LEASE_S, 1)
        slow = statistics.median(ask(sock) for _ in range(5))
        stack.runtime.release("d.1")
        after = statistics.median(ask(sock) for _ in range(5))
    assert 0.115 < slow - calm < 0.160
    assert after < 0.060


def test_a_rate_is_kept(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """400 kB at 2 Mbit/s take 1.6 s (the last 64 kB may go in one piece), and almost no time once it is healed."""
    stack.runtime.shape("r.1", ("users--web",), LinkEffect(rate_kbps=2000), LEASE_S, 1)
    narrow = fetch_s(web.port, 400_000)
    stack.runtime.release("r.1")
    assert 1.25 < narrow < 2.4
    assert fetch_s(web.port, 400_000) < narrow / 3


def test_loss_is_the_asked_share_of_datagrams(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """Of 3000 datagrams from another node 20 % are lost, and of those of a healed link none."""
    stack.runtime.shape("l.1", ("front--web",), LinkEffect(loss=0.2), LEASE_S, 1)
    lost = datagrams_lost(web, 3000)
    counted = stack.runtime.link_stats()["front--web"].stalls
    stack.runtime.release("l.1")
    assert 0.16 < lost < 0.24
    assert abs(counted - lost * 3000) < 30
    assert datagrams_lost(web, 500) == 0


@pytest.mark.parametrize("direction", ["forward", pytest.param("backward", marks=pytest.mark.thorough)])
@pytest.mark.parametrize(
    ("effect", "count", "figure"),
    [
        ({"burst_loss": 0.2, "burst": 2}, 900, lambda seen: 1 - len(set(seen)) / 900),
        ({"duplicate": 0.2}, 500, lambda seen: (len(seen) - len(set(seen))) / 500),
        (
            {"reorder": 0.2, "delay_ms": 30},
            500,
            lambda seen: sum(n > min(seen[at:]) for at, n in enumerate(seen)) / 500,
        ),
    ],
    ids=["burst loss", "duplicate", "reorder"],
)
def test_single_packets_are_hit_as_asked(
    effect: dict[str, Any],
    count: int,
    figure: Callable[[list[int]], float],
    direction: str,
    web: Cans,
    stack: DockerStack,
    before: dict[str, Any],
) -> None:
    """A fifth of the datagrams is lost in bursts, arrives twice or overtakes, one way; none does the other way."""
    shape = LinkEffect.model_validate({**effect, "direction": direction})
    stack.runtime.shape("p.1", ("front--web",), shape, LEASE_S, 1)
    hit = figure(datagrams(web, count, back=direction == "backward"))
    spared = datagrams(web, 50, back=direction == "forward")
    stack.runtime.release("p.1")
    assert 0.13 < hit < 0.27
    assert spared == list(range(50))


def test_a_loud_cut_resets_live_connections(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """An idle connection learns at once that it was cut, and new ones are refused rather than left hanging."""
    with live_connection(web, (docker_address(web), 8080)) as sock:
        stack.runtime.shape("c.1", ("front--web",), LinkEffect(block="loud"), LEASE_S, 1)
        sock.settimeout(2)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
        with pytest.raises(ConnectionRefusedError):
            live_connection(web, (docker_address(web), 8080))
        stack.runtime.release("c.1")
    live_connection(web, (docker_address(web), 8080)).close()


def test_a_cut_share_is_reset_once_and_nodes_are_no_users(
    web: Cans, stack: DockerStack, before: dict[str, Any]
) -> None:
    """Of five live connections of a node three are reset; a cut of users meets none of them; new ones pass."""
    with contextlib.ExitStack() as exits:
        to = (docker_address(web), 8080)
        socks = [exits.enter_context(live_connection(web, to)) for _ in range(5)]
        first = stack.runtime.link_stats()["front--web"]
        stack.runtime.shape("s.1", ("users--web",), LinkEffect(strike="reset"), LEASE_S, 1)
        assert stack.runtime.link_stats()["front--web"] == first
        stack.runtime.shape("s.2", ("front--web",), LinkEffect(strike="reset", share=0.6), LEASE_S, 1)
        stats = stack.runtime.link_stats()["front--web"]
        assert (first.connections, stats.connections, stats.reset - first.reset) == (5, 2, 3)
        gone = [sock for sock in socks if not _answers(sock)]
        live_connection(web, to).close()
        for fault in ("s.1", "s.2"):
            stack.runtime.release(fault)
    assert len(gone) == 3


def _answers(sock: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        return ask(sock) > 0
    return False


def test_a_cut_of_users_spares_the_nodes(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """Who is no user passes a link of users that is cut."""
    stack.runtime.shape("u.1", ("users--web",), LinkEffect(block="silent"), LEASE_S, 1)
    live_connection(web, (docker_address(web), 8080)).close()
    stack.runtime.release("u.1")


def test_a_later_delay_does_not_open_a_cut(web: Cans, stack: DockerStack, before: dict[str, Any]) -> None:
    """Faults on one link compose, in whatever order they come and go."""
    stack.runtime.shape("x.1", ("front--web",), LinkEffect(block="silent"), LEASE_S, 1)
    stack.runtime.shape("x.2", ("front--web",), LinkEffect(delay_ms=20), LEASE_S, 1)
    assert datagrams_lost(web, 100) == 1
    with pytest.raises(StackFailed, match="do not add up"):
        stack.runtime.shape("x.3", ("front--web",), LinkEffect(delay_ms=20), LEASE_S, 1)
    stack.runtime.release("x.1")
    assert datagrams_lost(web, 100) == 0
    stack.runtime.release("x.2")


def test_a_foreign_queueing_discipline_is_refused(web: Cans, stack: DockerStack) -> None:
    """A root that is not ours stays as it is, and nothing else is put in either."""
    pid = web.pid("web")
    run(pid, "tc", "qdisc", "add", "dev", "eth0", "root", "handle", "7:", "htb")
    try:
        there = web.snapshot()
        with pytest.raises(StackFailed, match="somebody else"):
            stack.runtime.shape("f.1", ("users--web",), LinkEffect(rate_kbps=500, loss=0.1), LEASE_S, 1)
        same_within(there, web)
    finally:
        run(pid, "tc", "qdisc", "del", "dev", "eth0", "root")


def test_foreign_rules_are_left_alone(web: Cans, stack: DockerStack) -> None:
    """Somebody's own chain and jump are the same while a fault comes and goes."""
    pid = web.pid("web")
    theirs = "*filter\n:THEIRS - [0:0]\n-A THEIRS -s 192.0.2.1/32 -j DROP\n-I INPUT -j THEIRS\nCOMMIT\n"
    run(pid, "iptables-restore", "--noflush", stdin=theirs)
    try:
        there = web.snapshot()
        stack.runtime.shape("g.1", ("users--web",), LinkEffect(loss=0.1, delay_ms=5), LEASE_S, 1)
        assert "THEIRS" in run(pid, "iptables-save")
        stack.runtime.release("g.1")
        same_within(there, web)
    finally:
        run(pid, "iptables-restore", "--noflush", stdin="*filter\n-D INPUT -j THEIRS\n-F THEIRS\n-X THEIRS\nCOMMIT\n")


def test_a_quota_that_was_there_comes_back(tmp_path: Path) -> None:
    """A container with a quota of its own gets a share of it, and then the same again."""
    with cans(tmp_path) as own:
        docker("update", "--cpus", "0.7", own.name("web"))
        before = own.snapshot()
        with attach(own.spec()) as attached:
            attached.runtime.throttle("q.1", ("web",), 0.5, LEASE_S)
            quota = own.snapshot()["web"]["quota"]
            assert quota.quota_us / quota.period_us == pytest.approx(0.35, rel=0.01)
            attached.runtime.release("q.1")
        assert own.snapshot() == before


def test_a_container_that_restarts_is_hit_again(web: Cans, stack: DockerStack) -> None:
    """A restart drops rules and quota with the namespace; the engine's event puts them in again until the heal."""
    stack.runtime.shape("n.1", ("users--web",), LinkEffect(block="silent"), LEASE_S, 1)
    stack.runtime.throttle("n.1", ("web",), 0.3, LEASE_S)
    docker("restart", "-t", "0", web.name("web"))
    until(lambda: chain("n.1", "i") in run(web.pid("web"), "iptables-save"))
    until(lambda: web.snapshot()["web"]["quota"].ours)
    (told,) = until(lambda: stack.runtime.disturbed("n.1"))
    assert told.mended
    assert told.says == "web was restarted or freed by somebody else"
    stack.runtime.release("n.1")
    after = web.snapshot()["web"]
    assert not [rule for rule in after["rules"] if "cc-" in rule]
    assert after["quota"].quota_us == -1


def test_a_restart_is_in_the_evidence(web: Cans, stack: DockerStack, tmp_path: Path, before: dict[str, Any]) -> None:
    """Who reads what a fault did learns that its target was restarted in the middle of it, and was hit again."""

    def restart(step: str, *_: Any) -> None:
        if step == "on":
            docker("restart", "-t", "0", web.name("web"))
            until(lambda: stack.runtime.disturbed("run.1"))

    injector = Injector(stack.runtime, Ledger.create("run", tmp_path), 1, threading.Event(), restart)
    evidence = injector.run(made("silent", 4), "silent")
    assert evidence.bit, evidence
    assert "restarted" in evidence.says


def test_a_start_that_no_event_told_of_is_found(web: Cans, tmp_path: Path) -> None:
    """The engine's events stop for a while: then everything that is held is looked at again, and that is said."""
    socket_path = tmp_path / "docker.sock"
    with contextlib.ExitStack() as way:
        way.enter_context(near_engine(socket_path))
        with attach(web.spec()) as other:
            other.runtime.shape("n.1", ("users--web",), LinkEffect(block="silent"), LEASE_S, 1)
            way.close()
            docker("restart", "-t", "0", web.name("web"))
            way.enter_context(near_engine(socket_path))
            until(lambda: chain("n.1", "i") in run(web.pid("web"), "iptables-save"))
            told = until(lambda: other.runtime.disturbed("n.1"))
            assert any("events were lost" in one.says for one in told), told
            other.runtime.release("n.1")
    assert not [rule for rule in web.snapshot()["web"]["rules"] if "cc-" in rule]


def test_a_lease_that_nobody_renews_ends_by_itself(web: Cans, stack: DockerStack) -> None:
    """Without a renewal everything is as before when the term is over."""
    before = web.snapshot()
    stack.runtime.pause("e.1", ("web",), 1.0)
    stack.runtime.shape("e.1", ("users--web",), LinkEffect(loss=0.5, rate_kbps=100), 1.0, 1)
    assert web.snapshot() != before
    same_within(before, web, 5)
    assert stack.runtime.active() == ()
