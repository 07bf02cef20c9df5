"""The arrival plan as data: who comes when, how long, how they end. Times are seconds since the load began."""

from __future__ import annotations

from dataclasses import dataclass
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
class Plan:
    """A whole load. `people` are in order of their first join."""

    horizon_s: float
    people: tuple[Person, ...]
    editors: tuple[EditorPlan, ...]
    watchers: tuple[Watcher, ...]
