"""D10, no presence ghost: who closed a document, or vanished from it, is not shown in it after the bound.

Invariant: no observer's look that was asked for later than close + `clean_ghost_s`, or than a socket cut without a word
+ `unclean_ghost_s`, is shown the session as present (awareness).
Judged are the fresh readers (every other one goes without a word) and the sessions of editors that came back as a new
one. Violation: such a look shows it. Excused: a fault that reaches the session, the document or the observer overlaps
the span from the end to the bound, or the look.
Inconclusive: a planned look after the bound did not come. Unjudged: none was planned.
Moot: the backend shows no presence. Source: y-protocols (awareness: a state that is not renewed is dropped).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.excuse import excused
from chaos.verdict.findings import Check, CheckFindings, Violation, felt, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _Gone(NamedTuple):
    """A session that will not come back."""

    event: Event
    polite: bool


class _Looks:
    """The looks at one document that no fault touched, in order, and when each session was shown."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.gaps: list[int] = []
        self.harmed: list[int] = []
        self.shown: dict[str, list[tuple[int, Op]]] = {}

    def add(self, look: Op, *, harmed: bool) -> None:
        t_ns = look.begin.t_ns
        present = _present(look)
        if harmed:
            self.harmed.append(t_ns)
        elif present is None:
            self.gaps.append(t_ns)
        else:
            self.times.append(t_ns)
            for session in present:
                self.shown.setdefault(session, []).append((t_ns, look))


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every session that ended for good against the looks at its document."""
    found = CheckFindings()
    documents: dict[str, _Looks] = {}
    came = 0
    for look in history.of("tokens"):
        if not look.cut_short:
            came += look.outcome == "obs"
            harmed = look.outcome != "open" and excused(history, bounds, look)
            documents.setdefault(look.begin.key, _Looks()).add(look, harmed=harmed)
    if came and not any(looks.times or looks.harmed for looks in documents.values()):
        found.moot = "the backend shows no presence"
        return found
    if lost := sum(op.outcome == "open" for op in history.of("reread")):
        found.inconclusive += lost
        found.because(f"{lost} fresh reads have no end in the record")
    for gone in _ended(history):
        _judge(history, bounds, gone, documents.get(gone.event.key, _Looks()), found)
    if found.unjudged:
        found.because(f"{found.unjudged} sessions ended too late for a look after the bound")
    return found


def _present(look: Op) -> list[str] | None:
    value = look.end.value if look.outcome == "obs" and look.end is not None else None
    present = value.get("present") if isinstance(value, dict) else None
    return [str(one) for one in present] if isinstance(present, list) else None


def _ended(history: History) -> Iterator[_Gone]:
    for op in history.of("reread"):
        if op.outcome == "obs" and op.end is not None and isinstance(op.end.value, dict):
            yield _Gone(op.end, op.end.value.get("polite") is True)
    dropped: dict[str, list[Event]] = {}
    for event in history.facts.get("dropped", ()):
        dropped.setdefault(event.user, []).append(event)
    for event in history.facts.get("refreshed", ()):
        before = [one for one in dropped.get(event.user, ()) if one.t_ns <= event.t_ns and one.session != event.session]
        if before:
            yield _Gone(before[-1], polite=False)


def _judge(history: History, bounds: Bounds, gone: _Gone, looks: _Looks, found: CheckFindings) -> None:
    event = gone.event
    bound_s = bounds.clean_ghost_s if gone.polite else bounds.unclean_ghost_s
    due = event.t_ns + int(bound_s * NS)
    after = len(looks.times) - bisect_right(looks.times, due)
    gaps = len(looks.gaps) - bisect_right(looks.gaps, due)
    if not after and not gaps:
        harmed = len(looks.harmed) > bisect_right(looks.harmed, due)
        found.excused += harmed
        found.unjudged += not harmed
    elif _harmed(history, bounds, event, due):
        found.excused += 1
    elif late := [look for t_ns, look in looks.shown.get(event.session, ()) if t_ns > due]:
        found.judged += 1
        found.violations.append(_violation(history, gone, late[0], bound_s))
    elif gaps:
        found.inconclusive += 1
        found.because(f"{event.key}: a look after {words.at(history, due)} did not come")
    else:
        found.judged += 1


def _harmed(history: History, bounds: Bounds, event: Event, due: int) -> bool:
    nodes = (event.node,) if event.node else ()
    return any(
        fault.harms(event.t_ns, due, bounds.grace_s) and fault.reaches(region=event.region, nodes=nodes, key=event.key)
        for fault in history.faults
    )


def _violation(history: History, gone: _Gone, look: Op, bound_s: float) -> Violation:
    event = gone.event
    how = "closed it" if gone.polite else "vanished (socket cut, no word)"
    if event.f == "dropped":
        how = "was cut off and came back as a new session"
    user = words.who(event)
    late_s = (look.begin.t_ns - event.t_ns) / NS
    story = [
        (event.t_ns, f"{user}, who had {event.key} open{words.via(event.region)}, {how}"),
        *words.fault_story(history, event.t_ns, look.begin.t_ns),
        (look.begin.t_ns, f"observer {look.session} asks who is in {event.key}{words.via(look.begin.region)}"),
        (history.seen_until(look), f"{event.session} is shown as present{words.answer(look)}"),
    ]
    says = (
        f"{user} had {event.key} open and {how} at {words.at(history, event.t_ns)}; it is still shown as present "
        f"{late_s:.1f} s later (bound {bound_s:g} s)"
    )
    return Violation(event.t_ns, says, tuple(story), (felt(event), sight(history, look)))


check = Check("D10", "no ghost is shown in a document", "presence.ghosts", run, lambda load: load.editors > 0)
