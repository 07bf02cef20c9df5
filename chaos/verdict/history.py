"""A record made ready for judging: phases, faults, operations and sessions, indexed once in near-linear time."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.model.event import Event, Phase
from chaos.record import LAST_NS
from chaos.verdict.spans import FaultSpan, PhaseSpan, fault_spans, phase_spans

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

NS = 1_000_000_000
_ENDS = frozenset({"ok", "fail", "info", "obs", "gap"})


class Op(NamedTuple):
    """An operation: its invoke, and the completion with the same (worker, op), where one came."""

    begin: Event
    end: Event | None

    @property
    def outcome(self) -> str:
        """ok, fail, info, obs, gap; or open: the record holds no completion."""
        return "open" if self.end is None else self.end.type

    @property
    def start_ns(self) -> int:
        """When the plan wanted it; where there was no plan, when it was invoked."""
        return self.begin.intended_ns or self.begin.t_ns

    @property
    def error(self) -> str:
        """What went wrong, in the words of the load; empty while open."""
        return "" if self.end is None else self.end.error

    @property
    def session(self) -> str:
        """The session it was made by or for."""
        return self.begin.session or (self.end.session if self.end else "")

    @property
    def nodes(self) -> tuple[str, ...]:
        """The server nodes known to have had a part in it."""
        known = (self.begin.node, self.end.node if self.end else "")
        return tuple(dict.fromkeys(node for node in known if node))

    @property
    def names(self) -> list[str] | None:
        """The sessions or tokens that a look was answered with; None where it did not come, or is no such list."""
        value = self.end.value if self.end is not None and self.end.type == "obs" else None
        return value if isinstance(value, list) and all(isinstance(name, str) for name in value) else None

    @property
    def cut_short(self) -> bool:
        """The load ended before it could complete: nobody's failure."""
        return self.end is not None and self.end.type in {"info", "gap"} and self.end.error == "load ended"


@dataclass(frozen=True, slots=True)
class History:
    """Everything a check may ask of a record. Times are the record's own nanoseconds."""

    events: tuple[Event, ...]
    """In order of (time, worker, seq)."""
    damage: tuple[str, ...]
    """What is wrong with the record's files, a sentence each."""
    malformed: int
    """Rows that are no events, completions without an invoke, and invokes that take another's number."""
    t0_ns: int
    """The moment that people's seconds count from: the start of the load."""
    end_ns: int
    phases: tuple[PhaseSpan, ...]
    faults: tuple[FaultSpan, ...]
    ops: Mapping[str, tuple[Op, ...]]
    """Per function, in the order of their invokes."""
    facts: Mapping[str, tuple[Event, ...]]
    """Per function, what is no operation: vanish, dropped, offline, heard, null, ..."""
    sessions: Mapping[str, tuple[Event, ...]]
    """Per session, all its events in order."""
    nodes: Mapping[str, frozenset[str]]
    """Per session, the server nodes known to have had a part in it."""
    last_ns: Mapping[str, int]
    """Per worker, when it recorded last: up to then, what is not there did not happen."""
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """What several checks need and one has worked out; nobody changes what is in it."""

    def of(self, *functions: str) -> Iterable[Op]:
        """The operations of these functions."""
        for f in functions:
            yield from self.ops.get(f, ())

    def seen_until(self, op: Op) -> int:
        """How long the record would have shown a completion: its time, or its writer's last event."""
        return op.end.t_ns if op.end else self.last_ns.get(op.begin.worker, op.begin.t_ns)

    def phase_at(self, t_ns: int) -> Phase:
        """The phase that a moment lies in; what precedes all phases is warm-up."""
        at = bisect_right(self.phases, t_ns, key=lambda span: span.start_ns) - 1
        return self.phases[at].phase if at >= 0 else Phase.WARM_UP

    def span(self, phase: Phase) -> PhaseSpan | None:
        """The phase from its first opening to its last end; None where the run never got there."""
        spans = [span for span in self.phases if span.phase is phase]
        return PhaseSpan(phase, spans[0].start_ns, spans[-1].end_ns) if spans else None

    @property
    def healed_ns(self) -> int | None:
        """When the last fault was off; 0 without faults, None while one is still on."""
        offs = [fault.off_ns for fault in self.faults]
        known = [off for off in offs if off is not None]
        return None if len(known) < len(offs) else max(known, default=0)

    def seconds(self, t_ns: int) -> float:
        """A moment as people read it: seconds since the load began."""
        return round((t_ns - self.t0_ns) / NS, 3)


def build(events: Iterable[Event], damage: Iterable[str] = ()) -> History:
    """Index a record. Total: rows that are no events are counted, not obeyed; the order of files does not matter."""
    rows = list(events)
    good = [event for event in rows if _is_event(event)]
    good.sort(key=lambda event: (event.t_ns, event.worker, event.seq))
    ops, facts, orphans = _pair(good)
    sessions: dict[str, list[Event]] = defaultdict(list)
    nodes: dict[str, set[str]] = defaultdict(set)
    last: dict[str, int] = {}
    for event in good:
        last[event.worker] = event.t_ns
        if event.session:
            sessions[event.session].append(event)
            if event.node:
                nodes[event.session].add(event.node)
    end = good[-1].t_ns if good else 0
    phases = phase_spans([event for event in good if event.type == "phase"], end)
    return History(
        events=tuple(good),
        damage=tuple(sorted(damage)),
        malformed=len(rows) - len(good) + orphans,
        t0_ns=_origin(good, facts, phases),
        end_ns=end,
        phases=phases,
        faults=fault_spans([event for event in good if event.type == "fault"]),
        ops={f: tuple(found) for f, found in ops.items()},
        facts={f: tuple(found) for f, found in facts.items()},
        sessions={name: tuple(found) for name, found in sessions.items()},
        nodes={name: frozenset(found) for name, found in nodes.items()},
        last_ns=last,
    )


def _is_event(event: object) -> bool:
    return (
        isinstance(event, Event)
        and type(event.t_ns) is int
        and type(event.seq) is int
        and type(event.op) is int
        and type(event.intended_ns) is int
        and 0 <= event.intended_ns <= LAST_NS
        and type(event.type) is type(event.f) is type(event.worker) is type(event.user) is str
        and type(event.session) is type(event.key) is type(event.node) is str
        and type(event.region) is type(event.error) is str
    )


def _pair(events: list[Event]) -> tuple[dict[str, list[Op]], dict[str, list[Event]], int]:
    ends: dict[tuple[str, int], Event] = {}
    begun: set[tuple[str, int]] = set()
    facts: dict[str, list[Event]] = defaultdict(list)
    orphans = 0
    for event in events:
        pair = (event.worker, event.op)
        if event.type == "invoke":
            orphans += pair in begun
            begun.add(pair)
        elif event.op < 0 or event.type not in _ENDS:
            if event.type not in {"fault", "phase"}:
                facts[event.f].append(event)
        elif pair in begun:
            ends.setdefault(pair, event)
        else:
            orphans += 1
    ops: dict[str, list[Op]] = defaultdict(list)
    for event in events:
        if event.type == "invoke":
            ops[event.f].append(Op(event, ends.get((event.worker, event.op))))
    return ops, facts, orphans


def _origin(events: list[Event], facts: Mapping[str, list[Event]], phases: tuple[PhaseSpan, ...]) -> int:
    for event in facts.get("arrivals", ()):
        if isinstance(event.value, dict) and type(event.value.get("start_ns")) is int:
            return int(event.value["start_ns"])
    if phases:
        return phases[0].start_ns
    return events[0].t_ns if events else 0
