"""One direction of one link of the proxy: what impairs it, what it counts, and how much its flows may hold."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

from chaos.runtimes.proxy_wire import End
from chaos.runtimes.shaping import Bucket, Impairment

HOLD_ALL = 256 << 20
"""Most that all flows of a proxy hold together, but for `HOLD_LEAST` of each."""
HOLD_LEAST = 256 << 10
"""What each flow may hold, however much others do."""
HOLD_BLOCKED = 256 << 10
"""Most that a silent block reads before it leaves bytes to the kernel's own buffers."""
HOLD_FULL = 4 << 20
"""Most that is read on for a sink that does not keep up: about as much as a window of TCP would let under way."""
HOLD_INGRESS = 64 << 10
"""Least that may wait for a rate; else a quarter of a second's worth."""
PACE_S = 0.1
"""A slow reader takes bytes in slices of this much time, and holds no more than a few of them."""
DWELLS = 512

Chunk = bytes | memoryview


class Item(NamedTuple):
    """A chunk, or the end of the stream, on its way."""

    due: float
    base: float
    """When it passed the rate."""
    arrived: float
    what: Chunk | End
    counts: bool = True
    """It was held by an effect, and not only by a sink that does not keep up."""


class Store:
    """Bytes that all flows hold together. One may hold half of what is left, so that nobody takes all."""

    def __init__(self) -> None:
        self.held = 0

    def room(self) -> int:
        """Most that one flow may hold now."""
        return max(HOLD_LEAST, (HOLD_ALL - self.held) // 2)


class Lane:
    """One direction of one link: what impairs it now, and its counters."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.impairments: list[Impairment] = []
        self.plain = True
        self.blocked = False
        self.buckets: list[Bucket] = []
        self.read_bps = math.inf
        self.close_s = 0.0
        self.bytes = 0
        self.delayed_bytes = 0
        self.blocked_bytes = 0
        self.stalls = 0
        self.corrupted = 0
        self.unread_bytes = 0
        self.held_ends = 0
        self.dwell_ms: deque[float] = deque(maxlen=DWELLS)

    def impair(self, impairments: list[Impairment]) -> None:
        """From now on these hold."""
        self.impairments = impairments
        self.plain = not impairments
        self.blocked = any(one.effect.block for one in impairments)
        self.buckets = [one.bucket for one in impairments if one.bucket is not None]
        self.read_bps = min((one.effect.read_bps or math.inf for one in impairments), default=math.inf)
        self.close_s = sum(one.effect.close_ms for one in impairments) / 1000

    def fullest(self, now: float) -> Bucket | None:
        """The bucket that keeps bytes longest."""
        return max(self.buckets, key=lambda bucket: bucket.backlog_s(now), default=None)

    def slice(self, bucket: Bucket | None) -> int:
        """Most bytes that are admitted at once."""
        paced = max(1, int(min(self.read_bps * PACE_S, HOLD_ALL)))
        return paced if bucket is None else min(paced, bucket.slice)


class Due:
    """What of one flow waits until it is due, in order."""

    def __init__(self, lane: Lane) -> None:
        self.queue: deque[Item] = deque()
        self._lane = lane
        self._last_due = 0.0
        self._read_at = 0.0

    def admit(self, now: float, arrived: float, what: Chunk | End) -> None:
        """Work out when it is due: after the rates, the slow reader, the delays, and what came before."""
        lane, base = self._lane, arrived
        size = 0 if isinstance(what, End) else len(what)
        for bucket in lane.buckets:
            base = max(base, bucket.charge(now, size))
        if lane.read_bps < math.inf:
            base = max(base, self._read(now, size))
        due = base + self._delay_s(what)
        self._last_due = max(self._last_due, due)
        if isinstance(what, End):
            lane.held_ends += lane.close_s > 0
        else:
            what = self._stall(base, arrived, self._garble(what))
        self.queue.append(Item(self._last_due, base, arrived, what))

    def again(self) -> None:
        """Work out when each is due without what was lifted; never later than before."""
        items, self.queue = self.queue, deque()
        self._last_due = 0.0
        paced = self._lane.read_bps < math.inf
        if not paced:
            self._read_at = 0.0
        for item in items:
            base = item.base if self._lane.buckets or paced else item.arrived
            due = base + self._delay_s(item.what)
            self._last_due = max(self._last_due, min(due, item.due))
            self.queue.append(item._replace(due=self._last_due))

    def _delay_s(self, what: Chunk | End) -> float:
        """A draw of each delay, and for an end of the stream what it is late."""
        late_s = self._lane.close_s if isinstance(what, End) else 0.0
        return late_s + sum(one.delay_s() for one in self._lane.impairments)

    def _read(self, now: float, size: int) -> float:
        """When a slow reader has read so many bytes more."""
        if self._read_at > now:
            self._lane.unread_bytes += size
        self._read_at = max(self._read_at, now) + size / self._lane.read_bps
        return self._read_at

    def _garble(self, chunk: Chunk) -> Chunk:
        for one in self._lane.impairments:
            chunk, changed = one.garble(chunk)
            self._lane.corrupted += changed
        return chunk

    def _stall(self, base: float, arrived: float, chunk: Chunk) -> Chunk:
        """Cut a chunk where segments are lost; the stream stands still before each. Returns what is left of it."""
        points = sorted(
            (offset, one.effect.stall_ms) for one in self._lane.impairments for offset in one.stalls(len(chunk))
        )
        done = 0
        for offset, stall_ms in points:
            if offset > done:
                self.queue.append(Item(self._last_due, base, arrived, chunk[done:offset]))
                done = offset
            self._last_due += stall_ms / 1000
        self._lane.stalls += len(points)
        return chunk[done:]
