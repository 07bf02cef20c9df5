"""Four HTTP nodes in two regions, all linked to each other, for faults on the links among several nodes."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from http_node import write_node

from chaos.runtimes.http import NoAnswer
from chaos.runtimes.ways import ask_through

if TYPE_CHECKING:
    from chaos.model.stack import Site

HEAD = """
stack: mesh
environment: staging
regions: {east: {}, west: {}}
services:
  web:
    role: gateway
    nodes:
"""
NODES = {"a": "east", "b": "east", "c": "west", "d": "west"}


def write_mesh(folder: Path) -> Path:
    """Its stack file, with the program that all nodes run."""
    write_node(folder)
    command = '["${python}", "${here}/node.py", "${port}"]'
    nodes = [f"      - {{name: {name}, region: {region}, command: {command}}}" for name, region in NODES.items()]
    links = [_link("users", name, "access") for name in NODES]
    links += [_link(one, other, "internal") for one, other in itertools.combinations(NODES, 2)]
    path = folder / "stack.yaml"
    path.write_text("\n".join([HEAD.rstrip(), *nodes, "links:", *links, ""]))
    return path


def _link(source: str, target: str, kind: str) -> str:
    regions = ", ".join(dict.fromkeys([NODES.get(source, NODES[target]), NODES[target]]))
    return f"  - {{name: {source}--{target}, source: {source}, target: {target}, kind: {kind}, regions: [{regions}]}}"


def open_links(site: Site) -> set[str]:
    """Links through which a request is answered now."""

    def answers(link: str) -> bool:
        try:
            return ask_through(site, link, "/healthz", 0.7).status == HTTPStatus.OK
        except NoAnswer:
            return False

    with ThreadPoolExecutor(len(site.link_ports)) as pool:
        return {link for link, good in zip(site.link_ports, pool.map(answers, site.link_ports), strict=True) if good}
