"""A stack in the shape of the embedded one, for tests that start nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.experiment.plan import asks, make_plan
from chaos.model.stack import LinkSpec, NodeSpec, ServiceSpec, StackSpec
from chaos.runtimes.carriers import survey

if TYPE_CHECKING:
    from chaos.model.experiment import Experiment
    from chaos.model.plan import Plan

REGIONS = {"cn-east": "e", "cn-north": "n"}


def _node(name: str, region: str | None = None) -> NodeSpec:
    return NodeSpec(name=name, region=region, command=("serve", name))


def _link(source: str, target: str, kind: str, *regions: str) -> LinkSpec:
    return LinkSpec(name=f"{source}--{target}", source=source, target=target, kind=kind, regions=regions)


def _links() -> tuple[LinkSpec, ...]:
    found = []
    for region, letter in REGIONS.items():
        gateway = f"gw-{region[3:]}"
        found += [_link("users", gateway, "access", region), _link(gateway, "store", "storage", region)]
        for name in (f"{kind}-{letter}{number}" for kind in ("meet", "doc") for number in (1, 2)):
            found += [_link(gateway, name, "internal", region), _link(name, "store", "storage", region)]
    found.append(_link("gw-east", "gw-north", "region", "cn-east", "cn-north"))
    found.append(_link("gw-north", "gw-east", "region", "cn-north", "cn-east"))
    return tuple(found)


def _service(kind: str, backend: str) -> ServiceSpec:
    nodes = tuple(_node(f"{kind}-{letter}{number}", region) for region, letter in REGIONS.items() for number in (1, 2))
    urls = dict.fromkeys(REGIONS, f"ws://127.0.0.1:1/{kind}/{{key}}")
    role = {"meet": "meetings", "doc": "documents"}[kind]
    return ServiceSpec(role=role, backend=backend, secret="staging-only", urls=urls, nodes=nodes)


def twin(**changes: Any) -> StackSpec:
    """11 nodes in two regions, 22 links."""
    parts = {
        "stack": "twin",
        "environment": "staging",
        "regions": {region: {} for region in REGIONS},
        "settings": {"mutant": "", "secret": "staging-only"},
        "links": _links(),
        "services": {
            "store": ServiceSpec(role="store", nodes=(_node("store"),)),
            "gateway": ServiceSpec(role="gateway", nodes=tuple(_node(f"gw-{name[3:]}", name) for name in REGIONS)),
            "meetings": _service("meet", "rooms"),
            "documents": _service("doc", "hocuspocus"),
        },
    }
    return StackSpec(**(parts | changes))


def planned(experiment: Experiment, spec: StackSpec) -> Plan:
    """Its plan, with the carriers of processes, which every machine has."""
    return make_plan(experiment, spec, survey("process", asks(experiment)))
