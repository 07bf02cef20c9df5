"""What faults hold on nodes: leases that end by release, or by themselves when nobody renews them.

A node's condition follows from the leases on it – down while one kills it, else stopped while one pauses it,
else slowed to the smallest share asked for, and its clock wrong by all offsets together – and is worked out anew
after each change, so faults compose and a release never depends on the order in which they came.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from chaos.runtimes import clocks
from chaos.runtimes.child import Child
from chaos.runtimes.throttle import DutyCycle

GOLDEN = 0.618
"""Successive multiples of the golden ratio spread the phases of any number of duty cycles evenly."""


@dataclass(slots=True)
class Lease:
    """One kind of harm by one fault."""

    fault: str
    kind: str
    """kill, pause, throttle or skew."""
    nodes: set[str]
    share: float = 1.0
    offset_s: float = 0.0
    """By which the wall clock is wrong."""
    grace_s: float = 0.0
    """Seconds that a killed node has to end by itself."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)
    expiry: asyncio.TimerHandle | None = None

    def cancel(self) -> None:
        for timer in (*self.timers, *([self.expiry] if self.expiry else [])):
            timer.cancel()


class Leases:
    """All leases of a stack's nodes; `on_start` is called for a node that has just been started again."""

    def __init__(self, children: dict[str, Child], on_start: Callable[[Child], None]) -> None:
        self._children = children
        self._on_start = on_start
        self._leases: list[Lease] = []
        self._cycles: dict[str, DutyCycle] = {}
        self._cycles_begun = 0
        self._down: set[str] = set()
        """Nodes that a lease killed and that are to be started again."""

    def active(self) -> list[str]:
        """Ids of the faults that hold something, oldest first."""
        return list(dict.fromkeys(lease.fault for lease in self._leases))

    def faults_on(self, node: str) -> list[str]:
        """Ids of the faults that hold this node."""
        return list(dict.fromkeys(lease.fault for lease in self._leases if node in lease.nodes))

    def held(self, node: str, *kinds: str) -> bool:
        """Whether a lease of one of these kinds is on the node."""
        return any(node in lease.nodes and lease.kind in kinds for lease in self._leases)

    def awaited(self, name: str) -> bool:
        """Whether the node was killed, is free of its leases, and starts as soon as its old process is collected."""
        return name in self._down and not self.held(name, "kill")

    def slowed(self, node: str) -> bool:
        """Whether a duty cycle runs on the node now."""
        return node in self._cycles

    def take(
        self,
        fault: str,
        kind: str,
        nodes: Iterable[str],
        lease_s: float,
        *,
        share: float = 1.0,
        offset_s: float = 0.0,
        restart_after_s: float | None = None,
        grace_s: float = 0.0,
    ) -> None:
        """Put a harm on nodes; the same fault may ask again, and for several kinds. `grace_s`: SIGTERM first."""
        loop = asyncio.get_running_loop()
        lease = Lease(fault, kind, set(nodes), share, offset_s, grace_s)
        lease.expiry = loop.call_later(lease_s, self.release, fault)
        self._leases.append(lease)
        if restart_after_s is not None:
            lease.timers.append(loop.call_later(restart_after_s, self._let_go, lease))
        self._settle(lease.nodes)

    def renew(self, fault: str, lease_s: float) -> None:
        """Begin a new term; an unknown id is no error (it was released, or it ran out)."""
        loop = asyncio.get_running_loop()
        for lease in self._leases:
            if lease.fault == fault and lease.expiry is not None:
                lease.expiry.cancel()
                lease.expiry = loop.call_later(lease_s, self.release, fault)

    def release(self, fault: str) -> list[str]:
        """Take back all that a fault does; returns the nodes it held. An unknown id is no error."""
        gone = [lease for lease in self._leases if lease.fault == fault]
        self._leases = [lease for lease in self._leases if lease.fault != fault]
        nodes: set[str] = set()
        for lease in gone:
            lease.cancel()
            nodes |= lease.nodes
        self._settle(nodes)
        return sorted(nodes)

    def close(self) -> None:
        """Forget every lease and wake every node, starting none."""
        for lease in self._leases:
            lease.cancel()
        self._leases.clear()
        for cycle in self._cycles.values():
            cycle.end()
        self._cycles.clear()

    def _let_go(self, lease: Lease) -> None:
        """`restart_after_s` is over: the lease lasts, but the nodes come back."""
        nodes, lease.nodes = lease.nodes, set()
        self._settle(nodes)

    def _settle(self, nodes: Iterable[str]) -> None:
        for name in sorted(nodes):
            self._settle_one(name, self._children[name])

    def _settle_one(self, name: str, child: Child) -> None:
        if child.program.clock:
            skews = (lease.offset_s for lease in self._leases if lease.kind == "skew" and name in lease.nodes)
            clocks.write(Path(child.program.clock), clocks.text(sum(skews)))
        if self.held(name, "kill"):
            self._end_cycle(name)
            if child.running:
                self._down.add(name)
            self._end(name, child)
            return
        if name in self._down:
            self._restart(name, child)
        if self.held(name, "pause"):
            self._end_cycle(name)
            child.stop()
            return
        self._throttle(name, child)

    def _end(self, name: str, child: Child) -> None:
        """Kill at once, or ask first if every fault that wants it dead gives it time."""
        grace_s = min(one.grace_s for one in self._leases if one.kind == "kill" and name in one.nodes)
        if not grace_s:
            child.signal(signal.SIGKILL)
            return
        child.signal(signal.SIGTERM)
        child.cont()
        # Not the lease's timer: who was asked to end ends, also when the lease is over by then.
        asyncio.get_running_loop().call_later(grace_s, self._end_for_good, name, child, child.pid)

    def _end_for_good(self, name: str, child: Child, pid: int) -> None:
        if child.pid == pid and name in self._down:
            child.signal(signal.SIGKILL)

    def _restart(self, name: str, child: Child) -> None:
        if child.running:  # killed, and not collected yet: `reaped` starts it
            return
        self._down.discard(name)
        with contextlib.suppress(OSError):  # `on_start` sees that it does not run
            child.start()
        self._on_start(child)

    def started(self, name: str) -> None:
        """The node was started by hand: put what is held on it to the new process too."""
        self._down.discard(name)
        self._settle_one(name, self._children[name])

    def reaped(self, name: str) -> None:
        """The node's process has ended: start it again if only its end was missing."""
        self._end_cycle(name)
        if name in self._down and not self.held(name, "kill"):
            self._settle_one(name, self._children[name])

    def _throttle(self, name: str, child: Child) -> None:
        shares = [lease.share for lease in self._leases if lease.kind == "throttle" and name in lease.nodes]
        share = min(shares, default=1.0)
        if share < 1.0 and name in self._cycles and self._cycles[name].share == share:
            return
        self._end_cycle(name)
        child.cont()
        if share < 1.0 and child.running:
            self._cycles_begun += 1
            self._cycles[name] = DutyCycle(asyncio.get_running_loop(), child, share)
            self._cycles[name].start(self._cycles_begun * GOLDEN % 1.0)

    def _end_cycle(self, name: str) -> None:
        if cycle := self._cycles.pop(name, None):
            cycle.end()
