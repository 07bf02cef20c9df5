"""The arrival plan as data: who comes when, how long, how they end. Times are seconds since the load began."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

End = Literal["leave", "vanish", "stay"]
"""stay: until the load ends."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One stay of a participant in a room."""

    at_s: float
    until_s: float
    end: End
    says: tuple[float, ...] = ()
    pair: int = 0
    """Not 0: this visit comes back into the room, and the twin of this number comes for the first time then."""
    after: str = ""
    """How the visit before it ended: leave or vanish."""
    cut_s: float = 0.0
    """Not 0: the connection is cut at this time, for a moment, and the session resumed."""


@dataclass(frozen=True, slots=True)
class Person:
    """A participant: visits to one room through one region, in order of time."""

    user: str
    room: str
    region: str
    visits: tuple[Visit, ...]
    twin_of: int = 0
    """Not 0: the fresh twin of the re-entry of this number."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One token."""

    at_s: float
    token: str
    offline: bool = False
    """Written while the editor is not connected."""
    undo: bool = False
    """Deleted again once it is acknowledged."""


@dataclass(frozen=True, slots=True)
class Window:
    """An editor goes offline, comes back, and then does nothing until `idle_until_s`."""

    group: str
    off_s: float
    back_s: float
    idle_until_s: float


@dataclass(frozen=True, slots=True)
class EditorPlan:
    """An editor of one document."""

    user: str
    document: str
    region: str
    refresh: bool
    """Reloads the page when it is cut: comes back with an empty copy."""
    at_s: float
    edits: tuple[Edit, ...]
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Watcher:
    """An observer of one room or document; looks every `every_s`, first at `at_s`."""

    user: str
    kind: Literal["room", "document"]
    key: str
    region: str
    at_s: float
    every_s: float
    from_s: float = 0.0
    """When it comes."""


@dataclass(frozen=True, slots=True)
class Limited:
    """A room that admits only so many, where now and then more knock."""

    room: str
    limit: int
    index: int
    """Its own where it is a room of the plan too, else its place among the limited ones."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole load. `people` are in order of their first join."""

    horizon_s: float
    people: tuple[Person, ...]
    editors: tuple[EditorPlan, ...]
    watchers: tuple[Watcher, ...]
    limited: tuple[Limited, ...] = ()


def shard(plan: Plan, number: int, of: int) -> Plan:
    """The part of a plan that worker `number` (0 to `of` - 1) plays; the parts of all are the plan.

    Everybody of a room, twins and observers included, and everybody of a document is in the same part: what they
    do together is arranged within a worker. Rooms are dealt from the first worker on, documents from the last, so that
    no worker is without any while there are as many rooms and documents as workers.
    """

    def room(key: str) -> bool:
        return _dealt(_index(key), of) == number

    def document(key: str) -> bool:
        return of - 1 - _dealt(_index(key), of) == number

    return replace(
        plan,
        people=tuple(person for person in plan.people if room(person.room)),
        editors=tuple(editor for editor in plan.editors if document(editor.document)),
        watchers=tuple(one for one in plan.watchers if (room if one.kind == "room" else document)(one.key)),
        limited=tuple(one for one in plan.limited if _dealt(one.index, of) == number),
    )


def _dealt(index: int, of: int) -> int:
    """Whose the room with this index is.

    Each round of dealing begins with the next worker: rooms are at home in the regions in turn, and so each worker gets
    rooms of every region also where there are as many workers as regions.
    """
    return (index + index // of) % of


def _index(key: str) -> int:
    """The number of a room or document of the plan: 3 of `room-3`."""
    return int(key.rpartition("-")[2])
