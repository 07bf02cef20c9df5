"""What must have happened at least once, or the checks had nothing to bite on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.experiment import LoadSpec
    from chaos.verdict.history import History
    from chaos.verdict.rules import Checks
    from chaos.verdict.spans import FaultSpan

SOME = 6.0
"""Of so many planned at a time, some are sure to lie outside every fault."""
AS_IT_HIT_NS = NS // 2
"""An operation counts as under way when the fault set in up to this long after it (a kill is recorded when done)."""

_LOOKS = {"null", "roster", "own_roster", "tokens", "reread", "view", "crash_read", "cold_read", "alerts"}
"""What only looks is nobody's operation."""


def wanted(history: History, checks: Checks) -> Iterator[tuple[str, bool]]:
    """Each thing that this plan should yield, and whether the record has it."""
    load = checks.load
    for fault in history.faults:
        if fault.on_ns is not None:
            yield f"an operation under way as {fault.name} hit", _in_flight(history, fault)
    if any(fault.fault == "server_loss" and _cuts_users(fault) for fault in history.faults):
        yield "a user was cut off and came back", bool(history.facts.get("dropped")) and _came_back(history)
    if load is not None and load.participants and load.rejoin:
        yield "a rejoin and its twin", _twins(history)
    if load is not None and makes_cuts(load):
        yield "a short cut and its resume", bool(history.facts.get("cut")) and bool(history.ops.get("resume"))
    if load is not None and load.editors and load.offline:
        yield "an edit made offline", bool(history.ops.get("offline_edit"))


def makes_cuts(load: LoadSpec) -> bool:
    """Whether a load cuts so many users for a moment that some are sure to be seen."""
    return load.participants * load.cut >= SOME


def _cuts_users(fault: FaultSpan) -> bool:
    reach = fault.reach
    return reach is not None and not reach.everything and bool(reach.keys)


def _in_flight(history: History, fault: FaultSpan) -> bool:
    on_ns = (fault.on_ns or 0) + AS_IT_HIT_NS
    return any(
        op.begin.t_ns <= on_ns and history.seen_until(op) >= fault.start_ns
        for ops in history.ops.values()
        for op in ops
        if op.begin.f not in _LOOKS
    )


def _came_back(history: History) -> bool:
    cut = {event.user: event.t_ns for event in reversed(history.facts.get("dropped", ()))}
    return any(
        op.outcome == "ok" and op.begin.t_ns >= cut.get(op.begin.user, history.end_ns + 1)
        for op in history.of("resume", "rejoin", "join", "edit", "offline_edit")
    )


def _twins(history: History) -> bool:
    def pairs(f: str) -> set[str]:
        values = (op.begin.value for op in history.of(f))
        return {str(value["pair"]) for value in values if isinstance(value, dict) and value.get("pair") is not None}

    return bool(pairs("rejoin") & pairs("join"))
