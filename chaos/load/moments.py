"""What happens within a stay: short cuts of the connection, and messages that follow each other at once.

Drawn from streams of their own, after the people are: a load with other shares has the same arrivals.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from chaos.load.chance import chance
from chaos.load.shares import Share

if TYPE_CHECKING:
    import random

    from chaos.load.plan import Person, Visit
    from chaos.model.experiment import LoadSpec

CUT_S = 0.5
"""How long a short cut lasts."""
MARGIN_S = 0.4
"""Room around a cut, beside the visibility bound before it and after it."""
TWICE = 0.3
"""Share of messages that are followed by a second one at once: only these can show that two change places."""
TWICE_S = 0.02


def with_moments(
    people: tuple[Person, ...], load: LoadSpec, seed: int, horizon_s: float, visible_s: float
) -> tuple[Person, ...]:
    """The same people at the same times; some are cut off for a moment, some say two things at once."""
    rng = chance(seed, "moments")
    cuts, twice = Share(load.cut, rng), Share(TWICE, rng)

    def visit(one: Visit) -> Visit:
        says = tuple(at for said in one.says for at in (said, said + TWICE_S)[: 1 + twice()] if at < horizon_s)
        return replace(one, says=says, cut_s=_cut(one, cuts, rng, visible_s))

    return tuple(replace(person, visits=tuple(visit(one) for one in person.visits)) for person in people)


def _cut(visit: Visit, cuts: Share, rng: random.Random, visible_s: float) -> float:
    first_s = visit.at_s + visible_s + MARGIN_S
    last_s = visit.until_s - CUT_S - visible_s - MARGIN_S
    return rng.uniform(first_s, last_s) if first_s < last_s and cuts() else 0.0
