"""Requests to containers from where they have to come from: past every link, or through one."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chaos.errors import ChaosError, StackFailed
from chaos.model.stack import Frozen, Site
from chaos.runtimes import control, dns, docker_body, docker_disk, docker_io, docker_memory, http
from chaos.runtimes.base import NodeDisk, NodeMemory
from chaos.runtimes.docker_engine import Engine, Facts
from chaos.runtimes.docker_net import inside
from chaos.runtimes.http import Answer, NoAnswer

LOOPBACK = "127.0.0.1"
MEASURE_S = 60.0
"""A slow disk is timed by real work on it."""
SLACK_S = 10.0
"""For the way to a helper container and back."""


def ask_node(site: Site, node: str, path: str, timeout_s: float) -> Answer:
    """GET from within the container's own network namespace, which no link passes. Raises `NoAnswer`."""
    if site.helper:
        return _by_agent(site, "ask_node", timeout_s, node=node, get=path)
    facts = _facts(site, node)
    return _from(facts.pid, functools.partial(http.get, site.containers[node].listens, path, timeout_s, LOOPBACK))


def ask_through(site: Site, link: str, path: str, timeout_s: float, pieces: int = 1) -> Answer:
    """GET through a link: from its source's namespace, or for users from this host. Raises `NoAnswer`."""
    if site.helper:
        return _by_agent(site, "ask_through", timeout_s, link=link, get=path, pieces=pieces)
    ends = next(one for one in site.spec.links if one.name == link)
    if link in site.link_ports:
        return http.get(site.link_ports[link], path, timeout_s, pieces=pieces)
    target = _facts(site, ends.target)
    if not target.addresses:
        raise NoAnswer(f"{ends.target} has no address now")
    port, address = site.containers[ends.target].listens, target.addresses[0]
    ask = functools.partial(http.get, port, path, timeout_s, address, pieces)
    if ends.source not in site.containers:
        return ask()
    return _from(_facts(site, ends.source).pid, ask)


def told(answer: Answer) -> dict[str, Any]:
    """An answer as the agent in a helper container passes it on."""
    return {**answer._asdict(), "body": answer.body.decode("latin-1")}


def _by_agent(site: Site, do: str, within_s: float, **what: str | int) -> Answer:
    """Have it asked where the containers are. Raises `NoAnswer`."""
    try:
        said = control.call(site.supervisor, do, timeout_s=within_s + SLACK_S, within_s=within_s, **what)
    except StackFailed as error:
        raise NoAnswer(error.message) from error
    return Answer(**{**said, "body": said["body"].encode("latin-1")})


def measured(site: Site, what: str, arguments: dict[str, Any]) -> Any:
    """One of the figures below as plain data, for a conductor on another host. Raises `KeyError`, `StackFailed`."""
    found = FIGURES[what](site, **arguments)
    return found.model_dump() if isinstance(found, Frozen) else found


def _far(site: Site, figure: str, /, **arguments: Any) -> Any:
    """Have it measured where the containers are. Raises `StackFailed`."""
    return control.call(site.supervisor, "measure", timeout_s=MEASURE_S, what=figure, arguments=arguments)


def look_up(site: Site, node: str, *, tcp: bool, timeout_s: float) -> str:
    """Ask the container's own name server for the container, as a program in it would; see `dns.ask`."""
    try:
        if site.helper:
            return str(_far(site, "look_up", node=node, tcp=tcp, timeout_s=timeout_s))
        facts = _facts(site, node)
        if not facts.pid:
            return "the container does not run"
        server = dns.server(Path(f"/proc/{facts.pid}/root/etc/resolv.conf"))
        return inside(facts.pid, functools.partial(dns.ask, server, facts.name, tcp=tcp, timeout_s=timeout_s))
    except (ChaosError, OSError) as error:
        return str(error)


def memory(site: Site, node: str) -> NodeMemory:
    """What the kernel counts of the container's memory. Raises `StackFailed`."""
    if site.helper:
        return NodeMemory.model_validate(_far(site, "memory", node=node))
    found = docker_memory.figures(_running(site, node))
    return NodeMemory(held=found.held, limit=found.limit, hits=found.hits)


def try_write(site: Site, node: str, size: int) -> NodeDisk:
    """A real write where the container has its data, which leaves nothing. Raises `StackFailed`."""
    if site.helper:
        return NodeDisk.model_validate(_far(site, "try_write", node=node, size=size))
    found = docker_disk.try_write(_running(site, node), docker_body.data_of(site, node), size)
    return NodeDisk(free=found.free, refused=found.refused, fills=found.fills)


def time_disk(site: Site, node: str, what: str, amount: int) -> float:
    """Seconds of real work on its disk, by who is held as the container is. Raises `StackFailed`."""
    if site.helper:
        return float(_far(site, "time_disk", node=node, what=what, amount=amount))
    return docker_io.timed(_running(site, node), docker_body.data_of(site, node), what, amount)


FIGURES: dict[str, Callable[..., Any]] = {one.__name__: one for one in (look_up, memory, try_write, time_disk)}


def _running(site: Site, node: str) -> int:
    with contextlib.closing(Engine()) as engine:
        facts = engine.facts(site.containers[node].id)
    if not facts.up:
        raise StackFailed(f"{facts.name} does not run")
    return facts.pid


def _from(pid: int, ask: functools.partial[Answer]) -> Answer:
    if not pid:
        raise NoAnswer("the container does not run")
    try:
        return inside(pid, ask)
    except NoAnswer:
        raise
    except ChaosError as error:
        raise NoAnswer(error.message) from error


def _facts(site: Site, node: str) -> Facts:
    try:
        with contextlib.closing(Engine()) as engine:
            return engine.facts(site.containers[node].id)
    except ChaosError as error:
        raise NoAnswer(error.message) from error
