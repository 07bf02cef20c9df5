"""The windows of an interleaved fault: who did what while it was on, and while it was off, in pairs.

Which window of a pair is which was drawn at random as the run was made, so whatever changes by itself in the course of
a run (caches that warm up, a machine that gets busy) is as likely to be on either side: only the fault is left to
explain a difference. The start of each window, `settle_s`, does not count. An operation belongs to the window that its
intended time lies in, however long it takes, on both sides alike; what it was still waiting for as the window ended
makes an effect look smaller, never larger.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict.flows import FLOWS, unit_of
from chaos.verdict.history import NS
from chaos.verdict.pairs import Pair

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op
    from chaos.verdict.spans import FaultSpan, Turn

LEAST = 2
"""Operations that each window needs. The test is exact with any number; the noise takes two."""
PAIRS = 8
"""The fewest pairs by which one of 12 lines (six flows, two measures) can be significant: 2 ** -8 < 0.05 / 12."""


class Window(NamedTuple):
    """What counts of a window."""

    pair: int
    on: bool
    start_ns: int
    end_ns: int


class Sides(NamedTuple):
    """One flow's operations, off against on: of those whom the fault reaches, and of those whom no fault reaches."""

    reached: list[Pair]
    unreached: list[Pair]


def interleaved(history: History) -> FaultSpan | None:
    """The fault that came in windows; an experiment has one at the most."""
    return next((fault for fault in history.faults if fault.windows is not None), None)


def windows(fault: FaultSpan) -> list[Window]:
    """Those of whole pairs, in order of time: both were held, and something is left of them.

    Steps below 0 are no windows: the fault was looked at in them.
    """
    if fault.windows is None:
        return []
    settle_ns = round(fault.windows.settle_s * NS)
    by_pair: dict[int, list[Turn]] = {}
    for turn in fault.turns:
        if turn.step >= 0 and turn.end_ns > turn.start_ns + settle_ns:
            by_pair.setdefault(turn.step // 2, []).append(turn)
    whole = {pair: both for pair, both in by_pair.items() if sorted(turn.on for turn in both) == [False, True]}
    return [
        Window(pair, turn.on, turn.start_ns + settle_ns, turn.end_ns)
        for pair, both in sorted(whole.items())
        for turn in both
    ]


def sides(history: History, bounds: Bounds, fault: FaultSpan) -> Mapping[str, Sides]:
    """Every flow's operations in the windows of this fault; worked out once for a history."""
    if "windows" not in history.memo:
        history.memo["windows"] = _sides(history, bounds, fault)
    found: Mapping[str, Sides] = history.memo["windows"]
    return found


def together(*flows: Sequence[Pair]) -> list[Pair]:
    """Several flows as one, pair by pair."""
    return [
        Pair([unit for pair in same for unit in pair.first], [unit for pair in same for unit in pair.second])
        for same in zip(*flows, strict=True)
    ]


def too_few(pairs: Sequence[Pair]) -> str:
    """Why these pairs cannot be compared; empty where they can."""
    if len(pairs) < PAIRS:
        return f"{len(pairs)} whole pairs of windows; {PAIRS} at least can be compared"
    least = min(len(side) for pair in pairs for side in pair)
    return f"a window has {least} of the {LEAST} operations that each needs" if least < LEAST else ""


def _sides(history: History, bounds: Bounds, fault: FaultSpan) -> dict[str, Sides]:
    held = windows(fault)
    places = {pair: at for at, pair in enumerate(dict.fromkeys(window.pair for window in held))}
    found = {}
    for flow, (f, bound) in FLOWS.items():
        deadline_s = float(getattr(bounds, bound))
        both = Sides([Pair([], []) for _ in places], [Pair([], []) for _ in places])
        for op in history.of(f):
            window = at(held, op.start_ns)
            unit = unit_of(history, op, deadline_s) if window else None
            if window is None or unit is None:
                continue
            if reaches(history, (fault,), op):
                both.reached[places[window.pair]][window.on].append(unit)
            elif not reaches(history, history.faults, op):
                both.unreached[places[window.pair]][window.on].append(unit)
        found[flow] = both
    return found


def at(held: Sequence[Window], t_ns: int) -> Window | None:
    """The window that a moment counts in."""
    number = bisect_right(held, t_ns, key=lambda window: window.start_ns) - 1
    return held[number] if number >= 0 and t_ns < held[number].end_ns else None


def reaches(history: History, faults: Sequence[FaultSpan], op: Op) -> bool:
    """Whether any of the faults reaches whoever made this operation, through region, nodes, room or document."""
    nodes = history.nodes.get(op.session, frozenset()) | set(op.nodes)
    return any(fault.reaches(region=op.begin.region, nodes=nodes, key=op.begin.key) for fault in faults)
