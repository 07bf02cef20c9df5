"""M9, limits and lobby: a room admits as many as it may, no more and no fewer, and who was refused stays outside.

Judged in rooms whose limit the load knows (`limits` of the stack file), where it lets more knock than are admitted.
Violation:
  - over: more sessions than the limit were certainly inside at one time, or one roster look lists more;
  - inside: a look that was asked for after the refusal lists the session;
  - shut: somebody is refused as "full" while those who may have been inside, observers included, were fewer than the
    limit (whoever left counts for `clean_ghost_s` longer).
Excused: a fault that reaches the session, or the look. Inconclusive: a planned look did not come. Unjudged: a knock
that was not answered. Not wanted where the stack names no such room.
Source: mutual exclusion of the (n+1)-th and progress of the n-th, after the bounded semaphore (E. W. Dijkstra,
"Cooperating sequential processes", 1965); `docs/checks.md`.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.excuse import Harm, harm
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS
from chaos.verdict.presence import Looks, looks_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _Knock(NamedTuple):
    """Somebody at the door, and when he may have been, and certainly was, inside."""

    op: Op
    harm: Harm
    certain: tuple[int, int] | None
    """From the answer to the wish to leave."""
    gone_ns: float
    """When he was certainly out again; infinite: nobody knows."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every room with a limit."""
    found = CheckFindings()
    found.figures.update(over=0, inside=0, shut=0)
    rooms = looks_at(history, bounds)
    limits = {event.key: event.value for event in history.facts.get("limit", ()) if isinstance(event.value, int)}
    for room, limit in limits.items():
        knocks = _knocks(history, bounds, room)
        observers = len({event.user for event in history.facts.get("listening", ()) if event.key == room})
        _over(history, room, limit, knocks, found)
        _doors(history, limit - observers, knocks, found)
        _looks(history, limit, knocks, rooms.get(room, Looks()), found)
    return found


def _knocks(history: History, bounds: Bounds, room: str) -> list[_Knock]:
    leaves = {op.session: op for op in history.of("knock_leave")}
    grace = int(bounds.clean_ghost_s * NS)
    found = []
    for op in history.of("knock"):
        if op.begin.key != room:
            continue
        leave = leaves.get(op.session)
        certain, gone = None, math.inf
        if op.outcome == "fail" and op.end is not None:
            gone = op.end.t_ns
        elif op.outcome == "ok" and op.end is not None and leave is not None:
            certain = (op.end.t_ns, leave.begin.t_ns)
            gone = leave.end.t_ns + grace if leave.end is not None and leave.outcome == "ok" else math.inf
        reached = harm(history, bounds, session=op.session, region=op.begin.region, key=room)
        found.append(_Knock(op, reached, certain, gone))
    return found


def _over(history: History, room: str, limit: int, knocks: Sequence[_Knock], found: CheckFindings) -> None:
    """More at one time than the limit, by their own answers."""
    steps: list[tuple[int, int, _Knock]] = []
    for knock in knocks:
        if knock.certain is not None and not knock.harm.touches(*knock.certain):
            steps += [(knock.certain[0], 1, knock), (knock.certain[1], -1, knock)]
    inside: dict[str, _Knock] = {}
    told = False
    for t_ns, step, knock in sorted(steps, key=lambda one: one[:2]):
        if step < 0:
            inside.pop(knock.op.session, None)
            told = told and len(inside) > limit
            continue
        inside[knock.op.session] = knock
        if len(inside) > limit and not told:
            told = True
            found.judged += 1
            found.figures["over"] += 1
            who = [(one.certain[0], f"{words.who(one.op.begin)} was let in") for one in inside.values() if one.certain]
            says = f"{len(inside)} were in {room} at {words.at(history, t_ns)}, which admits {limit}"
            found.violations.append(Violation(t_ns, says, tuple(who), (sight(history, knock.op),)))


def _doors(history: History, free: int, knocks: Sequence[_Knock], found: CheckFindings) -> None:
    """Who was refused although there was room."""
    begun = [knock.op.begin.t_ns for knock in knocks]
    gone = sorted(knock.gone_ns for knock in knocks)
    for knock in knocks:
        op, end = knock.op, knock.op.end
        if end is None or op.outcome not in {"ok", "fail"}:
            found.unjudged += 1
            continue
        if knock.harm.touches(op.begin.t_ns, end.t_ns):
            found.excused += 1
            continue
        found.judged += 1
        # Everybody who had knocked by then and was not yet certainly out, without the one who asks.
        possible = bisect_right(begun, end.t_ns) - bisect_left(gone, op.begin.t_ns) - 1
        if op.outcome == "fail" and "full" in op.error and possible < free:
            found.figures["shut"] += 1
            user = words.who(op.begin)
            story = ((op.begin.t_ns, f"{user} knocked"), (end.t_ns, f"{user}: {op.error}{words.by(end.node)}"))
            says = f"{user} was refused at {op.begin.key} ({op.error}) while at most {possible} others were inside"
            found.violations.append(Violation(op.begin.t_ns, says, story, (sight(history, op),)))


def _looks(history: History, limit: int, knocks: Sequence[_Knock], room: Looks, found: CheckFindings) -> None:
    refused = {knock.op.session: knock.op for knock in knocks if knock.op.outcome == "fail"}
    for look in room.all:
        if look.listed is None:
            found.inconclusive += 1
            found.because(f"{look.op.begin.key}: a look at {words.at(history, look.start_ns)} did not come")
            continue
        found.judged += 1
        node, key = look.op.end.node if look.op.end else "", look.op.begin.key
        by = (sight(history, look.op),)
        seen = (look.end_ns, f"the roster{words.by(node)} lists {len(look.listed)}")
        if len(look.listed) > limit:
            found.figures["over"] += 1
            when = words.at(history, look.start_ns)
            says = f"the roster of {key} lists {len(look.listed)} at {when}, the limit is {limit}"
            asked = (look.start_ns, f"an observer{words.via(look.op.begin.region)} asked who is in {key}")
            found.violations.append(Violation(look.start_ns, says, (asked, seen), by))
        for name in sorted(refused.keys() & look.listed):
            op = refused[name]
            if op.end is not None and op.end.t_ns <= look.start_ns:
                found.figures["inside"] += 1
                says = f"{words.who(op.begin)} was refused at {key} and is listed in it"
                story = ((op.end.t_ns, f"{words.who(op.begin)}: {op.error}"), seen)
                found.violations.append(Violation(look.start_ns, says, story, by))


check = Check(
    "M9",
    "a room admits as many as it may",
    "limits.broken",
    run,
    lambda load: load.participants > 0,
    applies=lambda history: bool(history.facts.get("limit")),
)
