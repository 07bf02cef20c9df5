"""D8, offline merge: what was written offline gets to everybody by itself once the editor is back and idle.

Invariant: an editor goes offline, writes k tokens, comes back and stays idle: within `convergence_s` all k are seen by
the document's observers (or acknowledged: then D1 watches over them), without a further keystroke to push them.
Violation: an observer's look that was asked for after the bound, while the editor still idled, lacks one of them; or
one was neither seen nor acknowledged, its editor kept its copy, and a cold read at the end does not have it.
Excused (the timing, never the loss): a fault that reaches the editor or the document overlaps offline ... bound.
Unjudged: the editor did not come back, wrote nothing, threw its copy away, or its idling ended before the bound.
Inconclusive: a look that could have shown the lack did not come, or nothing at all shows the tokens.
Source: `docs/checks.md` (issue reports of providers that re-send only with the next edit).
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaos.verdict import words
from chaos.verdict.documents import Document, cold_tokens, documents
from chaos.verdict.findings import Check, CheckFindings, Sight, Violation, sight
from chaos.verdict.history import NS, Op

if TYPE_CHECKING:
    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History

_CUTS = ("dropped", "refreshed", "vanish", "offline")


@dataclass(slots=True)
class _Group:
    """One time offline of one editor."""

    offline: Event
    edits: list[Op] = field(default_factory=list)
    online: Event | None = None
    idle_end_ns: int | None = None

    @property
    def tokens(self) -> list[str]:
        return [str(op.begin.value) for op in self.edits]


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every time that an editor was offline."""
    found = CheckFindings()
    known = documents(history, looks=True)
    cuts = _cuts(history)
    for group in _groups(history):
        key = group.edits[0].begin.key if group.edits else group.offline.key
        _judge(history, bounds, group, known.get(key, Document(key)), cuts, found)
    return found


def _groups(history: History) -> list[_Group]:
    steps: list[tuple[int, int, str, Any]] = []
    for order, f in enumerate(("offline", "offline_edit", "online", "idle_end")):
        events = history.ops.get(f, ()) if f == "offline_edit" else history.facts.get(f, ())
        for item in events:
            event = item.begin if isinstance(item, Op) else item
            steps.append((event.t_ns, order, event.user, item))
    current: dict[str, _Group] = {}
    groups = []
    for t_ns, order, user, item in sorted(steps, key=lambda step: step[:3]):
        if order == 0:
            current[user] = _Group(item)
            groups.append(current[user])
        elif user in current:
            group = current[user]
            if order == 1:
                group.edits.append(item)
            elif order == 2:  # noqa: PLR2004 - the third of the four functions above
                group.online = group.online or item
            elif group.idle_end_ns is None:
                group.idle_end_ns = t_ns
    return groups


def _cuts(history: History) -> dict[tuple[str, str], list[int]]:
    cuts: dict[tuple[str, str], list[int]] = {}
    for f in _CUTS:
        for event in history.facts.get(f, ()):
            cuts.setdefault((f, event.user), []).append(event.t_ns)
    return cuts


def _judge(
    history: History,
    bounds: Bounds,
    group: _Group,
    document: Document,
    cuts: dict[tuple[str, str], list[int]],
    found: CheckFindings,
) -> None:
    user, online = group.offline.user, group.online
    refreshed = _next(cuts.get(("refreshed", user)), group.offline.t_ns)
    if online is None or not group.edits or refreshed <= online.t_ns:
        found.unjudged += 1
        return
    due = online.t_ns + int(bounds.convergence_s * NS)
    lost = _lost(group, document, min(_next(cuts.get((f, user)), online.t_ns) for f in ("dropped", "refreshed")))
    if lost is not None:
        found.judged += 1
        found.violations.append(_violation(history, group, document, *lost, due, how="a cold reader"))
        return
    if _excused(history, bounds, group, due):
        found.excused += 1
        return
    stop = group.idle_end_ns or history.end_ns
    until = min(stop, *(_next(cuts.get((f, user)), online.t_ns) for f in _CUTS))
    _judge_idle(history, group, document, due, until, found, early=until < due)


def _judge_idle(
    history: History, group: _Group, document: Document, due: int, until: float, found: CheckFindings, *, early: bool
) -> None:
    missing: list[str] = []
    for token in group.tokens:
        lacking = _lacking(document, token, due, until)
        if lacking is not None:
            found.judged += 1
            found.violations.append(_violation(history, group, document, token, lacking, due, how="an observer"))
            return
        if not _arrived(document, token, until):
            missing.append(token)
    gap = any(due < op.begin.t_ns < until for seen in document.observers.values() for op in seen.gaps)
    broken = any(seen.broken_ns is not None and seen.broken_ns < until for seen in document.observers.values())
    if early and missing:
        found.unjudged += 1
    elif gap or broken or missing:
        found.inconclusive += 1
        what = f"nothing shows {missing[0]} before the idling ended" if missing else "an observer's look did not come"
        found.because(f"{document.key}: {what}")
    else:
        found.judged += 1


def _next(times: list[int] | None, after: int) -> float:
    at = bisect_left(times, after) if times else 0
    return times[at] if times and at < len(times) else float("inf")


def _lost(group: _Group, document: Document, cut: float) -> tuple[str, Op] | None:
    """A token that never got anywhere although its editor kept its copy to the end."""
    if cut < float("inf"):
        return None
    for op in group.edits:
        token = str(op.begin.value)
        if op.outcome == "ok" or any(token in seen.added for seen in document.observers.values()):
            continue
        for read in document.cold:
            tokens = cold_tokens(read)
            if tokens is not None and token not in tokens:
                return token, read
    return None


def _lacking(document: Document, token: str, due: int, until: float) -> Op | None:
    """A look after the bound, while the editor idled, that does not have the token."""
    for seen in document.observers.values():
        first = seen.added.get(token)
        for look in seen.looks:
            if look.outcome != "obs" or look.end is None or not due < look.begin.t_ns < until:
                continue
            unbroken = seen.broken_ns is None or look.begin.t_ns < seen.broken_ns
            if unbroken and (first is None or look.end.t_ns < first.t_ns):
                return look
    return None


def _arrived(document: Document, token: str, until: float) -> bool:
    op = document.edits.get(token)
    if op is not None and op.outcome == "ok" and op.end is not None and op.end.t_ns <= until:
        return True
    first = [seen.added[token].t_ns for seen in document.observers.values() if token in seen.added]
    return min(first, default=float("inf")) <= until


def _excused(history: History, bounds: Bounds, group: _Group, due: int) -> bool:
    nodes = {node for op in group.edits for node in op.nodes}
    region = group.offline.region or group.edits[0].begin.region
    return any(
        fault.harms(group.offline.t_ns, due, bounds.grace_s)
        and fault.reaches(region=region, nodes=nodes, key=group.edits[0].begin.key)
        for fault in history.faults
    )


def _violation(
    history: History, group: _Group, document: Document, token: str, look: Op, due: int, *, how: str
) -> Violation:
    user = f"user {group.offline.user}"
    online_ns = group.online.t_ns if group.online else group.offline.t_ns
    edit = next(op for op in group.edits if str(op.begin.value) == token)
    reader = f"{how}{words.via(look.begin.region)}"
    story = [
        (group.offline.t_ns, f"{user} went offline with {document.key} open"),
        (edit.begin.t_ns, f"{user} wrote {token}, one of {len(group.edits)} edits made offline"),
        (online_ns, f"{user} came back and stayed idle"),
        *words.fault_story(history, group.offline.t_ns, look.begin.t_ns),
        (history.seen_until(look), f"{reader} looks and does not have {token}"),
    ]
    says = (
        f"{user} wrote {token} offline and came back at {words.at(history, online_ns)}; "
        f"{reader} at {words.at(history, look.begin.t_ns)} does not have it"
    )
    editor = Sight(edit.begin.worker, edit.session, online_ns, due)
    seen_by = (editor, sight(history, look))
    return Violation(group.offline.t_ns, says, tuple(story), seen_by)


check = Check(
    "D8",
    "offline edits merge by themselves",
    "offline.lost",
    run,
    lambda load: load.editors > 0 and load.offline > 0,
)
