"""D3, convergence: once healed and quiet, everybody's view of a document is the same, and a fresh reader's too.

Invariant: from `convergence_s` after the later of "last edit settled" (the document's `quiet`) and the last heal, all
views (stayed, reconnected, refreshed, observers, fresh) are equal, and every cold read equals them.
Violation: two views that were both asked for after that bound differ; or a cold read differs from what all views had
already agreed on, or, asked for after the bound, from any of them. Never excused: the clock starts after the heal.
Inconclusive: no view at all, a planned view or cold read is missing where it could matter, a fault was never off, or
the views differed and nobody looked after the bound. Source: strong eventual consistency (Shapiro et al., 2011).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.documents import cold_tokens, digest, documents
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _View(NamedTuple):
    op: Op
    begin_ns: int
    end_ns: int
    client: str
    """The user whose copy it is: it may change its session while it comes back."""
    who: str
    sha: str | None
    """None: the planned view did not come."""


@dataclass(frozen=True, slots=True)
class _Rest:
    """A document at rest: when its clock began and its bound was due, and who saw what."""

    key: str
    clock: int
    due: int
    views: list[_View]
    cold: list[_View]
    settled: int | None


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every document that was edited or that the load let come to rest."""
    found = CheckFindings()
    views: dict[str, list[_View]] = {}
    for op in history.of("view"):
        views.setdefault(op.begin.key, []).append(_view(history, op))
    quiet = {event.key: event.t_ns for event in history.facts.get("quiet", ())}
    slowest = 0.0
    for document in documents(history).values():
        clock = _clock(history, quiet.get(document.key))
        if clock is None and not document.edits and document.key not in quiet:
            found.unjudged += 1
            continue
        if clock is None:
            found.inconclusive += 1
            found.because(f"{document.key} never came to rest, or a fault was never off")
            continue
        seen, cold = views.get(document.key, []), [_cold(history, read) for read in document.cold]
        settled = _settled(seen)
        due = clock + int(bounds.convergence_s * NS)
        _judge(history, _Rest(document.key, clock, due, seen, cold, settled), found)
        slowest = max(slowest, float("inf") if settled is None else max(0.0, (settled - clock) / NS))
    if found.judged:
        found.figures["convergence_s"] = slowest
    return found


def _clock(history: History, quiet_ns: int | None) -> int | None:
    healed = history.healed_ns
    return None if quiet_ns is None or healed is None else max(quiet_ns, healed)


def _view(history: History, op: Op) -> _View:
    value = op.end.value if op.end and op.outcome == "obs" and isinstance(op.end.value, dict) else {}
    sha = value.get("sha")
    kind = value.get("kind", "viewer")
    who = f"{op.session} ({kind}{words.via(op.begin.region)})"
    known = sha if isinstance(sha, str) else None
    return _View(op, op.begin.t_ns, history.seen_until(op), op.begin.user or op.session, who, known)


def _cold(history: History, read: Op) -> _View:
    tokens = cold_tokens(read)
    who = f"a cold reader{words.via(read.begin.region)}"
    known = None if tokens is None else digest(tokens)
    return _View(read, read.begin.t_ns, history.seen_until(read), "", who, known)


def _settled(views: list[_View]) -> int | None:
    """When all views had last come to agree, for certain; None: never. A missing view agrees with none."""
    first: dict[str, int] = {}
    for view in views:
        first[view.client] = min(first.get(view.client, view.begin_ns), view.begin_ns)
    steps: list[tuple[int, int, str, str | None]] = [(t_ns, 0, name, None) for name, t_ns in first.items()]
    steps += [(view.end_ns, 1, view.client, view.sha) for view in views]
    state: dict[str, str | None] = {}
    count: Counter[str | None] = Counter()
    since: int | None = None
    for t_ns, _, name, sha in sorted(steps, key=lambda step: step[:3]):
        if name in state:
            count[state[name]] -= 1
        state[name] = sha
        count[sha] += 1
        agreed = sha is not None and count[sha] == len(state)
        since = (t_ns if since is None else since) if agreed else None
    return since


def _judge(history: History, rest: _Rest, found: CheckFindings) -> None:
    pair = _differing(rest)
    if pair is not None:
        found.judged += 1
        found.violations.append(_violation(history, rest, pair))
        return
    reason = _doubt(rest)
    if reason:
        found.inconclusive += 1
        found.because(f"{rest.key}: {reason}")
    else:
        found.judged += 1


def _differing(rest: _Rest) -> tuple[_View, _View] | None:
    late = [view for view in [*rest.views, *rest.cold] if view.sha is not None and view.begin_ns >= rest.due]
    for view in late[1:]:
        if view.sha != late[0].sha:
            return late[0], view
    if rest.settled is not None:
        final = max(rest.views, key=lambda view: view.end_ns)
        for read in rest.cold:
            if read.sha is not None and read.begin_ns >= rest.settled and read.sha != final.sha:
                return final, read
    return None


def _doubt(rest: _Rest) -> str:
    if not rest.views:
        return "nobody looked once it was quiet"
    if not rest.cold or any(read.sha is None for read in rest.cold):
        return "a cold read did not come"
    if rest.settled is None:
        return "the views differ or are missing, and too few were asked for after the bound"
    if rest.settled > rest.due:
        return "the views came to agree around the bound"
    final = max(rest.views, key=lambda view: view.end_ns)
    return "a cold read differs, made too early to judge" if any(read.sha != final.sha for read in rest.cold) else ""


def _violation(history: History, rest: _Rest, pair: tuple[_View, _View]) -> Violation:
    one, other = sorted(pair, key=lambda view: view[1:])
    story = [
        *words.fault_story(history, history.t0_ns, rest.clock),
        (rest.clock, f"{rest.key} is healed and quiet: no edit is on its way"),
        *[(view.end_ns, f"{view.who} sees {view.sha}") for view in (one, other)],
    ]
    says = (
        f"{rest.key} still differs {(other.begin_ns - rest.clock) / NS:.1f} s after heal and quiet: "
        f"{one.who} and {other.who} do not see the same"
    )
    return Violation(rest.clock, says, tuple(story), (sight(history, one.op), sight(history, other.op)))


check = Check("D3", "every document converges", "documents.diverged", run, lambda load: load.editors > 0)
