"""D2, crash durability: what was acknowledged as durable is there when a fresh client reads after the crash.

Invariant: after a crash (a node killed, stopped or restarted), a fresh client that reads a document before any client
of before is let in again finds every token that was acknowledged as durable before the crash. Clients that reconnect
would upload what the server forgot, and hide the loss; so all of them wait until that read is made.
Violation: the read lacks such a token. Never excused: it is what the crash is for. Deleted tokens are D6's.
Inconclusive: the read did not come; a crash reached a document and no read was made; another fault was on too.
Moot: the stack acknowledges nothing as durable, or no crash reached a document. Unjudged: a read without a crash.
Figures: `rpo_s`, the recovery point: how long before the crash the oldest lost token had been acknowledged (0: nothing
was lost); `freshest_s`: how shortly before the crash the newest token that is still there had been.
Source: `docs/checks.md`; recovery point objective; Pillai et al., All file systems are not created equal (OSDI 2014).
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from chaos.verdict import words
from chaos.verdict.documents import Document, cold_tokens, documents
from chaos.verdict.findings import Check, CheckFindings, Violation, sight
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op
    from chaos.verdict.spans import FaultSpan

CRASHES = ("server_loss", "stop", "restart", "oom")
"""Faults that end processes and cut all clients at once. A lost region is none: its links fall silent, each client
notices when its own patience is over, and so there is no moment to read at before the first is back."""
AS_IT_HIT_NS = 2 * NS
"""A crash cuts its clients within this; a read that began later after its heal belongs to something else."""


def run(history: History, bounds: Bounds) -> CheckFindings:
    """Judge every read after a crash."""
    found = CheckFindings(figures={"crash_reads": 0, "rpo_s": 0.0})
    known = documents(history)
    crashes = [fault for fault in history.faults if fault.fault in CRASHES]
    durable = {key: _durable(document) for key, document in known.items()}
    acknowledged = any(op.outcome == "ok" for document in known.values() for op in document.edits.values())
    if acknowledged and not any(durable.values()):
        found.moot = "the stack acknowledges no edit as durable"
    hit = {key: [one for one in crashes if _reaches(one, document)] for key, document in known.items()}
    if not any(hit.values()):
        found.moot = found.moot or "no crash reached a document"
    for key, document in known.items():
        read_for = [crash for read in document.crash if (crash := _judge(history, bounds, document, read, durable[key],
                    hit[key], found))]  # fmt: skip
        for crash in hit[key]:
            if durable[key] and crash not in read_for:
                found.inconclusive += 1
                found.because(f"{key}: no fresh client read it right after {crash.name}")
    return found


def _durable(document: Document) -> list[tuple[int, str]]:
    """When each token was acknowledged as durable, in that order."""
    return sorted(
        (op.end.t_ns, token)
        for token, op in document.edits.items()
        if op.outcome == "ok" and op.end is not None and _level(op.end.value) == "durable"
    )


def _level(value: object) -> object:
    return value.get("level") if isinstance(value, dict) else None


def _reaches(fault: FaultSpan, document: Document) -> bool:
    reach = fault.reach
    if reach is None or reach.everything:
        return True
    return document.key in reach.keys


def _judge(
    history: History,
    bounds: Bounds,
    document: Document,
    read: Op,
    durable: list[tuple[int, str]],
    crashes: list[FaultSpan],
    found: CheckFindings,
) -> FaultSpan | None:
    """The crash that a read was made after; None: it was made for another reason."""
    value = read.begin.value if isinstance(read.begin.value, dict) else {}
    since = value.get("since_ns")
    cut_ns = since if isinstance(since, int) else read.begin.t_ns
    crash = next((one for one in reversed(crashes) if one.start_ns <= cut_ns <= _until(one)), None)
    if crash is None:
        found.unjudged += 1
        return None
    others = (one for one in history.faults if one.fault not in CRASHES)
    kept = cold_tokens(read)
    if kept is None or any(one.harms(cut_ns, history.seen_until(read), bounds.grace_s) for one in others):
        found.inconclusive += 1
        why = "the fresh client could not read" if kept is None else "another fault was on as a fresh client read"
        found.because(f"{document.key}: {why} after {crash.name}")
        return crash
    read_ns = history.seen_until(read)
    promised = durable[: bisect_right(durable, (cut_ns, ""))]
    due = [(t_ns, token) for t_ns, token in promised if not document.deleted_by(token, read_ns)]
    have = set(kept)
    lost = [(t_ns, token) for t_ns, token in due if token not in have]
    found.judged += len(due)
    found.figures["crash_reads"] += 1
    if lost:
        found.figures["rpo_s"] = max(found.figures["rpo_s"], round((cut_ns - lost[0][0]) / NS, 3))
    there = [t_ns for t_ns, token in due if token in have]
    if there:
        freshest = round((cut_ns - there[-1]) / NS, 3)
        found.figures["freshest_s"] = min(found.figures.get("freshest_s", freshest), freshest)
    found.violations += [_violation(history, document, token, read, crash, cut_ns) for _, token in lost]
    return crash


def _until(crash: FaultSpan) -> float:
    return float("inf") if crash.off_ns is None else crash.off_ns + AS_IT_HIT_NS


def _violation(history: History, document: Document, token: str, read: Op, crash: FaultSpan, cut_ns: int) -> Violation:
    op = document.edits[token]
    told_ns = op.end.t_ns if op.end else op.begin.t_ns
    told = f"user {op.begin.user} was told 'durable' at {words.at(history, told_ns)}"
    told += words.answer(op)
    reader = f"a fresh client{words.via(read.end.region if read.end else '')}"
    held = read.begin.value.get("held") if isinstance(read.begin.value, dict) else None
    story = [
        (op.begin.t_ns, f"{words.who(op.begin)} wrote {token} into {document.key}{words.via(op.begin.region)}"),
        (told_ns, told),
        *words.fault_story(history, op.begin.t_ns, history.seen_until(read)),
        (cut_ns, f"the clients of {document.key} were cut off and held back" + (f" ({held} of them)" if held else "")),
        (history.seen_until(read), f"{reader} does not have {token}{words.answer(read)}"),
    ]
    says = (
        f"{told}; {crash.name} hit {document.key} at {words.at(history, crash.on_ns or crash.start_ns)}; {reader}, "
        f"before anybody could upload it again, does not have {token}"
    )
    return Violation(op.begin.t_ns, says, tuple(story), (sight(history, read),))


check = Check(
    "D2",
    "no durable edit is forgotten in a crash",
    "edits.forgotten",
    run,
    lambda load: load.editors > 0,
    faults=CRASHES,
)
