"""Watches the load's figures for the experiment's stop conditions, from an injection to the end of the method.

A condition looks at its last seconds together: of the joins that ended in the last 10 s, less than half succeeded.
Operations that hang count when they end, so a condition is met at most the users' patience after it was true.
"""

from __future__ import annotations

import math
import operator
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.model.experiment import StopRule

FEWEST = 5
"""Fewer operations than this are chance."""
OPERATORS = {"<": operator.lt, "<=": operator.le, ">=": operator.ge, ">": operator.gt}


class StopWatch:
    """Fed with every second of the load; `tell` is called once, with the rule that is met and its figures."""

    def __init__(self, rules: Iterable[StopRule], tell: Callable[[StopRule, dict[str, Any]], None]) -> None:
        self._windows = [(rule, deque[Mapping[str, Any]](maxlen=math.ceil(rule.for_s))) for rule in rules]
        self._tell = tell
        self._armed = False
        self._met = False

    def arm(self) -> None:
        """A fault is about to begin: what the load did before does not count. Again is no error."""
        if not self._armed:
            for _, window in self._windows:
                window.clear()
        self._armed = True

    def disarm(self) -> None:
        """Everything is healed: what the load does now is recovery."""
        self._armed = False

    def second(self, data: Mapping[str, Any]) -> None:
        """Note a second of the load."""
        if not self._armed or self._met:
            return
        for rule, window in self._windows:
            window.append(data.get("flows", {}).get(rule.metric.partition(".")[0], {}))
            if len(window) < (window.maxlen or 0):
                continue
            found = figures(rule, window)
            if found is not None:
                self._met = True
                self._tell(rule, found | {"t_s": data.get("t", 0)})
                return


def figures(rule: StopRule, window: Iterable[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The figures of a window of {region: {ok, bad, ms}} if they meet the rule, else None."""
    ok = bad = 0
    times: list[float] = []
    for second in window:
        for cell in second.values():
            ok += cell["ok"]
            bad += cell["bad"]
            times += cell["ms"]
    if ok + bad < FEWEST:
        return None
    _, _, word = rule.metric.partition(".")
    value = ok / (ok + bad) if word == "success" else _quantile(times, bad, int(word[1:]) / 100)
    if not OPERATORS[rule.op](value, rule.value):
        return None
    return {"value": value if math.isfinite(value) else None, "ok": ok, "bad": bad, "for_s": rule.for_s}


def _quantile(times_ms: list[float], bad: int, q: float) -> float:
    """In seconds; an operation that got no answer is slower than all that did."""
    ordered = [*sorted(times_ms), *[math.inf] * bad]
    return ordered[max(0, math.ceil(q * len(ordered)) - 1)] / 1000
