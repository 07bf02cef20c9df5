"""One direction of one proxied connection: straight through while nothing impairs it, else through a queue.

Straight through is a copy into a buffer that all share and out of it again. What the sink does not take waits in the
queue, so a flow that becomes impaired loses and reorders nothing. Bytes wait first for a shared rate (`_ingress`), then
until they are due (`_due`). Ends of the stream wait in line with the bytes, so that a delay or a silent block holds
back a close as well. Everything is bounded: a flow that holds too much stops reading, and TCP's own back-pressure does
the rest.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable

from chaos.runtimes.proxy_lane import HOLD_BLOCKED, HOLD_FULL, HOLD_INGRESS, PACE_S, Chunk, Due, Item, Lane
from chaos.runtimes.proxy_wire import End, Wire

BUFFER = memoryview(bytearray(1 << 20))
"""Through which bytes go that nothing impairs. One for all, reused: splice(2) was measured against it, and carried a
fifth less."""
READ_LEAST, READ_MOST = 64 << 10, 1 << 20
"""Bytes that are read at once to be held: more while they keep coming. What is over 128 KiB malloc gets by mmap."""
PARTS = 64
"""Chunks that are sent at once."""

clock = time.monotonic


class Flow:
    """Bytes from `source` to `sink`."""

    __slots__ = (
        "_dead",
        "_due",
        "_held",
        "_ingress",
        "_loop",
        "_most",
        "_on_end",
        "_stopped",
        "_timer",
        "_waiting",
        "direct",
        "ended",
        "frozen",
        "lane",
        "sink",
        "source",
    )

    def __init__(self, lane: Lane, loop: asyncio.AbstractEventLoop, on_end: Callable[[Flow, End], None]) -> None:
        self.lane = lane
        self.source: Wire | None = None
        self.sink: Wire | None = None
        self.direct = False
        """Nothing impairs it and nothing waits: bytes go straight through."""
        self.ended = False
        """The end of the stream has arrived (it may still wait here)."""
        self.frozen = False
        """Whatever comes is held; `changed` tells the flow."""
        self._loop = loop
        self._on_end = on_end
        self._due = Due(lane)
        self._ingress: deque[tuple[float, Chunk | End]] = deque()
        self._waiting = 0
        self._held = 0
        self._most = READ_LEAST
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._dead = False

    def connect(self, source: Wire, sink: Wire) -> None:
        """Both ends are there: let bytes flow."""
        self.source, self.sink = source, sink
        self.changed(lifted=False)
        source.read(on=not self._stopped)

    @property
    def stands(self) -> bool:
        """Nothing may come out now."""
        return self.frozen or self.lane.blocked

    @property
    def waits(self) -> bool:
        """Something is held."""
        return not self._dead and bool(self._due.queue or self._ingress)

    def feed(self) -> None:
        """The source has bytes, or its end. The hot path."""
        source, sink = self.source, self.sink
        if source is None or sink is None:
            return
        if not self.direct:
            self._read_to_hold(source)
        elif size := source.take(source.sock.recv_into, BUFFER):
            self.lane.bytes += size
            sent = sink.give(sink.sock.send, BUFFER[:size])
            if sent < size:
                self._leave(sink, bytes(BUFFER[sent:size]))

    def _read_to_hold(self, source: Wire) -> None:
        most = self._most
        if data := source.take(source.sock.recv, most):
            self.lane.bytes += len(data)
            self._most = min(2 * most, READ_MOST) if len(data) == most else READ_LEAST
            self.push(data)

    def _leave(self, sink: Wire, rest: bytes) -> None:
        """The sink did not take this: it waits for no effect, and is first in the queue."""
        if not self._dead:
            now = clock()
            self.direct = False
            self._due.queue.append(Item(now, now, now, rest, counts=False))
            self._hold(len(rest))
            sink.wait_for_room()
            self._limit()

    def _hold(self, size: int) -> None:
        self._held += size
        self.lane.store.held += size

    def push(self, what: Chunk | End) -> None:
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
        self.lane.store.held += _size(what)
        self._ingress.append((now, what))
        self.pump(now)

    def pump(self, now: float, *, turn: bool = False) -> None:
        """Move what the rates admit into the queue, and send what is due."""
        while self._ingress:
            bucket = self.lane.fullest(now)
            if bucket is not None and bucket.must_wait(now, turn=turn):
                bucket.wait(self)
                break
            arrived, what = self._ingress.popleft()
            most = self.lane.slice(bucket)
            if not isinstance(what, End) and len(what) > most:
                view = memoryview(what)
                self._ingress.appendleft((arrived, view[most:]))
                what = view[:most]
            self._waiting -= _size(what)
            self._held += _size(what)
            self._due.admit(now, arrived, what)
            turn = False
        self._flush(now)

    def _limit(self) -> None:
        """Read no more than may be held, and go on at half of it."""
        lane = self.lane
        held = self._waiting + self._held
        room = HOLD_BLOCKED if self.stands else 1 if lane.plain else lane.store.room()
        if self.sink is not None and self.sink.full:
            room = min(room, HOLD_FULL)
        if lane.read_bps < math.inf:
            room = min(room, max(1, int(lane.read_bps * PACE_S)))
        if lane.buckets:
            room = min(room, max(HOLD_INGRESS, int(min(bucket.rate for bucket in lane.buckets) / 4)))
            held = self._waiting
        if held >= room:
            self._stop(on=True)
        elif held <= room / 2:
            self._stop(on=False)

    def _stop(self, *, on: bool) -> None:
        if on != self._stopped:
            self._stopped = on
            if self.source is not None:
                self.source.read(on=not on)

    def _flush(self, now: float) -> None:
        """Send what is due, in order."""
        sink, queue = self.sink, self._due.queue
        if self._dead:
            return
        if sink is not None and not (sink.closed or sink.full or self.stands):
            while queue and queue[0].due <= now:
                what = queue[0].what
                if isinstance(what, End):
                    queue.popleft()
                    self._on_end(self, what)
                    return
                if not self._send_due(sink, now):
                    break
            if self._dead:
                return
            self.direct = self.lane.plain and not queue and not self._ingress
            if queue and not sink.full and self._timer is None:
                self._timer = self._loop.call_at(queue[0].due, self._ring)
        self._limit()

    def _send_due(self, sink: Wire, now: float) -> bool:
        """Send the due chunks at the queue's head; returns whether the sink took them all."""
        parts: list[Chunk] = []
        for item in self._due.queue:
            if item.due > now or isinstance(item.what, End) or len(parts) == PARTS:
                break
            parts.append(item.what)
        sent = sink.give(sink.sock.send, parts[0]) if len(parts) == 1 else sink.give(sink.sock.sendmsg, parts)
        if self._dead:
            return False
        self._hold(-sent)
        for part in parts:
            if sent < len(part):
                self._due.queue[0] = self._due.queue[0]._replace(what=memoryview(part)[sent:])
                sink.wait_for_room()
                return False
            sent -= len(part)
            item = self._due.queue.popleft()
            if item.counts:
                self.lane.dwell_ms.append((now - item.arrived) * 1000)
        return True

    def room(self) -> None:
        """The sink takes bytes again."""
        self._flush(clock())

    def changed(self, *, lifted: bool) -> None:
        """The lane's impairments changed. A new one holds for what arrives from now on; a lifted one lets go."""
        if self._dead:
            return
        now = clock()
        if lifted:
            self._due.again()
        self._disarm()
        self.direct = False
        self.pump(now)

    def drop(self) -> None:
        """The sink is gone: forget what is held, and whatever comes."""
        self._dead = True
        self.direct = False
        self._disarm()
        self._due.queue.clear()
        self._ingress.clear()
        self.lane.store.held -= self._waiting + self._held
        self._waiting = self._held = 0
        for bucket in self.lane.buckets:
            bucket.forget(self)
        self._stop(on=False)  # read on, into nothing, to see how the source ends

    def _ring(self) -> None:
        self._timer = None
        self._flush(clock())

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _size(what: Chunk | End) -> int:
    return 0 if isinstance(what, End) else len(what)
