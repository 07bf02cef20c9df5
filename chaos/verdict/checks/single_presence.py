"""M8, single presence: a user is in a room once.

Invariant: from `visibility_s` after a user came in again, no roster look lists both the new session and an earlier one
of the same user in that room (the last `EARLIER`; older ones are ghosts, M3).
Violation: a look that lists both. Excused: a fault reaches either session from the earlier one's end on, or the look.
Inconclusive: a planned look while the new session was in did not come. Unjudged: no look fell into that time.
Source: at most one session of a user, as meeting servers promise by replacing the old one; `docs/checks.md`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS
from chaos.verdict.presence import Connection, Look, Looks, connections, looks_at
from chaos.verdict.sometimes import SOME

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History

EARLIER = 3


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge everybody who came in more than once."""
    found = CheckFindings()
    rooms = looks_at(history, bounds)
    users: dict[tuple[str, str], list[Connection]] = defaultdict(list)
    for session in connections(history, bounds).values():
        for one in session:
            users[one.user, one.key].append(one)
    for (_, key), stays in users.items():
        earlier: deque[Connection] = deque(maxlen=EARLIER)
        for one in sorted(stays, key=lambda stay: stay.since_ns):
            others = {stay.session: stay for stay in earlier if stay.session != one.session}
            if others:
                _judge(history, bounds, one, others, rooms.get(key, Looks()), found)
            earlier.append(one)
    return found


def _judge(
    history: History,
    bounds: Bounds,
    one: Connection,
    others: dict[str, Connection],
    room: Looks,
    found: CheckFindings,
) -> None:
    until = one.end.t_ns if one.end is not None else history.end_ns
    last = max(stay.end.t_ns if stay.end is not None else stay.proved_ns for stay in others.values())
    gap: Look | None = None
    seen = excused = 0
    for look in room.between(one.since_ns + int(bounds.visibility_s * NS), until):
        if _reached((one, *others.values()), min(last, one.since_ns), look.end_ns):
            excused += 1
        elif look.listed is None:
            gap = gap or look
        elif one.session in look.listed and (twice := sorted(others.keys() & look.listed)):
            found.judged += 1
            found.violations.append(_violation(history, bounds, one, others[twice[0]], look))
            return
        else:
            seen += 1
    if gap is not None:
        found.inconclusive += 1
        found.because(f"{one.key}: a look at {words.at(history, gap.start_ns)} did not come")
    elif seen:
        found.judged += 1
    elif excused:
        found.excused += 1
    else:
        found.unjudged += 1


def _reached(stays: Iterable[Connection], start_ns: int, end_ns: int) -> bool:
    return any(stay.harm.touches(start_ns, end_ns) for stay in stays)


def _violation(history: History, bounds: Bounds, one: Connection, other: Connection, look: Look) -> Violation:
    user, begin = one.user, look.op.begin
    story = [
        (other.since_ns, f"user {user} came to {one.key} as session {other.session}{words.via(other.region)}"),
        (one.since_ns, f"user {user} came in again as session {one.session}{words.by(one.entered.node)}"),
        *words.fault_story(history, other.since_ns, look.end_ns),
        (begin.t_ns, f"an observer{words.via(begin.region)} asked who is in {one.key}"),
    ]
    if other.end is not None:
        story.append((other.end.t_ns, f"session {other.session} ended: {other.end.f}"))
    if look.op.end is not None:
        story.append((look.op.end.t_ns, f"the roster{words.by(look.op.end.node)} lists both sessions"))
    both = f"lists both {other.session} and {one.session} (bound {bounds.visibility_s:g} s)"
    says = (
        f"user {user} came to {one.key} again at {words.at(history, one.since_ns)}; the roster of "
        f"{words.at(history, begin.t_ns)} {both}"
    )
    return Violation(begin.t_ns, says, tuple(story), seen_by=(sight(history, look.op),))


check = Check(
    "M8",
    "a user is in a room once",
    "presence.doubled",
    run,
    lambda load: load.participants * load.rejoin >= SOME,
)
