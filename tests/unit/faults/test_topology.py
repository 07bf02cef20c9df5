"""Who is cut off from whom, as a pure function of the links and the seed."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chaos.errors import NoSuchTarget
from chaos.faults.flap import Flap
from chaos.faults.partition import Partition
from chaos.model.stack import LinkSpec, NodeSpec, ServiceSpec, StackSpec


def link(source: str, target: str, kind: str = "internal", *regions: str) -> LinkSpec:
    return LinkSpec(name=f"{source}--{target}", source=source, target=target, kind=kind, regions=regions)


def mesh(count: int, regions: int = 1) -> StackSpec:
    """Nodes that are all linked to each other, their users, and a store that is in no region."""
    names = [f"n{number}" for number in range(count)]
    nodes = tuple(NodeSpec(name=name, region=f"r{number % regions}") for number, name in enumerate(names))
    return StackSpec(
        stack="mesh",
        regions={f"r{number}": {} for number in range(regions)},
        services={"web": ServiceSpec(nodes=nodes), "store": ServiceSpec(role="store", nodes=(NodeSpec(name="store"),))},
        links=(
            *(link("users", name, "access", f"r{number % regions}") for number, name in enumerate(names)),
            *(link(one, other) for one, other in itertools.combinations(names, 2)),
            *(link(name, "store", "storage") for name in names),
        ),
    )


def partition(topology: str, **more: Any) -> Partition:
    return Partition.model_validate({"target": {"service": "web"}, "duration": 5, "topology": topology} | more)


def sights(spec: StackSpec, cut: tuple[str, ...], count: int) -> dict[str, frozenset[str]]:
    """Whom each node still sees, itself included."""
    seen = {f"n{number}": {f"n{number}"} for number in range(count)}
    for one in spec.links:
        if one.name not in cut and one.source in seen and one.target in seen:
            seen[one.source].add(one.target)
            seen[one.target].add(one.source)
    return {name: frozenset(others) for name, others in seen.items()}


@given(count=st.integers(2, 11), seed=st.integers())
def test_bisect_makes_two_halves(count: int, seed: int) -> None:
    """Every node sees its own half and nobody else; of an odd number the halves differ by one."""
    spec = mesh(count)
    aim = partition("bisect").aim(spec, seed)
    parts = set(sights(spec, aim.links, count).values())
    assert sorted(len(part) for part in parts) == [count // 2, count - count // 2]


@given(count=st.integers(2, 11), seed=st.integers())
def test_isolate_one_leaves_one_alone(count: int, seed: int) -> None:
    """One node sees only itself, and the others all see each other."""
    spec = mesh(count)
    aim = partition("isolate-one").aim(spec, seed)
    seen = sights(spec, aim.links, count)
    assert {len(part) for part in seen.values()} == {1, count - 1}
    assert len(aim.links) == count - 1


@given(count=st.integers(3, 11), seed=st.integers())
def test_a_bridge_sees_both_halves(count: int, seed: int) -> None:
    """One node sees everybody; without it there are two halves that do not see each other."""
    spec = mesh(count)
    seen = sights(spec, partition("bridge").aim(spec, seed).links, count)
    (bridge,) = [name for name, others in seen.items() if len(others) == count]
    halves = {others - {bridge} for name, others in seen.items() if name != bridge}
    assert sorted(map(len, halves)) == sorted([count // 2, count - 1 - count // 2])
    assert frozenset.union(*halves) == set(seen) - {bridge}
    assert not frozenset.intersection(*halves)


@given(count=st.integers(4, 15), seed=st.integers())
def test_in_a_ring_nobody_has_the_majority_of_another(count: int, seed: int) -> None:
    """Every node sees a majority, not everybody, and no two see the same one."""
    spec = mesh(count)
    seen = sights(spec, partition("ring").aim(spec, seed).links, count)
    assert all(count // 2 < len(others) < count for others in seen.values())
    assert len(set(seen.values())) == count


@pytest.mark.parametrize("topology", ["bisect", "isolate-one", "ring", "bridge"])
@given(seed=st.integers())
def test_users_and_others_keep_their_links(topology: str, seed: int) -> None:
    """Nothing but links among the target's own nodes is cut, and each of those is either cut or kept."""
    spec = mesh(5)
    aim = partition(topology).aim(spec, seed)
    inner = {one.name for one in spec.links if one.kind == "internal"}
    assert aim.links
    assert set(aim.links) | set(aim.kept) == inner
    assert not set(aim.links) & set(aim.kept)


@pytest.mark.parametrize("topology", ["bisect", "isolate-one", "bridge", "ring"])
@given(seed=st.integers(), data=st.data())
def test_where_there_is_a_link_something_is_cut(topology: str, seed: int, data: st.DataObject) -> None:
    """However few links a stack has, one of them lies across."""
    spec = mesh(6)
    inner = [one for one in spec.links if one.kind == "internal"]
    few = data.draw(st.lists(st.sampled_from(inner), min_size=1, unique_by=lambda one: one.name))
    aim = partition(topology).aim(spec.model_copy(update={"links": tuple(few)}), seed)
    assert set(aim.links) <= {one.name for one in few}
    assert aim.links


def test_the_seed_decides_and_the_parts_are_told() -> None:
    """The same seed gives the same parts, other seeds give others, and the words name every node once."""
    spec = mesh(5)
    found = {seed: partition("bisect").aim(spec, seed) for seed in range(20)}
    assert found[3] == partition("bisect").aim(spec, 3)
    assert len({aim.parts for aim in found.values()}) > 3
    for aim in found.values():
        left, right = (part.strip("{}").split(", ") for part in aim.parts.split(" | "))
        assert sorted(left + right) == [f"n{number}" for number in range(5)]
        assert len(left) == 2


def test_regions_stay_whole() -> None:
    """Among regions, links within one and to a store that is in none stay open."""
    spec = mesh(6, regions=3)
    aim = partition("isolate-one", among="regions", target={}).aim(spec, 4)
    region = {f"n{number}": f"r{number % 3}" for number in range(6)}
    alone = aim.parts.split(" | ")[0].strip("{}")
    ends = {one.name: {region[one.source], region[one.target]} for one in spec.links if one.kind == "internal"}
    assert set(aim.links) == {name for name, regions in ends.items() if alone in regions and len(regions) == 2}
    assert alone in region.values()


def test_links_that_the_target_names_are_cut_among_their_ends() -> None:
    """A target that names links of users has them count as one more node."""
    aim = partition("isolate-one", target={"kind": "access"}).aim(mesh(3), 1)
    assert "users" in aim.parts
    assert set(aim.links) <= {"users--n0", "users--n1", "users--n2"}


@pytest.mark.parametrize(
    ("topology", "target", "said", "hint"),
    [
        ("bisect", {"node": "n1"}, "no link joins two of the nodes of the target node=n1 (n1)", "n0--n1, n0--n2"),
        ("ring", {"service": "web"}, "ring takes 4 nodes or more", "n0--n1, n0--n2, n1--n2"),
        ("bisect", {"role": "store"}, "no link joins two", "links between nodes: n0--n1"),
    ],
)
def test_what_cuts_nothing_is_refused(topology: str, target: dict[str, str], said: str, hint: str) -> None:
    """Too few nodes, or none that are linked: the links that there are stand in the hint."""
    with pytest.raises(NoSuchTarget) as caught:
        partition(topology, target=target).aim(mesh(3), 1)
    assert said in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        {"topology": "bisect", "direction": "forward"},
        {"topology": "two-way", "direction": "forward"},
        {"topology": "one-way", "direction": "both"},
        {"topology": "two-way", "among": "regions"},
        {"topology": "bisect", "target": {"role": "room-owner"}},
        {"topology": "star"},
    ],
)
def test_words_that_contradict_each_other_are_refused(arguments: dict[str, Any]) -> None:
    """A direction belongs to one-way, regions to topologies of several, and an owner is one node."""
    with pytest.raises(ValidationError):
        Partition.model_validate({"target": {"service": "web"}, "duration": 5} | arguments)


def test_either_word_for_one_way_is_enough() -> None:
    """`one-way` is forward unless it says backward, and a direction alone means one-way."""
    assert partition("one-way").direction == "forward"
    assert Partition.model_validate({"target": {}, "duration": 5, "direction": "backward"}).topology == "one-way"
    assert partition("two-way").aim(mesh(3), 1).parts == ""


def test_a_flap_cuts_the_same_parts() -> None:
    """Another fault that applies a partition aims as it does."""
    flap = Flap.model_validate(
        {
            "target": {"service": "web"},
            "duration": 9,
            "period": 3,
            "of": "partition",
            "arguments": {"topology": "bisect"},
        }
    )
    assert flap.aim(mesh(5), 7) == partition("bisect").aim(mesh(5), 7)
