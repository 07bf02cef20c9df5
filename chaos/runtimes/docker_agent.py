"""The process that holds the leases on containers: `python -m chaos.runtimes.docker_agent ORDERS.json`.

It outlives its conductor: its stdin is a pipe to it, and when that ends, by whatever end, everything is taken back
and the agent ends too. It tells its starter on stdout {"say": "ready"} or {"say": "failed", "why"}. The verbs of
its control socket are those of the supervisor, and `shape` and `stats`, which a link proxy has elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError, StackFailed
from chaos.model.link import LinkEffect
from chaos.model.stack import Site
from chaos.runtimes import control, docker_ways
from chaos.runtimes.control import BadRequest
from chaos.runtimes.docker_delay import Delayer, Sockets
from chaos.runtimes.docker_engine import Engine
from chaos.runtimes.docker_hands import Hands, Queue, Shape
from chaos.runtimes.docker_leases import AGAIN_S, KERNEL_SLACK_S, ContainerLeases, Lease
from chaos.runtimes.docker_names import WAYS, Names
from chaos.runtimes.docker_rules import Order
from chaos.runtimes.docker_rules import queue as queue_number
from chaos.runtimes.http import NoAnswer
from chaos.runtimes.report import log, tell

HEALTHY_S = 10.0
LAST_TRIES = 30
"""How often, a second apart, an agent whose conductor is gone tries to take back what the engine refuses."""


class Agent:
    """The leases on one site's containers, and their end."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.site = Site.model_validate(orders["site"])
        self._loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        self._worker = ThreadPoolExecutor(1, "hands")
        self._delayers: dict[Queue, Delayer] = {}
        self._hands = Hands(self.site, Engine(), self._on_queue, self._off_queue)
        self._leases = ContainerLeases(self._hands, self._worker)

    async def run(self) -> None:
        """Serve until the owner's pipe ends or `stop` is asked, then take everything back."""
        self._loop.add_signal_handler(signal.SIGTERM, self._end.set)
        for deaf in (signal.SIGINT, signal.SIGHUP):
            signal.signal(deaf, lambda *_: None)
        self._loop.add_reader(0, self._owner)
        threading.Thread(target=self._watch, name="events", daemon=True).start()
        server = await control.serve(self.site.supervisor, self.handle)
        tell({"say": "ready"})
        try:
            await self._end.wait()
        finally:
            await self._take_back()
            server.close()
            control.withdraw(self.site.supervisor)

    async def handle(self, request: dict[str, Any]) -> Any:
        """Answer one request of the control socket."""
        do: Callable[..., Any] | None = getattr(self, f"_do_{request.pop('do', '')}", None)
        if do is None:
            raise BadRequest("unknown request")
        try:
            return await do(**request)
        except TypeError as error:
            raise BadRequest(str(error)) from error
        except ChaosError as error:
            raise BadRequest(error.message) from error

    async def _do_ps(self) -> dict[str, Any]:
        nodes = self.site.containers
        slowed = {node: self._leases.held(node, "throttle") for node in nodes}
        held = {node: self._leases.faults_on(node) for node in nodes}
        states: dict[str, Any] = await self._work(self._hands.states, slowed, held)
        return states

    async def _do_kill(
        self, fault: str, nodes: list[str], lease_s: float, restart_after_s: float | None = None, grace_s: float = 0.0
    ) -> None:
        lease = Lease(fault, "kill", self._known(nodes), grace_s=grace_s)
        await self._leases.take(lease, lease_s, restart_after_s)

    async def _do_pause(self, fault: str, nodes: list[str], lease_s: float) -> None:
        await self._leases.take(Lease(fault, "pause", self._known(nodes)), lease_s)

    async def _do_throttle(self, fault: str, nodes: list[str], share: float, lease_s: float) -> None:
        if not 0 < share <= 1:
            raise BadRequest(f"a share lies between 0 and 1, not {share}")
        await self._leases.take(Lease(fault, "throttle", self._known(nodes), share=share), lease_s)

    async def _do_skew(self, fault: str, nodes: list[str], offset_s: float, lease_s: float) -> None:
        await self._leases.take(Lease(fault, "skew", self._known(nodes), offset_s=offset_s), lease_s)

    async def _do_names(self, fault: str, nodes: list[str], how: str, lease_s: float) -> None:
        if how not in WAYS:
            raise BadRequest(f"names fail by {' or '.join(WAYS)}, not by {how}")
        names = Names(fault, how, lease_s + KERNEL_SLACK_S)
        await self._leases.take(Lease(fault, "names", self._known(nodes), names=names), lease_s)

    async def _do_shape(self, fault: str, links: list[str], effect: dict[str, Any], lease_s: float, seed: int) -> None:
        targets = {link.name: link.target for link in self.site.spec.links}
        if unknown := [name for name in links if name not in targets]:
            raise BadRequest(f"no link of this stack: {', '.join(unknown)}")
        shape = Shape(fault, tuple(links), LinkEffect.model_validate(effect), seed, lease_s + KERNEL_SLACK_S)
        await self._leases.take(Lease(fault, "shape", {targets[name] for name in links}, shape=shape), lease_s)

    async def _do_renew(self, fault: str, lease_s: float) -> None:
        await self._leases.renew(fault, lease_s)

    async def _do_release(self, fault: str) -> None:
        nodes = await self._leases.release(fault)
        await asyncio.gather(*(self._healthy_again(node) for node in nodes))

    async def _do_active(self) -> list[str]:
        return self._leases.active()

    async def _do_originals(self) -> dict[str, Any]:
        originals: dict[str, Any] = await self._work(self._hands.originals)
        return originals

    async def _do_stats(self) -> dict[str, Any]:
        stats = {name: Counter[str]() for name in ("", *(link.name for link in self.site.spec.links))}
        for fault in self._leases.active():
            for node in self.site.containers:
                counted = await self._work(self._hands.counted, node, fault)
                queues = [one.counts.by_link_stats() for key, one in self._delayers.items() if key[:2] == (node, fault)]
                first = self._hands.first_link(node, fault)
                for link, figures in (*counted.items(), *(("", one) for one in queues)):
                    # What cannot be told apart by link is counted on the first of the fault's links to this node.
                    stats[link or first].update(figures)
        for node in self.site.containers:
            for link, count in (await self._work(self._hands.connections, node)).items():
                stats[link]["connections"] = count
        for link, count in self._hands.cuts.items():
            stats[link]["reset"] = count
        del stats[""]
        return stats

    async def _do_stop(self) -> None:
        self._loop.call_soon(self._end.set)

    def _known(self, nodes: Iterable[str]) -> set[str]:
        if unknown := [name for name in nodes if name not in self.site.containers]:
            raise BadRequest(f"no container of this stack: {', '.join(unknown)}")
        return set(nodes)

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._worker, function, *arguments)

    async def _healthy_again(self, node: str) -> None:
        """Wait for a node that was started or woken; one that another fault holds is not waited for."""
        until = time.monotonic() + HEALTHY_S
        path = self.site.spec.nodes()[node][1].health or "/"
        while time.monotonic() < until and not self._leases.held(node, "kill", "pause"):
            with contextlib.suppress(NoAnswer):
                await asyncio.to_thread(docker_ways.ask_node, self.site, node, path, 1.0)
                return
            await asyncio.sleep(0.1)

    def _owner(self) -> None:
        if not os.read(0, 4096):
            self._loop.remove_reader(0)
            self._end.set()

    def _watch(self) -> None:
        """Starts of our containers, from a thread of their own: an engine that ends its stream is asked again."""
        ours = {container.id for container in self.site.containers.values()}
        while not self._end.is_set():
            with contextlib.suppress(Exception):  # any trouble of the stream means: ask again
                for started in self._hands.engine.starts():
                    if started in ours:
                        self._loop.call_soon_threadsafe(self._leases.resettle)
            time.sleep(AGAIN_S)

    def _on_queue(self, key: Queue, sockets: Sockets, order: Order) -> None:
        def begin() -> None:
            number = queue_number(order.fault, key.direction)
            seed = f"{order.seed}/{key.node}/{key.direction}"
            self._delayers[key] = Delayer(sockets, number, order.effect, seed, resend=key.direction == "o")

        self._loop.call_soon_threadsafe(begin)

    def _off_queue(self, key: Queue) -> None:
        def end() -> None:
            if (delayer := self._delayers.pop(key, None)) is not None:
                delayer.close()

        self._loop.call_soon_threadsafe(end)

    async def _take_back(self) -> None:
        for _ in range(LAST_TRIES):
            try:
                await self._leases.release_all()
            except StackFailed as error:
                log(f"cannot be taken back: {error.message}")
                await asyncio.sleep(AGAIN_S)
            else:
                break


def main(argv: list[str]) -> int:
    """Entry point."""
    orders = json.loads(Path(argv[1]).read_text())

    async def live() -> int:
        try:
            agent = Agent(orders)
        except ChaosError as error:
            tell({"say": "failed", "why": error.message})
            return 1
        await agent.run()
        return 0

    def loop() -> asyncio.AbstractEventLoop:
        # select() waits to the microsecond, epoll() to the millisecond: packets are held for so long.
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(live())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
