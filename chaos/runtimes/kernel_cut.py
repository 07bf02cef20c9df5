"""Ends live connections in the kernel (`ss -K`): our end sees ECONNABORTED, the peer a reset."""

from __future__ import annotations

import contextlib
import functools
import math
import random
import socket
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from chaos.errors import StackFailed
from chaos.model.link import LinkEffect
from chaos.runtimes.docker_net import run
from chaos.runtimes.docker_rules import Order, Way

AT_ONCE = 100
"""Connections that one call of `ss` is told to end: its filter is compiled to jumps of a limited length."""


class Live(NamedTuple):
    """A connection that a link's listener has now."""

    link: str
    port: int
    peer: str
    peer_port: int


def cut(pid: int, order: Order) -> Counter[str]:
    """End the order's share (rounded up) of its links' connections in the namespace of `pid`; how many on each."""
    seed = f"{order.seed}/{order.fault}/strike"
    there = live(pid, order.ways, order.nodes)
    hit = random.Random(seed).sample(there, math.ceil(len(there) * order.effect.share))  # noqa: S311 - repeatable on purpose
    for port in {one.port for one in hit}:
        peers = [f"( dst {one.peer} and dport = :{one.peer_port} )" for one in hit if one.port == port]
        for first in range(0, len(peers), AT_ONCE):
            which = " or ".join(peers[first : first + AT_ONCE])
            run(pid, "ss", "-K", "-t", "state", "connected", "sport", "=", f":{port}", "and", f"( {which} )")
    return Counter(one.link for one in hit)


@functools.cache
def why_not() -> str:
    """Try it on a connection of our own; returns why the kernel does not do it, or nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port), 5) as near, server.accept()[0] as far:
            try:
                cut(0, Order("trial", (Way("trial", (), port),), (), LinkEffect(strike="reset")))
            except StackFailed as error:
                return error.message
            far.settimeout(1.0)
            near.settimeout(1.0)
            with contextlib.suppress(ConnectionError):
                far.recv(1)
                return "the kernel ends no connections for `ss -K` (CONFIG_INET_DIAG_DESTROY)"
    return ""


def live(pid: int, ways: Sequence[Way], nodes: Collection[str]) -> list[Live]:
    """The connections whose data may still flow, in an order that a seed can choose from.

    A way without sources is that of users, who have none of the addresses of `nodes`.
    """
    found = []
    for way in ways:
        said = run(pid, "ss", "-Htn", "state", "established", "state", "close-wait", "sport", "=", f":{way.port}")
        for peer, _, number in (line.split()[-1].rpartition(":") for line in said.splitlines()):
            address = peer.strip("[]").removeprefix("::ffff:")
            if address in way.sources if way.sources else address not in nodes:
                found.append(Live(way.link, way.port, peer, int(number)))
    return sorted(found)
