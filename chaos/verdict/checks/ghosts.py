"""M3, no ghost: who left, or died, is gone from every roster after the bound.

Invariant: no roster look that was *invoked* later than leave + `clean_ghost_s` (answered leave), or death +
`unclean_ghost_s` (vanished, dropped, leave never answered, gave up), lists the session, unless it came back.
Violation: such a look lists it. Looks are judged by their invoke: one in flight at the bound proves nothing.
Excused: a fault that reaches the session, its room or the observer overlaps the span from the end to the bound, or
the look. Inconclusive: a planned look after the bound did not come. Unjudged: no look was planned after it.
Source: presence semantics of meeting servers (departure timeouts); `docs/checks.md`.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.excuse import excused
from chaos.verdict.findings import Check, CheckFindings, Violation, felt, sight
from chaos.verdict.history import NS
from chaos.verdict.lifetimes import Ended, ended_sessions

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


_ANSWERED = "left and was answered"
_HOW = {
    "leave": "asked to leave, got no answer and cut the socket",
    "vanish": "vanished (socket cut, no leave)",
    "cut": "was cut off and did not resume",
    "dropped": "was dropped",
}


class _Room:
    """The looks at one room that no fault touched, in the order of their invokes, and where each session is listed."""

    def __init__(self) -> None:
        self.looks: list[Op] = []
        self.times: list[int] = []
        self.listed: dict[str, list[int]] = defaultdict(list)
        self.gaps: list[int] = []
        self.harmed: list[int] = []
        """The times of those that a fault touched: they neither convict nor acquit."""

    def add(self, look: Op, *, harmed: bool) -> None:
        if look.cut_short:
            return
        if harmed:
            self.harmed.append(look.begin.t_ns)
            return
        at = len(self.looks)
        self.looks.append(look)
        self.times.append(look.begin.t_ns)
        names = look.names
        if names is None:
            self.gaps.append(at)
        for session in set(names or ()):
            self.listed[session].append(at)


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every end of a session against the looks at its room."""
    found = CheckFindings()
    rooms: dict[str, _Room] = defaultdict(_Room)
    for look in history.of("roster"):
        rooms[look.begin.key].add(look, harmed=excused(history, bounds, look))
    for ended in ended_sessions(history):
        _judge(history, bounds, ended, rooms[ended.key], found)
    if found.unjudged:
        found.because(f"{found.unjudged} sessions ended too late for a look after the bound")
    return found


def _judge(history: History, bounds: Bounds, ended: Ended, room: _Room, found: CheckFindings) -> None:
    bound_s = bounds.clean_ghost_s if ended.clean else bounds.unclean_ghost_s
    due = ended.end.t_ns + int(bound_s * NS)
    first, last = bisect_right(room.times, due), bisect_left(room.times, ended.until_ns)
    if first >= last:
        harmed = bisect_right(room.harmed, due) < bisect_left(room.harmed, ended.until_ns)
        found.excused += harmed
        found.unjudged += not harmed
    elif _harmed(history, bounds, ended, due):
        found.excused += 1
    elif (ghost := _first(room.listed.get(ended.session, ()), first, last)) is not None:
        found.judged += 1
        found.violations.append(_violation(history, ended, room.looks[ghost], bound_s))
    elif (gap := _first(room.gaps, first, last)) is not None:
        found.inconclusive += 1
        found.because(f"{ended.key}: a look at {words.at(history, room.times[gap])} did not come")
    else:
        found.judged += 1


def _first(ordered: Sequence[int], first: int, last: int) -> int | None:
    at = bisect_left(ordered, first)
    return ordered[at] if at < len(ordered) and ordered[at] < last else None


def _harmed(history: History, bounds: Bounds, ended: Ended, due: int) -> bool:
    return any(
        fault.harms(ended.end.t_ns, due, bounds.grace_s)
        and fault.reaches(region=ended.region, nodes=ended.nodes, key=ended.key)
        for fault in history.faults
    )


def _violation(history: History, ended: Ended, look: Op, bound_s: float) -> Violation:
    end = ended.end
    user = words.who(end)
    how = _ANSWERED if ended.clean else _HOW.get(end.f, "gave up")
    late = (look.begin.t_ns - end.t_ns) / NS
    story = [
        (ended.begun_ns, f"{user} came to {ended.key}{words.via(ended.region)}"),
        (end.t_ns, f"{user} {how}"),
        *words.fault_story(history, ended.begun_ns, look.begin.t_ns),
        (look.begin.t_ns, f"an observer{words.via(look.begin.region)} asked who is in {ended.key}"),
    ]
    if look.end is not None:
        story.append((look.end.t_ns, f"the roster{words.by(look.end.node)} still lists {ended.session}"))
    says = (
        f"{user} {how} at {words.at(history, end.t_ns)}; the roster of {ended.key} still lists the session "
        f"{late:.1f} s later (bound {bound_s:g} s)"
    )
    return Violation(end.t_ns, says, tuple(story), seen_by=(felt(end), sight(history, look)))


check = Check("M3", "no ghost is listed in a room", "ghosts", run, lambda load: load.participants > 0)
