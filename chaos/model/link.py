"""What can be done to the bytes of a link, and what a link proxy has counted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from chaos.model.stack import Frozen

Direction = Literal["both", "forward", "backward"]


class LinkEffect(Frozen):
    """An impairment of a byte stream. Effects of several faults on a link add up (delays add, the lower rate wins)."""

    delay_ms: float = Field(0.0, ge=0, le=60_000)
    """Added to each chunk, one way, per direction hit: with direction `both` the round trip grows by twice this."""
    jitter_ms: float = Field(0.0, ge=0, le=60_000)
    """Standard deviation of the delay (normal, clipped to [0, delay + 4 jitter]); bytes are never reordered."""
    loss: float = Field(0.0, ge=0, le=1)
    """Probability per 1460 bytes begun that the stream stalls for `stall_ms`, as a lost segment makes TCP do."""
    stall_ms: float = Field(200.0, gt=0, le=60_000)
    """The retransmission timeout; 200 ms is Linux's smallest (TCP_RTO_MIN)."""
    rate_kbps: float | None = Field(None, gt=0)
    """Bandwidth in kbit/s, per direction, shared by all connections of all links that the fault hits."""
    block: Literal["", "silent", "loud"] = ""
    """silent: bytes stop, both ends stay open and new connections hang; loud: live and new connections are reset."""
    strike: Literal["", "reset", "freeze"] = ""
    """Done once, to connections that live now: reset them, or hold back their bytes and ends until the lift.
    New connections pass, and nothing else of this effect applies."""
    share: float = Field(1.0, gt=0, le=1)
    """Which part of the live connections of all hit links a `strike` meets, rounded up."""
    corrupt: float = Field(0.0, ge=0, le=1)
    """Probability per 1460 bytes begun that one of these bytes is changed to another one."""
    read_bps: float | None = Field(None, gt=0)
    """Bytes a second that each connection is read at, per direction hit; the sender's buffers keep the rest."""
    direction: Direction = "both"
    """forward: source -> target."""

    def parts(self) -> dict[str, LinkEffect]:
        """What it does, in words, each with an effect that does this alone; nothing at all has no parts."""
        given = self.model_dump(exclude_defaults=True)
        found: dict[str, LinkEffect] = {}
        for field, (word, details) in PARTS.items():
            if given.get(field):
                own = {name: given[name] for name in (field, *details, "direction") if name in given}
                found.setdefault(word.format(**given), LinkEffect.model_validate(own))
        return found


PARTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "delay_ms": ("delay", ("jitter_ms",)),
    "jitter_ms": ("delay", ()),
    "loss": ("loss", ("stall_ms",)),
    "rate_kbps": ("rate", ()),
    "block": ("{block} cut", ()),
    "strike": ("{strike}", ("share",)),
    "corrupt": ("corruption", ()),
    "read_bps": ("slow reading", ()),
}
"""The figures that an effect is recognised by -> the part's name, and the figures that belong to it."""


class LinkStats(Frozen):
    """Counters of a link since the proxy started."""

    connections: int = 0
    """Live now."""
    opened: int = 0
    refused: int = 0
    reset: int = 0
    """Connections that a fault cut."""
    bytes_forward: int = 0
    bytes_backward: int = 0
    delayed_bytes: int = 0
    stalls: int = 0
    blocked_bytes: int = 0
    """Bytes held back by a silent block or a frozen connection (they flow on when it is lifted)."""
    frozen: int = 0
    """Connections that are frozen now."""
    corrupted: int = 0
    """Bytes that were changed."""
    unread_bytes: int = 0
    """Bytes that came while a slow reader was still busy with those before them."""
    dwell_ms: tuple[float, ...] = ()
    """The last (at most 512) times that chunks spent in the proxy while an effect was on, both directions."""
