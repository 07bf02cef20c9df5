"""D5, no phantom: a document holds only what somebody wrote into it.

Invariant: every token that any read shows (observers, fresh readers, reads after a crash, cold reads) was written into
that document by a user of the load, before the read was answered.
Violation: a token that nobody wrote, that was written into another document only, whose edit never left its user's
machine, or that was read before it was written. Never excused. What the document's very first look already held was
there before the run, and says nothing.
Inconclusive: a cold read did not come; an observer's look that could have shown one did not, and no fault explains why;
the first look did not come, and a later one holds a token that nobody wrote.
Source: `docs/checks.md`; "unexpected elements" of Jepsen's set workload (Kingsbury).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.documents import Document, documents
from chaos.verdict.excuse import blind
from chaos.verdict.findings import Check, CheckFindings, Violation, sight

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op


class _Sight(NamedTuple):
    """When a read that held the token was first answered."""

    t_ns: int
    read: Op


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every token that was seen in any document."""
    found = CheckFindings()
    homes = {op.begin.value: op for op in history.of("edit", "offline_edit") if isinstance(op.begin.value, str)}
    for document in documents(history, looks=True).values():
        _judge(history, bounds, document, homes, found)
    return found


def _judge(history: History, bounds: Bounds, document: Document, homes: dict[str, Op], found: CheckFindings) -> None:
    sights = _sights(document)
    first_came, before = _first(document, sights)
    for token, seen in sights.items():
        why = _why(document.edits.get(token), seen)
        strange = token not in document.edits
        if strange and first_came and seen.t_ns <= before:
            found.unjudged += 1
        elif strange and not first_came and seen.t_ns <= before:
            found.inconclusive += 1
            found.because(f"{document.key}: the first look did not come, so {token} may be older than the run")
        else:
            found.judged += 1
            if why:
                found.violations.append(_violation(history, document, token, seen, why, homes.get(token)))
    if document.edits and (document.starved() or blind(history, bounds, document)):
        found.inconclusive += 1
        what = "a cold read" if document.starved() else "an observer's look"
        found.because(f"{document.key}: {what} did not come")


def _sights(document: Document) -> dict[str, _Sight]:
    first: dict[str, _Sight] = {}

    def saw(token: str, read: Op) -> None:
        t_ns = read.end.t_ns if read.end else read.begin.t_ns
        if token not in first or t_ns < first[token].t_ns:
            first[token] = _Sight(t_ns, read)

    for chain in document.chains():
        for step in chain.steps:
            for token in step.inserted:
                saw(token, step.look)
    for read, tokens in document.lists():
        for token in tokens:
            saw(token, read)
    return first


def _first(document: Document, sights: dict[str, _Sight]) -> tuple[bool, float]:
    """Whether the first look that was planned came, and when the first that came was answered."""
    planned = [look for chain in document.chains() for look in chain.looks] + document.crash + document.cold
    if not planned or not sights:
        return True, float("-inf")
    came = [read.end.t_ns for read in planned if read.outcome == "obs" and read.end is not None]
    return min(planned, key=lambda read: read.begin.t_ns).outcome == "obs", min(came, default=float("inf"))


def _why(op: Op | None, seen: _Sight) -> str:
    if op is None:
        return "nobody wrote it there"
    if op.outcome == "fail" and op.error.startswith("not sent"):
        return "its edit was never sent"
    return "it was written only later" if seen.t_ns < op.begin.t_ns else ""


def _violation(history: History, document: Document, token: str, seen: _Sight, why: str, home: Op | None) -> Violation:
    read = seen.read
    reader = f"{read.begin.user or 'a reader'}{words.via(read.begin.region)}"
    story = [
        (read.begin.t_ns, f"{reader} looks at {document.key}"),
        (seen.t_ns, f"it holds {token}{words.answer(read)}"),
        *words.fault_story(history, history.t0_ns, seen.t_ns),
    ]
    if home is not None:
        story.append((home.begin.t_ns, f"{words.who(home.begin)} wrote {token} into {home.begin.key}"))
        if home.end is not None:
            story.append((home.end.t_ns, f"{words.who(home.begin)}: {words.result(home)}"))
    says = f"{document.key} held {token} at {words.at(history, seen.t_ns)} as {reader} read it; {why}"
    return Violation(seen.t_ns, says, tuple(story), (sight(history, read),))


check = Check("D5", "no document holds what nobody wrote", "edits.phantom", run, lambda load: load.editors > 0)
