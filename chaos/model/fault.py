"""Values that a fault and its record are made of: target, resolved target, undo, evidence."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from chaos.model.stack import Frozen


class Target(Frozen):
    """Who is hit. Every given part narrows; `percentage` or `pick` choose among what is left, from the run's seed."""

    region: str | None = None
    service: str | None = None
    node: str | None = None
    role: Literal["room-owner", "document-owner", "gateway", "store", "meetings", "documents"] | None = None
    """`room-owner` and `document-owner` are resolved at injection: the node that owns most rooms or documents then."""
    link: str | None = None
    """Name of a link, `*` as wildcard."""
    kind: str | None = None
    """Kind of link: access, internal, storage, region."""
    percentage: float | None = Field(None, gt=0, le=100)
    pick: Literal["one", "minority", "majority", "all"] | None = None


class Windows(Frozen):
    """That a fault comes in windows to be compared: pairs of steps, in one of which it is on and in the other off."""

    pairs: int
    settle_s: float
    """Seconds at the start of each window that do not count."""


class Reach(Frozen):
    """What a fault touches, resolved: an instance of a check that meets it may be excused."""

    nodes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    """Regions whose users are hit as a whole."""
    keys: tuple[str, ...] = ()
    """Rooms and documents that the hit nodes owned at injection."""
    everything: bool = False
    """A shared part (the store) is hit: everybody is reached."""


class Undo(Frozen):
    """How to take a fault back, as data: a primitive that a runtime owns, and its arguments."""

    primitive: str
    """`NAME.vN`, for example `link.release.v1`."""
    arguments: dict[str, Any]
    says: str
    """The undo in words, for `chaos plan` and `chaos heal --dry-run`."""


class Evidence(Frozen):
    """Proof that a fault bit, or that it did not."""

    bit: bool
    says: str
    """For the terminal: `rtt 3 -> 243 ms`."""
    measured: dict[str, Any] = Field(default_factory=dict)
    """The figures behind it."""
