"""Brings containers into the condition that the leases on them ask for, and back; blocking, for one worker thread.

`settle` compares what is wanted with what is there and changes the difference, so it may be called at any time and
again: after a new lease, after a release, after a restart that nobody here asked for.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.model.stack import Container, Site
from chaos.runtimes import docker_clocks, docker_cpu, docker_shape, kernel_cut
from chaos.runtimes.docker_delay import Sockets, open_sockets
from chaos.runtimes.docker_engine import ContainerGone, Engine, Facts
from chaos.runtimes.docker_names import NameRules, Names
from chaos.runtimes.docker_net import inside
from chaos.runtimes.docker_rules import Order, Way, conflict, delays, queue

LOOK_S = 0.05
"""How often a container that was asked to end is looked at."""
LOOSE_PORTS = "publishes ports that the engine picks: after a restart they would be others"
IPV6 = "has an IPv6 address, past which these rules would lead"


class Shape(NamedTuple):
    """An effect on links by one fault."""

    fault: str
    links: tuple[str, ...]
    effect: LinkEffect
    seed: int
    term_s: float
    """For how long the kernel keeps the drops and delays without being told again."""


@dataclass(frozen=True, slots=True)
class Want:
    """The condition that a node is to be in."""

    killed: bool = False
    paused: bool = False
    share: float = 1.0
    offset_s: float = 0.0
    names: tuple[Names, ...] = ()
    shapes: tuple[Shape, ...] = ()


class Queue(NamedTuple):
    """A queue of packets, by node, fault and direction."""

    node: str
    fault: str
    direction: str


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
        self._on_queue = on_queue
        self._off_queue = off_queue
        self._addresses = {node: container.addresses for node, container in site.containers.items()}
        self._was: dict[str, docker_cpu.Quota] = {}
        """Quotas of others that ours stand in for."""
        self._down: set[str] = set()
        self._asked: dict[str, float] = {}
        """Nodes that were asked to end, and the moment (monotonic) at which their time is over."""
        self._frozen: set[str] = set()
        self._since: dict[tuple[str, str], dict[str, int]] = {}
        """(node, fault) -> what its TCP had seen before the fault."""
        self.cuts: Counter[str] = Counter()
        """Connections that were reset, by link."""
        self._struck: set[tuple[str, str]] = set()
        """(node, fault) that had its one blow: a restart is no reason for another."""
        self._put: dict[tuple[str, str], tuple[str, Order]] = {}
        """(node, fault) -> the StartedAt that the rules were put in under, and the rules."""
        self._names = NameRules()
        self._clocks = docker_clocks.Clocks()

    def settle(self, node: str, want: Want) -> None:
        """Bring one node into a condition. Raises `StackFailed`."""
        try:
            facts = self._facts(node)
        except ContainerGone:
            self._forget(node)
            if want == Want():  # nothing is left that could be taken back
                return
            raise
        if want.killed:
            self._kill(node, facts)
            return
        if node in self._down:
            if node in self._asked:  # taken back before it had ended
                self._end(node, facts)
            self.engine.start(facts.id)
            self._down.discard(node)
            facts = self._facts(node)
            self._addresses[node] = facts.addresses
        self._clocks.settle(node, facts, want.offset_s)
        if not facts.up:  # it ended by itself, and everything on it with it
            self._forget(node)
            return
        self._settle_net(node, facts, want)
        self._names.settle(node, facts, want.names)
        self._settle_quota(node, facts, want)
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
                if facts.paused:
                    self.engine.unpause(facts.id)
                self.engine.ask_to_end(facts.id)

    def readdress(self) -> None:
        """Look up all addresses again: a restarted container may have got another."""
        for node in self.site.containers:
            self._addresses[node] = self._facts(node).addresses

    def prolong(self, node: str, fault: str, term_s: float) -> None:
        """Renew the kernel's own term of a fault's rules."""
        facts = self._facts(node)
        if facts.up and ((node, fault) in self._put or self._names.holds(node, fault)):
            docker_shape.prolong(facts.pid, fault, term_s)

    def states(self, slowed: dict[str, bool], held: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
        """The nodes as `chaos.runtimes.base.NodeState` has them."""
        return {node: self._state(node, slow=slowed[node], faults=held[node]) for node in self.site.containers}

    def originals(self) -> dict[str, dict[str, Any]]:
        """Per node what an undo has to know: the container as it would be without us."""
        return {node: self._original(node) for node in self.site.containers}

    def counted(self, node: str, fault: str) -> dict[str, dict[str, int]]:
        """What the kernel counted for a fault on the links that end here."""
        facts = self._facts(node)
        put = self._put.get((node, fault))
        if not facts.up or put is None:
            return {}
        return docker_shape.counted(facts.pid, put[1], self._since.get((node, fault), {}))

    def first_link(self, node: str, fault: str) -> str:
        """The first link that the fault's rules on a node are for; empty without any."""
        put = self._put.get((node, fault))
        return put[1].ways[0].link if put is not None else ""

    def order(self, node: str, shape: Shape) -> Order:
        """A shape's part on the links that end in one node."""
        ways = tuple(way for way in self._ways(node) if way.link in shape.links)
        nodes = tuple(address for several in self._addresses.values() for address in several)
        first, rest = docker_shape.split(shape.effect)
        return Order(shape.fault, ways, nodes, rest, shape.seed, netem=first)

    def connections(self, node: str) -> Counter[str]:
        """Live connections of the links that end here."""
        facts = self._facts(node)
        nodes = {address for several in self._addresses.values() for address in several}
        there = kernel_cut.live(facts.pid, self._ways(node), nodes) if facts.up else []
        return Counter(one.link for one in there)

    def _ways(self, node: str) -> tuple[Way, ...]:
        """The links that end in a node; one from a node without an address, which is down, is left out until then."""
        listens = self.site.containers[node].listens
        ends = ((link.name, self._addresses.get(link.source)) for link in self.site.spec.links if link.target == node)
        return tuple(Way(name, sources or (), listens) for name, sources in ends if sources != ())

    def _facts(self, node: str) -> Facts:
        return self.engine.facts(self._container(node).id)

    def _container(self, node: str) -> Container:
        return self.site.containers[node]

    def _kill(self, node: str, facts: Facts) -> None:
        self._refuse_unsteady(node)
        self._forget(node)
        if facts.up:
            self._down.add(node)
            self._end(node, facts)

    def _refuse_unsteady(self, node: str) -> None:
        if not self._container(node).steady:
            raise StackFailed(f"{node} {LOOSE_PORTS}", hint="publish fixed ports in the compose file")

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
        self._frozen.discard(node)
        self._names.forget(node)
        for key in [key for key in self._put if key[0] == node]:
            self._drop_queues(*key)
            del self._put[key]

    def _settle_pause(self, node: str, facts: Facts, want: Want) -> None:
        if want.paused and not facts.paused:
            self.engine.pause(facts.id)
            self._frozen.add(node)
        elif not want.paused and node in self._frozen:
            self.engine.unpause(facts.id)
            self._frozen.discard(node)

    def _settle_quota(self, node: str, facts: Facts, want: Want) -> None:
        if want.share < 1:
            now = docker_cpu.read(facts.pid)
            if not now.ours:  # the first time, or a restart gave it a cgroup anew
                self._was[node] = now
            there = self._container(node)
            was = self._was.setdefault(node, docker_cpu.Quota(there.quota_us, there.period_us))
            docker_cpu.write(facts.pid, was.share(want.share))
        elif node in self._was:
            if docker_cpu.read(facts.pid).ours:
                docker_cpu.write(facts.pid, self._was[node])
            del self._was[node]

    def _settle_net(self, node: str, facts: Facts, want: Want) -> None:
        orders = {shape.fault: (shape, self.order(node, shape)) for shape in want.shapes}
        wanted = {fault: (facts.started, order) for fault, (_, order) in orders.items() if order.ways}
        for key in [key for key in self._put if key[0] == node]:
            if wanted.get(key[1]) != self._put[key]:
                self._take_out(facts, *key)
        for fault, stamp in wanted.items():
            if (node, fault) not in self._put:
                self._put_in(node, facts, stamp[1], orders[fault][0].term_s)

    def _take_out(self, facts: Facts, node: str, fault: str) -> None:
        docker_shape.take_out(facts.pid, fault)
        self._drop_queues(node, fault)
        del self._put[node, fault]

    def _put_in(self, node: str, facts: Facts, order: Order, term_s: float) -> None:
        self._refuse(node, facts, order)
        if order.effect.strike:
            self._put[node, order.fault] = (facts.started, order)
            if (node, order.fault) not in self._struck:
                self._struck.add((node, order.fault))
                self.cuts += kernel_cut.cut(facts.pid, order)
            return
        if delays(order.effect):
            for direction in order.directions:
                number = queue(order.fault, direction)
                resend = direction == "o"
                sockets = inside(facts.pid, functools.partial(open_sockets, number, order.effect, resend=resend))
                self._on_queue(Queue(node, order.fault, direction), sockets, order)
        self._since[node, order.fault] = docker_shape.seen(facts.pid, lo=False)
        self._put[node, order.fault] = (facts.started, order)  # first, so that a half of it is taken out too
        docker_shape.put(facts.pid, order, term_s)

    def _refuse(self, node: str, facts: Facts, order: Order) -> None:
        if facts.has_ipv6:
            raise StackFailed(f"{node} {IPV6}", hint="use IPv4 only")
        if why := docker_shape.why_not(order.effect):
            raise StackFailed(f"no carrier for the network of {node}: {why}")
        for (other, _), (_, there) in self._put.items():
            if other == node and (why := conflict(order, there)):
                raise StackFailed(why)

    def _drop_queues(self, node: str, fault: str) -> None:
        for direction in ("i", "o"):
            self._off_queue(Queue(node, fault, direction))

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
        }
