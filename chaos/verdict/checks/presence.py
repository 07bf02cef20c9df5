"""M2, presence: who is in a room is on its roster.

Invariant: from the answer that let a session in + `visibility_s` up to its leave, its cut or the last answer that
proves it alive, every roster look that was asked for and answered within that time lists it.
Violation: a look that does not, by an observer and about a session that no fault reached.
Excused: a fault that reaches the session or the observer overlaps the look (grace included).
Inconclusive: a planned look within that time did not come. Unjudged: no look fell into it, or nothing proved it alive.
Source: membership of a view, as in group communication (G. V. Chockler, I. Keidar, R. Vitenberg, "Group communication
specifications", ACM Computing Surveys 33, 2001: self-inclusion and accuracy of views); `docs/checks.md`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS
from chaos.verdict.presence import Connection, Look, Looks, connections, looks_at

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every connection against the looks at its room."""
    found = CheckFindings()
    rooms = looks_at(history, bounds)
    nobody = Looks()
    for session in connections(history, bounds).values():
        for one in session:
            _judge(history, bounds, one, rooms.get(one.key, nobody), found)
    return found


def _judge(history: History, bounds: Bounds, one: Connection, room: Looks, found: CheckFindings) -> None:
    since = one.since_ns + int(bounds.visibility_s * NS)
    gap: Look | None = None
    seen = excused = 0
    for look in room.between(since, one.proved_ns):
        if one.harm.touches(look.start_ns, look.end_ns):
            excused += 1
        elif look.listed is None:
            gap = gap or look
        elif one.session in look.listed:
            seen += 1
        else:
            found.judged += 1
            found.violations.append(_violation(history, bounds, one, look))
            return
    excused += max(0, bisect_right(room.harmed, one.proved_ns) - bisect_left(room.harmed, since))
    if gap is not None:
        found.inconclusive += 1
        found.because(f"{one.key}: a look at {words.at(history, gap.start_ns)} did not come")
    elif seen:
        found.judged += 1
    elif excused:
        found.excused += 1
    else:
        found.unjudged += 1


def _violation(history: History, bounds: Bounds, one: Connection, look: Look) -> Violation:
    user, begin = words.who(one.entered), look.op.begin
    story = [
        (one.since_ns, f"{user} was let into {one.key}{words.via(one.region)}{words.by(one.entered.node)}"),
        *words.fault_story(history, one.since_ns, one.proved_ns),
        (begin.t_ns, f"an observer{words.via(begin.region)} asked who is in {one.key}"),
        (one.proved_ns, f"{user} was still there: the server answered it later"),
    ]
    if look.op.end is not None:
        number = len(look.listed or ())
        story.append((look.op.end.t_ns, f"the roster{words.by(look.op.end.node)} lists {number}, not {one.session}"))
    says = (
        f"{user} was in {one.key} from {words.at(history, one.since_ns)}; the roster of "
        f"{words.at(history, begin.t_ns)} does not list the session (bound {bounds.visibility_s:g} s)"
    )
    return Violation(begin.t_ns, says, tuple(story), seen_by=(sight(history, look.op),))


check = Check("M2", "who is in a room is on its roster", "presence.missing", run, lambda load: load.participants > 0)
