"""Brings containers into the condition that the leases on them ask for, and back; blocking, for one worker thread.

`settle` compares what is wanted with what is there and changes the difference, so it may be called at any time and
again: after a new lease, after a release, after a restart that nobody here asked for.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chaos.errors import StackFailed
from chaos.model.stack import Container, Site
from chaos.runtimes import docker_clocks, docker_cpu, docker_shape
from chaos.runtimes.docker_body import CALM, Body, Strain
from chaos.runtimes.docker_delay import Sockets
from chaos.runtimes.docker_engine import PAUSED, STOPPED, ContainerGone, Engine, Facts
from chaos.runtimes.docker_links import Links, Queue, Shape
from chaos.runtimes.docker_names import NameRules, Names
from chaos.runtimes.docker_rules import Order

LOOK_S = 0.05
"""How often a container that was asked to end is looked at."""
LOOSE_PORTS = "publishes ports that the engine picks: after a restart they would be others"


@dataclass(frozen=True, slots=True)
class Want:
    """The condition that a node is to be in."""

    killed: bool = False
    paused: bool = False
    starved: bool = False
    """Killed by nobody but the kernel's out-of-memory killer."""
    share: float = 1.0
    offset_s: float = 0.0
    names: tuple[Names, ...] = ()
    shapes: tuple[Shape, ...] = ()
    strain: Strain = CALM


class Hands:
    """What touches the containers of a site. `on_queue` and `off_queue` are called on the worker's thread."""

    def __init__(
        self,
        site: Site,
        engine: Engine,
        on_queue: Callable[[Queue, Sockets, Order], None],
        off_queue: Callable[[Queue], None],
    ) -> None:
        self.site = site
        self.engine = engine
        self.links = Links(site, on_queue, off_queue)
        self._was: dict[str, docker_cpu.Quota] = {}
        """Quotas of others that ours stand in for."""
        self._body = Body(site)
        self._starved = dict.fromkeys(site.containers, 0)
        """How often the engine said that the out-of-memory killer had ended a node."""
        self._down: set[str] = set()
        self._asked: dict[str, float] = {}
        """Nodes that were asked to end, and the moment (monotonic) at which their time is over."""
        self._frozen: set[str] = set()
        self._names = NameRules()
        self._clocks = docker_clocks.Clocks()
        self.torn = False
        """Whether the last `settle` met something that somebody else had torn down."""

    def settle(self, node: str, want: Want) -> None:
        """Bring one node into a condition. Raises `StackFailed`."""
        self.torn = False
        try:
            facts = self._facts(node)
        except ContainerGone:
            self._forget(node)
            self.engine.forget(STOPPED, self._container(node).id)
            if want == Want():  # nothing is left that could be taken back
                return
            raise
        if want.killed:
            self._kill(node, facts, starve=want.starved)
            return
        if node in self._down:
            if node in self._asked:  # taken back before it had ended
                self._end(node, facts)
            self.engine.start(facts.id)
            self._down.discard(node)
            self.engine.forget(STOPPED, facts.id)
            facts = self._facts(node)
            self.links.addresses[node] = facts.addresses
        if not facts.up and self._body.died(node, facts, want.strain):
            self.engine.start(facts.id)
            facts = self._facts(node)
        self._clocks.settle(node, facts, want.offset_s)
        if not facts.up:  # it ended by itself, and everything on it with it
            self.torn = want != Want()
            self._forget(node)
            self._body.ended(node, facts, want.strain)
            return
        self.torn |= self.links.settle(node, facts, want.shapes)
        self._names.settle(node, facts, want.names)
        self._settle_quota(node, facts, want)
        self._body.settle(node, facts, want.strain)
        self._settle_pause(node, facts, want)

    def ask_to_end(self, nodes: Iterable[str], grace_s: float) -> None:
        """Send these nodes their stop signal, all at once; who still runs after `grace_s` seconds is killed.

        Raises `StackFailed` before the first is asked where one could not come back as it was.
        """
        for node in nodes:
            self._refuse_unsteady(node)
        for node in nodes:
            facts = self._facts(node)
            if facts.up:
                self._down.add(node)
                self._asked[node] = time.monotonic() + grace_s
                self.engine.note(STOPPED, facts)
                if facts.paused:
                    self.engine.unpause(facts.id)
                self.engine.ask_to_end(facts.id)

    def readdress(self) -> None:
        """Look up all addresses again: a restarted container may have got another."""
        for node in self.site.containers:
            self.links.addresses[node] = self._facts(node).addresses

    def prolong(self, node: str, fault: str, term_s: float) -> None:
        """Renew the kernel's own term of a fault's rules."""
        facts = self._facts(node)
        if facts.up and (self.links.holds(node, fault) or self._names.holds(node, fault)):
            docker_shape.prolong(facts.pid, fault, term_s)

    def states(self, slowed: dict[str, bool], held: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        """The nodes as `chaos.runtimes.base.NodeState` has them."""
        return {node: self._state(node, slow=slowed[node], faults=held[node]) for node in self.site.containers}

    def originals(self) -> dict[str, dict[str, Any]]:
        """Per node what an undo has to know: the container as it would be without us."""
        return {node: self._original(node) for node in self.site.containers}

    def counted(self, node: str, fault: str) -> dict[str, dict[str, int]]:
        """What the kernel counted for a fault on the links that end here."""
        return self.links.counted(node, fault, self._facts(node))

    def connections(self, node: str) -> Counter[str]:
        """Live connections of the links that end here."""
        return self.links.connections(node, self._facts(node))

    def _facts(self, node: str) -> Facts:
        return self.engine.facts(self._container(node).id)

    def _container(self, node: str) -> Container:
        return self.site.containers[node]

    def _kill(self, node: str, facts: Facts, *, starve: bool) -> None:
        self._refuse_unsteady(node)
        self._forget(node)
        if not facts.up:
            return
        self.torn = node in self._down
        self._down.add(node)
        self.engine.note(STOPPED, facts)
        if starve:
            self._starve(node, facts)
        else:
            self._end(node, facts)

    def _refuse_unsteady(self, node: str) -> None:
        if not self._container(node).steady:
            raise StackFailed(f"{node} {LOOSE_PORTS}", hint="publish fixed ports in the compose file")

    def _starve(self, node: str, facts: Facts) -> None:
        if facts.paused:
            self.engine.unpause(facts.id)
        self._body.starve(node, facts)
        self.engine.ended(facts.id)
        self._starved[node] += self._facts(node).starved

    def _end(self, node: str, facts: Facts) -> None:
        """Return once it is dead: it has the time that is left to it, and none if it was not asked."""
        until = self._asked.pop(node, 0.0)
        while facts.up and time.monotonic() < until:
            time.sleep(LOOK_S)
            facts = self._facts(node)
        if facts.up:
            if facts.paused:
                self.engine.unpause(facts.id)
            self.engine.kill(facts.id)

    def _forget(self, node: str) -> None:
        """The process is gone, and with it its namespace and its cgroup."""
        self._was.pop(node, None)
        self._names.forget(node)
        if node in self._frozen:
            self._frozen.discard(node)
            self.engine.forget(PAUSED, self._container(node).id)
        self.links.forget(node)

    def _settle_pause(self, node: str, facts: Facts, want: Want) -> None:
        if want.paused and not facts.paused:
            self.torn |= node in self._frozen
            self.engine.note(PAUSED, facts)
            self.engine.pause(facts.id)
            self._frozen.add(node)
        elif not want.paused and node in self._frozen:
            self.engine.unpause(facts.id)
            self._frozen.discard(node)
            self.engine.forget(PAUSED, facts.id)

    def _settle_quota(self, node: str, facts: Facts, want: Want) -> None:
        if want.share < 1:
            now = docker_cpu.read(facts.pid)
            if not now.ours:  # the first time, or a restart gave it a cgroup anew
                self.torn |= node in self._was
                self._was[node] = now
            there = self._container(node)
            was = self._was.setdefault(node, docker_cpu.Quota(there.quota_us, there.period_us))
            docker_cpu.write(facts.pid, was.share(want.share))
        elif node in self._was:
            if docker_cpu.read(facts.pid).ours:
                docker_cpu.write(facts.pid, self._was[node])
            del self._was[node]

    def _state(self, node: str, *, slow: bool, faults: list[str]) -> dict[str, Any]:
        facts = self._facts(node)
        state = "stopped" if facts.paused else "slow" if slow else "up"
        return {
            "name": node,
            "pid": facts.pid,
            "started": facts.started_s if facts.up else 0.0,
            "state": state if facts.up else "down",
            "restarts": facts.restarts,
            "exit_code": None if facts.up else facts.exit_code,
            "starved": self._starved[node],
            "faults": faults,
        }

    def _original(self, node: str) -> dict[str, Any]:
        facts = self._facts(node)
        if node in self._was or not facts.up:
            there = self._container(node)
            quota = self._was.get(node, docker_cpu.Quota(there.quota_us, there.period_us))
        else:
            quota = docker_cpu.read(facts.pid)
        return {
            "id": facts.id,
            "name": facts.name,
            "started": facts.started,
            "sandbox": facts.sandbox,
            "running": facts.up or node in self._down,
            "paused": facts.paused and node not in self._frozen,
            "clock": self._clocks.original(node, facts),
            "quota_us": quota.quota_us,
            "period_us": quota.period_us,
            **self._body.original(node, facts),
        }
