"""D4, exactly once: no token is in a document twice.

Invariant: each token is at most once in every cold read (that it is there at all is D1's).
Violation: a cold read holds a token more than once. Never excused. A duplicate does not go away by itself, so the cold
reads decide; looks of observers are not needed. Inconclusive: a cold read of the document did not come (unless
another shows the violation), or none was made. Source: `docs/checks.md`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.documents import Document, cold_tokens, documents
from chaos.verdict.findings import Check, CheckFindings, Violation, sight

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


def run(history: History, bounds: Bounds) -> CheckFindings:  # noqa: ARG001 - no bound: once is once
    """Judge every token in every document's cold reads."""
    found = CheckFindings()
    for document in documents(history).values():
        counts: dict[str, tuple[int, Op]] = {}
        starved = not document.cold
        for read in document.cold:
            tokens = cold_tokens(read)
            starved = starved or tokens is None
            for token, count in Counter(tokens or ()).items():
                if token not in counts or count > counts[token][0]:
                    counts[token] = (count, read)
        twice = {token: read for token, (count, read) in counts.items() if count > 1}
        found.violations += [_violation(history, document, token, read) for token, read in twice.items()]
        found.judged += len(twice) if starved else len(counts)
        if starved and document.edits:
            found.inconclusive += max(1, len(document.edits) - len(twice))
            found.because(f"{document.key}: a cold read did not come")
    return found


def _violation(history: History, document: Document, token: str, read: Op) -> Violation:
    op = document.edits.get(token)
    story = []
    since = read.begin.t_ns
    if op is not None:
        since = op.begin.t_ns
        story.append((since, f"{words.who(op.begin)} wrote {token} into {document.key}"))
        if op.end is not None:
            story.append((op.end.t_ns, f"{words.who(op.begin)}: {words.result(op)}{words.by(op.end.node)}"))
    tokens = cold_tokens(read) or []
    end_ns = read.end.t_ns if read.end else read.begin.t_ns
    says = f"a cold reader{words.via(read.begin.region)} has {token} {tokens.count(token)} times in {document.key}"
    story += [*words.fault_story(history, since, read.begin.t_ns), (end_ns, says)]
    return Violation(since, says, tuple(story), (sight(history, read),))


check = Check("D4", "no edit is there twice", "edits.duplicated", run, lambda load: load.editors > 0)
