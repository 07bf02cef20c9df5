"""When sessions were certainly over: the ends that a ghost is measured from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.event import Event
    from chaos.verdict.history import History

ENTER = frozenset({"join", "rejoin", "resume"})
_CUT = frozenset({"vanish", "cut", "dropped", "gone_home"})


@dataclass(frozen=True, slots=True)
class Ended:
    """A session from its end until it came back (or for ever)."""

    session: str
    key: str
    region: str
    nodes: tuple[str, ...]
    begun_ns: int
    """Its first event."""
    end: Event
    clean: bool
    """It left and was answered; else it vanished, was dropped, or its leave was never answered."""
    until_ns: float


def ended_sessions(history: History) -> Iterator[Ended]:
    """Every end of every participant's session.

    A timed-out leave ends it uncleanly when the user gives up and cuts the socket. A resume that may have reached
    the server ends it anew when that resume is over; one in flight leaves it open whether the session is over.
    """
    for name, events in history.sessions.items():
        if any(event.f in ENTER for event in events):
            yield from _ends(name, events)


def _ends(name: str, events: tuple[Event, ...]) -> Iterator[Ended]:
    end: tuple[Event, bool] | None = None
    for event in events:
        change = _change(event, ended=end is not None)
        if change == "back":
            if end is not None:
                yield _ended(name, events, *end, until_ns=event.t_ns)
            end = None
        elif change:
            end = (event, change == "clean")
    if end is not None:
        yield _ended(name, events, *end, until_ns=math.inf)


def _change(event: Event, *, ended: bool) -> str:
    if event.f == "leave" and event.type in {"ok", "info"}:
        return "clean" if event.type == "ok" else "unclean"
    if event.f in _CUT:
        return "" if ended else "unclean"
    if event.f in ENTER:
        if event.type in {"invoke", "ok"}:
            return "back"
        return "unclean" if event.f == "resume" else ""
    return ""


def _ended(name: str, events: tuple[Event, ...], end: Event, clean: bool, *, until_ns: float) -> Ended:  # noqa: FBT001
    return Ended(
        session=name,
        key=next((event.key for event in events if event.key), ""),
        region=next((event.region for event in events if event.region), ""),
        nodes=tuple(dict.fromkeys(event.node for event in events if event.node)),
        begun_ns=events[0].t_ns,
        end=end,
        clean=clean,
        until_ns=until_ns,
    )
