"""The figures that the load tells each second: those of all workers added up, and the last of them kept."""

from __future__ import annotations

import math
import queue
import threading
from collections import deque
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

KEPT_S = 3600
"""Seconds of the load whose figures are kept for window probes."""
SENTENCES = 3

Second = dict[str, Any]
"""A `second` line: {"t": number, "flows": {flow: {region: {"ok", "bad", "ms"}}}, "live": {kind: n}, "last": [...]}."""


@dataclass(frozen=True, slots=True)
class WindowStats:
    """What a flow did over the last seconds; latencies in ms, of what succeeded."""

    ok: int
    bad: int
    latencies: tuple[float, ...]

    @property
    def total(self) -> int:
        return self.ok + self.bad

    @property
    def success(self) -> float | None:
        """Share 0..1; None without samples."""
        return self.ok / self.total if self.total else None

    def percentile(self, percent: float) -> float | None:
        """Nearest rank; None without samples."""
        if not self.latencies:
            return None
        ordered = sorted(self.latencies)
        return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def merged(lines: Sequence[Second]) -> Second:
    """One line for the same second of several workers: counts added, times together, a sentence of each in turn."""
    if len(lines) == 1:
        return lines[0]
    flows: dict[str, dict[str, dict[str, Any]]] = {}
    live: dict[str, int] = {}
    for line in lines:
        for flow, cells in line["flows"].items():
            for region, cell in cells.items():
                sums = flows.setdefault(flow, {}).setdefault(region, {"ok": 0, "bad": 0, "ms": []})
                sums["ok"] += cell["ok"]
                sums["bad"] += cell["bad"]
                sums["ms"] += cell["ms"]
        for kind, count in line["live"].items():
            live[kind] = live.get(kind, 0) + count
    # Each worker tells its bad news first.
    last = [text for text in chain.from_iterable(zip_longest(*(line["last"] for line in lines))) if text is not None]
    return lines[0] | {"flows": flows, "live": live, "last": last[:SENTENCES]}


class Seconds:
    """Takes the workers' lines from any thread; tells a second, in order, once each worker that goes on has told it."""

    def __init__(self, workers: int) -> None:
        self.told: queue.SimpleQueue[Second] = queue.SimpleQueue()
        """Every merged line, for whoever reads them."""
        self.on_second: Callable[[Second], None] | None = None
        """Called with every merged line, in the thread that completed it."""
        self._waiting: list[deque[Second]] = [deque() for _ in range(workers)]
        """Per worker, what some other has not told yet."""
        self._going = set(range(workers))
        self._kept: deque[Second] = deque(maxlen=KEPT_S)
        self._merging = threading.Lock()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, worker: int, line: Second) -> None:
        """A worker told a second."""
        with self._merging:
            self._waiting[worker].append(line)
            self._tell()

    def ended(self, worker: int) -> None:
        """This worker tells no more, and nobody waits for it. Twice is no error."""
        with self._merging:
            self._going.discard(worker)
            self._tell()

    def _tell(self) -> None:
        while all(self._waiting[worker] for worker in self._going) and any(self._waiting):
            number = min(waiting[0]["t"] for waiting in self._waiting if waiting)
            same = [waiting.popleft() for waiting in self._waiting if waiting and waiting[0]["t"] == number]
            line = merged(same)
            with self._lock:
                self._kept.append(line)
            self.told.put(line)
            if self.on_second is not None:
                self.on_second(line)

    def window(self, flow: str, seconds: float, region: str | None = None) -> WindowStats:
        """A flow (`join`, `edit_ack`, ...) over the last whole seconds, of all regions or of one."""
        with self._lock:
            lines = list(self._kept)[-max(1, round(seconds)) :]
        ok = bad = 0
        latencies: list[float] = []
        for line in lines:
            for name, cell in line["flows"].get(flow, {}).items():
                if region is None or name == region:
                    ok += cell["ok"]
                    bad += cell["bad"]
                    latencies += cell["ms"]
        return WindowStats(ok, bad, tuple(latencies))
