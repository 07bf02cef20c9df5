"""The process that owns a stack: starts it, watches it, holds the leases on its nodes, and ends it.

`python -m chaos.runtimes.supervisor ORDERS.json`. Its stdin is a pipe to its owner: when that ends, every node is
killed at once – in detached mode only until the stack is ready, after that the stack lives until `stop`. It tells
its starter on stdout, a JSON object a line: {"say": "up", "node"}, then {"say": "ready"} or {"say": "failed", ...}.
One thread, one event loop, and nothing heavy imported: it has to be there first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import selectors
import signal
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from chaos.runtimes import control
from chaos.runtimes.child import Child, Program, any_ended
from chaos.runtimes.control import BadRequest
from chaos.runtimes.health import is_healthy, wait_healthy
from chaos.runtimes.leases import Leases
from chaos.runtimes.report import StartFailed, code, log, tell

RESTART_HEALTHY_S = 10.0
KILLED_WITHIN_S = 5.0
ASK_TO_END_S = 1.0
"""How long nodes get after SIGTERM when a stack is stopped on purpose."""


AGENTS = ("proxy", "kernel")
"""What impairs links: without one of them nothing is as it was asked for, and the stack ends."""


class Supervisor:
    """All processes of one stack and the leases on them."""

    def __init__(self, orders: dict[str, Any]) -> None:
        self.detached = bool(orders.get("detached"))
        self._orders = orders
        self._nodes = {node["name"]: Child(_program(node), self._watch) for node in orders["nodes"]}
        self._agents = [Child(_program(orders[name]), self._watch, pipe=True) for name in AGENTS if orders.get(name)]
        self._all = [*self._nodes.values(), *self._agents]
        self._leases = Leases(self._nodes, self._restarted)
        self._end = asyncio.Event()
        self._at_once = False
        self._ready = False
        self._reaped = asyncio.Event()

    async def run(self) -> int:
        """Live the stack's life; returns the exit code."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end.set)
        for deaf in (signal.SIGINT, signal.SIGHUP):  # a handler, not SIG_IGN: that would be inherited by the nodes
            signal.signal(deaf, lambda *_: None)
        loop.add_reader(0, self._owner)
        server = await control.serve(self._orders["socket"], self.handle)
        try:
            return await self._live()
        finally:
            await self._finish()
            server.close()
            self._withdraw()

    def _withdraw(self) -> None:
        """Remove the sockets, those of killed agents too, and their folder if it was made for them alone."""
        control.withdraw(self._orders["socket"])
        for agent in self._agents:
            control.withdraw(agent.program.socket)
        folder = Path(self._orders["socket"]).parent
        if folder != Path(self._orders["directory"]):
            with contextlib.suppress(OSError):
                folder.rmdir()

    async def _live(self) -> int:
        starting, ending = (asyncio.ensure_future(work) for work in (self._bring_up(), self._end.wait()))
        await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
            return 1
        try:
            starting.result()
        except StartFailed as error:
            self._at_once = True
            tell(error.report)
            return 1
        self._announce()
        await ending
        return 0

    def _announce(self) -> None:
        """The site file first: who reads "ready" may look for it."""
        site = Path(self._orders["directory"]) / "site.json"
        draft = site.with_suffix(".new")
        draft.write_text(json.dumps(self._orders["site"], indent=1))
        draft.chmod(0o600)
        draft.rename(site)
        self._ready = True
        tell({"say": "ready"})
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 1)
        if self.detached:
            asyncio.get_running_loop().remove_reader(0)
            os.dup2(null, 0)
        os.close(null)

    async def _bring_up(self) -> None:
        """Start everything in parallel; the first that fails ends it."""
        for child in self._all:
            _start(child)
        async with contextlib.AsyncExitStack() as stack:
            tasks = [asyncio.ensure_future(self._up(child)) for child in self._all]
            stack.push_async_callback(_cancel, tasks)
            for done in asyncio.as_completed(tasks):
                await done

    async def _up(self, child: Child) -> None:
        healthy = asyncio.ensure_future(self._serves(child))
        ended = asyncio.ensure_future(self._ends(child))
        try:
            await asyncio.wait({healthy, ended}, timeout=self._orders["start_s"], return_when=asyncio.FIRST_COMPLETED)
        finally:
            await _cancel([healthy, ended])
        if not child.running:
            raise StartFailed(child.program.name, f"ended with {code(child.exit_code)} before it served", child)
        if healthy.cancelled():
            asked = f"GET {child.program.health}" if child.program.health else "its port"
            raise StartFailed(
                child.program.name,
                f"did not answer ({asked} on port {child.program.port}) within {self._orders['start_s']:g} s",
                child,
            )
        tell({"say": "up", "node": child.program.name})

    async def _serves(self, child: Child) -> None:
        if not child.program.socket:
            await wait_healthy(child.program.port, child.program.health)
            return
        # An agent opens its control socket last, when all else is ready.
        there = Path(child.program.socket).exists
        while not there():  # noqa: ASYNC110 - another process's state has no event
            await asyncio.sleep(0.01)

    async def _ends(self, child: Child) -> None:
        while child.running:
            self._reaped.clear()
            await self._reaped.wait()

    # What a control socket may ask.

    async def handle(self, request: dict[str, Any]) -> Any:
        """Answer one request of the control socket."""
        do: Callable[..., Any] | None = getattr(self, f"_do_{request.pop('do', '')}", None)
        if do is None:
            raise BadRequest("unknown request")
        try:
            return await do(**request)
        except TypeError as error:
            raise BadRequest(str(error)) from error

    async def _do_ps(self) -> dict[str, Any]:
        return {name: self._state(name, child) for name, child in self._nodes.items()}

    def _state(self, name: str, child: Child) -> dict[str, Any]:
        state = "down"
        if child.running:
            state = "stopped" if self._leases.held(name, "pause") else "slow" if self._leases.slowed(name) else "up"
        return {
            "name": name,
            "pid": child.pid,
            "started": child.started if child.running else 0.0,
            "state": state,
            "restarts": max(0, child.starts - 1),
            "exit_code": child.exit_code,
            "faults": self._leases.faults_on(name),
        }

    async def _do_kill(
        self, fault: str, nodes: list[str], lease_s: float, restart_after_s: float | None = None, grace_s: float = 0.0
    ) -> None:
        known = self._known(nodes)
        self._leases.take(fault, "kill", known, lease_s, restart_after_s=restart_after_s, grace_s=grace_s)
        async with asyncio.timeout(KILLED_WITHIN_S + grace_s):
            for name in nodes:
                starts = self._nodes[name].starts
                while self._nodes[name].running and self._nodes[name].starts == starts:
                    self._reaped.clear()
                    await self._reaped.wait()

    async def _do_pause(self, fault: str, nodes: list[str], lease_s: float) -> None:
        self._leases.take(fault, "pause", self._known(nodes), lease_s)

    async def _do_throttle(self, fault: str, nodes: list[str], share: float, lease_s: float) -> None:
        if not 0 < share <= 1:
            raise BadRequest(f"a share lies between 0 and 1, not {share}")
        self._leases.take(fault, "throttle", self._known(nodes), lease_s, share=share)

    async def _do_renew(self, fault: str, lease_s: float) -> None:
        self._leases.renew(fault, lease_s)

    async def _do_release(self, fault: str) -> None:
        nodes = self._leases.release(fault)
        waits = [self._healthy_again(name) for name in nodes if not self._leases.held(name, "kill", "pause")]
        await asyncio.gather(*waits)

    async def _do_active(self) -> list[str]:
        return self._leases.active()

    async def _do_start(self, node: str) -> None:
        (name,) = self._known([node])
        if self._leases.held(name, "kill"):
            raise BadRequest(f"{name} is held down by {', '.join(self._leases.faults_on(name))}")
        _start(self._nodes[name])
        self._leases.started(name)
        await self._healthy_again(name)

    async def _do_stop(self) -> None:
        asyncio.get_running_loop().call_soon(self._end.set)

    def _known(self, nodes: Iterable[str]) -> list[str]:
        if unknown := [name for name in nodes if name not in self._nodes]:
            raise BadRequest(f"no process of this stack: {', '.join(unknown)}")
        return list(nodes)

    async def _healthy_again(self, name: str) -> None:
        """Wait for a node that was started; one that died by itself is not waited for."""
        child = self._nodes[name]
        until = time.monotonic() + RESTART_HEALTHY_S
        while time.monotonic() < until and (child.running or self._leases.awaited(name)):
            if child.running and await is_healthy(child.program.port, child.program.health):
                return
            await asyncio.sleep(0.02)

    # What happens by itself.

    def _restarted(self, child: Child) -> None:
        what = f"started again, pid {child.pid}" if child.running else "cannot be started again"
        log(f"{child.program.name}: {what}")

    def _watch(self, pid: int) -> None:
        """See a child's end by a pid file descriptor, or where there is none by SIGCHLD.

        SIGCHLD comes at each SIGSTOP and SIGCONT too, which doubles the cost of throttling.
        """
        loop = asyncio.get_running_loop()
        try:
            fd = os.pidfd_open(pid)
        except (AttributeError, OSError):
            loop.add_signal_handler(signal.SIGCHLD, self._reap)
            loop.call_soon(self._reap)
            return

        def ended() -> None:
            loop.remove_reader(fd)
            os.close(fd)
            self._reap()

        loop.add_reader(fd, ended)

    def _reap(self) -> None:
        if not any_ended():
            return
        for name, child in self._nodes.items():
            if child.reap():
                log(f"{name}: ended with {code(child.exit_code)}")
                self._leases.reaped(name)
        for agent in self._agents:
            if agent.reap() and self._ready:
                log(f"{agent.program.name} ended with {code(agent.exit_code)}: the links are not what they should be")
                self._end.set()
        self._reaped.set()

    def _owner(self) -> None:
        """Something on the owner's pipe: bytes mean nothing, its end means that the owner is gone."""
        if not os.read(0, 4096):
            asyncio.get_running_loop().remove_reader(0)
            self._at_once = True
            self._signal_all(signal.SIGKILL)
            self._end.set()

    async def _finish(self) -> None:
        """End every process: asked first when there is time, then killed. Stopped ones take no other signal."""
        self._leases.close()
        if not self._at_once:
            self._signal_all(signal.SIGTERM)
            self._signal_all(signal.SIGCONT)
            await self._all_ended(ASK_TO_END_S)
        self._signal_all(signal.SIGKILL)
        if not await self._all_ended(KILLED_WITHIN_S):
            log("processes that cannot be killed remain")
        (Path(self._orders["directory"]) / "site.json").unlink(missing_ok=True)

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._all:
            child.signal(number)

    async def _all_ended(self, within_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                for child in self._all:
                    await self._ends(child)
        return not any(child.running for child in self._all)


def _program(order: dict[str, Any]) -> Program:
    return Program(
        order["name"],
        tuple(order["argv"]),
        order.get("env", {}),
        order["log"],
        order.get("port", 0),
        order.get("health"),
        order.get("socket", ""),
    )


def _start(child: Child) -> None:
    try:
        child.start()
    except OSError as error:
        why = f"cannot be started: {error.strerror or error}: {child.program.argv[0]}"
        raise StartFailed(child.program.name, why, child) from error


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in (tasks := list(tasks)):
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main(argv: list[str]) -> int:
    """Entry point."""
    orders = json.loads(Path(argv[1]).read_text())

    def loop() -> asyncio.AbstractEventLoop:
        # select() waits to the microsecond, epoll() to the millisecond: a duty cycle needs the former.
        return asyncio.SelectorEventLoop(selectors.SelectSelector())

    with asyncio.Runner(loop_factory=loop) as runner:
        return runner.run(Supervisor(orders).run())


if __name__ == "__main__":
    sys.exit(main(sys.argv))
