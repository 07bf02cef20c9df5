"""Leases on containers: who holds what for how long. One event loop; what is touched, `Hands` touches in a thread.

As with processes, a node's condition is worked out anew from all leases on it after each change. A change that
fails on its way back is tried again every second, for as long as this process lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from chaos.errors import StackFailed
from chaos.runtimes.control import BadRequest
from chaos.runtimes.docker_body import CALM, Strain
from chaos.runtimes.docker_hands import Hands, Want
from chaos.runtimes.docker_links import Shape
from chaos.runtimes.docker_names import Names
from chaos.runtimes.report import log

AGAIN_S = 1.0
KERNEL_SLACK_S = 1.0
"""The kernel's term outlasts the lease by this: a late renewal must not tear a hole."""


@dataclass(slots=True, eq=False)
class Lease:
    """One kind of harm by one fault."""

    fault: str
    kind: str
    """kill, starve, pause, throttle, skew, names, shape, squeeze, fill or drag."""
    nodes: set[str]
    share: float = 1.0
    offset_s: float = 0.0
    """By which the wall clock is wrong."""
    grace_s: float = 0.0
    """Seconds that a killed node has to end by itself."""
    shape: Shape | None = None
    names: Names | None = None
    strain: Strain = CALM
    settled: bool = False
    """Whether it was in force once."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    expiry: asyncio.TimerHandle | None = None

    @property
    def in_kernel(self) -> bool:
        """Whether the kernel has a term of its own for it."""
        return self.shape is not None or self.names is not None

    def cancel(self) -> None:
        for timer in (*self.timers, *([self.expiry] if self.expiry else [])):
            timer.cancel()


class ContainerLeases:
    """All leases on the containers of a site."""

    def __init__(self, hands: Hands, worker: ThreadPoolExecutor) -> None:
        self._hands = hands
        self._worker = worker
        self._leases: list[Lease] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._disturbed: dict[str, dict[str, bool]] = {}
        """Fault -> what happened to it, in words, and whether it is in force again."""

    def active(self) -> list[str]:
        """Ids of the faults that hold something, oldest first."""
        return list(dict.fromkeys(lease.fault for lease in self._leases))

    def faults_on(self, node: str) -> list[str]:
        """Ids of the faults that hold this node."""
        return list(dict.fromkeys(lease.fault for lease in self._leases if node in lease.nodes))

    def held(self, node: str, *kinds: str) -> bool:
        """Whether a lease of one of these kinds is on the node."""
        return any(node in lease.nodes and lease.kind in kinds for lease in self._leases)

    def disturbed(self, fault: str) -> list[dict[str, Any]]:
        """What others did to a fault, as `chaos.runtimes.base.Disturbance` has it."""
        return [{"says": says, "mended": mended} for says, mended in self._disturbed.get(fault, {}).items()]

    async def take(self, lease: Lease, lease_s: float, restart_after_s: float | None = None) -> None:
        """Put a harm on nodes; what cannot be done whole is taken back. Raises `BadRequest`."""
        loop = asyncio.get_running_loop()
        lease.expiry = loop.call_later(lease_s + lease.grace_s, self._expire, lease.fault)
        self._leases.append(lease)
        try:
            if lease.grace_s:
                nodes = sorted(lease.nodes)
                await loop.run_in_executor(self._worker, self._hands.ask_to_end, nodes, lease.grace_s)
            await self._settle(lease.nodes)
        except StackFailed as error:
            self._expire(lease.fault)
            raise BadRequest(f"{error.message} ({error.hint})" if error.hint else error.message) from error
        if restart_after_s is not None:
            lease.timers.append(loop.call_later(restart_after_s, self._let_go, lease))

    async def renew(self, fault: str, lease_s: float) -> None:
        """Begin a new term, the kernel's too; an unknown id is no error."""
        loop = asyncio.get_running_loop()
        for lease in [one for one in self._leases if one.fault == fault]:
            if lease.expiry is not None:
                lease.expiry.cancel()
                lease.expiry = loop.call_later(lease_s, self._expire, fault)
            for node in sorted(lease.nodes) if lease.in_kernel else ():
                await loop.run_in_executor(self._worker, self._hands.prolong, node, fault, lease_s + KERNEL_SLACK_S)

    async def release(self, fault: str) -> list[str]:
        """Take back all that a fault does; returns the nodes it held. Raises `StackFailed`, and goes on trying."""
        nodes = self._drop(fault)
        try:
            await self._settle(nodes)
        except StackFailed:
            self._again(nodes)
            raise
        return sorted(nodes)

    async def release_all(self) -> None:
        """Take back everything, and look at every container. Raises `StackFailed`."""
        for fault in self.active():
            self._drop(fault)
        await self._settle(self._hands.site.containers)

    def resettle(self) -> None:
        """A container was started: put on it what is held on it, and use its new addresses everywhere."""
        self._spawn(self._readdress())

    def events_lost(self) -> None:
        """For a while nobody said what was started: look at everything that is held."""
        log("the engine's events were lost for a while; looking at every container")
        for fault in self.active():
            self._disturb(fault, "the engine's events were lost for a while, and every container was looked at again")
        self.resettle()

    def _disturb(self, fault: str, says: str, *, mended: bool = True) -> None:
        self._disturbed.setdefault(fault, {})[says] = mended

    def _drop(self, fault: str) -> set[str]:
        gone = [lease for lease in self._leases if lease.fault == fault]
        self._leases = [lease for lease in self._leases if lease.fault != fault]
        self._disturbed.pop(fault, None)
        for lease in gone:
            lease.cancel()
        return {node for lease in gone for node in lease.nodes}

    def _expire(self, fault: str) -> None:
        nodes = self._drop(fault)
        log(f"{fault}: the lease is over")
        self._spawn(self._settle_or_again(nodes))

    def _let_go(self, lease: Lease) -> None:
        nodes, lease.nodes = lease.nodes, set()
        self._spawn(self._settle_or_again(nodes))

    def _again(self, nodes: Iterable[str]) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(AGAIN_S, lambda: self._spawn(self._settle_or_again(set(nodes))))

    async def _settle_or_again(self, nodes: set[str]) -> None:
        try:
            await self._settle(nodes)
        except StackFailed as error:
            log(f"{', '.join(sorted(nodes))}: {error.message}; trying again")
            self._again(nodes)

    async def _readdress(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._worker, self._hands.readdress)
        except StackFailed as error:
            log(f"addresses cannot be looked up: {error.message}")
        nodes = {node for lease in self._leases for node in lease.nodes}
        await self._settle_or_again(nodes)

    async def _settle(self, nodes: Iterable[str]) -> None:
        """Every node is tried, whatever happens to the one before it."""
        loop = asyncio.get_running_loop()
        failures = []
        for node in sorted(nodes):
            torn, error = await loop.run_in_executor(self._worker, self._try, node, self._want(node))
            self._note(node, torn=torn, mended=error is None)
            failures += [error] if error else []
        if failures:
            raise failures[0]

    def _try(self, node: str, want: Want) -> tuple[bool, StackFailed | None]:
        """On the worker's thread; whether somebody else had torn something down, and what went wrong."""
        try:
            self._hands.settle(node, want)
        except StackFailed as error:
            return self._hands.torn, error
        return self._hands.torn, None

    def _note(self, node: str, *, torn: bool, mended: bool) -> None:
        says = f"{node} was restarted or freed by somebody else"
        for lease in self._leases:
            if node in lease.nodes:
                if lease.settled and (torn or says in self._disturbed.get(lease.fault, ())):
                    self._disturb(lease.fault, says, mended=mended)
                lease.settled = lease.settled or mended

    def _want(self, node: str) -> Want:
        on = [lease for lease in self._leases if node in lease.nodes]
        return Want(
            killed=any(lease.kind in {"kill", "starve"} for lease in on),
            starved=not any(lease.kind == "kill" for lease in on),
            paused=any(lease.kind == "pause" for lease in on),
            share=min((lease.share for lease in on if lease.kind == "throttle"), default=1.0),
            offset_s=sum(lease.offset_s for lease in on),
            names=tuple(lease.names for lease in on if lease.names is not None),
            shapes=tuple(lease.shape for lease in on if lease.shape is not None),
            strain=Strain.of(lease.strain for lease in on),
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
