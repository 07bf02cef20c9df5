"""Requests to nodes of a stack, whatever runtime they are in: past every link, or through one."""

from __future__ import annotations

from chaos.model.stack import Site
from chaos.runtimes import http
from chaos.runtimes.http import Answer


def ask_node(site: Site, node: str, path: str, timeout_s: float) -> Answer:
    """GET from the node itself, past every link. Raises `NoAnswer`."""
    if node in site.containers:
        from chaos.runtimes import docker_ways  # noqa: PLC0415 - the engine's library takes a while to import

        return docker_ways.ask_node(site, node, path, timeout_s)
    return http.get(site.node_ports[node], path, timeout_s)


def ask_through(site: Site, link: str, path: str, timeout_s: float, pieces: int = 1) -> Answer:
    """GET from the link's target through the link, in so many segments. Raises `NoAnswer`."""
    if site.containers:
        from chaos.runtimes import docker_ways  # noqa: PLC0415

        return docker_ways.ask_through(site, link, path, timeout_s, pieces)
    return http.get(site.link_ports[link], path, timeout_s, pieces=pieces)


def hang_up(site: Site, link: str, timeout_s: float) -> float:
    """Seconds until a link's target ends a connection that we have ended. Raises `NoAnswer`."""
    return http.hang_up(site.link_ports[link], timeout_s)


def look_up(site: Site, node: str, *, tcp: bool, timeout_s: float) -> str:
    """What becomes of a query of DNS from where the node is: `answered`, `timeout`, `refused`, or other words."""
    if node not in site.containers:
        return "not asked: it shares this machine's name server"
    from chaos.runtimes import docker_ways  # noqa: PLC0415

    return docker_ways.look_up(site, node, tcp=tcp, timeout_s=timeout_s)
