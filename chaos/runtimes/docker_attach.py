"""From a stack file to the containers that it means: by labels, one per node, each of them running and untouched."""

from __future__ import annotations

from collections.abc import Mapping

from chaos.errors import NoSuchTarget, StackFailed, UnsafeTarget
from chaos.model.stack import Container, NodeSpec, Site, StackSpec
from chaos.runtimes import docker_cpu, docker_hands, stackfile
from chaos.runtimes.docker_engine import Engine, Facts

ENVIRONMENT = "collab-chaos.environment"
"""A container that carries this label with another word than staging is never attacked."""
LOCAL_ONLY = "the faults reach containers through this host's own /proc and network namespaces"


def attached_site(spec: StackSpec, engine: Engine) -> Site:
    """Look the containers up, and check them; only looks."""
    if not engine.local:
        raise StackFailed("the engine that DOCKER_HOST names is on another host", hint=LOCAL_ONLY)
    found = {name: _pick(name, node, spec, engine) for name, (_, node) in spec.nodes().items()}
    _no_container_twice(found)
    containers = {name: _container(name, spec.nodes()[name][1], facts) for name, facts in found.items()}
    ports = {
        name: port
        for name, facts in found.items()
        if (port := facts.published.get(containers[name].listens)) is not None
    }
    links = {link.name: ports[link.target] for link in spec.links if link.source not in found and link.target in ports}
    _ports_are_there(spec, ports)
    return Site(spec=stackfile.fill(spec, ports, links, {}), node_ports=ports, link_ports=links, containers=containers)


def _pick(name: str, node: NodeSpec, spec: StackSpec, engine: Engine) -> Facts:
    labels = {**spec.containers, **node.container}
    found = engine.find(labels)
    if len(found) != 1:
        names = ", ".join(sorted(one.name for one in found)) or "none"
        hint = "`docker ps -a --filter label=...` shows what carries them"
        raise NoSuchTarget(f"node {name}: {_words(labels)} must pick one container, and picks {names}", hint=hint)
    facts = found[0]
    mark = facts.labels.get(ENVIRONMENT, "staging")
    if mark != "staging":
        raise UnsafeTarget(f"{facts.name} is labelled {ENVIRONMENT}={mark}", hint="only staging is attacked")
    if facts.status != "running":
        raise StackFailed(f"{facts.name} ({name}) is {facts.status}", hint="start or unpause it, or `chaos heal`")
    return facts


def _container(name: str, node: NodeSpec, facts: Facts) -> Container:
    listens = node.listens
    if listens is None:
        if len(facts.exposed) != 1:
            shown = ", ".join(map(str, facts.exposed)) or "no port"
            raise NoSuchTarget(f"{facts.name} exposes {shown}", hint=f"give node {name} its `listens: PORT`")
        (listens,) = facts.exposed
    quota = docker_cpu.read(facts.pid)
    if quota.ours:
        raise StackFailed(f"{facts.name} still has the processor quota of an earlier run", hint="chaos heal")
    return Container(
        id=facts.id,
        name=facts.name,
        started=facts.started,
        sandbox=facts.sandbox,
        addresses=facts.addresses,
        listens=listens,
        steady=facts.steady,
        lacks=_lacks(facts),
        quota_us=quota.quota_us,
        period_us=quota.period_us,
    )


def _lacks(facts: Facts) -> dict[str, str]:
    """What is known before a run of what it cannot suffer."""
    found = {}
    if not facts.steady:
        found["lifecycle"] = found["stopping"] = docker_hands.LOOSE_PORTS
    if facts.has_ipv6:
        found["shaping"] = docker_hands.IPV6
    return found


def _no_container_twice(found: Mapping[str, Facts]) -> None:
    seen: dict[str, str] = {}
    for name, facts in found.items():
        if facts.id in seen:
            raise NoSuchTarget(
                f"nodes {seen[facts.id]} and {name} are the same container, {facts.name}",
                hint="give each its own labels under `container:`",
            )
        seen[facts.id] = name


def _ports_are_there(spec: StackSpec, ports: Mapping[str, int]) -> None:
    """A service's address that names the port of a container which publishes none."""
    for service, body in spec.services.items():
        for url in body.urls.values():
            for name in spec.nodes():
                if f"${{nodes.{name}.port}}" in url and name not in ports:
                    raise StackFailed(
                        f"service {service} is reached by the port of {name}, which publishes none",
                        hint="publish it on 127.0.0.1 in the compose file",
                    )


def _words(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in labels.items())
