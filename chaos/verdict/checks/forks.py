"""D12, one copy: no two nodes serve copies of one document that grow apart.

Invariant: of two fresh reads of a document at the same moment through different entries, answered by different nodes,
at least one holds everything that the other has had for longer than `visibility_s`. One node that lags is behind; two
nodes of which each has what the other lacks are two documents.
Violation: each of the two lacks an acknowledged, undeleted token that the other holds and that was acknowledged more
than `visibility_s` before either read began. Never excused: it is while the nodes do not hear each other that only one
of them may take edits. Reads that the same node answered show one copy.
Inconclusive: one of the two reads did not come, and no fault explains why. Excused: a fault kept it from coming.
Source: `docs/checks.md`; fencing: Burrows, The Chubby lock service (OSDI 2006); Kleppmann (2016).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.documents import Document, documents, is_acknowledged
from chaos.verdict.excuse import excused
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _Read(NamedTuple):
    op: Op
    tokens: frozenset[str] | None
    """None: it did not come, or its difference does not fit."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every pair of fresh reads at the same moment."""
    found = CheckFindings()
    nodes = 0
    for document in documents(history, looks=True).values():
        rounds: dict[object, list[_Read]] = {}
        for number, read in _reads(document):
            rounds.setdefault(number, []).append(read)
        for reads in rounds.values():
            first = reads[0]
            for other in reads[1:]:
                nodes += _judge(history, bounds, document, first, other, found)
            if len(reads) == 1:
                found.inconclusive += 1
                found.because(f"{document.key}: a fresh read has no other beside it")
    found.figures["by_two_nodes"] = nodes
    return found


def _reads(document: Document) -> Iterator[tuple[object, _Read]]:
    for chain in document.fresh.values():
        there: list[str] = []
        steps = {step.look.begin.op: step for step in chain.steps}
        for look in chain.looks:
            value = look.begin.value
            number = str(value.get("round")) if isinstance(value, dict) else ""
            step = steps.get(look.begin.op)
            if step is not None:
                there[step.start : step.start + len(step.removed)] = step.inserted
            yield number, _Read(look, None if step is None else frozenset(there))


def _judge(
    history: History, bounds: Bounds, document: Document, one: _Read, other: _Read, found: CheckFindings
) -> bool:
    """Whether two nodes answered."""
    if one.tokens is None or other.tokens is None:
        missing = [read.op for read in (one, other) if read.tokens is None]
        if all(op.outcome == "gap" and excused(history, bounds, op) for op in missing):
            found.excused += 1
        else:
            found.inconclusive += 1
            found.because(f"{document.key}: a fresh read at {words.at(history, missing[0].begin.t_ns)} did not come")
        return False
    found.judged += 1
    nodes = {read.op.end.node for read in (one, other) if read.op.end is not None}
    if len(nodes) == 1 and nodes != {""}:
        return False
    due = min(one.op.begin.t_ns, other.op.begin.t_ns) - int(bounds.visibility_s * NS)
    until = max(history.seen_until(one.op), history.seen_until(other.op))
    left = _settled(document, one.tokens - other.tokens, due, until)
    right = _settled(document, other.tokens - one.tokens, due, until)
    if left and right:
        found.violations.append(_violation(history, document, (one, left), (other, right)))
    return len(nodes) > 1


def _settled(document: Document, tokens: frozenset[str], due: int, until: int) -> str:
    """The one of these, not deleted `until` then, that had been acknowledged first, if that was before `due`."""
    known = []
    for token in tokens:
        op = document.edits.get(token)
        if op is not None and op.end is not None and is_acknowledged(op) and not document.deleted_by(token, until):
            known.append((op.end.t_ns, token))
    first = min(known, default=(due + 1, ""))
    return first[1] if first[0] <= due else ""


def _told(document: Document, token: str) -> int:
    op = document.edits[token]
    return op.end.t_ns if op.end else op.begin.t_ns


def _violation(history: History, document: Document, *sides: tuple[_Read, str]) -> Violation:
    story: list[tuple[int, str]] = []
    for read, token in sides:
        op, told_ns = document.edits[token], _told(document, token)
        story.append((told_ns, f"{words.who(op.begin)} was told {token} is saved{words.answer(op)}"))
        told = f"a fresh reader{words.via(read.op.begin.region)} has {token}"
        lacks = next(other for _, other in sides if other != token)
        story.append((history.seen_until(read.op), f"{told} and not {lacks}{_by(read)}"))
    since = min(t_ns for t_ns, _ in story)
    at_ns = sides[0][0].op.begin.t_ns
    story += words.fault_story(history, since, at_ns)
    left, right = (f"{token}{_by(read)}" for read, token in sides)
    says = f"{document.key} is two documents at {words.at(history, at_ns)}: {left} and {right}, neither has the other's"
    return Violation(since, says, tuple(story), tuple(sight(history, read.op) for read, _ in sides))


def _by(read: _Read) -> str:
    return words.answer(read.op)


check = Check("D12", "no document is served as two", "documents.forked", run, lambda load: load.editors > 0)
