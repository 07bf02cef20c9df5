"""What an operator allows, and what that means for one plan."""

from __future__ import annotations

from pydantic import Field

from chaos.model.stack import Frozen
from chaos.model.verdict import Place


class Hours(Frozen):
    """A span of each of these days; one whose end is not after its start goes on into the next day."""

    text: str
    days: tuple[int, ...]
    """0 is Monday."""
    start_min: int
    """Minutes since midnight."""
    end_min: int
    zone: str = ""
    """IANA name; empty: the machine's own."""


class Policy(Frozen):
    """The operator's file; what a key is silent about is allowed. It outranks every experiment."""

    file: str
    hosts: tuple[str, ...] | None = None
    """Names or addresses, `*` as wildcard; None: any."""
    stacks: tuple[str, ...] | None = None
    docker_contexts: tuple[str, ...] | None = None
    docker_labels: tuple[str, ...] = ()
    """`name=value` or `name`: every container that may be hit carries all of them."""
    largest_nodes: float = Field(1.0, ge=0, le=1)
    """Share of a service's nodes."""
    largest_users: float = Field(1.0, ge=0, le=1)
    """Share of all users."""
    hours: tuple[Hours, ...] | None = None
    audit: str = ""
    """Where each run is written down; empty: `audit.jsonl` in the state directory."""
    places: dict[str, Place] = Field(default_factory=dict)
    """Where each rule stands."""


class Ruling(Frozen):
    """What one rule of the policy says of one plan."""

    rule: str
    """Its key: hosts, stacks, docker.contexts, blast_radius.users, hours, ..."""
    allowed: bool
    says: str
    place: Place | None = None

    def __str__(self) -> str:
        where = f"{self.place}:{self.place.col}: " if self.place and self.place.line else ""
        return f"{where}{self.rule}: {self.says}"
