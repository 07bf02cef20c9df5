"""netem as the first carrier: what the kernel agent puts on `lo` of a private network, and what datagrams feel of it.

The agent lives in the test's own process, so that this is quick enough for the emulated machine of `make test-netem`.
"""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

import pytest
from sandbox_rig import LEASE_S, LOCAL, PATIENCE_S, SLACK, Packets, private_network, skip_without_netem

from chaos.model.carrier import Ask
from chaos.model.link import LinkEffect
from chaos.runtimes import carriers
from chaos.runtimes.control import BadRequest
from chaos.runtimes.kernel_agent import Agent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.netem
PORT = 20_001
CASES: dict[str, tuple[LinkEffect, dict[str, Any], Callable[[Packets], float], float, float]] = {
    "delay": (LinkEffect(delay_ms=80), {"count": 60, "every_s": 0.01}, lambda seen: seen.delay_ms, 78, 110),
    "jitter": (
        LinkEffect(delay_ms=100, jitter_ms=20),
        {"count": 80, "every_s": 0.03},
        lambda seen: seen.jitter_ms,
        12,
        40,
    ),
    "loss": (LinkEffect(loss=0.2), {"count": 500}, lambda seen: seen.lost, 0.13, 0.27),
    "burst loss": (LinkEffect(burst_loss=0.2, burst=8), {"count": 1500}, lambda seen: seen.burst, 4, 14),
    "duplication": (LinkEffect(duplicate=0.3), {"count": 400}, lambda seen: seen.twice, 0.2, 0.4),
    "reordering": (LinkEffect(delay_ms=100, reorder=0.2), {"count": 400}, lambda seen: seen.early, 0.1, 0.3),
    "corruption": (LinkEffect(corrupt=0.5), {"count": 400}, lambda seen: seen.lost, 0.35, 0.6),
    "rate": (
        LinkEffect(rate_kbps=400),
        {"count": 60, "size": 1000, "every_s": 0.0},
        lambda seen: seen.rate_kbps,
        300,
        450,
    ),
}
"""Effect, datagrams that are sent, what is measured of them, and its bounds: what is corrupted fails the checksum."""
TIMED = {"delay", "jitter"}
COUNTED = {
    "delay": "delayed_bytes",
    "jitter": "delayed_bytes",
    "rate": "delayed_bytes",
    "loss": "stalls",
    "burst loss": "stalls",
    "corruption": "corrupted",
}
"""The figure that is the evidence, where one counts datagrams; what comes twice or early only TCP notices."""
LIVE: dict[str, tuple[LinkEffect, str]] = {
    "delay": (LinkEffect(delay_ms=60), "delayed_bytes"),
    "loss": (LinkEffect(loss=0.2), "stalls"),
    "duplication": (LinkEffect(duplicate=0.5), "duplicated"),
    "reordering": (LinkEffect(delay_ms=60, reorder=0.3), "reordered"),
    "corruption": (LinkEffect(corrupt=0.2), "corrupted"),
}
"""Effect on both directions, and the figure that is its evidence."""


class Kernel:
    """An agent on a thread of its own, and what is asked of it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._agent: Agent = asyncio.run_coroutine_threadsafe(self._make(), self._loop).result()

    async def _make(self) -> Agent:
        return Agent({"links": [{"name": "link", "port": PORT}], "socket": ""})

    def ask(self, do: str, **request: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(self._agent.handle({"do": do, **request}), self._loop).result()

    def shape(self, fault: str, effect: LinkEffect, lease_s: float = LEASE_S) -> None:
        self.ask("shape", fault=fault, links=["link"], effect=effect.model_dump(), lease_s=lease_s, seed=1)

    def counted(self) -> Counter[str]:
        """Evidence that is there so far."""
        return Counter(self.ask("stats")["link"])

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class Talk:
    """One live connection to an echo at the link's port."""

    def __init__(self) -> None:
        self._server = socket.create_server((LOCAL, PORT))
        self._thread = threading.Thread(target=self._echo)
        self._thread.start()
        self._mouth = socket.create_connection((LOCAL, PORT), timeout=PATIENCE_S)
        self._mouth.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._mouth.close()
        self._thread.join()
        self._server.close()

    def _echo(self) -> None:
        peer, _ = self._server.accept()
        with peer:
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while heard := peer.recv(65536):
                peer.sendall(heard)

    def say(self, count: int, every_s: float = 0.01) -> float:
        """Send words of four bytes, one at a time, and wait until all came back in their order; milliseconds."""
        words = [number.to_bytes(4) for number in range(count)]
        began = time.perf_counter()
        for number, word in enumerate(words):
            while (left := began + number * every_s - time.perf_counter()) > 0:
                time.sleep(left)
            self._mouth.sendall(word)
        heard = b""
        while len(heard) < 4 * count:
            heard += self._mouth.recv(65536)
        assert heard == b"".join(words)
        return (time.perf_counter() - began) * 1000


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch, private_network(patch):
        skip_without_netem()
        agent = Kernel()
        yield agent
        agent.close()


def tc(*words: str) -> str:
    return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout


def kinds() -> list[str]:
    return [disc["kind"] for disc in json.loads(tc("-j", "qdisc", "show"))]


@pytest.fixture
def nothing_left(kernel: Kernel) -> Iterator[None]:
    """Whatever a test did, the device is as it was, and nothing is held."""
    before = kinds()
    yield
    try:
        assert kinds() == before
        assert kernel.ask("active") == []
    finally:
        kernel.ask("release", fault="run.1")  # the next test starts clean all the same


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("case", CASES)
def test_datagrams_are_hit_as_asked_and_spared_after(kernel: Kernel, case: str) -> None:
    """Netem does what was asked, within bounds, and counts it; once it is released, twice even, it does nothing."""
    effect, packets, figure, low, high = CASES[case]
    asks = Ask.parts(effect)
    by = {carriers.survey(carriers.SANDBOX, asks).means(ask, ()).carrier for ask in asks}
    assert by == ({"htb"} if case == "rate" else {"netem"})
    kernel.shape("run.1", effect.model_copy(update={"direction": "forward"}))
    assert ("netem" in kinds()) == (case != "rate")
    seen = Packets(PORT, **packets)
    counted = kernel.counted()
    kernel.ask("release", fault="run.1")
    kernel.ask("release", fault="run.1")
    assert low <= figure(seen) <= high * (SLACK if case in TIMED else 1), (figure(seen), seen.waits_ms)
    assert case not in COUNTED or counted[COUNTED[case]] > 0
    assert "loss" not in case or counted["stalls"] == round(seen.lost * packets["count"])
    assert Packets(PORT, 20).lost == 0


@pytest.mark.usefixtures("nothing_left")
@pytest.mark.parametrize("case", LIVE)
def test_a_live_connection_feels_both_ways_and_outlives_it(kernel: Kernel, case: str) -> None:
    """A connection that was there before loses no byte, TCP's own counters are the evidence, and it is quick again."""
    effect, figure = LIVE[case]
    with Talk() as talk:
        assert kernel.counted()[figure] == 0
        kernel.shape("run.1", effect)
        took_ms = talk.say(60)
        once_ms = min(talk.say(1) for _ in range(3))
        counted = kernel.counted()
        kernel.ask("release", fault="run.1")
        assert talk.say(20) > 0
        assert min(talk.say(1) for _ in range(10)) < 50
    assert counted[figure] > 0, (counted, took_ms)
    assert case != "delay" or 2 * effect.delay_ms <= once_ms <= 4 * effect.delay_ms * SLACK


@pytest.mark.usefixtures("nothing_left")
def test_what_was_never_put_in_is_released_without_harm(kernel: Kernel) -> None:
    """An unknown fault is no error, and what another one holds stays."""
    kernel.ask("release", fault="run.9")
    kernel.shape("run.1", LinkEffect(delay_ms=20))
    kernel.ask("release", fault="run.9")
    assert kernel.ask("active") == ["run.1"]
    assert "netem" in kinds()
    kernel.ask("release", fault="run.1")


@pytest.mark.usefixtures("nothing_left")
def test_a_lease_that_nobody_renews_ends_by_itself(kernel: Kernel) -> None:
    """Soon after its end the device is itself again."""
    kernel.shape("run.1", LinkEffect(delay_ms=20), lease_s=1.0)
    until = time.monotonic() + PATIENCE_S
    while kernel.ask("active"):
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.usefixtures("nothing_left")
def test_a_second_netem_beside_one_that_duplicates_is_refused(kernel: Kernel) -> None:
    """The kernel allows no other on the device: the second is told so, and the first goes on."""
    kernel.shape("run.1", LinkEffect(duplicate=0.3))
    with pytest.raises(BadRequest, match=r"run\.1 is there already"):
        kernel.shape("run.2", LinkEffect(loss=0.1))
    assert kernel.ask("active") == ["run.1"]
    kernel.ask("release", fault="run.1")


def test_a_queueing_discipline_of_somebody_else_is_refused(kernel: Kernel) -> None:
    """Where another root stands nothing is put in, and it stays."""
    tc("qdisc", "add", "dev", "lo", "root", "handle", "7:", "netem", "delay", "1ms")
    try:
        with pytest.raises(BadRequest, match="somebody else"):
            kernel.shape("run.1", LinkEffect(delay_ms=50))
        assert kinds() == ["netem"]
    finally:
        tc("qdisc", "del", "dev", "lo", "root")
    assert kernel.ask("active") == []
