"""What each flow did second by second, for plots: the same units as the objectives count."""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict.flows import measure
from chaos.verdict.history import NS
from chaos.verdict.stats import quantile

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History


class Second(NamedTuple):
    """One second of a flow, by intended time. Latencies are seconds, of the units that got an answer."""

    t: int
    """Whole seconds since the load began."""
    ok: int
    bad: int
    p50: float | None
    p95: float | None


class Series(NamedTuple):
    """A flow through one region; region "" is all of them together."""

    flow: str
    region: str
    seconds: tuple[Second, ...]
    """Only those with units, in order."""


def series(history: History, bounds: Bounds) -> tuple[Series, ...]:
    """Every flow that has units, first over all regions, then per region."""
    found = []
    for flow, units in measure(history, bounds).items():
        cells: dict[str, dict[int, list[Unit]]] = defaultdict(lambda: defaultdict(list))
        for unit in units:
            second = (unit.start_ns - history.t0_ns) // NS
            cells[""][second].append(unit)
            if unit.region:
                cells[unit.region][second].append(unit)
        for region, seconds in sorted(cells.items()):
            found.append(Series(flow, region, tuple(_second(t, at) for t, at in sorted(seconds.items()))))
    return tuple(found)


def _second(t: int, units: list[Unit]) -> Second:
    good = sum(unit.good for unit in units)
    times = sorted(unit.seconds for unit in units if math.isfinite(unit.seconds))
    return Second(
        t,
        good,
        len(units) - good,
        quantile(times, 0.5) if times else None,
        quantile(times, 0.95) if times else None,
    )
