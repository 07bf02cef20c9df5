"""What a check is and what it finds: counts, violations with their witness, and the rule from these to an outcome."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.model.verdict import Kind, Outcome, Witness, WitnessEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chaos.model.event import Event
    from chaos.model.experiment import LoadSpec
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

WITNESS_EVENTS = 12
WITNESSES = 5
"""So many violations are told in full; all of them are counted."""
LOOKS = ("roster", "own_roster", "tokens", "reread", "view", "crash_read", "cold_read")
"""The functions whose answers show what the stack holds."""


class Sight(NamedTuple):
    """An observation that a violation rests on: whose it was, and the time in which it was made."""

    worker: str
    session: str
    start_ns: int
    end_ns: int
    look: Op | None = None
    """The look whose answer shows it; None: a user's client waited, or was told."""


def sight(history: History, op: Op) -> Sight:
    """What an operation showed: a look by its answer, any other by how it ended, or that it did not."""
    start = min(op.start_ns, op.begin.t_ns)
    look = op if op.begin.f in LOOKS else None
    return Sight(op.begin.worker, op.session or op.begin.user, start, history.seen_until(op), look)


def felt(event: Event, since_ns: int | None = None) -> Sight:
    """What a client recorded without having asked, and where that matters, since when it was waiting for it."""
    return Sight(event.worker, event.session or event.user, event.t_ns if since_ns is None else since_ns, event.t_ns)


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken invariant: when, what in a sentence, and the events that show it as (time in ns, words)."""

    t_ns: int
    says: str
    events: tuple[tuple[int, str], ...]
    seen_by: tuple[Sight, ...]
    """All that it rests on: where one of these was not healthy, the violation proves nothing of the stack."""
    health: tuple[int, str] | None = None
    """What the record proves of them, put in as the check is judged (`chaos.verdict.health`)."""


@dataclass(slots=True)
class CheckFindings:
    """What a check counted. An instance is in exactly one of the counts; a violation is a judged instance."""

    judged: int = 0
    excused: int = 0
    """A fault that reached it was on, or healed less than the grace ago: not judged, and not held against the run."""
    inconclusive: int = 0
    """An observation that the plan wanted is missing: one of these and the check cannot pass."""
    unjudged: int = 0
    """Nothing was planned that could tell (the load ended first, both twins failed): says nothing either way."""
    violations: list[Violation] = field(default_factory=list)
    unproven: list[Violation] = field(default_factory=list)
    """Those that no observer saw who is proved to have been healthy; counted as inconclusive."""
    reasons: list[str] = field(default_factory=list)
    moot: str = ""
    """Not empty: the record itself says that nothing here could break this invariant, and why: the stack promises
    nothing of the kind, or no fault touched what it is about. Such a check has no line unless a rule asks for one."""
    figures: dict[str, Any] = field(default_factory=dict)

    def because(self, reason: str) -> None:
        """Note a reason once."""
        if reason not in self.reasons:
            self.reasons.append(reason)

    @property
    def outcome(self) -> Outcome:
        """Fail on a violation; pass only when something was judged and no observation is missing."""
        if self.violations:
            return Outcome.FAIL
        return Outcome.PASS if self.judged and not self.inconclusive else Outcome.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Check:
    """A check as its module declares it: `check = Check(...)` in a file of `chaos/verdict/checks/`."""

    id: str
    name: str
    """What it forbids, for people."""
    metric: str
    """The word of a threshold that counts its violations: `edits.lost`."""
    run: Callable[[History, Bounds], CheckFindings]
    wanted: Callable[[LoadSpec], bool]
    """Whether a load has the flow that this check judges."""
    kind: Kind = Kind.SAFETY
    """Of a comparison SLO: then it fails nothing in a run that cannot be believed."""
    applies: Callable[[History], bool] = lambda _history: True
    """Whether this run has what it compares; where not, and no rule asks for it, it has no line."""
    faults: tuple[str, ...] = ()
    """Not empty: it judges what only these faults bring about, and is wanted where the method injects one."""


def witness(history: History, violation: Violation) -> Witness:
    """A violation as people read it: at most 12 events, the first and the last ones kept, and its observers' health."""
    health = [] if violation.health is None else [violation.health]
    story = [*_shorten(sorted(set(violation.events)), WITNESS_EVENTS - len(health)), *health]
    story.sort(key=lambda event: event[0])
    steps = tuple(WitnessEvent(t_s=history.seconds(t_ns), says=says) for t_ns, says in story)
    return Witness(says=violation.says, events=steps)


def _shorten(story: list[tuple[int, str]], most: int) -> list[tuple[int, str]]:
    half = most // 2
    return story if len(story) <= most else story[: most - half] + story[-half:]


def merge(outcomes: Iterable[Outcome]) -> Outcome:
    """Dirty > fail > inconclusive > pass; of nothing at all: inconclusive."""
    found = set(outcomes)
    for outcome in (Outcome.DIRTY, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.PASS):
        if outcome in found:
            return outcome
    return Outcome.INCONCLUSIVE
