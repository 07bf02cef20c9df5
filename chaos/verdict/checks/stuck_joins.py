"""M1, admission: a wish to come in is answered; the share that is answered in time is an SLO, hanging is a violation.

Invariant: by three join deadlines after its intended time a join or rejoin is ok or refused. Most users give up or
try anew before that; the load has patient ones who do not.
Violation (a stuck join): it is neither by then, on one live socket: its user waited that long and was told nothing,
and the connection was not lost. One that got in later than that at its first attempt was stuck all the same.
Excused: a fault that reaches its region, node or room overlaps it (its socket was then not proved alive).
Unjudged: the user gave up earlier, lost the connection, tried more than once, or the record ends earlier.
Inconclusive: nothing was judged. Source: `docs/checks.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.excuse import excused
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

DEADLINES = 3


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every join and rejoin."""
    found = CheckFindings()
    limit = int(DEADLINES * bounds.join_s * NS)
    for op in history.of("join", "rejoin", "patient_join"):
        answered = op.outcome in {"ok", "fail"}
        waited = history.seen_until(op) - op.start_ns
        if answered and waited <= limit:
            found.judged += 1
        elif waited <= limit or "lost" in op.error or _attempts(op) > 1:
            found.unjudged += 1
        elif excused(history, bounds, op):
            found.excused += 1
        else:
            found.judged += 1
            found.violations.append(_violation(history, op, waited))
    return found


def _attempts(op: Op) -> int:
    value = op.end.value if op.end else None
    attempts = value.get("attempts", 1) if isinstance(value, dict) else 1
    return attempts if isinstance(attempts, int) else 1


def _violation(history: History, op: Op, waited: int) -> Violation:
    user, room = words.who(op.begin), op.begin.key
    until = op.start_ns + waited
    story = [
        (op.start_ns, f"{user} wanted to be in {room}{words.via(op.begin.region)}"),
        (op.begin.t_ns, f"{user} asked to join"),
        *words.fault_story(history, op.start_ns, until),
        (until, f"{user}: {words.result(op)} after {waited / NS:.1f} s"),
    ]
    says = f"{user} waited {waited / NS:.1f} s to join {room} and was neither let in nor refused"
    return Violation(op.start_ns, says, tuple(story), (sight(history, op),))


check = Check("M1", "no join hangs", "joins.stuck", run, lambda load: load.participants > 0)
