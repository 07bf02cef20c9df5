"""Classes on both ends of a veth pair, as containers have them, on real packets: htb, and netem where there is one.

No engine is needed: a process in a network namespace stands for the container, and the test's own private network for
the engine's host.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import statistics
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import pytest
from sandbox_rig import LEASE_S, PATIENCE_S, SLACK, private_network, skip_without_netem

from chaos.model.link import LinkEffect
from chaos.runtimes import docker_shape
from chaos.runtimes.docker_net import inside, run
from chaos.runtimes.docker_rules import MAJOR, Order, Way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.sandbox

HOST, CAN, PORT = "10.213.0.1", "10.213.0.2", 9000
WAYS = (Way("users--can", (), PORT),)


@pytest.fixture(scope="module")
def can() -> Iterator[int]:
    """The pid of a process in a namespace of its own, which a veth pair joins with ours."""
    with pytest.MonkeyPatch.context() as patch, private_network(patch):
        process = subprocess.Popen(["unshare", "--net", "sleep", "7200"])
        try:
            ours = run(0, "readlink", "/proc/self/ns/net")
            _until(lambda: run(0, "readlink", f"/proc/{process.pid}/ns/net") != ours)
            run(0, "ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(process.pid))
            for pid, device, address in ((0, "v0", HOST), (process.pid, "v1", CAN)):
                run(pid, "ip", "address", "add", f"{address}/24", "dev", device)
                run(pid, "ip", "link", "set", device, "up")
            assert _numbers(process.pid, "i", 5) == list(range(5))
            yield process.pid
        finally:
            process.kill()
            process.wait()


@pytest.fixture(autouse=True)
def as_before(can: int) -> Iterator[None]:
    """Whatever a test did, both ends are as they were."""
    before = _state(can)
    yield
    docker_shape.take_out(can, "run.1")
    assert _state(can) == before


def _until(holds: Callable[[], bool], within_s: float = 2 * PATIENCE_S) -> None:
    end = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < end, "the condition did not come true in time"
        time.sleep(0.05)


def _state(can: int) -> list[str]:
    rules = [line for line in run(can, "iptables-save").splitlines() if line.startswith("-A") or " - [" in line]
    return [*rules, run(0, "tc", "qdisc", "show", "dev", "v0"), run(can, "tc", "qdisc", "show", "dev", "v1")]


def _sockets(can: int) -> tuple[socket.socket, socket.socket]:
    def bound(address: str) -> socket.socket:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind((address, PORT))
        return sock

    return bound(HOST), inside(can, lambda: bound(CAN))


def _exchange(
    can: int, direction: str, count: int, *, every_s: float = 0.001, size: int = 100, came: list[float] | None = None
) -> list[tuple[int, float]]:
    """Send datagrams in to the container's port (`i`) or out of it (`o`): number and milliseconds of each arrival."""
    host, inner = _sockets(can)
    ear, mouth, to = (inner, host, CAN) if direction == "i" else (host, inner, HOST)
    sent: dict[int, float] = {}
    seen: list[tuple[int, float]] = []
    came = [] if came is None else came

    def listen() -> None:
        ear.settimeout(1.5 * SLACK)
        with contextlib.suppress(TimeoutError):
            while True:
                number = int.from_bytes(ear.recv(65536)[:4])
                came.append(time.perf_counter())
                seen.append((number, (time.perf_counter() - sent[number]) * 1000))

    with host, inner:
        thread = threading.Thread(target=listen)
        thread.start()
        for number in range(count):
            sent[number] = time.perf_counter()
            mouth.sendto(number.to_bytes(4).ljust(size, b"x"), (to, PORT))
            time.sleep(every_s)
        thread.join()
    return seen


def _numbers(can: int, direction: str, count: int) -> list[int]:
    return [number for number, _ in _exchange(can, direction, count)]


def _kbps(can: int, direction: str) -> float:
    """Of what comes between the first and the last of 150 kB, headers of IP and UDP included."""
    came: list[float] = []
    _exchange(can, direction, 150, size=972, every_s=0, came=came)
    return (len(came) - 1) * 8 / (came[-1] - came[0])


def _netem(effect: LinkEffect) -> Order:
    rest = LinkEffect(direction=effect.direction)
    return Order("run.1", WAYS, (), rest, netem=effect)


NETEM: dict[str, tuple[LinkEffect, Callable[[list[tuple[int, float]]], float], float, float]] = {
    "delay": (LinkEffect(delay_ms=60), lambda seen: statistics.median(ms for _, ms in seen), 58, 100 * SLACK),
    "order": (
        LinkEffect(delay_ms=40, jitter_ms=15),
        lambda seen: sum(one > two for (one, _), (two, _) in itertools.pairwise(seen)) / len(seen),
        0,
        0.02,  # two processors may hand packets over in each other's turn; netem without its rate: about 0.4
    ),
    "reordering": (
        LinkEffect(delay_ms=50 * SLACK, reorder=0.2),
        lambda seen: sum(ms < 40 * SLACK for _, ms in seen) / 400,
        0.1,
        0.3,
    ),
    "loss": (LinkEffect(loss=0.3), lambda seen: 1 - len(seen) / 400, 0.2, 0.4),
    "burst loss": (LinkEffect(burst_loss=0.3, burst=2), lambda seen: 1 - len(seen) / 400, 0.15, 0.45),
    "duplication": (LinkEffect(duplicate=0.3), lambda seen: len(seen) / 400 - 1, 0.2, 0.4),
    "corruption": (LinkEffect(corrupt=0.5), lambda seen: 1 - len(seen) / 400, 0.3, 0.6),
}
"""Effect, what is measured of 400 datagrams one way, and its bounds: what is corrupted fails the checksum."""


@pytest.mark.netem
@pytest.mark.parametrize("direction", ["i", "o"])
@pytest.mark.parametrize("case", NETEM)
def test_netem_does_what_is_asked_one_way(case: str, direction: str, can: int) -> None:
    """On what comes in and on what leaves, and only there; its drops are counted."""
    skip_without_netem()
    effect, figure, low, high = NETEM[case]
    way = {"i": "forward", "o": "backward"}
    order = _netem(effect.model_copy(update={"direction": way[direction]}))
    since = docker_shape.seen(can, lo=False)
    docker_shape.put(can, order, LEASE_S)
    seen = _exchange(can, direction, 400)
    counted = docker_shape.counted(can, order, since).get("", {})
    spared = _numbers(can, "o" if direction == "i" else "i", 30)
    assert low <= figure(seen) <= high, (case, figure(seen))
    assert spared == list(range(30))
    if "loss" in case:
        assert counted["stalls"] == 400 - len(seen)
    if case == "corruption" and direction == "i":
        assert counted["corrupted"] > 0.5 * (400 - len(seen))


@pytest.mark.parametrize("direction", ["i", "o"])
def test_a_rate_is_kept_one_way(direction: str, can: int) -> None:
    """Datagrams of 1000 bytes come at 800 kbit/s in the narrow direction, and much faster in the other."""
    way = {"i": "forward", "o": "backward"}
    effect = LinkEffect(rate_kbps=800, direction=way[direction])
    docker_shape.put(can, Order("run.1", WAYS, (), effect), 60)
    other = "o" if direction == "i" else "i"
    assert 600 < _kbps(can, direction) < 1000
    assert _kbps(can, other) > 1600


@pytest.mark.thorough
def test_what_leaves_is_free_when_nobody_prolongs_the_rule(can: int) -> None:
    """The class stays until it is taken out, but the rule that feeds it ends by itself; a renewal prolongs it."""
    order = Order("run.1", WAYS, (), LinkEffect(rate_kbps=80, direction="backward"))
    docker_shape.put(can, order, 1)
    docker_shape.prolong(can, "run.1", 5)
    assert max(ms for _, ms in _exchange(can, "o", 20, size=972, every_s=0)) > 700
    _until(lambda: max(ms for _, ms in _exchange(can, "o", 20, size=972, every_s=0)) < 300)
    assert MAJOR in run(can, "tc", "class", "show", "dev", "v1")
    assert docker_shape.take_out(can, "run.1")
    assert not docker_shape.take_out(can, "run.1")


def test_a_node_is_no_user(can: int) -> None:
    """What a link of users delays or narrows leaves the packets of a node alone, both ways."""
    order = Order("run.1", WAYS, (HOST,), LinkEffect(rate_kbps=8))
    docker_shape.put(can, order, 60)
    for direction in ("i", "o"):
        assert max(ms for _, ms in _exchange(can, direction, 20, size=972)) < 300
