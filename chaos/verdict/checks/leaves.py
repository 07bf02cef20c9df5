"""M5, leave works: leaving is answered in time, nothing arrives after it, and it does not bar the way back.

Invariant: a leave is granted within `leave_s` of its invoke; the session hears nothing after the answer; a rejoin
after an answered leave is not refused because the user is "already in".
Violation: any of the three broken. Excused: a fault that reaches the leave's region, node or room overlaps it.
Unjudged: the connection was lost while leaving (nobody was there to answer), or the load ended first.
Inconclusive: nothing was judged, or the record breaks off inside the leave. Source: `docs/checks.md`.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.excuse import excused
from chaos.verdict.findings import Check, CheckFindings, Violation, felt, sight
from chaos.verdict.history import NS
from chaos.verdict.reentry_words import identity_refusal

if TYPE_CHECKING:
    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


_STUCK = ("timeout", "refused")
"""What the load says of a leave that was not granted on a live connection."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every leave, and the way back of those who left."""
    found = CheckFindings()
    left: dict[str, Event] = {}
    last_of: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for op in history.of("leave"):
        _judge(history, bounds, op, found)
        if op.outcome == "ok" and op.end is not None:
            left[op.session] = op.end
            last_of[op.begin.user, op.begin.key].append(op.end)
    for event in history.facts.get("heard", ()):
        if event.session in left and event.t_ns > left[event.session].t_ns:
            found.judged += 1
            found.violations.append(_after(event, left[event.session]))
    for op in history.of("rejoin"):
        before = [end for end in last_of.get((op.begin.user, op.begin.key), ()) if end.t_ns <= op.begin.t_ns]
        if before and isinstance(op.begin.value, dict) and op.begin.value.get("after") == "leave":
            found.judged += 1
            if identity_refusal(op):
                found.violations.append(_barred(history, op, before[-1]))
    return found


def _after(event: Event, end: Event) -> Violation:
    user = words.who(event)
    story = (
        (end.t_ns, f"{user} was told that it had left"),
        (event.t_ns, f"{user} still got a message of {event.key}"),
    )
    return Violation(event.t_ns, f"{user} got a message after it had left {event.key}", story, (felt(event, end.t_ns),))


def _barred(history: History, op: Op, left: Event) -> Violation:
    user, room = words.who(op.begin), op.begin.key
    story = [
        (left.t_ns, f"{words.who(left)} left {room} and was answered{words.by(left.node)}"),
        (op.begin.t_ns, f"{user} wants to be in {room} again"),
    ]
    if op.end:
        story.append((op.end.t_ns, f"{user}: {op.error}{words.by(op.end.node)}"))
    says = f"{user} left {room}, was answered, and is kept out: {op.error}"
    return Violation(op.begin.t_ns, says, tuple(story), (sight(history, op),))


def _judge(history: History, bounds: Bounds, op: Op, found: CheckFindings) -> None:
    waited = history.seen_until(op) - op.begin.t_ns
    late = waited > bounds.leave_s * NS
    if op.outcome == "ok" and not late:
        found.judged += 1
    elif (
        op.cut_short
        or op.outcome == "fail"
        or (op.outcome == "info" and not op.error.startswith(("timeout", "refused")))
    ):
        found.unjudged += 1
    elif excused(history, bounds, op):
        found.excused += 1
    elif op.outcome == "open" and not late:
        found.inconclusive += 1
        found.because("the record breaks off inside a leave")
    else:
        found.judged += 1
        found.violations.append(_stuck(history, bounds, op, waited))


def _stuck(history: History, bounds: Bounds, op: Op, waited: int) -> Violation:
    user, room = words.who(op.begin), op.begin.key
    until = op.begin.t_ns + waited
    story = [
        (op.begin.t_ns, f"{user} asked to leave {room}{words.via(op.begin.region)}"),
        *words.fault_story(history, op.begin.t_ns, until),
        (until, f"{user}: {words.result(op)} after {waited / NS:.1f} s{words.answer(op)}"),
    ]
    refused = "was refused" if op.error.startswith("refused") else "was not answered"
    how = "was answered late" if op.outcome == "ok" else refused
    says = (
        f"{user} asked to leave {room} at {words.at(history, op.begin.t_ns)} and {how}: "
        f"{waited / NS:.1f} s (bound {bounds.leave_s:g} s)"
    )
    return Violation(op.begin.t_ns, says, tuple(story), seen_by=(sight(history, op),))


check = Check("M5", "every leave works", "leaves.stuck", run, lambda load: load.participants > 0)
