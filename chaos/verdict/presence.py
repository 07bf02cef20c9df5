"""Who was certainly in a room, and when: connections, each with the time up to which the server's answers prove it.

A socket that nobody reported as broken proves nothing: an answer on it does. So a connection counts from the answer
that let it in to the last moment before an answered leave, or to its last acknowledged message.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos.verdict.excuse import Harm, excused, harm
from chaos.verdict.lifetimes import ENTER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

_OVER = frozenset({"vanish", "cut", "dropped", "gone_home"})


@dataclass(slots=True)
class Connection:
    """One session on one socket."""

    session: str
    user: str
    key: str
    region: str
    entered: Event
    """The answer that let it in."""
    proved_ns: int
    """It was in up to here: the server still answered later."""
    end: Event | None = None
    """What ended it: an asked-for leave, vanish, cut, dropped, or the next wish to come in. None: still there."""
    harm: Harm = field(default_factory=Harm)

    @property
    def since_ns(self) -> int:
        """When it was let in."""
        return self.entered.t_ns


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a roster that was answered, or (listed is None) one that was planned and did not come."""

    op: Op
    start_ns: int
    end_ns: int
    listed: frozenset[str] | None


class Looks:
    """The looks at one room by those whom no fault reached, in the order of their invokes."""

    def __init__(self) -> None:
        self.all: list[Look] = []
        self.times: list[int] = []
        self.harmed: list[int] = []
        """The times of those that a fault touched: they neither convict nor acquit."""

    def between(self, start_ns: float, end_ns: float) -> Iterator[Look]:
        """Those that were asked for in [start, end] and were over by its end."""
        for at in range(bisect_left(self.times, start_ns), len(self.times)):
            if self.times[at] > end_ns:
                return
            if self.all[at].end_ns <= end_ns:
                yield self.all[at]


def connections(history: History, bounds: Bounds) -> dict[str, list[Connection]]:
    """Every session's connections, in order; of participants only."""
    return {
        name: found
        for name, events in history.sessions.items()
        if any(event.f in ENTER for event in events) and (found := list(_of_session(history, bounds, name, events)))
    }


def _of_session(history: History, bounds: Bounds, name: str, events: Sequence[Event]) -> Iterator[Connection]:
    now: Connection | None = None
    for event in events:
        if event.f not in ENTER:
            if now is not None:
                _go_on(now, event)
            continue
        if now is not None:
            now.end = now.end or event
            yield now
            now = None
        if event.type == "ok":
            reached = harm(history, bounds, session=name, region=event.region, key=event.key)
            now = Connection(name, event.user, event.key, event.region, event, event.t_ns, harm=reached)
    if now is not None:
        yield now


def _go_on(now: Connection, event: Event) -> None:
    """Take note of what a session did while it was in."""
    if event.f == "leave" and event.type == "ok" and now.end is not None:
        now.proved_ns = max(now.proved_ns, now.end.t_ns)
    elif now.end is not None:
        return
    elif event.f in _OVER or (event.f == "leave" and event.type == "invoke"):
        now.end = event
    elif event.f == "say" and event.type == "ok":
        now.proved_ns = max(now.proved_ns, event.t_ns)


def looks_at(history: History, bounds: Bounds) -> dict[str, Looks]:
    """Every room's looks by observers."""
    rooms: dict[str, Looks] = {}
    for op in history.of("roster"):
        if op.cut_short:
            continue
        room = rooms.setdefault(op.begin.key, Looks())
        shown = listed(op)
        # One that did not come would have come at some time: its gap stands at its invoke.
        until_ns = op.begin.t_ns if shown is None or op.end is None else op.end.t_ns
        if excused(history, bounds, op, until_ns=until_ns):
            room.harmed.append(op.begin.t_ns)
            continue
        room.all.append(Look(op, op.begin.t_ns, until_ns, shown))
        room.times.append(op.begin.t_ns)
    return rooms


def listed(op: Op) -> frozenset[str] | None:
    """The sessions that a look shows; None where it did not come."""
    return None if op.names is None else frozenset(op.names)


def observed(history: History, harms: Mapping[str, Harm]) -> Mapping[str, tuple[int, list[int]]]:
    """Per observer's session: when it asked its last answered look, and the times of those that did not come.

    Looks that were asked for while a fault reached the observer prove nothing, and their absence neither.
    """
    found: dict[str, tuple[int, list[int]]] = {}
    for op in history.of("roster"):
        last, gaps = found.setdefault(op.session, (0, []))
        if op.cut_short or harms.get(op.session, Harm()).touches(op.begin.t_ns, op.begin.t_ns):
            continue
        if listed(op) is None:
            gaps.append(op.begin.t_ns)
        else:
            last = max(last, op.begin.t_ns)
        found[op.session] = (last, gaps)
    return found
