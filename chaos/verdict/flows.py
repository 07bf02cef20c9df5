"""The users' flows as an SLO counts them: one unit per user operation, its own retries included."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from chaos.model.event import Phase
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

FLOWS = {
    "join": ("join", "join_s"),
    "rejoin": ("rejoin", "join_s"),
    "resume": ("resume", "join_s"),
    "leave": ("leave", "leave_s"),
    "say": ("say", "edit_s"),
    "edit_ack": ("edit", "edit_s"),
}
"""Flow -> the function whose operations are its units, and the bound that is their deadline."""
LATE_SHARE = 0.1
"""Of the tightest deadline."""


class Unit(NamedTuple):
    """One user operation, judged."""

    start_ns: int
    """Its intended time (or its invoke, where nothing was planned)."""
    seconds: float
    """From then to its ok; infinite where none came: who failed waited longer than anyone who was served."""
    good: bool
    """Ok within its deadline."""
    region: str
    phase: Phase
    """The one that its intended time lies in; but what was still open when a fault phase began belongs to the fault."""


def measure(history: History, bounds: Bounds) -> dict[str, list[Unit]]:
    """Every flow's units in the order of their invokes.

    Left out: what the end of the load, or of the record, cut off before its deadline. Everything else that is not
    ok within the deadline is a failure: refused after all retries, timed out, lost, never answered.
    """
    return {
        flow: [unit for op in history.of(f) if (unit := unit_of(history, op, float(getattr(bounds, bound))))]
        for flow, (f, bound) in FLOWS.items()
    }


def tightest_s(bounds: Bounds) -> float:
    """The shortest deadline of any flow."""
    return min(float(getattr(bounds, bound)) for _, bound in FLOWS.values())


def allowed_s(bounds: Bounds) -> float:
    """How late the load itself may be, and how long its null target may take, before the machine is called slow."""
    return LATE_SHARE * tightest_s(bounds)


def null_answers(history: History) -> list[Event]:
    """The answers of the null targets, each with the time at which it was due."""
    answers = [event for event in history.facts.get("null", ()) if event.type == "ok"]
    answers += [op.end for op in history.of("null") if op.end is not None and op.outcome == "ok"]
    return [event for event in answers if event.intended_ns]


def within(units: list[Unit], phase: str) -> list[Unit]:
    """The units of a phase; `run` is everything from baseline to recovery."""
    if phase == "run":
        return [unit for unit in units if unit.phase in {Phase.BASELINE, Phase.FAULT, Phase.RECOVERY}]
    return [unit for unit in units if unit.phase == phase]


def per_second(units: Mapping[str, list[Unit]], start_ns: int, end_ns: int) -> list[dict[str, list[Unit]]]:
    """The units of each whole second of a span, per flow, by their intended time."""
    seconds: list[dict[str, list[Unit]]] = [{} for _ in range(max(0, (end_ns - start_ns) // NS))]
    for flow, found in units.items():
        for unit in found:
            at = (unit.start_ns - start_ns) // NS
            if 0 <= at < len(seconds):
                seconds[at].setdefault(flow, []).append(unit)
    return seconds


def unit_of(history: History, op: Op, deadline_s: float) -> Unit | None:
    """One operation, judged; None where the end cut it off before its deadline."""
    start = op.start_ns
    until = history.seen_until(op)
    seconds = (until - start) / NS
    if (op.cut_short or op.outcome == "open") and seconds < deadline_s:
        return None
    ok = op.outcome == "ok"
    phase = history.phase_at(start)
    if phase is Phase.BASELINE and history.phase_at(until) is not Phase.BASELINE:
        phase = Phase.FAULT if history.span(Phase.FAULT) else phase
    return Unit(start, seconds if ok else math.inf, ok and seconds <= deadline_s, op.begin.region, phase)
