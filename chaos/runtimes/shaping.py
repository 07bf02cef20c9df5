"""What impairs a stream of bytes: delays, losses and shared rates, as arithmetic over a clock that the caller holds.

A loss on a byte stream is what it does to TCP: the stream stands still for a retransmission timeout. A rate is a
serialising bottleneck with a short queue that all connections share; who finds it full waits for its turn.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from chaos.model.bursts import gilbert_elliott

SEGMENT = 1460
"""Payload of a TCP segment on Ethernet without options."""
QUEUE_S = 0.2
"""The bottleneck's queue: how far ahead of the clock a bucket admits bytes (a common buffer size of access links)."""
SLICE_S = 0.002
"""Bytes are admitted in slices of this much time, at least a segment, so that connections share fairly."""


@dataclass(frozen=True, slots=True)
class Effect:
    """`chaos.model.link.LinkEffect` without its checks: the proxy must start fast and is only told checked values."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    distribution: str = "normal"
    reorder: float = 0.0
    duplicate: float = 0.0
    loss: float = 0.0
    stall_ms: float = 200.0
    burst_loss: float = 0.0
    burst: float = 10.0
    density: float = 1.0
    rate_kbps: float | None = None
    block: str = ""
    strike: str = ""
    share: float = 1.0
    key: str = ""
    corrupt: float = 0.0
    read_bps: float | None = None
    close_ms: float = 0.0
    direction: str = "both"


class Waiter(Protocol):
    """Something with bytes that a full bucket keeps waiting."""

    def pump(self, now: float, *, turn: bool = False) -> None:
        """Offer bytes again; `turn`: one slice may pass although others wait too."""


class Bucket:
    """A shared bottleneck. `call_later(seconds, function)` returns something to `cancel`."""

    def __init__(self, rate: float, clock: Callable[[], float], call_later: Callable[..., TimerHandle]) -> None:
        self.rate = rate
        """Bytes a second."""
        self.slice = max(SEGMENT, int(rate * SLICE_S))
        self._clock = clock
        self._call_later = call_later
        self._free_at = 0.0
        self._waiting: dict[Waiter, None] = {}
        self._timer: TimerHandle | None = None

    def backlog_s(self, now: float) -> float:
        """How long what was admitted still takes."""
        return max(0.0, self._free_at - now)

    def charge(self, now: float, size: int) -> float:
        """Admit bytes; returns when the last of them is through."""
        self._free_at = max(self._free_at, now) + size / self.rate
        return self._free_at

    def must_wait(self, now: float, *, turn: bool) -> bool:
        """Whether whoever asks has to queue up."""
        return self.backlog_s(now) >= QUEUE_S or bool(self._waiting and not turn)

    def wait(self, waiter: Waiter) -> None:
        """Pump this one again when there is room, in the order of waiting."""
        self._waiting.setdefault(waiter)
        self._arm()

    def forget(self, waiter: Waiter) -> None:
        """It has gone, or waits no more."""
        self._waiting.pop(waiter, None)

    def close(self) -> None:
        """The fault is over; who waited is pumped by its link."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()

    def _arm(self) -> None:
        if self._timer is None:
            spare = self.backlog_s(self._clock()) - QUEUE_S / 2
            self._timer = self._call_later(max(0.001, spare), self._drain)

    def _drain(self) -> None:
        self._timer = None
        while self._waiting and self.backlog_s(now := self._clock()) < QUEUE_S:
            waiter = next(iter(self._waiting))
            del self._waiting[waiter]
            waiter.pump(now, turn=True)
        if self._waiting:
            self._arm()


class TimerHandle(Protocol):
    """What an event loop returns for a call in the future."""

    def cancel(self) -> None: ...


class Impairment:
    """One fault's effect on one direction of links, with a random stream of its own."""

    def __init__(self, effect: Effect, seed: str, bucket: Bucket | None) -> None:
        self.effect = effect
        self.bucket = bucket
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._chain = Chain(effect, self._random) if effect.burst_loss else None

    def delay_s(self) -> float:
        """One draw of the delay."""
        return delay_s(self.effect, self._random)

    def stalls(self, size: int) -> list[int]:
        """Offsets in a chunk of `size` bytes at which the stream stalls: the segments that were lost."""
        if self._chain is not None:
            return [offset for offset in range(0, size, SEGMENT) if self._chain.loses()]
        return lost_segments(self._random, self.effect.loss, size) if self.effect.loss else []

    def garble(self, chunk: bytes | memoryview) -> tuple[bytes | memoryview, int]:
        """Change one byte in each segment that is hit; returns the chunk, and how many bytes are others now."""
        hit = lost_segments(self._random, self.effect.corrupt, len(chunk)) if self.effect.corrupt else []
        if not hit:
            return chunk, 0
        changed = bytearray(chunk)
        for offset in hit:
            changed[self._random.randrange(offset, min(offset + SEGMENT, len(chunk)))] ^= self._random.randrange(1, 256)
        return bytes(changed), len(hit)


class Figures(Protocol):
    """As much of an effect as a draw needs."""

    @property
    def delay_ms(self) -> float: ...
    @property
    def jitter_ms(self) -> float: ...
    @property
    def distribution(self) -> str: ...
    @property
    def burst_loss(self) -> float: ...
    @property
    def burst(self) -> float: ...
    @property
    def density(self) -> float: ...


def delay_s(effect: Figures, rng: random.Random) -> float:
    """One draw of a delay, clipped to [0, delay + 4 jitter]."""
    mean, jitter = effect.delay_ms, effect.jitter_ms
    if not jitter:
        return mean / 1000
    return min(max(0.0, mean + jitter * SPREADS[effect.distribution](rng)), mean + 4 * jitter) / 1000


SPREADS: dict[str, Callable[[random.Random], float]] = {
    "normal": lambda rng: rng.gauss(0, 1),
    "uniform": lambda rng: rng.uniform(-math.sqrt(3), math.sqrt(3)),
    # Shape 3, cut off at 4.5 as netem's table is: mean 1.475 and deviation 0.616 by integration.
    "pareto": lambda rng: (min(4.5, (1 - rng.random()) ** (-1 / 3)) - 1.475) / 0.616,
}
"""Draws of mean 0 and standard deviation 1."""


class Chain:
    """Losses in bursts (Gilbert 1960, Elliott 1963): a good state that loses nothing, and a bad one that loses most."""

    def __init__(self, effect: Figures, rng: random.Random) -> None:
        self._turns_bad, self._good_again = gilbert_elliott(effect.burst_loss, effect.burst, effect.density)
        self._density = effect.density
        self._random = rng
        self._bad = False

    def loses(self) -> bool:
        """Whether the next packet is lost."""
        lost = self._bad and self._random.random() < self._density
        turns = self._good_again if self._bad else self._turns_bad
        if self._random.random() < turns:
            self._bad = not self._bad
        return lost


def lost_segments(rng: random.Random, loss: float, size: int) -> list[int]:
    """Draw for each segment begun whether it is lost; returns offsets. One draw per loss (geometric gaps)."""
    segments = math.ceil(size / SEGMENT)
    if loss >= 1:
        return [index * SEGMENT for index in range(segments)]
    found: list[int] = []
    index = -1
    while True:
        index += 1 + int(math.log(1 - rng.random()) / math.log1p(-loss))
        if index >= segments:
            return found
        found.append(index * SEGMENT)
