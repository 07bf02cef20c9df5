"""Runs that differ by nothing against each other: how often a comparison cries wolf, and what it would have seen.

Of k runs without a fault, by the same seed, every ordered pair is compared as `chaos compare` does. A regression found
there is a false alarm. The smallest effect: the second record is made worse, by ever larger steps, until the comparison
says so; per flow the median over the pairs of the smallest step that it flagged.
"""

from __future__ import annotations

import itertools
import statistics
from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.verdict import Outcome
from chaos.verdict.comparison import compare, doubts
from chaos.verdict.flows import FLOWS
from chaos.verdict.history import build

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.model.event import Event
    from chaos.verdict.run import RunRecord

SLOWER = (1.6, 1.8, 2.0, 2.5, 3.0, 4.0, 6.0)
FAILING = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2)
PAIRS = 4
"""So many pairs are made worse: each takes as many comparisons as there are steps."""


class Same(NamedTuple):
    """What comparing equals has shown."""

    pairs: int
    lines: int
    alarmed: int
    """Of the pairs, those with a false alarm."""
    alarms: tuple[str, ...]
    """The lines that were called a regression."""
    doubtful: int
    """Pairs that could not be compared: a run cannot be believed, or our own machine was not the same."""
    slower: dict[str, float]
    """Per flow, how many times slower it must get to be flagged; absent: even the largest step was not."""
    failing: dict[str, float]
    """Per flow, what share must fail besides."""


def same(records: Sequence[RunRecord]) -> Same:
    """Compare every record with every other; pure."""
    alarms: list[str] = []
    lines = alarmed = 0
    pairs = [pair for pair in itertools.permutations(records, 2) if not any(doubts(*pair))]
    for first, second in pairs:
        found = compare(first, second)
        lines += len(found)
        names = f"{first.directory.name} -> {second.directory.name}"
        raised = [one for one in found if one.outcome is Outcome.FAIL]
        alarms += [f"{names}: {one.name} {one.phase}: {one.measured}" for one in raised]
        alarmed += bool(raised)
    chosen = pairs[:: max(1, len(pairs) // PAIRS)][:PAIRS]
    total = len(records) * (len(records) - 1)
    slower, failing = _smallest(chosen, "p95", SLOWER), _smallest(chosen, "success", FAILING)
    return Same(len(pairs), lines, alarmed, tuple(alarms), total - len(pairs), slower, failing)


def _smallest(pairs: Sequence[tuple[RunRecord, RunRecord]], word: str, steps: Sequence[float]) -> dict[str, float]:
    seen: dict[str, list[float]] = defaultdict(list)
    for first, second in ((_unruled(one), _unruled(other)) for one, other in pairs):
        flagged: dict[str, float] = {}
        for step in steps:
            events = slowed(second, step) if word == "p95" else failed(second, step)
            worse = replace(second, history=build(events))
            for one in compare(first, worse):
                flow, _, of = one.id.rpartition(".")
                if of == word and one.outcome is Outcome.FAIL:
                    flagged.setdefault(flow, step)
            if set(flagged) == set(FLOWS):
                break
        for flow, step in flagged.items():
            seen[flow].append(step)
    # Where half of the pairs did not flag even the largest step, no median is known.
    return {flow: statistics.median_high(found) for flow, found in seen.items() if 2 * len(found) > len(pairs)}


def _unruled(record: RunRecord) -> RunRecord:
    """Without the experiment's rules: a baseline that misses one would keep a record from being compared at all."""
    return replace(record, checks=record.checks.model_copy(update={"thresholds": ()}))


def slowed(record: RunRecord, factor: float) -> Iterator[Event]:
    """The record as if every answer had taken so many times as long."""
    functions = {f for f, _ in FLOWS.values()}
    for event in record.history.events:
        if event.type == "ok" and event.f in functions and event.intended_ns:
            took = event.t_ns - event.intended_ns
            yield event._replace(t_ns=event.intended_ns + int(took * factor))
        else:
            yield event


def failed(record: RunRecord, share: float) -> Iterator[Event]:
    """The record as if this share of what was granted had been refused, evenly spread."""
    functions = {f for f, _ in FLOWS.values()}
    counts: dict[str, int] = defaultdict(int)
    for event in record.history.events:
        if event.type == "ok" and event.f in functions:
            counts[event.f] += 1
            if int(counts[event.f] * share) > int((counts[event.f] - 1) * share):
                yield event._replace(type="fail", error="refused: made worse")
                continue
        yield event
