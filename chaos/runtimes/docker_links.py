"""The links that end in containers: which rules are in each network namespace now, and which have to be.

What a container's links suffer is compared with what was put in, and the difference is changed; a restart takes all of
it away, and it is put in again.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable
from typing import NamedTuple

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.model.stack import Site
from chaos.runtimes import docker_shape, kernel_cut
from chaos.runtimes.docker_delay import Sockets, open_sockets
from chaos.runtimes.docker_engine import Facts
from chaos.runtimes.docker_net import inside
from chaos.runtimes.docker_rules import Order, Way, conflict, delays, queue

HOST_NETWORK = "shares its host's network, which is not touched"
IPV6 = "has an IPv6 address, past which these rules would lead"


class Shape(NamedTuple):
    """An effect on links by one fault."""

    fault: str
    links: tuple[str, ...]
    effect: LinkEffect
    seed: int
    term_s: float
    """For how long the kernel keeps the drops and delays without being told again."""


class Queue(NamedTuple):
    """A queue of packets, by node, fault and direction."""

    node: str
    fault: str
    direction: str


class Links:
    """The rules on a site's containers. `on_queue` and `off_queue` are called on the worker's thread."""

    def __init__(
        self, site: Site, on_queue: Callable[[Queue, Sockets, Order], None], off_queue: Callable[[Queue], None]
    ) -> None:
        self.site = site
        self.cuts: Counter[str] = Counter()
        """Connections that were reset, by link."""
        self.addresses = {node: container.addresses for node, container in site.containers.items()}
        self._on_queue = on_queue
        self._off_queue = off_queue
        self._since: dict[tuple[str, str], dict[str, int]] = {}
        """(node, fault) -> what its TCP had seen before the fault."""
        self._struck: set[tuple[str, str]] = set()
        """(node, fault) that had its one blow: a restart is no reason for another."""
        self._put: dict[tuple[str, str], tuple[str, Order]] = {}
        """(node, fault) -> the StartedAt that the rules were put in under, and the rules."""

    def holds(self, node: str, fault: str) -> bool:
        """Whether rules of a fault are on a node."""
        return (node, fault) in self._put

    def forget(self, node: str) -> None:
        """The namespace is gone, and everything in it."""
        for key in [key for key in self._put if key[0] == node]:
            self._drop_queues(*key)
            del self._put[key]

    def settle(self, node: str, facts: Facts, shapes: Iterable[Shape]) -> bool:
        """Bring the rules on a node into this condition; says whether a restart had torn some down.

        Raises `StackFailed`.
        """
        orders = {shape.fault: (shape, self.order(node, shape)) for shape in shapes}
        wanted = {fault: (facts.started, order) for fault, (_, order) in orders.items() if order.ways}
        torn = False
        for key in [key for key in self._put if key[0] == node]:
            if wanted.get(key[1]) != self._put[key]:
                torn |= key[1] in wanted and self._put[key][0] != facts.started
                self._take_out(facts, *key)
        for fault, stamp in wanted.items():
            if (node, fault) not in self._put:
                self._put_in(node, facts, stamp[1], orders[fault][0].term_s)
        return torn

    def counted(self, node: str, fault: str, facts: Facts) -> dict[str, dict[str, int]]:
        """What the kernel counted for a fault on the links that end here."""
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
        nodes = tuple(address for several in self.addresses.values() for address in several)
        first, rest = docker_shape.split(shape.effect)
        return Order(shape.fault, ways, nodes, rest, shape.seed, netem=first)

    def connections(self, node: str, facts: Facts) -> Counter[str]:
        """Live connections of the links that end here."""
        nodes = {address for several in self.addresses.values() for address in several}
        there = kernel_cut.live(facts.pid, self._ways(node), nodes) if facts.up else []
        return Counter(one.link for one in there)

    def _ways(self, node: str) -> tuple[Way, ...]:
        """The links that end in a node; one from a node without an address, which is down, is left out until then."""
        listens = self.site.containers[node].listens
        ends = ((link.name, self.addresses.get(link.source)) for link in self.site.spec.links if link.target == node)
        return tuple(Way(name, sources or (), listens) for name, sources in ends if sources != ())

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
        if facts.network == "host":
            raise StackFailed(f"{node} {HOST_NETWORK}", hint="give it one of its own")
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
