"""D11, editable: while somebody types, a document is never without an acknowledged edit for longer than the bound.

Invariant: from an edit that nobody has answered yet to the next acknowledgement of any edit of the document pass at
most two deadlines (2 x `edit_s`), counted only while somebody tries.
Violation: a longer time. What overlaps a fault that reaches the document, or all of those who tried, is cut out of that
time (excused); the rest of it is judged.
Inconclusive: edits without an end in the record. Unjudged: a document whose few tries the end of the load cut off.
Source: `docs/checks.md`; availability as the longest gap between successes, not as a mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Sight, Violation
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

DEADLINES = 2


class _Stall(NamedTuple):
    start_ns: int
    end_ns: int


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every document that somebody edited."""
    found = CheckFindings()
    documents: dict[str, list[Op]] = {}
    for op in history.of("edit"):
        documents.setdefault(op.begin.key, []).append(op)
    longest = 0.0
    for key, ops in sorted(documents.items()):
        longest = max(longest, _judge(history, bounds, key, ops, found))
    found.figures["longest_s"] = round(longest, 2)
    return found


def _judge(history: History, bounds: Bounds, key: str, ops: Sequence[Op], found: CheckFindings) -> float:
    stalls = _stalls(history, ops, int(bounds.edit_s * NS))
    bound = DEADLINES * int(bounds.edit_s * NS)
    kept = [part for stall in stalls for part in _without_faults(history, bounds, key, ops, stall, bound)]
    worst = max(kept, key=lambda part: part.end_ns - part.start_ns, default=None)
    seconds = (worst.end_ns - worst.start_ns) / NS if worst else 0.0
    if lost := sum(op.outcome == "open" for op in ops):
        found.inconclusive += 1
        found.because(f"{key}: {lost} edits have no end in the record")
    elif worst is not None and seconds > bound / NS:
        found.judged += 1
        found.violations.append(_violation(history, key, ops, worst, bound / NS))
    elif not any(op.outcome == "ok" for op in ops):
        excused = any(stall.end_ns - stall.start_ns > bound for stall in stalls)
        found.excused += excused
        found.unjudged += not excused
    else:
        found.judged += 1
    return seconds


def _stalls(history: History, ops: Iterable[Op], pause_ns: int) -> list[_Stall]:
    """The spans from an unanswered wish to the next acknowledgement, or to where nobody tried for `pause_ns`."""
    steps: list[tuple[int, int]] = []
    for op in ops:
        steps.append((op.begin.t_ns, 1))
        steps.append((history.seen_until(op), 0 if op.outcome == "ok" else -1))
    stalls = []
    trying, since, lapsed = 0, -1, -1
    for t_ns, kind in sorted(steps):
        if kind == 1:
            if since >= 0 and not trying and t_ns - lapsed > pause_ns:
                stalls.append(_Stall(since, lapsed))
                since = -1
            since = t_ns if since < 0 else since
            trying += 1
            continue
        trying -= 1
        if kind == 0:
            stalls.append(_Stall(since, t_ns))
            since = t_ns if trying else -1
        lapsed = t_ns
    if since >= 0:
        stalls.append(_Stall(since, lapsed))
    return stalls


def _without_faults(
    history: History, bounds: Bounds, key: str, ops: Sequence[Op], stall: _Stall, bound: int
) -> list[_Stall]:
    """What is left of a stall outside the faults that reach it, their grace included."""
    if stall.end_ns - stall.start_ns <= bound:
        return [stall]
    trying = _trying(history, ops, stall)
    regions = {op.begin.region for op in trying}
    nodes = {node for op in ops for node in op.nodes}
    parts = [stall]
    for fault in history.faults:
        # Of a fault at one entry, those who came in through another should not have felt a thing.
        if not all(fault.reaches(region=region, nodes=nodes, key=key) for region in regions):
            continue
        until = stall.end_ns if fault.off_ns is None else fault.off_ns + int(bounds.grace_s * NS)
        parts = [rest for part in parts for rest in _cut(part, fault.start_ns, until)]
    return parts


def _trying(history: History, ops: Iterable[Op], stall: _Stall) -> list[Op]:
    return [op for op in ops if op.begin.t_ns <= stall.end_ns and history.seen_until(op) >= stall.start_ns]


def _cut(part: _Stall, start_ns: int, end_ns: int) -> list[_Stall]:
    if end_ns <= part.start_ns or start_ns >= part.end_ns:
        return [part]
    rest = (_Stall(part.start_ns, start_ns), _Stall(end_ns, part.end_ns))
    return [one for one in rest if one.end_ns > one.start_ns]


def _violation(history: History, key: str, ops: Sequence[Op], stall: _Stall, bound_s: float) -> Violation:
    ordered = sorted(ops, key=history.seen_until)
    before = [op for op in ordered if op.outcome == "ok" and history.seen_until(op) <= stall.start_ns]
    after = [op for op in ordered if op.outcome == "ok" and history.seen_until(op) >= stall.end_ns]
    vain = [op for op in ordered if stall.start_ns <= op.begin.t_ns < stall.end_ns and op.outcome != "ok"]
    story = words.fault_story(history, stall.start_ns, stall.end_ns)
    story += [(history.seen_until(op), f"{words.who(op.begin)}: {_ended(op)}") for op in [*before[-1:], *after[:1]]]
    story += [(history.seen_until(op), f"{words.who(op.begin)}: {_ended(op)}") for op in [*vain[:3], *vain[-2:]]]
    users = len({op.begin.user for op in vain})
    says = (
        f"{key} took no edit from {words.at(history, stall.start_ns)} to {words.at(history, stall.end_ns)}, "
        f"{(stall.end_ns - stall.start_ns) / NS:.1f} s (bound {bound_s:g} s), while {users} users typed"
    )
    typing = {op.begin.worker: op.session for op in reversed(_trying(history, ops, stall))}
    seen_by = tuple(Sight(worker, session, stall.start_ns, stall.end_ns) for worker, session in typing.items())
    return Violation(stall.start_ns, says, tuple(story), seen_by)


def _ended(op: Op) -> str:
    result = "acknowledged" if op.outcome == "ok" else words.result(op)
    return f"the edit {op.begin.value} was {result}{words.answer(op)}"


check = Check("D11", "no document stops taking edits", "documents.stalled", run, lambda load: load.editors > 0)
