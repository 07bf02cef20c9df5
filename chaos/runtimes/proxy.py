"""The link proxy: one process for all links of a stack, through which their bytes pass, and in which faults act.

`python -m chaos.runtimes.proxy ORDERS.json`, started by the supervisor; ends when its stdin does. Its control
socket appears when every link listens. While no fault acts on a link its bytes are handed on as they come.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import os
import random
import resource
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from chaos.runtimes import control
from chaos.runtimes.control import BadRequest
from chaos.runtimes.proxy_flow import clock
from chaos.runtimes.proxy_lane import Store
from chaos.runtimes.proxy_link import Link, directions
from chaos.runtimes.proxy_wire import Loop, prompt_timers
from chaos.runtimes.shaping import Bucket, Effect, Impairment

FILES = (65_536, 10_240)
"""Open files that the proxy asks for: a connection takes two. macOS allows no more than the second."""


class Fault:
    """What one fault does to links, and until when."""

    def __init__(self) -> None:
        self.links: set[str] = set()
        self.buckets: list[Bucket] = []
        self.expiry: asyncio.TimerHandle | None = None


class Proxy:
    """All links, and the leases on them."""

    def __init__(self, links: Iterable[Link]) -> None:
        self.links = {link.name: link for link in links}
        self._faults: dict[str, Fault] = {}

    async def handle(self, request: dict[str, Any]) -> Any:
        """Answer one request of the control socket."""
        do: Callable[..., Any] | None = getattr(self, f"_do_{request.pop('do', '')}", None)
        if do is None:
            raise BadRequest("unknown request")
        try:
            return do(**request)
        except TypeError as error:
            raise BadRequest(str(error)) from error

    def _do_shape(self, fault: str, links: list[str], effect: dict[str, Any], lease_s: float, seed: int) -> None:
        if unknown := [name for name in links if name not in self.links]:
            raise BadRequest(f"no such link: {', '.join(unknown)}")
        what = Effect(**effect)
        if what.reorder or what.duplicate:
            raise BadRequest("in a stream of bytes nothing comes twice or out of turn")
        held = self._faults.setdefault(fault, Fault())
        buckets = self._buckets(what)
        held.buckets += buckets.values()
        for number, name in enumerate(links):
            held.links.add(name)
            self.links[name].impair(
                fault,
                {
                    direction: Impairment(what, f"{seed}/{fault}/{number}/{direction}", buckets.get(direction))
                    for direction in directions(what)
                    if not what.strike
                },
            )
        self._strike(fault, links, what, seed)
        self._do_renew(fault, lease_s)

    def _strike(self, fault: str, links: list[str], what: Effect, seed: int) -> None:
        """Reset or freeze a share of the connections that live now on all of these links."""
        if not what.strike:
            return
        there = [(self.links[name], connection) for name in links for connection in self.links[name].live()]
        live = [(link, connection) for link, connection in there if what.key in {"", connection.key}]
        hit = random.Random(f"{seed}/{fault}/strike").sample(live, math.ceil(len(live) * what.share))  # noqa: S311
        for link, connection in hit:
            if what.strike == "reset":
                link.cut_off(connection)
            else:
                connection.freeze(fault)

    @staticmethod
    def _buckets(effect: Effect) -> dict[str, Bucket]:
        """One per direction, shared by all links and connections of the fault."""
        if effect.rate_kbps is None:
            return {}
        call_later = asyncio.get_running_loop().call_later
        return {way: Bucket(effect.rate_kbps * 125, clock, call_later) for way in directions(effect)}

    def _do_renew(self, fault: str, lease_s: float) -> None:
        if (held := self._faults.get(fault)) is not None:
            if held.expiry is not None:
                held.expiry.cancel()
            held.expiry = asyncio.get_running_loop().call_later(lease_s, self._do_release, fault)

    def _do_release(self, fault: str) -> None:
        held = self._faults.pop(fault, None)
        if held is None:
            return
        if held.expiry is not None:
            held.expiry.cancel()
        for bucket in held.buckets:
            bucket.close()
        for name in held.links:
            self.links[name].impair(fault, None)

    def _do_active(self) -> list[str]:
        return list(self._faults)

    def _do_stats(self) -> dict[str, Any]:
        return {name: link.stats() for name, link in self.links.items()}


async def run(links: Iterable[Link], socket_path: str) -> None:
    """Serve until stdin ends or SIGTERM comes."""
    loop = cast("Loop", asyncio.get_running_loop())
    end = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, end.set)

    def owner() -> None:
        if not os.read(0, 4096):
            loop.remove_reader(0)
            end.set()

    loop.add_reader(0, owner)
    proxy = Proxy(links)
    for link in proxy.links.values():
        link.listen(loop)
    server = await control.serve(socket_path, proxy.handle)
    await end.wait()
    server.close()
    for link in proxy.links.values():
        link.close(loop)
    control.withdraw(socket_path)


def _many_files() -> None:
    """The usual soft limit (256 on macOS) is no limit of the proxy's."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for most in FILES:
        wanted = most if hard == resource.RLIM_INFINITY else min(hard, most)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return


def main(argv: list[str]) -> int:
    """Entry point."""
    orders = json.loads(Path(argv[1]).read_text())["proxy"]
    store = Store()
    links = [Link(order["name"], order["port"], order["to"], store) for order in orders["links"]]
    _many_files()
    prompt_timers()
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(run(links, orders["socket"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
