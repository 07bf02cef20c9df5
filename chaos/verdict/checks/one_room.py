"""M4, one room: those who are in one room see each other; a room does not fall apart into several.

Judged at pairs of observers of one room who came in through different ways: two looks that were asked for within
`WITHIN_S` of each other, each by an observer who had been in for `visibility_s` and was answered again later.
The two are one component when one roster lists the other observer, or both list a session that is proved alive.
Violation: neither, so there are two components. Excused: a fault reaches one of the two (grace included).
Inconclusive: a planned look of either did not come. Unjudged: nothing to pair a look with.
Source: split brain; one component of the mutual-visibility graph, after the view agreement of partitionable group
membership (G. V. Chockler, I. Keidar, R. Vitenberg, 2001); `docs/checks.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.excuse import Harm, harm
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS
from chaos.verdict.presence import Connection, Look, Looks, connections, looks_at, observed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History

WITHIN_S = 1.5
"""Two looks count as of one moment when they were asked for within this time; observers look once a second."""


class _Observers:
    """Since when each observer's session was in, up to when it is proved, and what harmed it."""

    def __init__(self, history: History, bounds: Bounds) -> None:
        visible = int(bounds.visibility_s * NS)
        facts = history.facts.get("listening", ())
        self.since = {event.session: event.t_ns + visible for event in facts}
        self.harm = {
            event.session: harm(history, bounds, session=event.session, region=event.region, key=event.key)
            for event in facts
        }
        self.until = {name: last for name, (last, _) in observed(history, self.harm).items()}

    def there(self, name: str, start_ns: int, end_ns: int) -> bool:
        """Whether it was certainly in from start to end."""
        return self.since.get(name, end_ns + 1) <= start_ns and end_ns <= self.until.get(name, 0)

    def reached(self, name: str, start_ns: int, end_ns: int) -> bool:
        """Whether a fault touched it meanwhile."""
        return self.harm.get(name, Harm()).touches(start_ns, end_ns)


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge each look with the latest one of every other observer of its room."""
    found = CheckFindings()
    observers = _Observers(history, bounds)
    people = connections(history, bounds)
    for room in looks_at(history, bounds).values():
        _room(history, room, observers, people, found)
    return found


def _room(
    history: History,
    room: Looks,
    observers: _Observers,
    people: Mapping[str, Sequence[Connection]],
    found: CheckFindings,
) -> None:
    latest: dict[str, Look] = {}
    paired = len({look.op.begin.user for look in room.all}) > 1
    for look in room.all:
        name = look.op.session
        if look.listed is None:
            found.inconclusive += paired
            if paired:
                found.because(f"{look.op.begin.key}: a look at {words.at(history, look.start_ns)} did not come")
            continue
        for other, before in latest.items():
            if other != name and look.start_ns - before.start_ns <= WITHIN_S * NS:
                _pair(history, before, look, observers, people, found)
        latest[name] = look


def _pair(
    history: History,
    one: Look,
    two: Look,
    observers: _Observers,
    people: Mapping[str, Sequence[Connection]],
    found: CheckFindings,
) -> None:
    start, end = one.start_ns, max(one.end_ns, two.end_ns)
    first, second = one.op.session, two.op.session
    if not all(observers.there(name, start, end) for name in (first, second)):
        found.unjudged += 1
    elif observers.reached(first, start, end) or observers.reached(second, start, end):
        found.excused += 1
    else:
        found.judged += 1
        seen, also = one.listed or frozenset(), two.listed or frozenset()
        if second in seen or first in also:
            return
        shared = seen & also
        if not any(
            link.since_ns <= start and end <= link.proved_ns for name in shared for link in people.get(name, ())
        ):
            found.violations.append(_violation(history, one, two))


def _violation(history: History, one: Look, two: Look) -> Violation:
    key = one.op.begin.key
    story: list[tuple[int, str]] = []
    for look in (one, two):
        begin, end = look.op.begin, look.op.end
        name, number = begin.session, len(look.listed or ())
        story.append((begin.t_ns, f"{name} asked who is in {key}{words.via(begin.region)}"))
        if end is not None:
            sample = ", ".join(sorted(look.listed or ())[:4])
            story.append((end.t_ns, f"{name} was told{words.by(end.node)}: {number} sessions ({sample}, ...)"))
    story += words.fault_story(history, one.start_ns, max(one.end_ns, two.end_ns))
    says = (
        f"{one.op.session} and {two.op.session} were both in {key} at {words.at(history, two.start_ns)}, and neither "
        f"sees the other, nor anybody whom the other sees: the room has fallen apart"
    )
    return Violation(two.start_ns, says, tuple(story), seen_by=(sight(history, one.op), sight(history, two.op)))


check = Check("M4", "a room is one room", "rooms.split", run, lambda load: load.participants > 0)
