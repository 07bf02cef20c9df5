"""The duty cycle on a clock that the test holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from chaos.runtimes.throttle import PERIOD_S, DutyCycle


class Loop:
    """Time, and one call in the future, which comes `late_s` too late."""

    def __init__(self, late_s: float) -> None:
        self.now = 50.0
        self.late_s = late_s
        self.due = 0.0
        self.function: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, function: Callable[[], None]) -> Loop:
        self.due, self.function = when, function
        return self

    def cancel(self) -> None:
        self.function = None

    def run(self, until: float) -> None:
        while self.function is not None and self.due <= until:
            self.now = max(self.now, self.due + self.late_s)
            self.function()
        self.now = until


class Node:
    """Counts how long it ran."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._since: float | None = loop.now
        self.ran = 0.0

    def stop(self) -> None:
        if self._since is not None:
            self.ran += self._loop.now - self._since
            self._since = None

    def cont(self) -> None:
        if self._since is None:
            self._since = self._loop.now

    @property
    def runs(self) -> bool:
        return self._since is not None


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.9])
@pytest.mark.parametrize("late_s", [0.0, 0.0011, 0.007])
def test_share_is_kept_however_late_the_timers_are(share: float, late_s: float) -> None:
    """Over two seconds the node runs for the share asked for, also when each wake-up comes late."""
    loop = Loop(late_s)
    node = Node(loop)
    cycle = DutyCycle(cast("Any", loop), cast("Any", node), share)
    cycle.start(0.4)
    loop.run(52.0)
    node.stop()
    assert node.ran == pytest.approx(2.0 * share, abs=0.012 + 2 * PERIOD_S * share)


def test_end_leaves_the_node_running() -> None:
    """However the cycle stands, after its end the node runs and no timer is left; ending twice is no error."""
    for steps in range(6):
        loop = Loop(0.0)
        node = Node(loop)
        cycle = DutyCycle(cast("Any", loop), cast("Any", node), 0.3)
        cycle.start()
        for _ in range(steps):
            loop.run(loop.due)
        cycle.end()
        cycle.end()
        assert node.runs
        assert loop.function is None
