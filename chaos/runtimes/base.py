"""The capabilities that a runtime may have; a fault names those that it needs.

Harm is always a *lease*: it carries the fault's id and a time to live, and the agent that holds it (the
supervisor for processes, the link proxy for bytes) takes it back by itself when nobody renews it. So a
conductor that dies leaves nothing behind, and healing needs only the id.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from chaos.model.link import LinkEffect, LinkStats
from chaos.model.stack import Frozen, Site


class NodeState(Frozen):
    """What is known of a node now."""

    name: str
    pid: int = 0
    """0: not running."""
    started: float = 0.0
    """Start time (seconds since the epoch) that makes a re-used pid recognisable."""
    state: str = "down"
    """up, stopped (SIGSTOP), slow (throttled), down."""
    restarts: int = 0
    exit_code: int | None = None
    faults: tuple[str, ...] = ()
    """Ids of the leases held on it."""


@runtime_checkable
class Nodes(Protocol):
    """Knows the nodes of a site."""

    site: Site

    def states(self) -> dict[str, NodeState]: ...
    def logs(self, node: str, lines: int = 20) -> tuple[str, ...]: ...


@runtime_checkable
class Lifecycle(Protocol):
    """Kills nodes; releasing the lease starts again what it killed."""

    def kill(
        self,
        fault: str,
        nodes: tuple[str, ...],
        lease_s: float,
        restart_after_s: float | None,
        grace_s: float = 0.0,
    ) -> None: ...


@runtime_checkable
class Stopping(Lifecycle, Protocol):
    """Asks nodes to end (SIGTERM) before it kills them: `grace_s` above 0."""


@runtime_checkable
class Pausing(Protocol):
    """Stops nodes without ending them."""

    def pause(self, fault: str, nodes: tuple[str, ...], lease_s: float) -> None: ...


@runtime_checkable
class Throttling(Protocol):
    """Leaves nodes only a share (0..1) of the processor time they would have."""

    def throttle(self, fault: str, nodes: tuple[str, ...], share: float, lease_s: float) -> None: ...


@runtime_checkable
class Shaping(Protocol):
    """Impairs live links."""

    def shape(self, fault: str, links: tuple[str, ...], effect: LinkEffect, lease_s: float, seed: int) -> None: ...
    def link_stats(self) -> dict[str, LinkStats]: ...


@runtime_checkable
class Leasing(Protocol):
    """Every runtime that harms can prolong a harm and take it back; both are no error for an unknown id."""

    def renew(self, fault: str, lease_s: float) -> None: ...
    def release(self, fault: str) -> None: ...
    def active(self) -> tuple[str, ...]: ...


class Runtime(Nodes, Lifecycle, Pausing, Throttling, Shaping, Leasing, Protocol):
    """A runtime with every capability; a fault asks for its own with `isinstance(runtime, Pausing)`."""
