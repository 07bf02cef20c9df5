"""From a target (who is meant) to an aim (the very nodes and links), decided by the run's seed."""

from __future__ import annotations

import fnmatch
import math
import random
from typing import TYPE_CHECKING

from chaos.errors import NoSuchTarget
from chaos.model.fault import Reach, Target
from chaos.model.stack import Frozen, LinkSpec, StackSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

OWNER_ROLES = {"room-owner": "meetings", "document-owner": "documents"}
"""Roles that exist only at run time, and the role of the service whose nodes may have it."""


class Aim(Frozen):
    """A resolved target."""

    nodes: tuple[str, ...] = ()
    """Nodes that a fault on nodes hits."""
    links: tuple[str, ...] = ()
    """Links that a fault on links hits: the ones named, else all those of the nodes."""
    rule: str = ""
    """For a role that exists only at run time: how it will be chosen; `nodes` then holds the candidates."""
    parts: str = ""
    """Of a partition of several: who is cut off from whom, `{a, b} | {c, d}`."""
    kept: tuple[str, ...] = ()
    """Of a partition of several: links between them that stay open."""


def resolve(target: Target, spec: StackSpec, seed: int, owned: Mapping[str, Sequence[str]] | None = None) -> Aim:
    """Find what `target` means in `spec`; `owned` (node -> keys) decides owner roles once a stack runs.

    Raises `NoSuchTarget` if nothing matches.
    """
    nodes = _nodes(target, spec)
    rule = ""
    if target.role in OWNER_ROLES and nodes:
        if owned is None:
            rule = f"the {target.role} among {', '.join(nodes)}, known at injection (seed {seed})"
        else:
            nodes = _owners(nodes, owned, seed)
    links = _links(target, spec, nodes)
    if target.link or target.kind:
        links = _choose(links, target, seed)
        nodes = []
    else:
        nodes = _choose(nodes, target, seed) if not rule else nodes
        if target.percentage is not None or target.pick is not None or target.role in OWNER_ROLES:
            links = _links(target, spec, nodes)
    if not nodes and not links:
        raise NoSuchTarget(f"the target {describe(target)} matches nothing in stack {spec.stack}", hint=_there_is(spec))
    return Aim(nodes=tuple(nodes), links=tuple(links), rule=rule)


def describe(target: Target) -> str:
    """`region=cn-east, kind=access`."""
    parts = target.model_dump(exclude_none=True)
    return ", ".join(f"{key}={value}" for key, value in parts.items()) or "everything"


def reach(aim: Aim, spec: StackSpec, owned: Mapping[str, Sequence[str]], *, by_links: bool) -> Reach:
    """What is touched by a fault on the aim's links (`by_links`) or on its nodes."""
    placed = spec.nodes()
    if not by_links:
        return _reach_of_nodes(aim.nodes, spec, owned)
    by_name = {link.name: link for link in spec.links}
    hit = [by_name[name] for name in aim.links]
    regions = {region for link in hit if link.kind in {"access", "region"} for region in link.regions}
    # A link between two nodes is felt by what depends on the one that is no gateway and no store.
    ends = {end for link in hit if link.kind in {"internal", "storage"} for end in (link.source, link.target)}
    roles = {name: spec.services[placed[name][0]].role for name in ends if name in placed}
    whole = _reach_of_nodes([name for name in roles if roles[name] not in {"gateway", "store"}], spec, owned)
    gateways = {link.source for link in hit if link.kind == "storage" and roles.get(link.source) == "gateway"}
    regions |= {region for name in gateways if (region := placed[name][1].region)}
    return Reach(nodes=whole.nodes, links=aim.links, regions=tuple(sorted(regions)), keys=whole.keys)


def _reach_of_nodes(nodes: Iterable[str], spec: StackSpec, owned: Mapping[str, Sequence[str]]) -> Reach:
    placed = spec.nodes()
    names = sorted(nodes)
    roles = {name: spec.services[placed[name][0]].role for name in names}
    regions = {placed[name][1].region or "" for name in names if roles[name] == "gateway"} - {""}
    keys = sorted({key for name in names for key in owned.get(name, ())})
    everything = "store" in roles.values()
    return Reach(nodes=tuple(names), regions=tuple(sorted(regions)), keys=tuple(keys), everything=everything)


def _nodes(target: Target, spec: StackSpec) -> list[str]:
    role = OWNER_ROLES.get(target.role or "", target.role)
    found = []
    for name, (service, node) in spec.nodes().items():
        wanted = (
            (target.node is None or fnmatch.fnmatchcase(name, target.node))
            and (target.service is None or service == target.service)
            and (target.region is None or node.region == target.region)
            and (role is None or spec.services[service].role == role)
        )
        if wanted:
            found.append(name)
    return found


def _links(target: Target, spec: StackSpec, nodes: Sequence[str]) -> list[str]:
    by_node = bool(target.node or target.service or target.role)

    def wanted(link: LinkSpec) -> bool:
        return (
            (target.link is None or fnmatch.fnmatchcase(link.name, target.link))
            and (target.kind is None or link.kind == target.kind)
            and (target.region is None or target.region in link.regions)
            and (not by_node or link.source in nodes or link.target in nodes)
        )

    return [link.name for link in spec.links if wanted(link)]


def _owners(nodes: Sequence[str], owned: Mapping[str, Sequence[str]], seed: int) -> list[str]:
    order = sorted(nodes)
    random.Random(f"{seed}/owner").shuffle(order)  # noqa: S311 - a seeded choice, no secret
    busiest = max(order, key=lambda name: len(owned.get(name, ())))
    return [busiest] if owned.get(busiest) else []


def _choose(names: Sequence[str], target: Target, seed: int) -> list[str]:
    count = len(names)
    if target.percentage is not None:
        count = math.ceil(len(names) * target.percentage / 100)
    elif target.pick == "one":
        count = 1
    elif target.pick == "minority":
        count = max(1, (len(names) - 1) // 2)
    elif target.pick == "majority":
        count = len(names) // 2 + 1
    chosen = set(random.Random(f"{seed}/{describe(target)}").sample(sorted(names), min(count, len(names))))  # noqa: S311 - a seeded choice, no secret
    return [name for name in names if name in chosen]


def _there_is(spec: StackSpec) -> str:
    regions = ", ".join(spec.regions) or "none"
    services = ", ".join(spec.services)
    nodes = ", ".join(spec.nodes())
    kinds = ", ".join(sorted({link.kind for link in spec.links})) or "none"
    return f"there are regions {regions}; services {services}; nodes {nodes}; kinds of link {kinds}"
