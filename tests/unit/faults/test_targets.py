"""From a target to the very nodes and links."""

from __future__ import annotations

import pytest

from chaos.errors import NoSuchTarget
from chaos.faults.targets import describe, reach, resolve
from chaos.model.fault import Target
from chaos.model.stack import LinkSpec, NodeSpec, ServiceSpec, StackSpec


def node(name: str, region: str | None = None) -> NodeSpec:
    return NodeSpec(name=name, region=region)


def link(source: str, target: str, kind: str, *regions: str) -> LinkSpec:
    return LinkSpec(name=f"{source}--{target}", source=source, target=target, kind=kind, regions=regions)


SPEC = StackSpec(
    stack="small",
    regions={"east": {}, "north": {}},
    services={
        "store": ServiceSpec(role="store", nodes=(node("store"),)),
        "gateway": ServiceSpec(role="gateway", nodes=(node("gw-e", "east"), node("gw-n", "north"))),
        "docs": ServiceSpec(role="documents", nodes=(node("doc-e", "east"), node("doc-n", "north"))),
    },
    links=(
        link("users", "gw-e", "access", "east"),
        link("users", "gw-n", "access", "north"),
        link("gw-e", "doc-e", "internal", "east"),
        link("gw-n", "doc-n", "internal", "north"),
        link("doc-e", "store", "storage", "east"),
        link("gw-e", "store", "storage", "east"),
        link("gw-e", "gw-n", "region", "east", "north"),
    ),
)


def test_region_hits_its_nodes_and_links() -> None:
    """A region stands for its nodes and for every link that belongs to it."""
    aim = resolve(Target(region="north"), SPEC, 1)
    assert aim.nodes == ("gw-n", "doc-n")
    assert set(aim.links) == {"users--gw-n", "gw-n--doc-n", "gw-e--gw-n"}


def test_kind_of_link_hits_no_node() -> None:
    """A target that names a kind of link means links alone."""
    aim = resolve(Target(region="east", kind="access"), SPEC, 1)
    assert aim.nodes == ()
    assert aim.links == ("users--gw-e",)


def test_links_by_wildcard() -> None:
    """A link's name may hold wildcards."""
    assert resolve(Target(link="gw-e--*"), SPEC, 1).links == ("gw-e--doc-e", "gw-e--store", "gw-e--gw-n")


def test_owner_is_a_rule_before_the_run() -> None:
    """Who owns a document is not known in a plan, so the plan holds candidates and the rule."""
    aim = resolve(Target(role="document-owner"), SPEC, 7)
    assert aim.nodes == ("doc-e", "doc-n")
    assert "known at injection" in aim.rule


def test_owner_is_the_node_that_owns_most() -> None:
    """Once the stack runs, the owner role is the busiest owner, with its own links."""
    aim = resolve(Target(role="document-owner"), SPEC, 7, {"doc-e": ["a"], "doc-n": ["b", "c"]})
    assert aim.nodes == ("doc-n",)
    assert aim.links == ("gw-n--doc-n",)


def test_nobody_owns_anything() -> None:
    """An owner role that nobody has is no target."""
    with pytest.raises(NoSuchTarget):
        resolve(Target(role="document-owner", service="docs"), SPEC, 7, {})


@pytest.mark.parametrize(("pick", "count"), [("one", 1), ("minority", 2), ("majority", 3), ("all", 5)])
def test_pick_counts(pick: str, count: int) -> None:
    """One, a minority, a majority or all of what matches."""
    target = Target.model_validate({"pick": pick})
    assert len(resolve(target, SPEC, 3).nodes) == count


def test_percentage_rounds_up_and_repeats() -> None:
    """A percentage never rounds to nobody, and the same seed chooses the same nodes."""
    first = resolve(Target(percentage=1), SPEC, 3)
    assert len(first.nodes) == 1
    assert first == resolve(Target(percentage=1), SPEC, 3)
    assert {resolve(Target(percentage=1), SPEC, seed).nodes for seed in range(30)} != {first.nodes}


def test_no_match_says_what_there_is() -> None:
    """A target that matches nothing is refused with a list of what could be meant."""
    with pytest.raises(NoSuchTarget, match="region=south") as caught:
        resolve(Target(region="south"), SPEC, 1)
    assert "east, north" in caught.value.hint


def test_describe_nothing_given() -> None:
    """An empty target means everything."""
    assert describe(Target()) == "everything"


def test_reach_of_nodes() -> None:
    """A node reaches the keys that it owns, a gateway its region, the store everybody."""
    owned = {"doc-e": ("plan", "notes")}
    hit = reach(resolve(Target(node="doc-e"), SPEC, 1), SPEC, owned, by_links=False)
    assert (hit.nodes, hit.keys, hit.regions) == (("doc-e",), ("notes", "plan"), ())
    assert reach(resolve(Target(node="gw-e"), SPEC, 1), SPEC, owned, by_links=False).regions == ("east",)
    assert reach(resolve(Target(role="store"), SPEC, 1), SPEC, owned, by_links=False).everything


def test_reach_of_links() -> None:
    """An access link reaches its region; an inner link what its node owns; a gateway's store link its region."""
    owned = {"doc-e": ("plan",)}
    assert reach(resolve(Target(link="users--gw-n"), SPEC, 1), SPEC, owned, by_links=True).regions == ("north",)
    inner = reach(resolve(Target(link="doc-e--store"), SPEC, 1), SPEC, owned, by_links=True)
    assert (inner.nodes, inner.keys, inner.regions, inner.everything) == (("doc-e",), ("plan",), (), False)
    assert reach(resolve(Target(link="gw-e--store"), SPEC, 1), SPEC, owned, by_links=True).regions == ("east",)
    both = reach(resolve(Target(kind="region"), SPEC, 1), SPEC, owned, by_links=True)
    assert both.regions == ("east", "north")
