"""Whether everything that is planned has a carrier, and whether carriers get in each other's way."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from chaos.errors import InvalidInput, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.model.carrier import Means
    from chaos.model.plan import PlannedInjection


def must_be_carried(planned: Sequence[PlannedInjection]) -> None:
    """Raise `InvalidInput` with every ask that nothing carries, what was tried for it, and all that clashes."""
    problems = [_problem(one, _uncarried(one, means)) for one in planned for means in one.means if not means.carrier]
    if problems:
        raise InvalidInput(tuple(problems), hint="chaos list faults   shows what works here")
    clashes = [_problem(*clash) for one, two in itertools.combinations(planned, 2) for clash in _clashes(one, two)]
    if clashes:
        raise InvalidInput(tuple(clashes), hint="let one end before the other begins, or hit different links")


def _uncarried(one: PlannedInjection, means: Means) -> str:
    tried = "; ".join(f"{each.carrier}: {each.why_not}" for each in means.instead_of) or "nothing here knows how"
    return f"{one.fault} has no carrier for {means.ask}: {tried}"


def _clashes(one: PlannedInjection, two: PlannedInjection) -> Iterator[tuple[PlannedInjection, str]]:
    """At the later of two that overlap: what a link can have only once at a time."""
    first, later = sorted((one, two), key=lambda each: each.starts_s)
    links = [link for link in later.links if link in first.links]
    if not links or first.starts_s + first.duration_s <= later.starts_s:
        return
    for mine in later.means:
        if any(mine.clashes(theirs) for theirs in first.means):
            says = f"{mine.ask} does not add up with that of {first.name!r}, which still holds then"
            yield later, f"{later.fault} on {', '.join(links)}: {says} (by {mine.carrier})"
            return


def _problem(one: PlannedInjection, says: str) -> Problem:
    place = one.place
    return Problem(place.file, place.line, place.col, says) if place else Problem(one.name, 0, 0, says)
