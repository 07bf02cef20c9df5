"""Whether those who saw a violation were healthy: proved from the record alone, or the violation does not count.

An observer is proved healthy for the time of an observation when
  - its worker was alive and on time from `AROUND_NS` before to `AROUND_NS` after it: the null target, which the same
    loop asks ten times a second, answered each time within the part of the tightest deadline that validity allows, and
    no two of its answers lie further apart than `SILENCE_NS`;
  - where it is a look: it was answered within `NORMAL_NS`, or its socket proved alive, the session's looks before and
    after it being answered too (a reader who reads once has its answer alone);
  - where the look is a difference to the one before it: the differences fit up to there, their hashes included.
Source: the same-loop null target as in `docs/checks.md`; a witness must be shown not to be the fault itself.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from chaos.verdict import words
from chaos.verdict.documents import documents
from chaos.verdict.findings import LOOKS, CheckFindings, Sight, Violation
from chaos.verdict.flows import allowed_s, null_answers
from chaos.verdict.history import NS

if TYPE_CHECKING:
    from chaos.model.stack import Bounds
    from chaos.verdict.history import History, Op

AROUND_NS = NS
SILENCE_NS = NS
"""The null target is asked every 0.1 s."""
NORMAL_NS = NS
NEAR_NS = 5 * NS
"""Looks of the same session within this time tell of its socket."""
_MS = NS // 1000


class _Trouble(NamedTuple):
    """A time in which a worker was late, or in which nothing shows that it was not."""

    start_ns: int
    end_ns: int
    late_ns: int
    """By how much; 0: it is silent."""


@dataclass(slots=True)
class _Worker:
    """What a worker's null target tells of it."""

    times: list[int] = field(default_factory=list)
    """When each answer came, in order."""
    took: list[int] = field(default_factory=list)
    troubles: list[_Trouble] = field(default_factory=list)
    """Disjoint, in order."""
    ends: list[int] = field(default_factory=list)
    """Of the troubles."""

    def around(self, start_ns: int, end_ns: int) -> slice:
        """The answers that came in [start, end] or around it."""
        return slice(bisect_left(self.times, start_ns - AROUND_NS), bisect_right(self.times, end_ns + AROUND_NS))

    def trouble(self, start_ns: int, end_ns: int) -> _Trouble | None:
        """The first that touches [start, end] or what is around it; silence, where the record begins or ends in it."""
        near = self.around(start_ns, end_ns)
        before, after = self.times[0] - self.took[0] - SILENCE_NS, self.times[-1] + SILENCE_NS
        if near.start == near.stop or start_ns < before or end_ns > after:
            return _Trouble(start_ns, end_ns, 0)
        at = bisect_left(self.ends, start_ns - AROUND_NS)
        found = self.troubles[at] if at < len(self.troubles) else None
        return found if found is not None and found.start_ns <= end_ns + AROUND_NS else None


def _begin(op: Op) -> int:
    return op.begin.t_ns


class _Evidence:
    """What the record holds that tells of observers; indexed once."""

    def __init__(self, history: History, bounds: Bounds) -> None:
        self.allowed_ns = int(allowed_s(bounds) * NS)
        self.workers = _workers(history, self.allowed_ns)
        self.looks: dict[str, list[Op]] = defaultdict(list)
        for op in sorted(history.of(*LOOKS), key=_begin):
            if not op.cut_short:
                self.looks[op.session].append(op)
        chains = (chain for document in documents(history, looks=True).values() for chain in document.chains())
        self.whole = {(step.look.begin.worker, step.look.begin.op) for chain in chains for step in chain.steps}

    def near(self, sight: Sight) -> list[Op]:
        """The looks of the same session around an observation, planned ones that did not come among them."""
        mine = self.looks.get(sight.session, [])
        first = bisect_left(mine, sight.start_ns - NEAR_NS, key=_begin)
        return mine[first : bisect_right(mine, sight.end_ns + NEAR_NS, key=_begin)]


def weigh(history: History, bounds: Bounds, found: CheckFindings) -> CheckFindings:
    """What a check found, with the violations that no healthy observer saw turned into inconclusive instances."""
    proven: list[Violation] = []
    unproven: list[Violation] = []
    why = ""
    for violation in found.violations:
        doubt = doubt_of(history, bounds, violation)
        told = doubt or f"{_names(violation)} healthy: {_proof(history, bounds, violation)}"
        at_ns = max((sight.end_ns for sight in violation.seen_by), default=violation.t_ns)
        (unproven if doubt else proven).append(replace(violation, health=(at_ns, told)))
        why = why or doubt
    if not unproven:
        return replace(found, violations=proven)
    return replace(
        found,
        judged=max(len(proven), found.judged - len(unproven)),
        inconclusive=found.inconclusive + len(unproven),
        violations=proven,
        unproven=unproven,
        reasons=[f"{len(unproven)} of {len(found.violations)} violations do not count: {why}", *found.reasons],
    )


def doubt_of(history: History, bounds: Bounds, violation: Violation) -> str:
    """Why those who saw it are not proved healthy; empty: they are, all of them."""
    if not violation.seen_by:
        return "nothing says who saw it"
    evidence = _evidence(history, bounds)
    doubts = (_doubt(history, evidence, sight) for sight in violation.seen_by)
    return next((doubt for doubt in doubts if doubt), "")


def _evidence(history: History, bounds: Bounds) -> _Evidence:
    name = f"health {allowed_s(bounds)}"
    if name not in history.memo:
        history.memo[name] = _Evidence(history, bounds)
    found: _Evidence = history.memo[name]
    return found


def _workers(history: History, allowed_ns: int) -> dict[str, _Worker]:
    workers: dict[str, _Worker] = defaultdict(_Worker)
    for event in sorted(null_answers(history), key=lambda one: one.t_ns):
        workers[event.worker].times.append(event.t_ns)
        workers[event.worker].took.append(event.t_ns - event.intended_ns)
    for name, one in workers.items():
        late = [(t_ns - took, t_ns, took) for t_ns, took in zip(one.times, one.took, strict=True) if took > allowed_ns]
        pairs = pairwise([*one.times, max(one.times[-1], history.last_ns[name])])
        silent = [(before, after, 0) for before, after in pairs if after - before > SILENCE_NS]
        for start, end, by_ns in sorted(late + silent):
            if one.troubles and start <= one.troubles[-1].end_ns:
                last = one.troubles.pop()
                one.troubles.append(_Trouble(last.start_ns, max(last.end_ns, end), max(last.late_ns, by_ns)))
            else:
                one.troubles.append(_Trouble(start, end, by_ns))
        one.ends = [trouble.end_ns for trouble in one.troubles]
    return workers


def _doubt(history: History, evidence: _Evidence, sight: Sight) -> str:
    one = f"{sight.worker}, the worker of {sight.session}"
    if sight.worker not in evidence.workers:
        return f"no null target tells whether {one}, was on time"
    trouble = evidence.workers[sight.worker].trouble(sight.start_ns, sight.end_ns)
    if trouble is None:
        return "" if sight.look is None else _doubt_look(history, evidence, sight, sight.look)
    end = words.at(history, trouble.end_ns)
    if trouble.late_ns:
        late = f"{trouble.late_ns // _MS} ms ({evidence.allowed_ns // _MS} ms allowed)"
        return f"{one}, was late at {end}: its null target took {late}"
    return f"nothing tells whether {one}, was alive from {words.at(history, trouble.start_ns)} to {end}"


def _doubt_look(history: History, evidence: _Evidence, sight: Sight, look: Op) -> str:
    what = f"the look of {look.session} at {words.at(history, look.begin.t_ns)}"
    if look.outcome != "obs" or look.end is None:
        return f"{what} was not answered"
    if look.begin.f in {"tokens", "reread"} and (look.begin.worker, look.begin.op) not in evidence.whole:
        return f"{what} does not fit to the looks before it"
    took = look.end.t_ns - look.begin.t_ns
    if took <= NORMAL_NS or len(evidence.looks.get(look.session, ())) <= 1:
        return ""
    near = evidence.near(sight)
    before = [one for one in near if _begin(one) < _begin(look)]
    after = [one for one in near if _begin(one) > _begin(look)]
    if before and after and before[-1].outcome == after[0].outcome == "obs":
        return ""
    return f"{what} took {took / NS:.1f} s, and its socket is not proved alive by a look before and one after"


def _names(violation: Violation) -> str:
    names = list(dict.fromkeys(sight.session for sight in violation.seen_by))
    return f"{' and '.join(names)} {'was' if len(names) == 1 else 'were'}"


def _proof(history: History, bounds: Bounds, violation: Violation) -> str:
    evidence = _evidence(history, bounds)
    pairs = [(evidence.workers[one.worker], one) for one in violation.seen_by]
    took = [max(worker.took[worker.around(one.start_ns, one.end_ns)]) for worker, one in pairs]
    looks = {id(op): op for one in violation.seen_by for op in evidence.near(one)}
    answered = sum(op.outcome == "obs" for op in looks.values())
    parts = [f"{answered} of {len(looks)} looks answered"] if looks else []
    return ", ".join([*parts, f"null target {max(0, *took) / _MS:.0f} ms"])
