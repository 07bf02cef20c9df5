"""M10, room life: nobody is removed, and no room ends, without cause.

Invariant: a connection that was let in lasts until its user leaves, vanishes or is cut off.
Violation: it ended from the other side (dropped). Causes: a fault that reaches the session (grace included) excuses;
the same user's newer session in the room replaces it (unjudged); so does a user who was already leaving.
Unjudged, too: a connection whose end is not in the record. Inconclusive: nothing was judged.
Source: liveness of a session, as meeting servers promise it; `docs/checks.md`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Violation, felt
from chaos.verdict.history import NS
from chaos.verdict.presence import Connection, connections

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History

TOGETHER_NS = NS // 2
"""Those who were dropped from a room within this time of each other went together: the room ended."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge how every connection ended."""
    found = CheckFindings()
    newest: dict[tuple[str, str], int] = defaultdict(int)
    every = [one for session in connections(history, bounds).values() for one in session]
    for one in every:
        newest[one.user, one.key] = max(newest[one.user, one.key], one.since_ns)
    dropped: list[Connection] = []
    for one in every:
        if one.end is None:
            found.unjudged += 1
        elif one.end.f != "dropped":
            found.judged += 1
        elif one.since_ns < newest[one.user, one.key] <= one.end.t_ns:
            found.unjudged += 1
        elif one.harm.touches(one.end.t_ns, one.end.t_ns):
            found.excused += 1
        else:
            found.judged += 1
            dropped.append(one)
    together = Counter((one.key, _moment(one)) for one in dropped)
    found.violations += [_violation(history, one, together[one.key, _moment(one)]) for one in dropped]
    return found


def _moment(one: Connection) -> int:
    return (one.end.t_ns if one.end is not None else 0) // TOGETHER_NS


def _violation(history: History, one: Connection, together: int) -> Violation:
    user, end = words.who(one.entered), one.end or one.entered
    end_ns = end.t_ns
    why = end.error or "without a word"
    story = [
        (one.since_ns, f"{user} was let into {one.key}{words.via(one.region)}{words.by(one.entered.node)}"),
        *words.fault_story(history, one.since_ns, end_ns),
        (end_ns, f"the other side ended the connection: {why}"),
    ]
    if one.proved_ns > one.since_ns:
        story.append((one.proved_ns, f"the server last answered {user}"))
    also = f", and {together - 1} others of the room with it" if together > 1 else ""
    says = f"{user} was dropped from {one.key} at {words.at(history, end_ns)} ({why}){also}; no fault reached it"
    return Violation(end_ns, says, tuple(story), seen_by=(felt(end),))


check = Check("M10", "nobody is dropped from a room", "rooms.dropped", run, lambda load: load.participants > 0)
