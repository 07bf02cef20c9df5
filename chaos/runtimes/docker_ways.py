"""Requests to containers from where they have to come from: past every link, or through one."""

from __future__ import annotations

import contextlib
import functools

from chaos.errors import ChaosError
from chaos.model.stack import Site
from chaos.runtimes import http
from chaos.runtimes.docker_engine import Engine, Facts
from chaos.runtimes.docker_net import inside
from chaos.runtimes.http import Answer, NoAnswer

LOOPBACK = "127.0.0.1"


def ask_node(site: Site, node: str, path: str, timeout_s: float) -> Answer:
    """GET from within the container's own network namespace, which no link passes. Raises `NoAnswer`."""
    facts = _facts(site, node)
    return _from(facts.pid, functools.partial(http.get, site.containers[node].listens, path, timeout_s, LOOPBACK))


def ask_through(site: Site, link: str, path: str, timeout_s: float, pieces: int = 1) -> Answer:
    """GET through a link: from its source's namespace, or for users from this host. Raises `NoAnswer`."""
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
