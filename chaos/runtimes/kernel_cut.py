"""Ends live connections in the kernel (`ss -K`): our end sees ECONNABORTED, the peer a reset."""

from __future__ import annotations

import contextlib
import functools
import math
import random
import socket
from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from chaos.errors import StackFailed
from chaos.runtimes.docker_net import run

AT_ONCE = 100
"""Connections that one call of `ss` is told to end: its filter is compiled to jumps of a limited length."""


class Live(NamedTuple):
    """A connection that a link's listener has now."""

    link: str
    port: int
    peer: str
    peer_port: int


def cut(pid: int, ports: Mapping[str, int], share: float, seed: str) -> Counter[str]:
    """End a share (rounded up) of the connections to these ports in the namespace of `pid`; how many on each link."""
    there = [one for link, port in ports.items() for one in live(pid, link, port)]
    hit = random.Random(seed).sample(there, math.ceil(len(there) * share))  # noqa: S311 - repeatable on purpose
    for link, port in ports.items():
        peers = [f"( dst {one.peer} and dport = :{one.peer_port} )" for one in hit if one.link == link]
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
                cut(0, {"trial": port}, 1.0, "")
            except StackFailed as error:
                return error.message
            far.settimeout(1.0)
            near.settimeout(1.0)
            with contextlib.suppress(ConnectionError):
                far.recv(1)
                return "the kernel ends no connections for `ss -K` (CONFIG_INET_DIAG_DESTROY)"
    return ""


def live(pid: int, link: str, port: int) -> list[Live]:
    """The connections whose data may still flow, in an order that a seed can choose from."""
    said = run(pid, "ss", "-Htn", "state", "established", "state", "close-wait", "sport", "=", f":{port}")
    ends = [line.split()[-1].rpartition(":") for line in said.splitlines()]
    return sorted(Live(link, port, peer, int(number)) for peer, _, number in ends)
