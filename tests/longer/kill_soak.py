"""Kills the conductor again and again, at random steps and moments of random faults, and counts what is left.

One detached stack of processes lives through all of it, and where an engine is there, one of containers: there the
agent is often killed too. After most kills it is healed; after every tenth nobody heals, and the leases must run
out by themselves. Nothing may ever be left within the promised ten seconds.

    python -m tests.longer.kill_soak --times 200 --seed 1

With --matrix it is every step with every fault instead, once each, and on containers also with the agent.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import docker_rig
import kill_cans
import kill_rig
import pytest
from docker_engine import cans

from chaos.engine.leftovers import heal
from chaos.engine.steps import Step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOLD_S = 0.3
LONGEST_S = 0.6
"""Of the moments at which a kill may come; a run of such a fault takes about as long."""
WAITED_FOR = 10
"""Every so many kills the leases are left to run out; the others are healed at once."""


class Place(NamedTuple):
    """A stack to be hit, and how to look at it."""

    runtime: str
    stack: str
    faults: dict[str, kill_rig.Harm]
    before: dict[str, Any]
    settled: Callable[..., dict[str, Any]]
    """Called with the parts that have to be as before."""
    outside: tuple[str, ...]
    """What has to be as before without a heal."""


class Point(NamedTuple):
    """Where a conductor dies."""

    place: Place
    fault: str
    how: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.place.runtime} {self.fault} {self.how}"


def main() -> int:
    """Kill as often as asked for; return 0 if nothing was ever left."""
    options = _options()
    with contextlib.ExitStack() as exits:
        folder = Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="soak-")))
        os.environ["COLLAB_CHAOS_STATE"] = str(folder / "state")
        conductors = exits.enter_context(kill_rig.Conductors())
        places = [exits.enter_context(_processes(folder)), *exits.enter_context(_containers(folder, conductors))]
        points = [*_matrix(places)] if options.matrix else _random(places, options)
        return _soak(points, conductors)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--matrix", action="store_true")
    return parser.parse_args()


@contextlib.contextmanager
def _processes(folder: Path) -> Iterator[Place]:
    with kill_rig.detached(folder) as stack:
        before = kill_rig.snapshot(stack)
        outside = tuple(part for part in before if part != "files")
        yield Place(
            "process", stack.site.id, kill_rig.FAULTS, before, lambda *parts: kill_rig.settled(stack, before, *parts),
            outside,
        )  # fmt: skip


@contextlib.contextmanager
def _containers(folder: Path, conductors: kill_rig.Conductors) -> Iterator[list[Place]]:
    """One place, or none where there is no engine."""
    with contextlib.ExitStack() as exits:
        try:
            (folder / "cans").mkdir()
            web = exits.enter_context(cans(folder / "cans"))
        except pytest.skip.Exception as skip:
            print(f"no containers: {skip.msg}", flush=True)
            yield []
            return
        conductors.prepare("chaos.runtimes.docker")
        web.spec()
        spared = [conductors.pid]
        before = kill_cans.snapshot(web, spared)
        yield [
            Place(
                "docker", str(web.folder / "stack.yaml"), docker_rig.FAULTS, before,
                lambda *parts: kill_cans.settled(web, before, spared, *parts), kill_cans.OUTSIDE,
            )
        ]  # fmt: skip


def _matrix(places: list[Place]) -> Iterator[Point]:
    for place in places:
        for also in ({}, {"agent": True})[: 1 + (place.runtime == "docker")]:
            for fault in sorted(place.faults):
                yield from (Point(place, fault, {"at": step.value, **also}) for step in Step)


def _random(places: list[Place], options: argparse.Namespace) -> list[Point]:
    chance = random.Random(options.seed)
    return [_point(chance.choice(places), chance) for _ in range(options.times)]


def _point(place: Place, chance: random.Random) -> Point:
    """A fault, and a step or a moment."""
    fault = chance.choice(sorted(place.faults))
    how: dict[str, Any] = {"at": chance.choice(list(Step)).value}
    if chance.random() < 0.5:
        how = {"after_s": round(chance.uniform(0.001, LONGEST_S), 3)}
    if place.runtime == "docker" and chance.random() < 0.5:
        how["agent"] = True
    return Point(place, fault, how)


def _soak(points: list[Point], conductors: kill_rig.Conductors) -> int:
    left = 0
    ends: Counter[str] = Counter()
    began = time.monotonic()
    for number, point in enumerate(points, 1):
        code = conductors.run(point.place.stack, point.place.faults[point.fault], duration=HOLD_S, **point.how)
        ends["killed" if code == -signal.SIGKILL else "too late, it had ended"] += 1
        ends[f"of {point.place.runtime}"] += 1
        found = _left(point, wait=number % WAITED_FOR == 0)
        if found or code not in {0, -signal.SIGKILL}:
            left += 1
            print(f"{number:>4}  {point}, code {code}: {found}", flush=True)
        elif number % 20 == 0:
            print(f"{number:>4}  {time.monotonic() - began:5.0f} s  {left} leftovers", flush=True)
    print(f"{len(points)} kill points ({', '.join(f'{n} {word}' for word, n in ends.items())}): {left} leftovers")
    return 1 if left else 0


def _left(point: Point, *, wait: bool) -> list[str]:
    """What is not as it was before, in words."""
    place, found = point.place, []
    if wait and not point.how.get("agent"):
        now = place.settled(*place.outside)
        found += [f"without a heal, {part}: {now[part]}" for part in place.outside if now[part] != place.before[part]]
    if point.place.runtime == "docker":
        place.settled("processes")  # a folder is swept once its agent has ended
    found += heal().left
    now = place.settled(*place.before)
    return found + [f"{part}: {now[part]}" for part in place.before if now[part] != place.before[part]]


if __name__ == "__main__":
    sys.exit(main())
