"""D6, no resurrection: what was deleted, and acknowledged as deleted, does not come back.

Invariant: a token whose delete was acknowledged (at a level that promises to keep it) is in no cold read that began
after it and after heal + `convergence_s`, and in no copy that had already lost it.
Violation: such a cold read holds it; or an observer's copy lost it and got it again after the acknowledgement. Never
excused. A delete that nobody answered may have been made or not.
Inconclusive: a cold read of the document did not come, or began too early to judge; an observer's look did not come,
and no fault explains why. Moot: the backend cannot delete.
Source: `docs/checks.md`; the tombstones of Oster et al., Data consistency for P2P collaborative editing (CSCW 2006).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.documents import Document, cold_tokens, documents, is_acknowledged
from chaos.verdict.excuse import blind
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every acknowledged delete."""
    found = CheckFindings()
    healed = history.healed_ns
    ripe = None if healed is None else (healed + int(bounds.convergence_s * NS) if history.faults else 0)
    known = documents(history, looks=True)
    for document in known.values():
        deletes = {token: op for token, op in document.deleted.items() if is_acknowledged(op)}
        if deletes:
            _judge(history, bounds, document, deletes, ripe, found)
    if not any(document.deleted for document in known.values()):
        cannot = any(event.value == "delete" for event in history.facts.get("cannot", ()))
        found.moot = "the backend cannot delete" if cannot else ""
    return found


def _judge(
    history: History, bounds: Bounds, document: Document, deletes: dict[str, Op], ripe: int | None, found: CheckFindings
) -> None:
    back = _back(document, deletes)
    reads = [(read, set(tokens)) for read in document.cold if (tokens := cold_tokens(read)) is not None]
    starved, unseen = document.starved(), blind(history, bounds, document)
    for token, op in deletes.items():
        told_ns = op.end.t_ns if op.end else op.begin.t_ns
        holds = [read for read, tokens in reads if token in tokens and read.begin.t_ns >= told_ns]
        shown = back.get(token) or next((read for read in holds if ripe is not None and read.begin.t_ns >= ripe), None)
        if shown is not None:
            found.judged += 1
            found.violations.append(_violation(history, document, token, op, shown))
        elif starved or holds or unseen:
            found.inconclusive += 1
            early = "a cold read that still has a deleted token began too early to judge"
            missing = "a cold read did not come" if starved else "an observer's look did not come"
            found.because(f"{document.key}: {early if holds else missing}")
        else:
            found.judged += 1


def _back(document: Document, deletes: dict[str, Op]) -> dict[str, Op]:
    """The first look of an observer's copy that has a deleted token again."""
    back: dict[str, Op] = {}
    for chain in document.observers.values():
        gone: set[str] = set()
        for step in chain.steps:
            for token in step.inserted:
                op = deletes.get(token)
                if token in gone and op is not None and op.end is not None and op.end.t_ns <= step.look.begin.t_ns:
                    back.setdefault(token, step.look)
            gone.difference_update(step.inserted)
            gone.update(token for token in step.removed if token in deletes and token not in step.inserted)
    return back


def _violation(history: History, document: Document, token: str, op: Op, shown: Op) -> Violation:
    edit = document.edits.get(token)
    told_ns = op.end.t_ns if op.end else op.begin.t_ns
    cold = shown.begin.f == "cold_read"
    reader = f"{'a cold reader' if cold else f'observer {shown.session}'}{words.via(shown.begin.region)}"
    told = f"user {op.begin.user} was told {token} is deleted at {words.at(history, told_ns)}"
    has = "has it again" if not cold else "has it"
    story = [
        (op.begin.t_ns, f"{words.who(op.begin)} deleted {token} from {document.key}"),
        (told_ns, told + words.answer(op)),
        *words.fault_story(history, op.begin.t_ns, shown.begin.t_ns),
        (history.seen_until(shown), f"{reader} {has}{words.answer(shown)}"),
    ]
    if edit is not None:
        story.append((edit.begin.t_ns, f"{words.who(edit.begin)} wrote {token} into {document.key}"))
    says = f"{told}; {reader} at {words.at(history, shown.begin.t_ns)} {has}"
    return Violation(op.begin.t_ns, says, tuple(story), (sight(history, shown),))


check = Check(
    "D6",
    "no deleted edit comes back",
    "edits.resurrected",
    run,
    lambda load: load.editors > 0 and load.undo > 0,
)
