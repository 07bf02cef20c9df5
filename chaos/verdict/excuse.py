"""Who is excused: an instance that a fault both overlaps (with the grace after its heal) and reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.documents import Document
    from chaos.verdict.history import History, Op


def excused(history: History, bounds: Bounds, op: Op, *, until_ns: int | None = None) -> bool:
    """Whether a fault overlaps and reaches this operation: its region, its nodes, its session's nodes, its key."""
    begin = op.begin
    end_ns = history.seen_until(op) if until_ns is None else until_ns
    harmful = [fault for fault in history.faults if fault.harms(min(op.start_ns, begin.t_ns), end_ns, bounds.grace_s)]
    if not harmful:
        return False
    nodes = {*op.nodes, *history.nodes.get(op.session, ())}
    return any(fault.reaches(region=begin.region, nodes=nodes, key=begin.key) for fault in harmful)


class Harm(NamedTuple):
    """When faults that reach somebody are on, or healed less than the grace ago; few, in order of their begin."""

    spans: tuple[tuple[int, float], ...] = ()

    def touches(self, start_ns: float, end_ns: float) -> bool:
        """Whether any of them overlaps [start, end]."""
        return any(start_ns <= until and end_ns >= since for since, until in self.spans)


def harm(history: History, bounds: Bounds, *, session: str, region: str, key: str) -> Harm:
    """The faults that reach a session: through its region, its room or document, or one of its nodes."""
    nodes = history.nodes.get(session, frozenset())
    return Harm(
        tuple(
            fault.harm_ns(bounds.grace_s)
            for fault in history.faults
            if fault.reaches(region=region, nodes=nodes, key=key)
        )
    )


def quiet(history: History, bounds: Bounds, start_ns: int, end_ns: int) -> bool:
    """Whether no fault at all, whomever it reaches, overlaps this span."""
    return not any(fault.harms(start_ns, end_ns, bounds.grace_s) for fault in history.faults)


def blind(history: History, bounds: Bounds, document: Document) -> bool:
    """Whether an observer may have seen something that the record does not tell, and no fault explains why.

    Fresh readers count where the record itself is damaged; one that could not get in has seen nothing.
    """
    if any(seen.broken_ns or any(look.outcome == "open" for look in seen.looks) for seen in document.fresh.values()):
        return True
    return any(
        not seen.whole
        and not (seen.gaps and all(gap.outcome == "gap" and excused(history, bounds, gap) for gap in seen.gaps))
        for seen in document.observers.values()
    )
