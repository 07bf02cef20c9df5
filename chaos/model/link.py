"""What can be done to the bytes of a link, and what a link proxy has counted."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from chaos.model.bursts import gilbert_elliott
from chaos.model.stack import Frozen

Direction = Literal["both", "forward", "backward"]
Distribution = Literal["normal", "uniform", "pareto"]
"""Of a delay about its mean; those that netem has too. Pareto (shape 3) is the one with rare, long delays."""


class LinkEffect(Frozen):
    """An impairment of a byte stream. Effects of several faults on a link add up (delays add, the lower rate wins)."""

    delay_ms: float = Field(0.0, ge=0, le=60_000)
    """Added to each chunk, one way, per direction hit: with direction `both` the round trip grows by twice this."""
    jitter_ms: float = Field(0.0, ge=0, le=60_000)
    """Standard deviation of the delay, which is clipped to [0, delay + 4 jitter]; nothing overtakes because of it."""
    distribution: Distribution = "normal"
    """What the delays are drawn from."""
    reorder: float = Field(0.0, ge=0, le=1)
    """Share of packets that do not wait for the delay, and so overtake those that do; it needs a delay."""
    duplicate: float = Field(0.0, ge=0, le=1)
    """Share of packets that arrive twice."""
    loss: float = Field(0.0, ge=0, le=1)
    """Probability per 1460 bytes begun that the stream stalls for `stall_ms`, as a lost segment makes TCP do."""
    stall_ms: float = Field(200.0, gt=0, le=60_000)
    """The retransmission timeout; 200 ms is Linux's smallest (TCP_RTO_MIN)."""
    burst_loss: float = Field(0.0, ge=0, lt=1)
    """Share of packets (or segments) lost, in bursts: a Gilbert-Elliott chain, whose good state loses nothing."""
    burst: float = Field(10.0, ge=1, le=100_000)
    """Mean length of the chain's bad state, in packets."""
    density: float = Field(1.0, gt=0, le=1)
    """Probability of a loss in the bad state (RFC 3611 calls it burst density)."""
    rate_kbps: float | None = Field(None, gt=0)
    """Bandwidth in kbit/s, per direction, shared by all connections of all links that the fault hits."""
    block: Literal["", "silent", "loud"] = ""
    """silent: bytes stop, both ends stay open and new connections hang; loud: live and new connections are reset."""
    strike: Literal["", "reset", "freeze"] = ""
    """Done once, to connections that live now: reset them, or hold back their bytes and ends until the lift.
    New connections pass, and nothing else of this effect applies."""
    share: float = Field(1.0, gt=0, le=1)
    """Which part of the live connections of all hit links a `strike` meets, rounded up."""
    key: str = ""
    """Of these a `strike` meets only those that ask for this room or document: the last part of their request's path.
    """
    corrupt: float = Field(0.0, ge=0, le=1)
    """Probability per 1460 bytes begun that one of these bytes is changed to another one."""
    read_bps: float | None = Field(None, gt=0)
    """Bytes a second that each connection is read at, per direction hit; the sender's buffers keep the rest."""
    close_ms: float = Field(0.0, ge=0, le=600_000)
    """Added to the way of each end of a stream (a close or a reset), per direction hit; bytes are quick as before."""
    direction: Direction = "both"
    """forward: source -> target."""

    @model_validator(mode="after")
    def _fits_together(self) -> LinkEffect:
        if self.reorder and not self.delay_ms:
            raise ValueError("reorder needs a delay: what does not wait overtakes what does")
        if self.burst_loss and self.loss:
            raise ValueError("loss and burst_loss are two ways to lose packets: give one of them")
        if gilbert_elliott(self.burst_loss, self.burst, self.density)[0] > 1:
            raise ValueError("burst_loss is more than bursts of this length and density can lose")
        return self

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
    "delay_ms": ("delay", ("jitter_ms", "distribution")),
    "jitter_ms": ("delay", ("distribution",)),
    "reorder": ("reordering", ("delay_ms", "jitter_ms", "distribution")),
    "duplicate": ("duplication", ()),
    "loss": ("loss", ("stall_ms",)),
    "burst_loss": ("burst loss", ("burst", "density", "stall_ms")),
    "rate_kbps": ("rate", ()),
    "block": ("{block} cut", ()),
    "strike": ("{strike}", ("share", "key")),
    "corrupt": ("corruption", ()),
    "read_bps": ("slow reading", ()),
    "close_ms": ("slow closing", ()),
}
"""The figures that an effect is recognised by -> the part's name, and the figures that belong to it."""


class LinkStats(Frozen):
    """Counters of a link since the proxy started."""

    connections: int = 0
    """Live now."""
    keys: dict[str, int] = Field(default_factory=dict)
    """Of these, how many asked for which room or document, where a proxy has seen their request."""
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
    duplicated: int = 0
    """Packets that arrived twice: as the carrier counts them, or as TCP at the target does (DSACK)."""
    reordered: int = 0
    """Packets that overtook others: as the carrier counts them, or as TCP at the target does."""
    unread_bytes: int = 0
    """Bytes that came while a slow reader was still busy with those before them."""
    held_ends: int = 0
    """Ends of streams that were held back by a slow close."""
    dwell_ms: tuple[float, ...] = ()
    """The last (at most 512) times that chunks spent in the proxy while an effect was on, both directions."""
