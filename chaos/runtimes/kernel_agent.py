"""The process that impairs links in a sandbox's kernel: `python -m chaos.runtimes.kernel_agent ORDERS.json`.

A link is its proxy's listening port on `lo`. The verbs of the control socket are those of the link proxy, so that a
fault's parts go to whichever carries them. Started by the supervisor; ends when its stdin does, and the namespace,
with every rule in it, when the last process of the stack does.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import signal
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.runtimes import control, docker_shape, kernel_cut
from chaos.runtimes.control import BadRequest
from chaos.runtimes.docker_delay import Delayer, open_sockets
from chaos.runtimes.docker_rules import Order, Way, conflict, delays, queue
from chaos.runtimes.report import log

HERE = 0
"""The pid that means our own namespace."""
AGAIN_S = 1.0
KERNEL_SLACK_S = 1.0
"""The kernel's term outlasts the lease by this: a late renewal must not tear a hole."""


@dataclass(eq=False)
class Held:
    """What one fault holds."""

    order: Order
    expiry: asyncio.TimerHandle
    delayers: list[Delayer] = field(default_factory=list)
    since: dict[str, int] = field(default_factory=dict)
    """What TCP had seen before the fault."""


class Agent:
    """The leases on the links of one stack."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self._ports: dict[str, int] = {link["name"]: link["port"] for link in orders["links"]}
        self._socket: str = orders["socket"]
        self._held: dict[str, Held] = {}
        self._cuts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._worker = ThreadPoolExecutor(1, "kernel")
        self._turn = asyncio.Lock()
        """One change at a time, each of them whole."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until stdin ends or SIGTERM comes."""
        end = asyncio.Event()
        self._loop.add_signal_handler(signal.SIGTERM, end.set)

        def owner() -> None:
            if not os.read(0, 4096):
                self._loop.remove_reader(0)
                end.set()

        self._loop.add_reader(0, owner)
        server = await control.serve(self._socket, self.handle)
        await end.wait()
        server.close()
        for fault in list(self._held):
            with contextlib.suppress(StackFailed):  # what is left ends with the namespace
                await self._take_out(fault)
        control.withdraw(self._socket)

    async def handle(self, request: dict[str, Any]) -> Any:
        """Answer one request of the control socket."""
        do: Callable[..., Any] | None = getattr(self, f"_do_{request.pop('do', '')}", None)
        if do is None:
            raise BadRequest("unknown request")
        try:
            return await do(**request)
        except TypeError as error:
            raise BadRequest(str(error)) from error
        except StackFailed as error:
            raise BadRequest(f"{error.message} ({error.hint})" if error.hint else error.message) from error

    async def _do_shape(self, fault: str, links: list[str], effect: dict[str, Any], lease_s: float, seed: int) -> None:
        if unknown := [name for name in links if name not in self._ports]:
            raise BadRequest(f"no such link: {', '.join(unknown)}")
        ways = tuple(Way(name, (), self._ports[name]) for name in links)
        async with self._turn:
            first, rest = await self._work(docker_shape.split, LinkEffect.model_validate(effect))
            order = Order(fault, ways, (), rest, seed, lo=True, netem=first)
            await self._take_out(fault)
            self._refuse(order)
            self._held[fault] = Held(order, self._expires(fault, lease_s))
            try:
                await self._put_in(self._held[fault], lease_s + KERNEL_SLACK_S)
            except (StackFailed, OSError) as error:
                await self._take_out(fault)
                raise BadRequest(str(error)) from error

    async def _do_renew(self, fault: str, lease_s: float) -> None:
        async with self._turn:
            if (held := self._held.get(fault)) is not None:
                held.expiry.cancel()
                held.expiry = self._expires(fault, lease_s)
                await self._work(docker_shape.prolong, HERE, fault, lease_s + KERNEL_SLACK_S)

    async def _do_release(self, fault: str) -> None:
        async with self._turn:
            await self._take_out(fault)

    async def _do_active(self) -> list[str]:
        return list(self._held)

    async def _do_stats(self) -> dict[str, Any]:
        stats = {name: Counter(reset=self._cuts[name]) for name in self._ports}
        for held in tuple(self._held.values()):
            counted = await self._work(docker_shape.counted, HERE, held.order, held.since)
            queues = [one.counts.by_link_stats() for one in held.delayers]
            for link, figures in (*counted.items(), *(("", one) for one in queues)):
                # What cannot be told apart by link is counted on the first of the fault's links.
                stats[link or held.order.ways[0].link].update(figures)
        return stats

    def _refuse(self, order: Order) -> None:
        if why := docker_shape.why_not(order.effect):
            raise StackFailed(f"the kernel cannot do that here: {why}")
        for held in self._held.values():
            if why := conflict(order, held.order):
                raise StackFailed(why)

    async def _put_in(self, held: Held, term_s: float) -> None:
        order = held.order
        if order.effect.strike:
            self._cuts += await self._work(kernel_cut.cut, HERE, order)
            return
        for direction in order.directions if delays(order.effect) else ():
            # All is met where it comes in, where nobody's sending waits for it: so it may wait in the kernel.
            number = queue(order.fault, direction)
            sockets = open_sockets(number, order.effect, resend=False)
            seed = f"{order.seed}/{direction}"
            held.delayers.append(Delayer(sockets, number, order.effect, seed, resend=False))
        held.since = docker_shape.seen(HERE, lo=True)
        await self._work(docker_shape.put, HERE, order, term_s)

    async def _take_out(self, fault: str) -> None:
        """Rules first, then what waits is let go; an unknown id is no error. Raises `StackFailed`, still holding it."""
        held = self._held.get(fault)
        if held is None:
            return
        if not held.order.effect.strike:
            await self._work(docker_shape.take_out, HERE, fault)
        del self._held[fault]
        held.expiry.cancel()
        for delayer in held.delayers:
            delayer.close()

    def _expires(self, fault: str, after_s: float) -> asyncio.TimerHandle:
        return self._loop.call_later(after_s, self._expire, fault)

    def _expire(self, fault: str) -> None:
        task = self._loop.create_task(self._expired(fault))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _expired(self, fault: str) -> None:
        log(f"{fault}: the lease is over")
        try:
            await self._do_release(fault)
        except StackFailed as error:
            log(f"{fault}: {error.message}; trying again")
            self._held[fault].expiry = self._expires(fault, AGAIN_S)

    async def _work(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return await self._loop.run_in_executor(self._worker, function, *arguments)


def main(argv: list[str]) -> int:
    """Entry point."""
    orders = json.loads(Path(argv[1]).read_text())["kernel"]

    async def live() -> None:
        await Agent(orders).run()

    def loop() -> asyncio.AbstractEventLoop:
        # select() waits to the microsecond, epoll() to the millisecond: packets are held for so long.
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(live())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
