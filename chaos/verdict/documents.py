"""What the record knows of each document: its edits, its cold reads, and what observers saw of it."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from chaos.model.event import Event
    from chaos.verdict.history import History, Op

WEAK_LEVELS = ["local", "received"]
"""Acknowledgements that promise nothing about keeping the edit."""


class Step(NamedTuple):
    """What one look found changed: so many tokens from `start` on went, and these came."""

    look: Op
    start: int
    removed: list[str]
    inserted: list[str]


@dataclass(slots=True)
class Looks:
    """Looks at one document, rebuilt from their deltas: an observer session's, or fresh readers' one after another."""

    session: str
    user: str
    steps: list[Step] = field(default_factory=list)
    """Of the looks that came, as far as the deltas fit."""
    added: dict[str, Event] = field(default_factory=dict)
    """Token -> the look that first held it."""
    looks: list[Op] = field(default_factory=list)
    broken_ns: int | None = None
    """Since when the deltas do not fit together (a look is missing): what it saw after is not known."""
    gaps: list[Op] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing that it saw can be missing: its deltas fit, and its last planned look came."""
        return self.broken_ns is None and bool(self.looks) and self.looks[-1].outcome == "obs"


@dataclass(slots=True)
class Document:
    """One document's part of the record."""

    key: str
    edits: dict[str, Op] = field(default_factory=dict)
    """Token -> its edit or offline edit."""
    cold: list[Op] = field(default_factory=list)
    """Planned cold reads, one or more per entry; those without an answer are gaps."""
    observers: dict[str, Looks] = field(default_factory=dict)
    """Per session."""
    fresh: dict[str, Looks] = field(default_factory=dict)
    """Reads by clients with an empty copy while the others go on: per entry, each a difference to the one before."""
    crash: list[Op] = field(default_factory=list)
    """Reads after all clients were cut off at once, before any of them was let in again."""
    deleted: dict[str, Op] = field(default_factory=dict)
    """Token -> its delete, unless that was certainly not made."""

    def deleted_by(self, token: str, t_ns: int) -> bool:
        """Whether somebody had begun to delete a token by then."""
        op = self.deleted.get(token)
        return op is not None and op.begin.t_ns <= t_ns

    def lists(self) -> Iterable[tuple[Op, list[str]]]:
        """The reads that came as whole lists: after crashes, and cold."""
        for read in (*self.crash, *self.cold):
            tokens = cold_tokens(read)
            if tokens is not None:
                yield read, tokens

    def chains(self) -> Iterable[Looks]:
        """The reads that came as differences."""
        yield from self.observers.values()
        yield from self.fresh.values()

    def starved(self) -> bool:
        """Whether a cold read is missing, or none was made; or the record lost the end of a read after a crash."""
        missing = any(cold_tokens(read) is None for read in self.cold)
        return not self.cold or missing or any(read.outcome == "open" for read in self.crash)

    def acknowledged(self) -> Iterable[tuple[str, Op]]:
        """The tokens that the stack promised to keep."""
        return ((token, op) for token, op in self.edits.items() if is_acknowledged(op))


def is_acknowledged(op: Op) -> bool:
    """Whether the edit was answered with a level that promises to keep it; a level that is not said does."""
    if op.outcome != "ok" or op.end is None:
        return False
    value = op.end.value
    return not (isinstance(value, dict) and value.get("level") in WEAK_LEVELS)


def cold_tokens(read: Op) -> list[str] | None:
    """The tokens of a cold read in their order; None where it did not come."""
    return read.names


def digest(tokens: Iterable[str]) -> str:
    """The short hash by which views are compared."""
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]


def documents(history: History, *, looks: bool = False) -> dict[str, Document]:
    """Every document of the record by name; `looks` also rebuilds what observers saw. Worked out once a history."""
    name = f"documents {looks}"
    if name not in history.memo:
        history.memo[name] = _documents(history, looks=looks)
    found: dict[str, Document] = history.memo[name]
    return found


def _documents(history: History, *, looks: bool) -> dict[str, Document]:
    found: dict[str, Document] = {}

    def document(key: str) -> Document:
        return found.setdefault(key, Document(key))

    for op in history.of("edit", "offline_edit"):
        if isinstance(op.begin.value, str):
            document(op.begin.key).edits[op.begin.value] = op
    for op in history.of("delete"):
        if isinstance(op.begin.value, str) and op.outcome != "fail":
            document(op.begin.key).deleted[op.begin.value] = op
    for op in history.of("cold_read"):
        document(op.begin.key).cold.append(op)
    for op in history.of("crash_read"):
        document(op.begin.key).crash.append(op)
    for event in history.facts.get("quiet", ()):
        document(event.key)
    if looks:
        _rebuild(history, found)
    return dict(sorted(found.items()))


def _rebuild(history: History, found: dict[str, Document]) -> None:
    lists: dict[tuple[str, str], list[str]] = defaultdict(list)
    for op in history.of("tokens", "reread"):
        if op.cut_short:
            continue
        key = op.begin.key
        document = found.setdefault(key, Document(key))
        if op.begin.f == "tokens":
            chain, chains = op.session, document.observers
        else:
            chain, chains = f"{_entry(op)} afresh", document.fresh
        seen = chains.setdefault(chain, Looks(chain, op.begin.user))
        seen.looks.append(op)
        if op.outcome != "obs" or op.end is None:
            seen.gaps.append(op)
        elif seen.broken_ns is None and not _apply(lists[key, chain], op, op.end, seen):
            seen.broken_ns = op.begin.t_ns


def _entry(op: Op) -> str:
    value = op.begin.value
    return str(value.get("entry", "")) if isinstance(value, dict) else ""


def _apply(tokens: list[str], op: Op, look: Event, seen: Looks) -> bool:
    value = look.value if isinstance(look.value, dict) else {}
    match value.get("splice"):
        case [int(start), int(deleted), [*inserted]] if 0 <= start <= start + deleted <= len(tokens):
            fresh = [str(token) for token in inserted]
        case _:
            return False
    step = Step(op, start, tokens[start : start + deleted], fresh)
    tokens[start : start + deleted] = fresh
    if value.get("n", len(tokens)) != len(tokens) or ("sha" in value and value["sha"] != digest(tokens)):
        return False
    seen.steps.append(step)
    for token in fresh:
        seen.added.setdefault(token, look)
    return True
