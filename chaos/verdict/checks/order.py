"""D7, order: two tokens that are seen together keep their order, and a user's own run keeps its own.

Invariant: whenever two reads of a document both hold a and b, both show them in the same order (the weak list
specification); and what one session wrote after an earlier edit of its own had been acknowledged stands behind it.
Violation: two reads that show a pair in opposite orders, or a read that shows an own run turned round. Never excused.
The last cold read is what all other reads are held against, pair by pair; tokens that it lacks (deleted, or lost) are
held against the look before of the same session. A token that is there after its delete is D6's.
Inconclusive: a cold read did not come; an observer's look did not, and no fault explains why; there was one read only.
Source: Attiya et al., Specification and complexity of collaborative text editing (PODC 2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.documents import Document, Looks, Step, documents, is_acknowledged
from chaos.verdict.excuse import blind
from chaos.verdict.findings import Check, CheckFindings, Violation, sight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _Turned(NamedTuple):
    """A pair that one read shows as (a, b) and the other as (b, a); `other` None: a was to stand before b."""

    a: str
    b: str
    read: Op
    other: Op | None


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge the order in every document."""
    found = CheckFindings()
    for document in documents(history, looks=True).values():
        reads = list(document.lists())
        if reads:
            _judge(history, document, reads, found)
        if document.edits and (document.starved() or blind(history, bounds, document)):
            found.inconclusive += 1
            what = "a cold read" if document.starved() else "an observer's look"
            found.because(f"{document.key}: {what} did not come")
    return found


def _judge(history: History, document: Document, reads: list[tuple[Op, list[str]]], found: CheckFindings) -> None:
    last, tokens = max(reads, key=lambda pair: pair[0].begin.t_ns)
    rank = {token: at for at, token in enumerate(tokens) if token not in document.deleted}
    turned = [pair for read, other in reads if read is not last and (pair := _against(rank, other, read, last))]
    chains = [chain for chain in document.chains() if chain.steps]
    turned += [pair for chain in chains if (pair := _in_chain(document, rank, chain, last))]
    turned += _own_runs(document, rank, last)
    if len(reads) + len(chains) > 1:
        found.judged += len(rank)
    elif rank:
        found.inconclusive += 1
        found.because(f"{document.key}: one read only, nothing to hold it against")
    pairs = {(pair.a, pair.b): pair for pair in reversed(turned)}
    found.violations += [_violation(history, document, pair) for pair in pairs.values()]
    found.judged = max(found.judged, len(found.violations))


def _against(rank: dict[str, int], tokens: Iterable[str], read: Op, last: Op) -> _Turned | None:
    """The first pair of a read that the last read shows the other way round."""
    highest, before = -1, ""
    for token in tokens:
        at = rank.get(token, -1)
        if 0 <= at < highest:
            return _Turned(before, token, read, last)
        if at > highest:
            highest, before = at, token
    return None


def _in_chain(document: Document, rank: dict[str, int], chain: Looks, last: Op) -> _Turned | None:
    tokens: list[str] = []
    before: Step | None = None
    for step in chain.steps:
        end = step.start + len(step.removed)
        inserted = step.inserted
        if before is not None and (pair := _swapped(document, step)):
            return _Turned(*pair, step.look, before.look)
        near = [*_nearest(rank, tokens, range(step.start - 1, -1, -1)), *inserted]
        near += _nearest(rank, tokens, range(end, len(tokens)))
        if inserted and (turned := _against(rank, near, step.look, last)):
            return turned
        tokens[step.start : end] = inserted
        before = step
    return None


def _nearest(rank: dict[str, int], tokens: Sequence[str], places: Iterable[int]) -> Iterator[str]:
    """The nearest token on one side that the last read has too."""
    for place in places:
        if tokens[place] in rank:
            yield tokens[place]
            return


def _swapped(document: Document, step: Step) -> tuple[str, str] | None:
    """A pair as the later look shows it, which the earlier one showed the other way round."""
    if not step.removed or not step.inserted:
        return None
    seen_ns = step.look.end.t_ns if step.look.end else step.look.begin.t_ns
    at = {token: place for place, token in enumerate(step.removed) if not document.deleted_by(token, seen_ns)}
    highest, before = -1, ""
    for token in step.inserted:
        place = at.get(token, -1)
        if 0 <= place < highest:
            return before, token
        if place > highest:
            highest, before = place, token
    return None


def _own_runs(document: Document, rank: dict[str, int], last: Op) -> Iterator[_Turned]:
    """Per session: a token stands behind all of its own that had been acknowledged when it was written."""
    sessions: dict[str, list[tuple[int, int, str]]] = {}
    for token, op in document.edits.items():
        if token in rank and is_acknowledged(op) and op.end is not None and op.begin.f == "edit":
            sessions.setdefault(op.begin.session, []).append((op.begin.t_ns, op.end.t_ns, token))
    for edits in sessions.values():
        acked = sorted((end, token) for _, end, token in edits)
        at, highest, before = 0, -1, ""
        for begin, _, token in sorted(edits):
            while at < len(acked) and acked[at][0] < begin:
                if rank[acked[at][1]] > highest:
                    highest, before = rank[acked[at][1]], acked[at][1]
                at += 1
            if rank[token] < highest:
                yield _Turned(before, token, last, None)
                break


def _violation(history: History, document: Document, turned: _Turned) -> Violation:
    a, b, read, other = turned
    story: list[tuple[int, str]] = []
    for token in (a, b):
        op = document.edits.get(token)
        if op is not None:
            story.append((op.begin.t_ns, f"{words.who(op.begin)} wrote {token} into {document.key}"))
    since = min((t_ns for t_ns, _ in story), default=read.begin.t_ns)
    until = max(read.begin.t_ns, other.begin.t_ns if other else 0)
    story += words.fault_story(history, since, until)
    shown = (b, a) if other is None else (a, b)
    reads = [(read, shown)] if other is None else [(read, shown), (other, (b, a))]
    for one, (left, right) in reads:
        at_ns = one.end.t_ns if one.end else one.begin.t_ns
        story.append((at_ns, f"{_reader(one)} has {left} before {right}"))
    if other is None:
        says = (
            f"user {document.edits[b].begin.user} wrote {b} after {a} was acknowledged; {_reader(read)} has it before"
        )
    else:
        says = (
            f"{document.key}: {_reader(read)} has {a} before {b} at {words.at(history, read.begin.t_ns)}, "
            f"{_reader(other)} at {words.at(history, other.begin.t_ns)} has them the other way round"
        )
    return Violation(since, says, tuple(story), tuple(sight(history, one) for one, _ in reads))


def _reader(read: Op) -> str:
    names = {"cold_read": "a cold reader", "crash_read": "a reader after the crash", "reread": "a fresh reader"}
    return f"{names.get(read.begin.f, f'observer {read.session}')}{words.via(read.begin.region)}"


check = Check("D7", "no two edits change their order", "documents.reordered", run, lambda load: load.editors > 0)
