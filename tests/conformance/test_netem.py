"""netem as the first carrier: what the kernel agent puts on `lo` of a private network, and what datagrams feel of it.

The agent lives in the test's own process, so that this is quick enough for the emulated machine of `make test-netem`.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sandbox_rig import LEASE_S, SLACK, Packets, private_network

from chaos.model.carrier import Ask
from chaos.model.link import LinkEffect
from chaos.runtimes import carriers, docker_shape
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
    "rate": (
        LinkEffect(rate_kbps=400),
        {"count": 60, "size": 1000, "every_s": 0.0},
        lambda seen: seen.rate_kbps,
        300,
        450,
    ),
}
"""Effect, datagrams that are sent, what is measured of them, and the bounds that it must lie in."""
TIMED = {"delay", "jitter"}


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

    def shape(self, fault: str, effect: LinkEffect) -> None:
        self.ask("shape", fault=fault, links=["link"], effect=effect.model_dump(), lease_s=LEASE_S, seed=1)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with pytest.MonkeyPatch.context() as patch, private_network(patch):
        if why := docker_shape.why_not(LinkEffect(delay_ms=1), netem=True):
            pytest.skip(f"no netem here: {why}; `make test-netem` boots a kernel that has it")
        agent = Kernel()
        yield agent
        agent.close()


def tc(*words: str) -> str:
    return subprocess.run(["tc", *words], capture_output=True, text=True, check=True).stdout


def kinds() -> list[str]:
    return [disc["kind"] for disc in json.loads(tc("-j", "qdisc", "show"))]


@pytest.mark.parametrize("case", CASES)
def test_datagrams_are_hit_as_asked_and_spared_after(kernel: Kernel, case: str) -> None:
    """Netem does what was asked, within bounds; once it is released, twice even, the device is as it was."""
    effect, packets, figure, low, high = CASES[case]
    asks = Ask.parts(effect)
    by = {carriers.survey(carriers.SANDBOX, asks).means(ask, ()).carrier for ask in asks}
    assert by == ({"htb"} if case == "rate" else {"netem"})
    before = kinds()
    kernel.shape("run.1", effect.model_copy(update={"direction": "forward"}))
    assert ("netem" in kinds()) == (case != "rate")
    seen = Packets(PORT, **packets)
    kernel.ask("release", fault="run.1")
    kernel.ask("release", fault="run.1")
    assert kinds() == before
    assert kernel.ask("active") == []
    assert low <= figure(seen) <= high * (SLACK if case in TIMED else 1), (figure(seen), seen.waits_ms)
    assert Packets(PORT, 20).lost == 0


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
