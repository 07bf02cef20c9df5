"""The link proxy against a direct socket and Toxiproxy, in one run: what it adds, what it carries, what it costs.

Absolute figures depend on the machine and on what else it does. What can be compared are the ratios of neighbours:
in each round every way is measured once, in an order that turns. With a delay active the direct socket takes no part.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

from benchmarks._relays import Relays, relays

ROUNDS = 7
PINGS = 500
CONNECTIONS = 100
MESSAGES = 30
BULK = 256 << 20
DELAY_MS = 50
DELAYED_PINGS = 8
DELAYED_BULK = 256 << 20

Figures = dict[str, dict[str, list[float]]]
"""What was measured, and for each way one value a round."""


def run() -> dict[str, Any]:
    """Measure, print a table, and return the figures."""
    with relays(with_toxiproxy=True) as (one, why_not):
        ways = list(one.ways)
        for way in ways:
            one.messages_us(way, 10, 10)
        plain = _rounds(one, ways, _plain)
        with one.delayed(DELAY_MS):
            delayed = _rounds(one, ways[1:], _delayed)
    figures = {
        "toxiproxy": why_not or "2.12.0",
        "no fault": _summed(plain),
        f"{DELAY_MS} ms each way": _summed(delayed),
    }
    _print(figures)
    return figures


def _rounds(one: Relays, ways: list[str], measure: Callable[[Relays, str], dict[str, float]]) -> Figures:
    found: Figures = {}
    for number in range(ROUNDS):
        turned = ways[number % len(ways) :] + ways[: number % len(ways)]
        for way in turned:
            for what, value in measure(one, way).items():
                found.setdefault(what, {}).setdefault(way, []).append(value)
    return found


def _plain(one: Relays, way: str) -> dict[str, float]:
    found = {"round trip, us": statistics.median(one.trips_ms(way, PINGS)) * 1000}
    before = one.cpu_s(way)
    found[f"time per message on {CONNECTIONS} connections, us"] = one.messages_us(way, CONNECTIONS, MESSAGES)
    found["processor time per 10,000 messages, s"] = (one.cpu_s(way) - before) / (CONNECTIONS * MESSAGES) * 10_000
    return found | _bulk(one, way, BULK)


def _delayed(one: Relays, way: str) -> dict[str, float]:
    trips = one.trips_ms(way, DELAYED_PINGS)
    before = one.cpu_s(way)
    one.messages_us(way, CONNECTIONS, MESSAGES // 5)
    took = (one.cpu_s(way) - before) / (CONNECTIONS * MESSAGES // 5) * 10_000
    return {
        "round trip beyond what was asked, ms": statistics.median(trips) - 2 * DELAY_MS,
        "processor time per 10,000 messages, s": took,
    } | _bulk(one, way, DELAYED_BULK)


def _bulk(one: Relays, way: str, size: int) -> dict[str, float]:
    before = one.cpu_s(way)
    throughput = size / (1 << 20) / one.bulk_s(way, size)
    return {
        "throughput, MiB/s": throughput,
        "processor time per GiB, s": (one.cpu_s(way) - before) * (1 << 30) / size,
    }


def _summed(figures: Figures) -> dict[str, Any]:
    """Medians of each way, and of the rounds' ratios proxy to direct and proxy to Toxiproxy with least and most."""
    found: dict[str, Any] = {}
    for what, ways in figures.items():
        # A round's processor time is a few ticks of the kernel's clock: only all rounds together say something.
        middle = statistics.fmean if what.startswith("processor") else statistics.median
        row: dict[str, Any] = {way: _short(middle(values)) for way, values in ways.items() if any(values)}
        for other in ("direct", "toxiproxy"):
            if other in row and "proxy" in row:
                row[f"proxy/{other}"] = _ratio(what, ways["proxy"], ways[other])
        found[what] = row
    return found


def _ratio(what: str, ours: list[float], others: list[float]) -> dict[str, float]:
    if what.startswith("processor"):
        return {"median": _short(sum(ours) / sum(others))}
    ratios = [our / other for our, other in zip(ours, others, strict=True)]
    return {"median": _short(statistics.median(ratios)), "least": _short(min(ratios)), "most": _short(max(ratios))}


def _short(value: float) -> float:
    return float(f"{value:.3g}")


def _print(figures: dict[str, Any]) -> None:
    for title, rows in figures.items():
        if isinstance(rows, str):
            print(f"{title}: {rows}")
            continue
        print(f"\n{title:46}{'direct':>9}{'proxy':>9}{'toxiproxy':>11}   ratios: median (least to most)")
        for what, row in rows.items():
            values = "".join(
                f"{row.get(way, ''):>{width}}" for way, width in (("direct", 9), ("proxy", 9), ("toxiproxy", 11))
            )
            ratios = "  ".join(_says(name, row[name]) for name in ("proxy/direct", "proxy/toxiproxy") if name in row)
            print(f"{what:46}{values}   {ratios}")


def _says(name: str, ratio: dict[str, float]) -> str:
    spread = f" ({ratio['least']:g} to {ratio['most']:g})" if "least" in ratio else ""
    return f"{name} {ratio['median']:g}{spread}"


if __name__ == "__main__":
    run()
