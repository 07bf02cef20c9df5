"""Active measurements that prove a fault: round trips through links, answers of nodes, work done."""

from __future__ import annotations

import functools
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeVar

from chaos.errors import StackFailed
from chaos.runtimes.http import Answer, NoAnswer
from chaos.runtimes.ways import ask_node, ask_through, hang_up, look_up

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from chaos.model.link import LinkStats
    from chaos.model.stack import Site
    from chaos.runtimes.base import Nodes, NodeState

T = TypeVar("T")

MOST_LINKS = 4
"""Probing more links than this would itself be a load; the first ones of the aim stand for the rest."""
PROBE_TIMEOUT_S = 1.5
LOOK_UP_TIMEOUT_S = 1.0
"""A name server on the same machine answers in a millisecond."""
WORK_MS = 20
"""Processor time of one admin work probe; small, since the node does nothing else meanwhile."""


def round_trips(site: Site, links: Sequence[str], *, tries: int = 3, pieces: int = 1) -> dict[str, float | None]:
    """Median milliseconds of a health request through each link (at most `MOST_LINKS`); None: no answer.

    `pieces`: segments that the request is sent in.
    """
    placed = site.spec.nodes()
    target = {link.name: placed[link.target][1].health for link in site.spec.links}

    def probe(link: str) -> float | None:
        path = target[link]
        if path is None:
            return None
        ask = functools.partial(ask_through, pieces=pieces) if pieces > 1 else ask_through
        answers = [_answer_ms(ask, site, link, path) for _ in range(tries)]
        good = [ms for ms in answers if ms is not None]
        return round(statistics.median(good), 2) if len(good) * 2 > tries else None

    return _each(probe, links[:MOST_LINKS])


def farewells(site: Site, links: Sequence[str], timeout_s: float) -> dict[str, float | None]:
    """Milliseconds until each link's target (at most `MOST_LINKS`) ends a connection that we end; None: not in time."""

    def probe(link: str) -> float | None:
        try:
            return round(hang_up(site, link, timeout_s) * 1000, 2)
        except NoAnswer:
            return None

    return _each(probe, links[:MOST_LINKS])


def answers(site: Site, nodes: Iterable[str]) -> dict[str, float | None]:
    """Milliseconds that each node takes to answer on its own port, past every link; None: no answer."""
    placed = site.spec.nodes()

    def probe(node: str) -> float | None:
        return _answer_ms(ask_node, site, node, placed[node][1].health or "/")

    return _each(probe, tuple(nodes))


def clocks(site: Site, nodes: Iterable[str]) -> dict[str, float | None]:
    """Seconds that each node's wall clock is ahead of ours, good to a second; None: no answer, or none with a date."""
    placed = site.spec.nodes()

    def probe(node: str) -> float | None:
        try:
            date = parsedate_to_datetime(ask_node(site, node, placed[node][1].health or "/", PROBE_TIMEOUT_S).date)
        except (NoAnswer, ValueError):
            return None
        return round(date.timestamp() - time.time(), 1)

    return _each(probe, tuple(nodes))


def look_ups(site: Site, nodes: Iterable[str]) -> dict[str, dict[str, str]]:
    """What becomes of a query of DNS from where each node is, by `udp` and by `tcp`."""

    def probe(node: str) -> dict[str, str]:
        return {
            protocol: look_up(site, node, tcp=protocol == "tcp", timeout_s=LOOK_UP_TIMEOUT_S)
            for protocol in ("udp", "tcp")
        }

    return _each(probe, tuple(nodes))


def work_ratios(site: Site, nodes: Iterable[str]) -> dict[str, float | None]:
    """Wall time over processor time of a fixed piece of work on each node; about 1 on an idle machine."""

    def probe(node: str) -> float | None:
        try:
            answer = ask_node(site, node, f"/work?ms={WORK_MS}", PROBE_TIMEOUT_S * 2)
            figures = json.loads(answer.body)
            return round(float(figures["wall_ms"]) / max(float(figures["cpu_ms"]), 0.1), 2)
        except (NoAnswer, ValueError, KeyError):
            return None

    # One after the other: probes at the same time would slow each other on a small machine.
    return {node: probe(node) for node in nodes}


def processes(runtime: Nodes, nodes: Iterable[str]) -> dict[str, NodeState]:
    """What is known of these nodes' processes; raises `StackFailed` for one that this stack did not start."""
    states, nodes = runtime.states(), tuple(nodes)
    if foreign := [node for node in nodes if node not in states]:
        hint = "only a node that has a `command` in its stack file can be killed, paused or slowed"
        raise StackFailed(f"{', '.join(foreign)}: not started by this stack, so not ours to touch", hint=hint)
    return {node: states[node] for node in nodes}


def owned_keys(site: Site) -> dict[str, tuple[str, ...]]:
    """The rooms and documents that each node owns now; a node that does not tell owns none."""
    roles = {"meetings", "documents"}
    nodes = [node for node, (service, _) in site.spec.nodes().items() if site.spec.services[service].role in roles]

    def probe(node: str) -> tuple[str, ...]:
        try:
            return tuple(json.loads(ask_node(site, node, "/owned", 1.0).body)["keys"])
        except (NoAnswer, ValueError, KeyError):
            return ()

    return _each(probe, nodes)


def middle(figures: Iterable[float | None]) -> float | None:
    """The median of the figures that are there; None without any."""
    there = [figure for figure in figures if figure is not None]
    return statistics.median(there) if there else None


def _answer_ms(ask: Callable[[Site, str, str, float], Answer], site: Site, name: str, path: str) -> float | None:
    try:
        response = ask(site, name, path, PROBE_TIMEOUT_S)
    except NoAnswer:
        return None
    return response.elapsed_s * 1000 if response.status < HTTPStatus.INTERNAL_SERVER_ERROR else None


def _each(probe: Callable[[str], T], names: Sequence[str]) -> dict[str, T]:
    if not names:
        return {}
    with ThreadPoolExecutor(max_workers=min(8, len(names))) as pool:
        return dict(zip(names, pool.map(probe, names), strict=True))


def living(stats: Mapping[str, LinkStats], links: Sequence[str], key: str = "") -> int:
    """Live connections of these links; with a `key`, those that asked for this room or document."""
    there = [stats[link] for link in links if link in stats]
    return sum(one.keys.get(key, 0) if key else one.connections for one in there)


def counters(stats: dict[str, Any], links: Sequence[str], field: str) -> int:
    """The sum of one counter of `LinkStats` over the links."""
    return sum(int(getattr(stats[link], field)) for link in links if link in stats)


def fell_silent(before: Mapping[str, float | None], now: Mapping[str, float | None]) -> list[str]:
    """Links or nodes that answered before and do not answer now."""
    return [name for name, ms in before.items() if ms is not None and now.get(name) is None]
