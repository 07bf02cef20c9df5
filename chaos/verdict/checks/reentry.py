"""M6, re-entry: who left, vanished or was dropped gets in again, as a fresh user does at the same moment.

Each rejoin has a twin: a fresh user's join to the same room, through the same region, at the same moment.
Violation, never excused: a rejoin refused because the user is believed to be there already ("already-in",
"duplicate", ...): no overload says so. Violation too: a rejoin that fails in any other way while its twin gets in,
  - outside every fault ... heal + grace, where one such pair is enough (both asked at the same time), or
  - inside, where a fault that sets in between the two can part them by chance: there the pairs that fell apart are
    weighed together, and only an excess that chance gives in less than 1 of 100 runs is a violation (McNemar's exact
    one-sided test, 1947: 7 against none the other way round).
Both failing is overload: M1 and the SLOs judge that. Unjudged: both failed, no twin was planned, the load ended.
Inconclusive: the planned twin's outcome is not in the record. Source: `docs/checks.md`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chaos.model.event import Phase
from chaos.verdict import words
from chaos.verdict.excuse import quiet
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.reentry_words import identity_refusal
from chaos.verdict.stats import exceedance

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

BY_CHANCE = 0.01


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every rejoin against its twin."""
    found = CheckFindings()
    twins = {_pair(op): op for op in history.of("join") if _pair(op) is not None and _value(op).get("twin")}
    parted: list[Violation] = []
    other_way = 0
    for op in history.of("rejoin"):
        twin = twins.get(_pair(op))
        if op.outcome == "ok":
            found.judged += 1
            other_way += twin is not None and twin.outcome in {"fail", "info"} and not twin.cut_short
        elif identity_refusal(op):
            found.judged += 1
            found.violations.append(_violation(history, op, twin))
        elif _tells_nothing(history, op, twin):
            found.unjudged += 1
        elif twin is None or twin.outcome == "open":
            found.inconclusive += 1
            found.because(f"the twin of {words.who(op.begin)} is not in the record")
        elif quiet(history, bounds, min(op.start_ns, twin.start_ns), _end(history, op, twin)) and _together(op, twin):
            found.judged += 1
            found.violations.append(_violation(history, op, twin))
        else:
            found.judged += 1
            parted.append(_violation(history, op, twin))
    _weigh(found, parted, other_way)
    return found


def _weigh(found: CheckFindings, parted: list[Violation], other_way: int) -> None:
    found.figures.update(rejoin_failed_alone=len(parted), twin_failed_alone=other_way)
    if not parted:
        return
    chance = exceedance(len(parted), len(parted) + other_way)
    if chance <= BY_CHANCE:
        found.violations.extend(parted)
    else:
        found.because(
            f"under faults {len(parted)} rejoins failed while their twins got in, {other_way} the other way round: "
            f"chance alone does that in {100 * chance:.0f} of 100 runs"
        )


def _value(op: Op) -> dict[str, Any]:
    return op.begin.value if isinstance(op.begin.value, dict) else {}


def _pair(op: Op) -> tuple[str, str] | None:
    pair = _value(op).get("pair")
    return None if pair is None else (op.begin.key, str(pair))


def _tells_nothing(history: History, op: Op, twin: Op | None) -> bool:
    if op.cut_short or op.outcome == "open" or _pair(op) is None:
        return True
    if twin is None and history.phase_at(history.seen_until(op)) in {Phase.FINAL, Phase.END}:
        return True  # the load ended before the twin came
    return twin is not None and (twin.cut_short or twin.outcome in {"fail", "info"})


def _end(history: History, *ops: Op) -> int:
    return max(history.seen_until(op) for op in ops)


def _together(op: Op, twin: Op) -> bool:
    return (
        op.end is not None
        and twin.end is not None
        and max(op.start_ns, twin.start_ns) <= min(op.end.t_ns, twin.end.t_ns)
    )


def _violation(history: History, op: Op, twin: Op | None) -> Violation:
    user, room, begin = words.who(op.begin), op.begin.key, op.begin
    after = {"leave": "left", "vanish": "vanished from", "dropped": "was dropped from"}.get(
        str(_value(op).get("after")), "was in"
    )
    end_ns = _end(history, op)
    story = [
        (begin.t_ns, f"{user}, who {after} {room}, wants in again{words.via(begin.region)}"),
        *words.fault_story(history, begin.t_ns, end_ns),
        (end_ns, f"{user}: {words.result(op)}{words.answer(op)}"),
    ]
    says = f"{user} {after} {room} and does not get in again ({words.result(op)})"
    if twin is not None and twin.outcome == "ok" and twin.end is not None:
        fresh = words.who(twin.begin)
        story += [
            (twin.begin.t_ns, f"{fresh}, a fresh user, wants into {room}{words.via(twin.begin.region)}"),
            (twin.end.t_ns, f"{fresh} is in{words.by(twin.end.node)}"),
        ]
        says += f", while a fresh user, {twin.begin.user}, does"
    seen_by = tuple(sight(history, one) for one in (op, twin) if one is not None)
    return Violation(begin.t_ns, says, tuple(story), seen_by)


check = Check(
    "M6", "everybody gets in again", "reentry.refused", run, lambda load: load.participants > 0 and load.rejoin > 0
)
