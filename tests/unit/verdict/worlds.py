"""All random histories by what is broken in them: for each of the checks at least one that it must find."""

from __future__ import annotations

import random

import meetings
import stories
from histories import BOUNDS, Record

from chaos.model.verdict import Kind
from chaos.verdict.checks import registry
from chaos.verdict.findings import CheckFindings
from chaos.verdict.health import weigh
from chaos.verdict.history import History

PLANTED = {
    **{("meeting", plant): check for plant, check in meetings.PLANTED.items()},
    **{("story", plant): check for plant, check in stories.PLANTED.items()},
    ("crowd", "slow"): "M12",
    ("crowd", "unserved"): "M12",
}
"""The kind of history and what is broken in it -> the check that must find it."""
CORRECT = {
    "meeting": ("M1", "M2", "M3", "M4", "M5", "M6", "M7", "M8", "M9", "M10", "M11"),
    "story": ("D1", "D2", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12"),
    "crowd": ("M12",),
}
"""The kinds of history, and the checks that have something to judge in them."""


def world(kind: str, seed: int, planted: str = "") -> Record:
    """A random history of a kind, with the null target's answers all the while."""
    if kind == "meeting":
        return meetings.meeting(seed, planted).pulse(0, 60)
    if kind == "story":
        return stories.story(seed, planted).pulse(0, 60)
    wrong = {"slow": {"slow_s": 0.2}, "unserved": {"bad": 0.2}}.get(planted, {})
    return crowd(seed=seed, **wrong).pulse(0, 60)


def crowd(*, slow_s: float = 0.02, bad: float = 0.0, region: str = "cn-north", seed: int = 1) -> Record:
    """Ten joins a second through each region; from 10 s to 20 s a fault on cn-east, and what `region` suffers then."""
    record, chance = Record(), random.Random(seed)
    for number in range(20, 480):
        t = number / 10
        for where in ("cn-east", "cn-north"):
            hit = where == region and 10 <= t < 20
            took = (slow_s if hit else 0.02) * chance.uniform(0.8, 1.2)
            user, fails = f"{where}-{number}", hit and chance.random() < bad
            record.do(
                "join",
                t,
                t + (5 if fails else took),
                "info" if fails else "ok",
                user=user,
                region=where,
                key=f"room-{where}",
                error="timeout" if fails else "",
                intended=t,
            )
    return record.fault(10, 20, regions=["cn-east"])


def judged(name: str, history: History) -> CheckFindings:
    """What a check finds, its observers weighed as the judge weighs them."""
    check = registry()[name]
    found = check.run(history, BOUNDS)
    return weigh(history, BOUNDS, found) if check.kind is Kind.SAFETY else found
