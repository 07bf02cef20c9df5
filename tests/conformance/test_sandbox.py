"""The kernel carriers of a sandbox, on real packets and live connections: what is asked for is what is measured."""

from __future__ import annotations

import contextlib
import json
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_rig import LEASE_S, LINK, PACE, SLACK, Packets, User, boxed_stack, private_network

from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.errors import StackFailed
from chaos.faults import registry
from chaos.model.link import LinkEffect

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from chaos.faults.base import Fault
    from chaos.runtimes.process import RunningStack

pytestmark = pytest.mark.sandbox

ACCURATE: dict[str, tuple[LinkEffect, dict[str, Any], Callable[[Packets], float], float, float]] = {
    "delay": (LinkEffect(delay_ms=50), {"count": 40}, lambda seen: seen.delay_ms, 45, 75),
    "jitter": (
        LinkEffect(delay_ms=60, jitter_ms=15),
        {"count": 60, "every_s": 0.03},
        lambda seen: seen.jitter_ms,
        8,
        24,
    ),
    "order": (
        LinkEffect(delay_ms=40, jitter_ms=15),
        {"count": 300},
        lambda seen: seen.early + seen.lost + seen.twice,
        0,
        0.02,
    ),
    "uniform": (
        LinkEffect(delay_ms=60, jitter_ms=15, distribution="uniform"),
        {"count": 80, "every_s": 0.06},
        lambda seen: seen.jitter_ms,
        10,
        22,
    ),
    "pareto": (
        LinkEffect(delay_ms=40, jitter_ms=15, distribution="pareto"),
        {"count": 80, "every_s": 0.06},
        lambda seen: seen.tail,
        1.5,
        50,
    ),
    "reordering": (
        LinkEffect(delay_ms=50, reorder=0.2),
        {"count": 500},
        lambda seen: seen.early,
        0.12,
        0.28,
    ),
    "duplication": (LinkEffect(duplicate=0.2), {"count": 500}, lambda seen: seen.twice, 0.12, 0.28),
    "burst loss": (
        LinkEffect(burst_loss=0.2, burst=8),
        {"count": 2000, "every_s": 0.001},
        lambda seen: seen.lost,
        0.1,
        0.3,
    ),
    "burst length": (
        LinkEffect(burst_loss=0.2, burst=8),
        {"count": 2000, "every_s": 0.001},
        lambda seen: seen.burst,
        4,
        14,
    ),
    "loss": (LinkEffect(loss=0.3), {"count": 500}, lambda seen: seen.lost, 0.2, 0.4),
    "rate": (
        LinkEffect(rate_kbps=800),
        {"count": 100, "size": 1000, "every_s": 0.0},
        lambda seen: seen.rate_kbps,
        650,
        950,
    ),
    "silent cut": (LinkEffect(block="silent"), {"count": 20}, lambda seen: seen.lost, 1, 1),
}
"""Effect, packets that are sent one way, what is measured of them, and the bounds that it must lie in."""
TIMED = {"delay", "jitter", "uniform", "pareto"}
EACH_WAY = {"delay", "reordering", "loss", "rate", "silent cut"}
"""One case of each way to meet packets; the others are variations of these."""
CASES = [pytest.param(one, marks=() if one in EACH_WAY else pytest.mark.thorough) for one in ACCURATE]
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "congestion": ("congestion", {"delay_ms": 40, "jitter_ms": 5}),
    "loss": ("congestion", {"loss": 0.4}),
    "burst loss": ("burst_loss", {"loss": 0.3, "burst": 3}),
    "duplicate": ("duplicate", {"share": 0.5}),
    "reorder": ("reorder", {"share": 0.4, "delay_ms": 30}),
    "silent": ("partition", {"mode": "silent"}),
    "loud": ("partition", {"mode": "loud"}),
    "one way": ("partition", {"mode": "silent", "direction": "backward"}),
    "cut": ("cut", {"percentage": 60}),
    "by the proxy": ("corrupt", {"probability": 1.0}),
    "flap": ("flap", {"of": "congestion", "arguments": {"delay_ms": 40}, "period": 0.8 * PACE, "spread": 0.1}),
}
USERS = 5


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    folder = tmp_path_factory.mktemp("boxed")
    with pytest.MonkeyPatch.context() as patch, private_network(patch), boxed_stack(folder) as running:
        yield running


@pytest.fixture
def port(stack: RunningStack) -> int:
    return stack.site.link_ports[LINK]


@pytest.fixture
def users(port: int) -> Iterator[list[User]]:
    with contextlib.ExitStack() as exits:
        yield [exits.enter_context(User(port)) for _ in range(USERS)]


@pytest.fixture(autouse=True)
def nothing_left(stack: RunningStack) -> Iterator[None]:
    """Whatever a test did, the kernel is as it was before."""
    before = kernel()
    yield
    assert stack.runtime.active() == ()
    assert kernel() == before


def run(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def kernel() -> tuple[list[str], Any]:
    rules = [line for line in run("iptables-save").splitlines() if line.startswith("-A") or " - [" in line]
    return rules, [disc["kind"] for disc in json.loads(run("tc", "-j", "qdisc", "show"))]


@contextlib.contextmanager
def harmed(stack: RunningStack, effect: LinkEffect, lease_s: float = LEASE_S) -> Iterator[None]:
    stack.runtime.shape("run.1", (LINK,), effect, lease_s, 7)
    try:
        yield
    finally:
        stack.runtime.release("run.1")


def eventually(holds: Callable[[], bool], within_s: float = 10.0) -> bool:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def fault(case: str, duration: float) -> Fault:
    name, arguments = FAULTS[case]
    return registry()[name].model_validate({"target": {"link": LINK}, **arguments, "duration": duration})


@pytest.mark.parametrize("case", CASES)
def test_packets_are_hit_as_asked_and_spared_after(stack: RunningStack, port: int, case: str) -> None:
    """Delay, jitter, loss and rate of single packets lie near what was asked for, and afterwards there is none."""
    effect, packets, figure, low, high = ACCURATE[case]
    with harmed(stack, effect):
        seen = Packets(port, **packets)
    slack = SLACK if case in TIMED else 1.0
    assert low <= figure(seen) <= high * slack, (case, figure(seen), seen.waits_ms)
    calm = Packets(port, 20)
    assert calm.lost == 0
    assert calm.delay_ms < 10 * SLACK


def test_the_other_direction_is_spared(stack: RunningStack, port: int) -> None:
    """What hits only the way back leaves the way there alone."""
    with harmed(stack, LinkEffect(block="silent", direction="backward")):
        assert Packets(port, 20).lost == 0


def test_a_live_connection_feels_both_ways(stack: RunningStack, users: list[User]) -> None:
    """A request over a connection that was there before takes the delay twice, and not four times."""
    with harmed(stack, LinkEffect(delay_ms=60)):
        assert 115 <= min(users[0].ask() for _ in range(3)) <= 200
    assert min(users[0].ask() for _ in range(5)) < 30


def test_a_silent_cut_holds_a_request_until_it_is_healed(stack: RunningStack, users: list[User]) -> None:
    """The connection outlives the cut: TCP sends again what was dropped."""
    took: list[float] = []
    with harmed(stack, LinkEffect(block="silent")):
        asking = threading.Thread(target=lambda: took.append(users[0].ask()))
        asking.start()
        asking.join(1.0)
        assert asking.is_alive()
    asking.join(10)
    assert took[0] >= 1000


def test_a_loud_cut_resets_live_connections_and_refuses_new_ones(
    stack: RunningStack, port: int, users: list[User]
) -> None:
    """Nobody hangs: whoever is connected is told, and whoever comes is refused."""
    with harmed(stack, LinkEffect(block="loud")):
        for user in users:
            with pytest.raises(ConnectionError):
                user.ask()
        with pytest.raises(ConnectionRefusedError):
            User(port)
    with User(port) as again:
        assert again.ask() < 1000


def test_a_cut_resets_the_asked_share_and_lets_others_in(stack: RunningStack, port: int, users: list[User]) -> None:
    """Three of five are reset, once; the other two and a new one go on."""
    with harmed(stack, LinkEffect(strike="reset", share=0.6)):
        assert stack.runtime.link_stats()[LINK].reset == 3
        with User(port) as new:
            new.ask()
    lost = 0
    for user in users:
        try:
            user.ask()
        except ConnectionError:
            lost += 1
    assert lost == 3


@pytest.mark.netem
@pytest.mark.parametrize("case", FAULTS)
def test_it_bites_with_evidence_and_heals(case: str, stack: RunningStack, users: list[User], tmp_path: Path) -> None:
    """The fault proves by the same figures as elsewhere that it bit, and that it is gone."""
    told: list[tuple[str, dict[str, Any]]] = []
    ledger = Ledger.create("run", tmp_path)
    injector = Injector(stack.runtime, ledger, 1, threading.Event(), lambda step, _, data: told.append((step, data)))
    evidence = injector.run(fault(case, PACE), case)
    assert evidence.bit, evidence
    assert told[-1][0] == "off-proof"
    assert told[-1][1]["clean"], told
    assert ledger.open_entries() == ()


def test_healing_twice_or_without_an_injection_is_no_error(stack: RunningStack, tmp_path: Path) -> None:
    """The undo in the ledger is idempotent, and harmless when its fault was never put in."""
    ledger = Ledger.create("run", tmp_path)
    stack.runtime.shape("run.1", (LINK,), LinkEffect(loss=0.5), 30, 1)
    for _ in range(3):
        ledger.intent("run.1", "loss", fault("loss", 1).undo("run.1", stack.site))
        assert ledger.heal() == ()


def test_a_second_delay_on_a_link_is_refused(stack: RunningStack) -> None:
    """Two delays would not add up, so the second says no, and the first goes on."""
    with harmed(stack, LinkEffect(delay_ms=10)):
        with pytest.raises(StackFailed, match=r"delayed by run\.1 already"):
            stack.runtime.shape("run.2", (LINK,), LinkEffect(delay_ms=20), 30, 1)
        assert stack.runtime.active() == ("run.1",)


def test_a_lease_that_nobody_renews_ends_by_itself(stack: RunningStack, users: list[User]) -> None:
    """A second after the last renewal the link is itself again."""
    stack.runtime.shape("run.1", (LINK,), LinkEffect(delay_ms=100), 0.5, 1)
    stack.runtime.renew("run.1", 1.0)
    assert users[0].ask() > 190
    assert eventually(lambda: stack.runtime.active() == ())
    assert users[0].ask() < 100


def test_a_renewal_prolongs_the_kernels_own_term(stack: RunningStack, port: int) -> None:
    """The rules of a fault that is renewed end later than those of one that is not."""
    with harmed(stack, LinkEffect(block="silent"), lease_s=2):
        first = run("iptables-save")
        stack.runtime.renew("run.1", 60)
        assert first.count("--datestop") == run("iptables-save").count("--datestop") == 2
        assert first != run("iptables-save")
        assert Packets(port, 5).lost == 1


def test_a_queueing_discipline_of_somebody_else_is_refused(stack: RunningStack) -> None:
    """A rate needs the root of `lo`; where another one is, nothing is touched."""
    run("tc", "qdisc", "add", "dev", "lo", "root", "handle", "7:", "pfifo", "limit", "1000")
    try:
        before = kernel()
        with pytest.raises(StackFailed, match="somebody else"):
            stack.runtime.shape("run.1", (LINK,), LinkEffect(rate_kbps=500), 30, 1)
        assert kernel() == before
    finally:
        run("tc", "qdisc", "del", "dev", "lo", "root")


def test_rules_of_somebody_else_stay(stack: RunningStack) -> None:
    """A chain and a rule that are not ours are there before, while and after a fault is in."""
    run("iptables", "-N", "THEIRS")
    run("iptables", "-I", "INPUT", "-p", "tcp", "--dport", "9", "-j", "THEIRS")
    try:
        before = kernel()
        with harmed(stack, LinkEffect(loss=0.2)):
            assert set(before[0]) < set(kernel()[0])
        assert kernel() == before
    finally:
        run("iptables", "-D", "INPUT", "-p", "tcp", "--dport", "9", "-j", "THEIRS")
        run("iptables", "-X", "THEIRS")
