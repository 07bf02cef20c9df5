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
    starved: int = 0
    """How often, by the engine's word, the kernel's out-of-memory killer ended it when a fault had called that."""
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


class NodeMemory(Frozen):
    """What the kernel says of a node's memory, in bytes."""

    held: int
    """Without what it could give back at once."""
    limit: int
    """Where it is slowed down or killed; a huge number where there is no limit."""
    hits: int
    """How often it ran into a limit."""


class NodeDisk(Frozen):
    """What a real write to a node's file system said."""

    free: int
    """Bytes."""
    refused: str
    """The errno's name (`ENOSPC`: no room); empty: it went through."""
    fills: tuple[str, ...]
    """Ids of the faults that fill it."""


@runtime_checkable
class Starving(Protocol):
    """Lets the kernel's out-of-memory killer end nodes; releasing the lease starts them again."""

    def starve(self, fault: str, nodes: tuple[str, ...], lease_s: float, restart_after_s: float | None) -> None: ...


@runtime_checkable
class Squeezing(Protocol):
    """Leaves nodes only so many bytes of memory beyond what they hold."""

    def squeeze(self, fault: str, nodes: tuple[str, ...], leave: int, lease_s: float) -> None: ...
    def memory(self, nodes: tuple[str, ...]) -> dict[str, NodeMemory]:
        """Of those that run."""
        ...


@runtime_checkable
class Filling(Protocol):
    """Leaves only so many bytes of the file systems that nodes keep their data on."""

    def fill(self, fault: str, nodes: tuple[str, ...], leave: int, lease_s: float) -> None: ...
    def try_write(self, nodes: tuple[str, ...], size: int) -> dict[str, NodeDisk]:
        """Of those that run."""
        ...


@runtime_checkable
class Dragging(Protocol):
    """Slows the disks of nodes: bytes and operations per second, 0 for no limit."""

    def drag(
        self, fault: str, nodes: tuple[str, ...], lease_s: float, *, write_bps: int, read_bps: int, iops: int
    ) -> None: ...
    def time_disk(self, nodes: tuple[str, ...], what: str, amount: int) -> dict[str, float]:
        """Of those that run."""
        ...


@runtime_checkable
class Skewing(Protocol):
    """Sets the wall clocks of nodes `offset_s` ahead of the right time, or behind it."""

    def skew(self, fault: str, nodes: tuple[str, ...], offset_s: float, lease_s: float) -> None: ...


@runtime_checkable
class Naming(Protocol):
    """Has the name servers of nodes fail: `how` is `timeout` or `refused`."""

    def fail_names(self, fault: str, nodes: tuple[str, ...], how: str, lease_s: float) -> None: ...


@runtime_checkable
class Shaping(Protocol):
    """Impairs live links."""

    def shape(self, fault: str, links: tuple[str, ...], effect: LinkEffect, lease_s: float, seed: int) -> None: ...
    def link_stats(self) -> dict[str, LinkStats]: ...


class Disturbance(Frozen):
    """Somebody else restarted, freed or started what a fault held."""

    says: str
    mended: bool
    """Whether the fault is on it again."""


@runtime_checkable
class Watching(Protocol):
    """Notices what others do to the nodes that a fault holds."""

    def disturbed(self, fault: str) -> tuple[Disturbance, ...]: ...


@runtime_checkable
class Leasing(Protocol):
    """Every runtime that harms can prolong a harm and take it back; both are no error for an unknown id."""

    def renew(self, fault: str, lease_s: float) -> None: ...
    def release(self, fault: str) -> None: ...
    def active(self) -> tuple[str, ...]: ...


class Runtime(Nodes, Lifecycle, Pausing, Throttling, Skewing, Naming, Shaping, Leasing, Protocol):
    """A runtime with every capability; a fault asks for its own with `isinstance(runtime, Pausing)`."""
