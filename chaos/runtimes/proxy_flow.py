"""One direction of one proxied connection: straight through while nothing impairs it, else through a queue.

Bytes wait first for a shared rate (`_ingress`), then until they are due (`_queue`). Ends of the stream wait in
line with the bytes, so that a delay or a silent block holds back a close as well. Everything is bounded: a flow
that holds too much stops reading, and TCP's own back-pressure does the rest.
"""

from __future__ import annotations

import asyncio
import enum
import math
import socket
import struct
import time
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from chaos.runtimes.shaping import Bucket, Impairment

HOLD_BYTES = 4 << 20
"""Most that a delay holds: 100 ms at 40 MB/s."""
HOLD_BLOCKED = 256 << 10
"""Most that a silent block reads before it leaves bytes to the kernel's own buffers."""
PACE_S = 0.1
"""A slow reader takes bytes in slices of this much time, and holds no more than a few of them."""
HOLD_INGRESS = 64 << 10
"""Least that may wait for a rate; else a quarter of a second's worth."""
DWELLS = 512

clock = time.monotonic
"""uvloop's own clock stands still within an iteration and counts milliseconds."""


class End(enum.Enum):
    """How a stream ends."""

    CLOSE = "close"
    RESET = "reset"


class Item(NamedTuple):
    """A chunk, or the end of the stream, on its way."""

    due: float
    base: float
    """When it passed the rate."""
    arrived: float
    what: bytes | End


class Lane:
    """One direction of one link: what impairs it now, and its counters."""

    def __init__(self) -> None:
        self.impairments: list[Impairment] = []
        self.plain = True
        self.blocked = False
        self.buckets: list[Bucket] = []
        self.read_bps = math.inf
        self.bytes = 0
        self.delayed_bytes = 0
        self.blocked_bytes = 0
        self.stalls = 0
        self.corrupted = 0
        self.unread_bytes = 0
        self.dwell_ms: deque[float] = deque(maxlen=DWELLS)

    def impair(self, impairments: list[Impairment]) -> None:
        """From now on these hold."""
        self.impairments = impairments
        self.plain = not impairments
        self.blocked = any(one.effect.block for one in impairments)
        self.buckets = [one.bucket for one in impairments if one.bucket is not None]
        self.read_bps = min((one.effect.read_bps or math.inf for one in impairments), default=math.inf)

    def fullest(self, now: float) -> Bucket | None:
        """The bucket that keeps bytes longest."""
        return max(self.buckets, key=lambda bucket: bucket.backlog_s(now), default=None)


class Flow:
    """Bytes from `source` to `sink`."""

    __slots__ = (
        "_dead",
        "_held",
        "_holds",
        "_ingress",
        "_last_due",
        "_loop",
        "_on_end",
        "_queue",
        "_read_at",
        "_timer",
        "_waiting",
        "direct",
        "ended",
        "frozen",
        "lane",
        "sink",
        "source",
        "write",
    )

    def __init__(self, lane: Lane, loop: asyncio.AbstractEventLoop, on_end: Callable[[Flow, End], None]) -> None:
        self.lane = lane
        self.source: asyncio.Transport | None = None
        self.sink: asyncio.Transport | None = None
        self.direct = False
        """Nothing impairs it and nothing waits: the reader may call `write` itself."""
        self.write: Callable[[bytes], None] = self.push
        self.ended = False
        """The end of the stream has arrived (it may still wait here)."""
        self.frozen = False
        """Whatever comes is held; `changed` tells the flow."""
        self._loop = loop
        self._on_end = on_end
        self._queue: deque[Item] = deque()
        self._ingress: deque[tuple[float, bytes | End]] = deque()
        self._waiting = 0
        self._held = 0
        self._last_due = 0.0
        self._read_at = 0.0
        self._holds: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._dead = False

    def connect(self, source: asyncio.Transport, sink: asyncio.Transport) -> None:
        """Both ends are there: let bytes flow."""
        self.source, self.sink = source, sink
        self.write = sink.write
        self.changed(lifted=False)

    def hold(self, why: str) -> None:
        """Stop reading from the source, for one more reason."""
        if not self._holds and self.source is not None and not self.source.is_closing():
            self.source.pause_reading()
        self._holds.add(why)

    def allow(self, why: str) -> None:
        """One reason less."""
        if why in self._holds:
            self._holds.discard(why)
            if not self._holds and self.source is not None and not self.source.is_closing():
                self.source.resume_reading()

    @property
    def stands(self) -> bool:
        """Nothing may come out now."""
        return self.frozen or self.lane.blocked

    @property
    def waits(self) -> bool:
        """Something is held."""
        return not self._dead and bool(self._queue or self._ingress)

    def push(self, what: bytes | End) -> None:
        """Something arrived that cannot go straight through."""
        if self._dead or (self.ended and what is not End.RESET):  # a reset may follow an end: unread answers
            return
        now = clock()
        if isinstance(what, End):
            self.ended = True
        elif self.stands:
            self.lane.blocked_bytes += len(what)
        elif not self.lane.plain:
            self.lane.delayed_bytes += len(what)
        self.direct = False
        self._waiting += _size(what)
        self._ingress.append((now, what))
        self.pump(now)
        self.flush(now)

    def pump(self, now: float, *, turn: bool = False) -> None:
        """Move what the rates admit into the queue."""
        while self._ingress:
            bucket = self.lane.fullest(now)
            if bucket is not None and bucket.must_wait(now, turn=turn):
                bucket.wait(self)
                break
            self._admit(now, bucket)
            turn = False
        self._limit()
        self._arm(now)

    def _admit(self, now: float, bucket: Bucket | None) -> None:
        arrived, what = self._ingress.popleft()
        most = self._slice(bucket)
        if isinstance(what, bytes) and len(what) > most:
            self._ingress.appendleft((arrived, what[most:]))
            what = what[:most]
        size = _size(what)
        self._waiting -= size
        self._held += size
        base = max((one.charge(now, size) for one in self.lane.buckets), default=arrived)
        base = max(base, self._read(now, size))
        due = base + sum(one.delay_s() for one in self.lane.impairments)
        self._last_due = max(self._last_due, due)
        if isinstance(what, bytes):
            what = self._stall(base, arrived, self._garble(what))
        self._queue.append(Item(self._last_due, base, arrived, what))

    def _slice(self, bucket: Bucket | None) -> int:
        """Most bytes that are admitted at once."""
        paced = max(1, int(min(self.lane.read_bps * PACE_S, HOLD_BYTES)))
        return paced if bucket is None else min(paced, bucket.slice)

    def _read(self, now: float, size: int) -> float:
        """When a slow reader has read so many bytes more; 0 without one."""
        if self.lane.read_bps == math.inf:
            return 0.0
        if self._read_at > now:
            self.lane.unread_bytes += size
        self._read_at = max(self._read_at, now) + size / self.lane.read_bps
        return self._read_at

    def _garble(self, chunk: bytes) -> bytes:
        for one in self.lane.impairments:
            chunk, changed = one.garble(chunk)
            self.lane.corrupted += changed
        return chunk

    def _stall(self, base: float, arrived: float, chunk: bytes) -> bytes:
        """Cut a chunk where segments are lost; the stream stands still before each. Returns what is left of it."""
        points = sorted(
            (offset, one.effect.stall_ms) for one in self.lane.impairments for offset in one.stalls(len(chunk))
        )
        done = 0
        for offset, stall_ms in points:
            if offset > done:
                self._queue.append(Item(self._last_due, base, arrived, chunk[done:offset]))
                done = offset
            self._last_due += stall_ms / 1000
        self.lane.stalls += len(points)
        return chunk[done:]

    def _limit(self) -> None:
        """Read no more than may be held, and go on at half of it."""
        lane = self.lane
        room = HOLD_BLOCKED if self.stands else HOLD_BYTES
        if lane.read_bps < math.inf:
            room = min(room, max(1, int(lane.read_bps * PACE_S)))
        if lane.buckets:
            room = min(room, max(HOLD_INGRESS, int(min(bucket.rate for bucket in lane.buckets) / 4)))
            held = self._waiting
        else:
            held = self._waiting + self._held
        if held >= room:
            self.hold("full")
        elif held <= room / 2:
            self.allow("full")

    def flush(self, now: float) -> None:
        """Send what is due, in order, as one write."""
        if self.sink is None or self.stands or "sink" in self._holds:
            return
        parts: list[bytes] = []
        end: End | None = None
        queue, dwell_ms = self._queue, self.lane.dwell_ms
        while queue and queue[0].due <= now:
            item = queue.popleft()
            if isinstance(item.what, End):
                end = item.what
                break
            parts.append(item.what)
            self._held -= len(item.what)
            dwell_ms.append((now - item.arrived) * 1000)
        if parts and not self.sink.is_closing():
            self.sink.write(parts[0] if len(parts) == 1 else b"".join(parts))
        if end is not None:
            self._on_end(self, end)
            return
        self.direct = self.lane.plain and not queue and not self._ingress
        self._limit()
        self._arm(now)

    def writable(self) -> None:
        """The sink takes bytes again."""
        self.allow("sink")
        if not self._dead:
            self.flush(clock())

    def changed(self, *, lifted: bool) -> None:
        """The lane's impairments changed. A new one holds for what arrives from now on; a lifted one lets go."""
        if self._dead:
            return
        now = clock()
        if lifted:
            self._recompute()
        self._disarm()
        self.direct = False
        self.pump(now)
        self.flush(now)

    def _recompute(self) -> None:
        """Work out when held items are due without what was lifted; never later than before."""
        items, self._queue = self._queue, deque()
        self._last_due = 0.0
        paced = self.lane.read_bps < math.inf
        if not paced:
            self._read_at = 0.0
        for item in items:
            base = item.base if self.lane.buckets or paced else item.arrived
            due = base + sum(one.delay_s() for one in self.lane.impairments)
            self._last_due = max(self._last_due, min(due, item.due))
            self._queue.append(item._replace(due=self._last_due))

    def drop(self) -> None:
        """The sink is gone: forget what is held, and whatever comes."""
        self._dead = True
        self.direct = False
        self._disarm()
        self._queue.clear()
        self._ingress.clear()
        for bucket in self.lane.buckets:
            bucket.forget(self)
        for why in tuple(self._holds):  # read on, into nothing, to see how the source ends
            self.allow(why)

    def _arm(self, now: float) -> None:
        if self._timer is None and self._queue and not self.stands:
            wait_ms = math.ceil((self._queue[0].due - now) * 1000)
            self._timer = self._loop.call_later(max(1, wait_ms) / 1000, self._ring)

    def _ring(self) -> None:
        self._timer = None
        self.flush(clock())

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _size(what: bytes | End) -> int:
    return len(what) if isinstance(what, bytes) else 0


def reset(transport: asyncio.Transport) -> None:
    """Close with a reset instead of a FIN: linger 0."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is not None and not transport.is_closing():
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
