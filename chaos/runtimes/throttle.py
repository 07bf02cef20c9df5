"""Leave a process only a share of the processor: SIGSTOP and SIGCONT in a duty cycle.

Works without root, on Linux and macOS. The share is kept over time and not only per period: what a late wake-up
gave too much is taken off the next run, so that the share measured over a second is the share asked for.
"""

from __future__ import annotations

import asyncio

from chaos.runtimes.child import Child

PERIOD_S = 0.02
SHORTEST_RUN_S = 0.0005
"""Below this a run is not worth its two signals: it is saved up for a later period."""

LONGEST_RUN_S = 5 * PERIOD_S
"""A run may outlast its period where rests came out too long: it catches up, but not in one go."""


class DutyCycle:
    """Throttles one child from `start` until `end`, which always leaves it running."""

    def __init__(self, loop: asyncio.AbstractEventLoop, child: Child, share: float) -> None:
        self.share = share
        self._loop = loop
        self._child = child
        self._began = loop.time()
        self._period = self._began
        self._ran = 0.0
        self._run_since = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self, phase: float = 0.0) -> None:
        """Begin; `phase` (0..1 of a period) keeps several cycles from running their nodes at the same moment."""
        self._child.stop()
        self._began = self._loop.time()
        self._period = self._began + phase * PERIOD_S
        self._timer = self._loop.call_at(self._period, self._run)

    def end(self) -> None:
        """Stop throttling, and let the child run."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._child.cont()

    def _run(self) -> None:
        now = self._loop.time()
        owed = self.share * (now + PERIOD_S - self._began) - self._ran
        self._period = max(self._period + PERIOD_S, now)
        if owed < SHORTEST_RUN_S:
            self._timer = self._loop.call_at(self._period, self._run)
            return
        self._run_since = now
        self._child.cont()
        self._timer = self._loop.call_at(now + min(owed, LONGEST_RUN_S), self._rest)

    def _rest(self) -> None:
        self._child.stop()
        now = self._loop.time()
        self._ran += now - self._run_since
        self._timer = self._loop.call_at(max(self._period, now), self._run)
