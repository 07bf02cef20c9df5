"""D1, no lost edit: what was acknowledged, or seen by another, is in every cold read.

Invariant: a token whose edit was acknowledged (at a level that promises to keep it), or that an observer saw, is in
every cold read that began after it and after heal + `convergence_s`. A cold read is a fresh client's, made at each
entry once every client that held the document is gone: one client that is left would give the lost edit back.
Violation: a cold read without the token. Never excused. Tokens that nobody was promised and nobody saw may be missing;
those that were deleted are D6's.
Inconclusive: a cold read of the document did not come (unless another shows the violation); the read that misses the
token began sooner than heal + bound; an observer, who might have seen a token that is missing, has a gap that no fault
explains. Source: `docs/checks.md`; the deciding cold read: Kingsbury, Jepsen (sets with final reads).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.documents import Document, cold_tokens, documents, is_acknowledged
from chaos.verdict.excuse import blind
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.event import Event
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every promised or seen token of every document against its cold reads."""
    found = CheckFindings()
    healed = history.healed_ns
    ripe = None if healed is None else (healed + int(bounds.convergence_s * NS) if history.faults else 0)
    for document in documents(history, looks=True).values():
        _judge_document(history, bounds, document, ripe, found)
    found.figures["acknowledged"] = sum(is_acknowledged(op) for op in history.of("edit", "offline_edit"))
    return found


def _judge_document(
    history: History, bounds: Bounds, document: Document, ripe: int | None, found: CheckFindings
) -> None:
    reads = [(read, set(tokens)) for read in document.cold if (tokens := cold_tokens(read)) is not None]
    starved = not reads or len(reads) < len(document.cold)
    kept = set.intersection(*(tokens for _, tokens in reads)) if reads else set()
    sightings = _sightings(document)
    for token in {**document.edits, **dict.fromkeys(sightings)}:
        if token in document.deleted:
            continue  # D6's
        op, seen = document.edits.get(token), sightings.get(token)
        promised = op is not None and is_acknowledged(op)
        if not promised and seen is None:
            continue
        miss = None if token in kept else _miss(token, op, seen, reads)
        if miss is not None and ripe is not None and miss.begin.t_ns >= ripe:
            found.judged += 1
            found.violations.append(_violation(history, document, token, op, seen, miss))
        elif miss is not None or starved:
            found.inconclusive += 1
            found.because(_why(document, miss))
        else:
            found.judged += 1
    if document.edits and blind(history, bounds, document):
        found.inconclusive += 1
        found.because(f"{document.key}: an observer's look that could have shown a token did not come")


def _why(document: Document, miss: Op | None) -> str:
    if miss is not None:
        return f"{document.key}: the cold read began sooner than heal + convergence bound, or a fault was never off"
    if not document.cold:
        return f"{document.key}: no cold read was made"
    return f"{document.key}: a cold read did not come"


def _sightings(document: Document) -> dict[str, Event]:
    first: dict[str, Event] = {}
    for seen in document.observers.values():
        for token, look in seen.added.items():
            op = document.edits.get(token)
            if op is not None and op.begin.user == seen.user and seen.user:
                continue
            if token not in first or look.t_ns < first[token].t_ns:
                first[token] = look
    return first


def _miss(token: str, op: Op | None, seen: Event | None, reads: list[tuple[Op, set[str]]]) -> Op | None:
    """The cold read that had to hold the token and does not; the latest, as the one with most time to have it."""
    known = [seen.t_ns] if seen else []
    if op is not None and op.end is not None and is_acknowledged(op):
        known.append(op.end.t_ns)
    misses = [read for read, tokens in reads if token not in tokens and read.begin.t_ns >= min(known)]
    return max(misses, key=lambda read: read.begin.t_ns, default=None)


def _violation(
    history: History, document: Document, token: str, op: Op | None, seen: Event | None, miss: Op
) -> Violation:
    story: list[tuple[int, str]] = []
    told, since = "", miss.begin.t_ns
    if op is not None:
        since = op.begin.t_ns
        story.append((since, f"{words.who(op.begin)} wrote {token} into {document.key}{words.via(op.begin.region)}"))
        if is_acknowledged(op) and op.end is not None:
            told = f"user {op.begin.user} was told 'saved' at {words.at(history, op.end.t_ns)}{words.by(op.end.node)}"
            story.append((op.end.t_ns, told))
    if seen is not None:
        since = min(since, seen.t_ns)
        saw = f"observer {seen.session} saw {token} at {words.at(history, seen.t_ns)}"
        story.append((seen.t_ns, saw))
        told = told or saw
    faults = words.fault_story(history, since, miss.begin.t_ns)
    reader = f"a cold reader{words.via(miss.begin.region)}"
    story += [*faults, (miss.end.t_ns if miss.end else miss.begin.t_ns, f"{reader} does not have {token}")]
    for read in document.cold:
        if read is not miss and read.end is not None and (tokens := cold_tokens(read)) is not None:
            has = "has" if token in tokens else "does not have"
            story.append((read.end.t_ns, f"a cold reader{words.via(read.begin.region)} {has} {token}"))
    between = "".join(f"; {says} at {words.at(history, t_ns)}" for t_ns, says in faults[:2])
    says = f"{told}{between}; {reader} at {words.at(history, miss.begin.t_ns)} does not have it ({token})"
    return Violation(since, says, tuple(story), (sight(history, miss),))


check = Check("D1", "no acknowledged edit is lost", "edits.lost", run, lambda load: load.editors > 0)
