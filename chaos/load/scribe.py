"""Writes what the users do: one invoke and one end per operation, and what the terminal wants to know each second."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from typing import TYPE_CHECKING, Any

from chaos.model.event import Type

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.record import Recorder

FLOWS = {
    "join": "join",
    "rejoin": "rejoin",
    "resume": "resume",
    "leave": "leave",
    "say": "say",
    "edit": "edit_ack",
    "null": "null",
}
"""What is counted each second, and under which name."""

READS = frozenset({"roster", "own_roster", "tokens", "reread", "view", "crash_read", "cold_read"})
"""Looks: cut off by the end of the load they are gaps, and changed nothing."""

Flows = dict[str, dict[str, dict[str, Any]]]
"""{flow: {region: {"ok": n, "bad": n, "ms": [...]}}}"""


class Op:
    """One operation that was invoked; end it once with `ok`, `fail`, `info`, `obs` or `gap`."""

    __slots__ = ("f", "intended_ns", "key", "number", "region", "scribe", "session", "user")

    def __init__(self, scribe: Scribe, f: str, number: int, who: dict[str, Any], intended_ns: int) -> None:
        self.scribe = scribe
        self.f = f
        self.number = number
        self.user = who["user"]
        self.session = who["session"]
        self.key = who["key"]
        self.region = who["region"]
        self.intended_ns = intended_ns

    def ok(self, value: Any = None, node: str = "") -> None:
        self.end(Type.OK, value=value, node=node)

    def fail(self, error: str, node: str = "") -> None:
        """Certainly not applied."""
        self.end(Type.FAIL, error=error, node=node)

    def info(self, error: str, node: str = "") -> None:
        """It may have been applied."""
        self.end(Type.INFO, error=error, node=node)

    def obs(self, value: Any, node: str = "") -> None:
        self.end(Type.OBS, value=value, node=node)

    def gap(self, error: str) -> None:
        """A planned observation that did not come."""
        self.end(Type.GAP, error=error)

    def end(self, kind: Type, *, value: Any = None, node: str = "", error: str = "") -> None:
        """Twice is no error: the first end counts (the load may have ended in between)."""
        if self.scribe.open.pop(self.number, None) is not None:
            self.scribe.ended(self, kind, value, node, error)


class Scribe:
    """The recorder of a load, its open operations, and the figures of the running second."""

    def __init__(self, recorder: Recorder) -> None:
        self.recorder = recorder
        self.open: dict[int, Op] = {}
        self.at_end: set[Callable[[], None]] = set()
        """Called by `end_all`, for what must be said of those who are still there."""
        self.counts: defaultdict[str, int] = defaultdict(int)
        self._flows: Flows = {}
        self._good: deque[str] = deque(maxlen=3)
        self._bad: deque[str] = deque(maxlen=3)

    def invoke(
        self, f: str, user: str, session: str, key: str, region: str, *, intended_ns: int = 0, value: Any = None
    ) -> Op:
        """Record that an operation begins now."""
        number = self.recorder.next_op()
        who: dict[str, Any] = {"user": user, "session": session, "key": key, "region": region}
        self.recorder.record(Type.INVOKE, f, op=number, intended_ns=intended_ns, value=value, **who)
        op = Op(self, f, number, who, intended_ns)
        self.open[number] = op
        return op

    def fact(self, f: str, *, kind: Type = Type.INFO, **parts: Any) -> None:
        """Record something that is no operation."""
        self.counts[f] += 1
        self.recorder.record(kind, f, **parts)

    def ended(self, op: Op, kind: Type, value: Any, node: str, error: str) -> None:
        now_ns = time.monotonic_ns()
        self.recorder.record(
            kind,
            op.f,
            t_ns=now_ns,
            user=op.user,
            session=op.session,
            op=op.number,
            key=op.key,
            value=value,
            node=node,
            region=op.region,
            intended_ns=op.intended_ns,
            error=error,
        )
        self.counts[f"{op.f}.{kind.value}"] += 1
        self.count(op.f, op.region, now_ns - op.intended_ns, good=kind is Type.OK)
        if kind in (Type.FAIL, Type.INFO):
            self._bad.append(f"{op.user} {op.f} {op.key} via {op.region}: {error}")
        elif op.f in ("join", "rejoin", "resume", "leave"):
            self._good.append(_sentence(op, (now_ns - op.intended_ns) / 1e6))

    def count(self, f: str, region: str, latency_ns: int, *, good: bool) -> None:
        """Count one end for the report of the running second."""
        flow = FLOWS.get(f)
        if flow is None:
            return
        cell = self._flows.setdefault(flow, {}).setdefault(region, {"ok": 0, "bad": 0, "ms": []})
        cell["ok" if good else "bad"] += 1
        if good:
            cell["ms"].append(round(latency_ns / 1e6, 1))

    def second(self) -> tuple[Flows, list[str]]:
        """The figures since the last call, and at most three sentences, bad news first."""
        flows, self._flows = self._flows, {}
        last = [*self._bad, *self._good][:3]
        self._bad.clear()
        self._good.clear()
        return flows, last

    def end_all(self) -> None:
        """Close what is open: the load ended."""
        for close in list(self.at_end):
            close()
        for op in list(self.open.values()):
            if op.f in READS:
                op.gap("load ended")
            else:
                op.info("load ended")


def _sentence(op: Op, ms: float) -> str:
    verb = {"join": "joined", "rejoin": "rejoined", "resume": "resumed", "leave": "left"}[op.f]
    return f"{op.user} {verb} {op.key} via {op.region} in {ms:.0f} ms"
