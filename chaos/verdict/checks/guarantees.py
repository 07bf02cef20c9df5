"""D9, session guarantees: nobody's own edits, and nothing that he has seen, is missing when he looks again.

Invariants: (1) read your writes: a fresh read by an editor holds all his acknowledged edits; (2) monotonic reads: it
also holds all that his open copy had from others before, and an observer that comes back sees all that it saw before;
(3) monotonic writes and writes follow reads: whoever sees an edit also sees the writer's acknowledged edits before it,
and what the writer had last seen of others when he wrote it.
Violation: a token is missing there and was not deleted. Never excused: these promises know no time.
Inconclusive: a fresh read did not come, or an observer's look did not, and no fault explains why.
Unjudged: a fresh read that a fault kept from coming, and one through an entry that is nobody's own.
Source: Terry et al., Session guarantees for weakly consistent replicated data (PDIS 1994).
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.documents import Document, Looks, documents, is_acknowledged
from chaos.verdict.excuse import blind, excused
from chaos.verdict.findings import Check, CheckFindings, Violation, sight

if TYPE_CHECKING:
    from collections.abc import Collection

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

_LONGEST = 3
"""So many missing tokens are named."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every fresh read of an editor, every return of an observer, and every edit that an observer saw."""
    found = CheckFindings()
    counts: Counter[str] = Counter()
    for document in documents(history, looks=True).values():
        for chain in document.fresh.values():
            for read in chain.looks:
                _judge_read(history, bounds, document, read, found, counts)
        _judge_observers(history, document, found, counts)
        if document.edits and blind(history, bounds, document):
            found.inconclusive += 1
            found.because(f"{document.key}: an observer's look did not come")
    found.figures |= dict(sorted(counts.items()))
    return found


def _judge_read(
    history: History, bounds: Bounds, document: Document, read: Op, found: CheckFindings, counts: Counter[str]
) -> None:
    if read.outcome != "obs" or read.end is None or not isinstance(read.end.value, dict):
        if read.outcome == "gap" and excused(history, bounds, read):
            found.excused += 1
        else:
            found.inconclusive += 1
            found.because(f"{document.key}: a fresh read at {words.at(history, read.begin.t_ns)} did not come")
        return
    lacks = read.end.value.get("lacks")
    if not isinstance(lacks, list):
        found.unjudged += 1
        return
    found.judged += 1
    counts["fresh_reads"] += 1
    own, seen = [], []
    for token in (str(one) for one in lacks):
        op = document.edits.get(token)
        if document.deleted_by(token, read.end.t_ns):
            continue
        if op is None or op.begin.user != read.begin.user:
            seen.append(token)
        elif is_acknowledged(op) and op.end is not None and op.end.t_ns < read.begin.t_ns:
            own.append(token)
    who = f"user {read.begin.user}, reading {document.key} afresh{words.via(read.begin.region)}"
    if own:
        says = f"{who}, does not find his own acknowledged {_some(own)}"
        found.violations.append(_violation(history, document, own[0], read, says))
    elif seen:
        says = f"{who}, does not find {_some(seen)}, which his open copy had from others"
        found.violations.append(_violation(history, document, seen[0], read, says))


def _judge_observers(history: History, document: Document, found: CheckFindings, counts: Counter[str]) -> None:
    before = _predecessors(document)
    last: dict[str, set[str]] = {}
    chains = sorted((chain for chain in document.observers.values() if chain.steps), key=_begun)
    for chain in chains:
        known = last.get(chain.user)
        there = _walk(history, document, chain, before, found, counts)
        first = set(chain.steps[0].inserted)
        if known is not None:
            found.judged += 1
            counts["returns"] += 1
            back_ns = history.seen_until(chain.steps[0].look)
            missing = sorted(token for token in known - first if not document.deleted_by(token, back_ns))
            if missing:
                says = f"observer {chain.user} came back to {document.key} and no longer sees {_some(missing)}"
                found.violations.append(_violation(history, document, missing[0], chain.steps[0].look, says))
        last[chain.user] = there


def _begun(chain: Looks) -> tuple[int, str]:
    return chain.looks[0].begin.t_ns, chain.session


def _walk(
    history: History,
    document: Document,
    chain: Looks,
    before: dict[str, tuple[str, ...]],
    found: CheckFindings,
    counts: Counter[str],
) -> set[str]:
    """What the observer saw last; each edit that it saw is held against what goes before it."""
    there: set[str] = set()
    for step in chain.steps:
        there.difference_update(step.removed)
        there.update(step.inserted)
        seen_ns = history.seen_until(step.look)
        for token in step.inserted:
            earlier = before.get(token, ())
            found.judged += bool(earlier)
            counts["edits_with_a_past"] += bool(earlier)
            missing = [one for one in earlier if one not in there and not document.deleted_by(one, seen_ns)]
            if missing:
                says = (
                    f"observer {chain.session} sees {token} in {document.key}, and not {missing[0]}, "
                    "which its writer had written or seen before"
                )
                found.violations.append(_violation(history, document, missing[0], step.look, says, token))
                return there
    return there


def _predecessors(document: Document) -> dict[str, tuple[str, ...]]:
    """Per edit: the session's own last acknowledged one before it, and what its writer had last seen of others."""
    sessions: dict[str, list[Op]] = {}
    for op in document.edits.values():
        if op.begin.f == "edit":
            sessions.setdefault(op.begin.session, []).append(op)
    before: dict[str, tuple[str, ...]] = {}
    for ops in sessions.values():
        acked = sorted((op.end.t_ns, str(op.begin.value)) for op in ops if is_acknowledged(op) and op.end is not None)
        at = 0
        for op in sorted(ops, key=lambda one: one.begin.t_ns):
            while at < len(acked) and acked[at][0] < op.begin.t_ns:
                at += 1
            own = acked[at - 1][1] if at else ""
            value = op.end.value if op.end is not None else None
            seen = str(value.get("seen", "")) if isinstance(value, dict) else ""
            before[str(op.begin.value)] = tuple(one for one in (own, seen) if one)
    return before


def _some(tokens: Collection[str]) -> str:
    shown = list(tokens)[:_LONGEST]
    return ", ".join(shown) + (f" and {len(tokens) - len(shown)} more" if len(tokens) > len(shown) else "")


def _violation(history: History, document: Document, token: str, read: Op, says: str, later: str = "") -> Violation:
    story: list[tuple[int, str]] = []
    for one in (token, later):
        op = document.edits.get(one)
        if op is not None:
            story.append((op.begin.t_ns, f"{words.who(op.begin)} wrote {one} into {document.key}"))
            if op.end is not None:
                story.append((op.end.t_ns, f"{words.who(op.begin)}: {words.result(op)}{words.by(op.end.node)}"))
    since = min((t_ns for t_ns, _ in story), default=read.begin.t_ns)
    story += words.fault_story(history, since, read.begin.t_ns)
    story += [
        (read.begin.t_ns, f"{words.who(read.begin)} looks at {document.key}{words.via(read.begin.region)}"),
        (history.seen_until(read), f"{token} is not there{words.answer(read)}"),
    ]
    return Violation(since, f"{says} ({words.at(history, read.begin.t_ns)})", tuple(story), (sight(history, read),))


check = Check("D9", "nobody's reads go back", "sessions.broken", run, lambda load: load.editors > 0)
