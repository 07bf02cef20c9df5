"""How a witness speaks: users, nodes, faults and moments in plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from chaos.model.event import Event
    from chaos.verdict.history import History, Op
    from chaos.verdict.spans import FaultSpan

NOTES = {"ok": "done", "open": "never answered", "gap": "no answer"}
_SHOWN = 4


def at(history: History, t_ns: int) -> str:
    """`12.3 s`: seconds since the load began."""
    return f"{history.seconds(t_ns):.1f} s"


def who(event: Event) -> str:
    """`user u41 (session u41.2)`."""
    name = f"user {event.user}" if event.user else "a user"
    return f"{name} (session {event.session})" if event.session else name


def by(node: str) -> str:
    """` by doc-e1`, or nothing where the node is not known."""
    return f" by {node}" if node else ""


def answer(op: Op) -> str:
    """` by doc-e1`: who answered an operation, where that is known."""
    return by(op.end.node if op.end else "")


def via(region: str) -> str:
    """` via cn-north`, or nothing."""
    return f" via {region}" if region else ""


def result(op: Op) -> str:
    """How an operation ended: `ok`, `refused: full`, `timeout`, `never answered`."""
    return op.error or NOTES.get(op.outcome, op.outcome)


def fault_story(history: History, start_ns: int, end_ns: int) -> list[tuple[int, str]]:
    """The faults that were put in or taken out between two moments."""
    story = []
    for fault in history.faults:
        on = fault.start_ns if fault.on_ns is None else fault.on_ns
        if start_ns <= on <= end_ns:
            story.append((on, f"{fault.name} began{_reach(fault)}"))
        if fault.off_ns is not None and start_ns <= fault.off_ns <= end_ns:
            story.append((fault.off_ns, f"{fault.name} was healed"))
    return story


def _reach(fault: FaultSpan) -> str:
    reach = fault.reach
    if reach is None:
        return ""
    parts = reach.nodes or reach.regions or reach.links or (("everything",) if reach.everything else ())
    return " on " + ", ".join(parts[:_SHOWN]) + (" ..." if len(parts) > _SHOWN else "") if parts else ""
