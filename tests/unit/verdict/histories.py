"""A small language to write records in: seconds instead of nanoseconds, one call per thing that happened."""

from __future__ import annotations

import hashlib
from typing import Any

from chaos.model.event import Event
from chaos.model.experiment import Threshold
from chaos.model.stack import Bounds
from chaos.model.verdict import Outcome, Place
from chaos.verdict.findings import WITNESS_EVENTS, CheckFindings, witness
from chaos.verdict.history import History, build

NS = 1_000_000_000
BOUNDS = Bounds(
    visibility_s=1,
    join_s=5,
    leave_s=3,
    clean_ghost_s=2,
    unclean_ghost_s=5,
    resume_s=3,
    edit_s=5,
    grace_s=5,
    convergence_s=5,
)
ORIGIN = 1000 * NS


def sha(tokens: list[str]) -> str:
    return hashlib.sha256("\n".join(tokens).encode()).hexdigest()[:16]


def rule(text: str, phase: str = "fault", line: int = 7) -> Threshold:
    metric, op, number = text.split()
    scale = {"%": 0.01, "ms": 0.001, "s": 1.0}
    unit = next((unit for unit in ("%", "ms", "s") if number.endswith(unit)), "")
    value = float(number.removesuffix(unit)) * scale.get(unit, 1.0)
    return Threshold(
        text=text, phase=phase, metric=metric, op=op, value=round(value, 9), place=Place(file="e.json", line=line)
    )


class Record:
    """Events in the making. Times are seconds since the load began."""

    def __init__(self, *, end: float = 60, fault_at: float = 10, healed_at: float = 20, final_at: float = 50) -> None:
        self.events: list[Event] = []
        self.seq: dict[str, int] = {}
        self.op = 0
        self.seen: dict[tuple[str, str], list[str]] = {}
        self.phases = [("warm-up", 0.0), ("baseline", 2.0), ("fault", fault_at), ("recovery", healed_at)]
        self.phases += [("final", final_at), ("end", end)]

    def add(self, t: float, kind: str, f: str, *, worker: str = "load", **parts: Any) -> Event:
        seq = self.seq.get(worker, 0)
        self.seq[worker] = seq + 1
        event = Event(seq, ORIGIN + round(t * NS), kind, f, worker, **parts)
        self.events.append(event)
        return event

    def do(
        self,
        f: str,
        t: float,
        done: float | None,
        outcome: str = "ok",
        *,
        user: str = "u1",
        session: str = "",
        key: str = "room-1",
        region: str = "cn-east",
        node: str = "",
        value: Any = None,
        answer: Any = None,
        error: str = "",
        intended: float | None = None,
    ) -> Record:
        """An operation from `t` to `done` (None: it stays open)."""
        self.op += 1
        parts: dict[str, Any] = {"user": user, "session": session or f"{user}.1", "key": key, "region": region}
        parts |= {"op": self.op, "intended_ns": 0 if intended is None else ORIGIN + round(intended * NS)}
        self.add(t, "invoke", f, value=value, **parts)
        if done is not None:
            self.add(done, outcome, f, value=answer, node=node, error=error, **parts)
        return self

    def fact(
        self, f: str, t: float, *, kind: str = "info", user: str = "u1", session: str = "", **parts: Any
    ) -> Record:
        self.add(
            t, kind, f, user=user, session=session or f"{user}.1", **{"key": "room-1", "region": "cn-east"} | parts
        )
        return self

    def pulse(self, t: float, until: float, *, late: float = 0.001, every: float = 0.2, worker: str = "load") -> Record:
        """The null target's answers, each so many seconds late."""
        for number in range(round((until - t) / every)):
            due = t + number * every
            self.add(due + late, "ok", "null", worker=worker, intended_ns=ORIGIN + round(due * NS))
        return self

    def stay(self, t: float, until: float, *, user: str = "u1", **parts: Any) -> Record:
        """Join at `t` and leave at `until`, both at once."""
        self.do("join", t, t + 0.05, user=user, intended=t, **parts)
        return self.do("leave", until, until + 0.05, user=user, **parts)

    def look(
        self,
        t: float,
        sessions: list[str] | None,
        *,
        key: str = "room-1",
        region: str = "cn-north",
        user: str = "watcher",
        f: str = "roster",
    ) -> Record:
        """An observer's look at a room; None: it did not come."""
        outcome = "gap" if sessions is None else "obs"
        return self.do(f, t, t + 0.02, outcome, user=user, key=key, region=region, answer=sessions)

    def listen(self, t: float, until: float, *texts: tuple[float, str], user: str = "watcher", **parts: Any) -> Record:
        """A listener from its first moment to its last, and each text that it hears, with the time."""
        known: dict[str, Any] = {"user": user, "region": "cn-north"} | parts
        self.fact("listening", t, **known)
        for number, (at, text) in enumerate(sorted(texts), 1):
            self.fact("heard", at, kind="obs", value={"from": text.split("-")[0], "text": text, "i": number}, **known)
        return self.fact("heard_total", until, value=len(texts), **known)

    def say(self, t: float, text: str, done: float | None = None, outcome: str = "ok", **parts: Any) -> Record:
        """A message; its sender's session is the first part of the text."""
        session = text.split("-", maxsplit=1)[0]
        user = session.split(".", maxsplit=1)[0]
        return self.do(
            "say", t, t + 0.02 if done is None else done, outcome, user=user, session=session, value=text, **parts
        )

    def cut(self, t: float, back: float, outcome: str = "ok", *, user: str = "u1", error: str = "") -> Record:
        """A short cut and its resume."""
        return self.fact("cut", t, user=user).do("resume", back, back + 0.02, outcome, user=user, error=error)

    def edit(self, t: float, token: str, done: float | None = None, outcome: str = "ok", **parts: Any) -> Record:
        known: dict[str, Any] = {"user": "e1", "key": "doc-1", "node": "doc-e1", "answer": {"level": "durable"}}
        return self.do("edit", t, t + 0.02 if done is None else done, outcome, value=token, intended=t, **known | parts)

    def sight(
        self,
        t: float,
        tokens: list[str] | None,
        *,
        session: str = "o1.1",
        key: str = "doc-1",
        present: list[str] | None = None,
    ) -> Record:
        """A document observer's look, recorded as the difference to its last; None: it did not come."""
        before = self.seen.setdefault((session, key), [])
        parts: dict[str, Any] = {
            "user": session.split(".", maxsplit=1)[0],
            "session": session,
            "key": key,
            "region": "cn-north",
        }
        if tokens is None:
            return self.do("tokens", t, t + 0.01, "gap", **parts)
        same = 0
        while same < min(len(before), len(tokens)) and before[same] == tokens[same]:
            same += 1
        answer = {"splice": [same, len(before) - same, tokens[same:]], "n": len(tokens), "sha": sha(tokens)}
        before[:] = tokens
        shown = {} if present is None else {"present": present}
        return self.do("tokens", t, t + 0.01, "obs", answer=answer | shown, **parts)

    def reread(
        self,
        t: float,
        tokens: list[str] | None,
        *,
        number: int,
        user: str = "e1",
        entry: str = "cn-east",
        node: str = "doc-e1",
        lacks: list[str] | None = None,
        polite: bool = True,
        key: str = "doc-1",
    ) -> Record:
        """A fresh client's read in a round; `lacks`: an editor's own, held against its open copy. None: a gap."""
        parts: dict[str, Any] = {"user": user, "session": f"{user}.r{number}", "key": key, "region": entry}
        parts["value"] = {"entry": entry, "round": number, "own": lacks is not None}
        if tokens is None:
            return self.do("reread", t, t + 0.05, "gap", **parts)
        before = self.seen.setdefault((f"fresh {entry}", key), [])
        answer: dict[str, Any] = {"splice": [0, len(before), tokens], "n": len(tokens), "sha": sha(tokens)}
        answer |= {"polite": polite} | ({} if lacks is None else {"held": len(tokens), "lacks": lacks})
        before[:] = tokens
        return self.do("reread", t, t + 0.05, "obs", node=node, answer=answer, **parts)

    def delete(self, t: float, token: str, done: float | None = None, outcome: str = "ok", **parts: Any) -> Record:
        known: dict[str, Any] = {"user": "e1", "key": "doc-1", "node": "doc-e1", "answer": {"level": "durable"}}
        return self.do("delete", t, t + 0.02 if done is None else done, outcome, value=token, **known | parts)

    def crash(self, t: float, tokens: list[str] | None, *, done: float | None = None, key: str = "doc-1") -> Record:
        """All clients are cut at `t`, and a fresh one reads; None: it could not."""
        outcome = "gap" if tokens is None else "obs"
        value = {"since_ns": ORIGIN + round(t * NS), "held": 4}
        done = t + 2 if done is None else done
        return self.do("crash_read", t + 0.1, done, outcome, user="k", key=key, value=value, answer=tokens)

    def cold(self, t: float, tokens: list[str] | None, *, region: str = "cn-north", key: str = "doc-1") -> Record:
        outcome = "gap" if tokens is None else "obs"
        return self.do("cold_read", t, t + 0.1, outcome, user="reader", key=key, region=region, answer=tokens)

    def view(
        self, t: float, tokens: list[str] | None, *, user: str = "e1", kind: str = "stayed", key: str = "doc-1"
    ) -> Record:
        answer = None if tokens is None else {"kind": kind, "n": len(tokens), "sha": sha(tokens)}
        return self.do("view", t, t + 0.01, "gap" if tokens is None else "obs", user=user, key=key, answer=answer)

    def fault(
        self,
        on: float = 10,
        off: float | None = 20,
        *,
        bit: bool = True,
        clean: bool = True,
        name: str = "congestion",
        fault: str = "congestion",
        **reach: Any,
    ) -> Record:
        parts: dict[str, Any] = {"worker": "conductor", "key": f"{name}-{on:g}"}
        value = {"name": name, "fault": fault, "band": "#d33", "says": "harm", "duration": 10}
        self.add(on - 0.01, "fault", "intent", value=value, **parts)
        self.add(on, "fault", "on", value={"reach": reach}, **parts)
        self.add(on + 0.5, "fault", "bite", value={"bit": bit, "says": "rtt 3 -> 243 ms", "measured": {}}, **parts)
        if off is not None:
            self.add(off, "fault", "off", value={"says": "gone"}, **parts)
            self.add(off + 0.1, "fault", "off-proof", value={"clean": clean, "says": "nothing left"}, **parts)
        return self

    def history(self) -> History:
        return self.of(self.events)

    def of(self, events: list[Event]) -> History:
        """The history of other events in the phases of this record."""
        phases = [
            Event(seq, ORIGIN + round(t * NS), "phase", name, "phases") for seq, (name, t) in enumerate(self.phases)
        ]
        return build([*events, *phases])


def findings(name: str, record: Record, bounds: Bounds = BOUNDS) -> CheckFindings:
    """What one check finds in a record."""
    from chaos.verdict.checks import registry

    return registry()[name].run(record.history(), bounds)


def told(name: str, record: Record) -> str:
    """What a check says of its only violation, whose witness is short enough to be read."""
    found = findings(name, record)
    assert (found.outcome, len(found.violations)) == (Outcome.FAIL, 1)
    shown = witness(record.history(), found.violations[0])
    assert 2 <= len(shown.events) <= WITNESS_EVENTS
    return shown.says


def seen(*looks: list[str] | None) -> Record:
    """`a` and `b` are written at 3 and 4 s; looks follow each second from 2 s on."""
    record = Record().edit(3, "a").edit(4, "b")
    for second, tokens in enumerate(looks, 2):
        record.sight(second + 0.5, tokens)
    return record
