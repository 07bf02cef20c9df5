"""Who is cut off from whom: partitions of several nodes or regions, over the links that a stack has.

The words are those of Jepsen (`jepsen.nemesis`: bisect, split-one, bridge, majorities-ring). A stack's links are few,
and a cut that lies where no link is cuts nothing: so one link, drawn by the seed, always lies across.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Literal

from chaos.errors import NoSuchTarget
from chaos.faults.targets import Aim, describe
from chaos.model.fault import Target
from chaos.model.stack import LinkSpec, StackSpec

Parts = Literal["bisect", "isolate-one", "ring", "bridge"]
Among = Literal["nodes", "regions"]
LEAST = {"bisect": 2, "isolate-one": 2, "ring": 4, "bridge": 3}
"""Fewer cannot be cut so: in a ring of three everybody sees everybody, and a bridge stands between two others."""
USERS = "users"


def cut_apart(topology: Parts, among: Among, target: Target, aim: Aim, spec: StackSpec, seed: int) -> Aim:
    """The aim narrowed to the links that lie across; pure.

    Links of users count only where the target names links, and nodes without a region belong to none of them.
    Raises `NoSuchTarget` where there are too few to be cut so, or no link lies between them.
    """
    side = _sides(among, spec)
    joined = [link for link in _candidates(aim, spec) if _crosses(link, side)]
    names = sorted({side[end] for link in joined for end in (link.source, link.target)} | _named(aim, side))
    where = f"the {among} of the target {describe(target)}"
    if not joined:
        raise NoSuchTarget(f"{topology}: no link joins two of {where} ({', '.join(names)})", hint=_there_are(spec))
    if len(names) < LEAST[topology]:
        raise NoSuchTarget(
            f"{topology} takes {LEAST[topology]} {among} or more, and {where} are {', '.join(names)}",
            hint=f"links among them: {', '.join(link.name for link in joined)}",
        )
    order = _order(topology, names, joined, side, random.Random(f"{seed}/{topology}/{describe(target)}"))  # noqa: S311
    sees = _sight(topology, len(order))
    place = {name: number for number, name in enumerate(order)}
    apart = [link for link in joined if not sees(place[side[link.source]], place[side[link.target]])]
    cut = {link.name for link in apart}
    return aim.model_copy(
        update={
            "links": tuple(name for name in aim.links if name in cut),
            "kept": tuple(link.name for link in joined if link.name not in cut),
            "parts": _words(topology, order),
        }
    )


def _sides(among: Among, spec: StackSpec) -> dict[str, str]:
    """To what each end of a link belongs; ends that belong to nothing are left out."""
    placed = spec.nodes()
    if among == "nodes":
        return {USERS: USERS, **{name: name for name in placed}}
    return {name: node.region for name, (_, node) in placed.items() if node.region is not None}


def _candidates(aim: Aim, spec: StackSpec) -> list[LinkSpec]:
    """Links that may be cut: those named, else those with both ends among the aim's nodes."""
    there = [link for link in spec.links if link.name in aim.links]
    return [link for link in there if not aim.nodes or {link.source, link.target} <= set(aim.nodes)]


def _crosses(link: LinkSpec, side: dict[str, str]) -> bool:
    return link.source in side and link.target in side and side[link.source] != side[link.target]


def _named(aim: Aim, side: dict[str, str]) -> set[str]:
    """Nodes that were asked for count even where no link leads to them."""
    return {side[name] for name in aim.nodes if name in side}


def _order(
    topology: Parts, names: Sequence[str], joined: Sequence[LinkSpec], side: dict[str, str], rng: random.Random
) -> list[str]:
    """A shuffle that has the two ends of one link as far from each other as the topology knows."""
    across = rng.choice(sorted(joined, key=lambda link: link.name))
    first, last = side[across.source], side[across.target]
    if rng.random() < 0.5:  # noqa: PLR2004 - a coin: either end may be the one that is alone
        first, last = last, first
    others = [name for name in names if name not in {first, last}]
    rng.shuffle(others)
    farthest = len(names) // 2 if topology == "ring" else len(names) - 1
    order = [first, *others]
    order.insert(farthest, last)
    return order


def _sight(topology: Parts, count: int) -> Callable[[int, int], bool]:
    """Whether two that stand at these places still see each other."""
    half = count // 2  # of an odd number, the smaller half comes first
    if topology == "isolate-one":
        return lambda one, other: (one == 0) == (other == 0)
    if topology == "bisect":
        return lambda one, other: (one < half) == (other < half)
    if topology == "bridge":
        return lambda one, other: (one < half) == (other < half) or half in {one, other}
    reach = _ring_reach(count)
    return lambda one, other: min((one - other) % count, (other - one) % count) <= reach


def _ring_reach(count: int) -> int:
    """How many neighbours on each side make, with oneself, a majority: no two have the same one."""
    return (count // 2 + 1) // 2


def _words(topology: Parts, order: Sequence[str]) -> str:
    half = len(order) // 2
    if topology == "ring":
        sees = _ring_reach(len(order))
        return f"ring {' – '.join((*order, order[0]))}, each sees {sees} on either side"
    if topology == "bridge":
        return f"{_set(order[:half])} | {_set(order[half + 1 :])}, {order[half]} sees both"
    first = 1 if topology == "isolate-one" else half
    return f"{_set(order[:first])} | {_set(order[first:])}"


def _set(names: Sequence[str]) -> str:
    return "{" + ", ".join(sorted(names)) + "}"


def _there_are(spec: StackSpec) -> str:
    links = [link.name for link in spec.links if link.source != USERS]
    return f"links between nodes: {', '.join(links) or 'none'}"
