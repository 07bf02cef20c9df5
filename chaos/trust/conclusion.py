"""What the runs say together: which check caught which mutant, what clean runs were called, what nobody saw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.model.verdict import Outcome
from chaos.stacks.embedded import mutants
from chaos.trust.runs import Result, fingerprint
from chaos.trust.same import Same, same
from chaos.verdict.checks import registry
from chaos.verdict.findings import merge
from chaos.verdict.run import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

UNCLEAR = 0.02
"""Share of clean runs that may be inconclusive; one always may."""
ALARMS = 0.05
"""Share of comparisons of equals that may call a regression."""
_NAMES = {0: "pass", 1: "fail", 3: "inconclusive"}


@dataclass(frozen=True, slots=True)
class Row:
    """One mutant."""

    name: str
    wanted: str
    runs: int
    failed: Mapping[str, int]
    """Per id, in how many of the runs it failed."""
    late: int
    """Runs that missed it while our own machine was late."""

    @property
    def caught(self) -> int:
        """Runs in which the check that looks for it failed."""
        return self.failed.get(self.wanted, 0)

    @property
    def missed(self) -> int:
        """Runs that prove that it is not always found."""
        return self.runs - self.caught - self.late


@dataclass(frozen=True, slots=True)
class Trust:
    """All of it, and whether the verdicts can be believed."""

    rows: tuple[Row, ...]
    clean: Mapping[str, Counter[str]]
    """Per experiment, how many runs were a pass, fail, inconclusive, other."""
    hungry: Mapping[str, Counter[Outcome]]
    """Per check, what it said of so many clean records without their observations."""
    same: Same
    surprises: tuple[str, ...]
    """Each run that was not as it should be, with what it said and where it is kept."""
    foreign: int
    """Runs that were made by other code than this."""
    problems: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def outcome(self) -> Outcome:
        """Fail: a verdict was wrong. Inconclusive: too little was seen."""
        return merge([Outcome.PASS, *[Outcome.FAIL] * bool(self.problems), *[Outcome.INCONCLUSIVE] * bool(self.doubts)])


def conclude(results: Sequence[Result]) -> Trust:
    """The sum of these results; reads the records of runs without a fault."""
    rows = tuple(_rows([one for one in results if one.kind == "mutant"]))
    cleans = [one for one in results if one.kind == "clean"]
    clean: dict[str, Counter[str]] = {}
    hungry: dict[str, Counter[Outcome]] = {}
    for one in cleans:
        clean.setdefault(one.name, Counter())[_NAMES.get(one.exit, "other")] += 1
        for check, outcome in one.hungry.items():
            hungry.setdefault(check, Counter())[outcome] += 1
    steady = [load_run(Path(one.record)) for one in results if one.kind == "steady" and one.record]
    equals = same(steady)
    code = fingerprint()
    return Trust(
        rows=rows,
        clean=clean,
        hungry=hungry,
        same=equals,
        surprises=tuple(_surprises(results)),
        foreign=sum(one.code != code for one in results),
        problems=tuple(_problems(rows, clean, hungry, equals)),
        doubts=tuple(_doubts(rows, clean, hungry, equals)),
    )


def _rows(results: Sequence[Result]) -> Iterator[Row]:
    for name in dict.fromkeys(one.name for one in results):
        mine = [one for one in results if one.name == name]
        counts: Counter[str] = Counter()
        for one in mine:
            counts.update(check for check, outcome in one.outcomes.items() if outcome is Outcome.FAIL)
        late = sum(one.late and not one.caught for one in mine)
        yield Row(name, mutants.described(name)[1], len(mine), counts, late)


def _surprises(results: Sequence[Result]) -> Iterator[str]:
    for one in results:
        expected = one.caught if one.kind == "mutant" else one.exit == 0
        if not expected:
            kept = f" ({one.record})" if one.record else ""
            yield f"{one.kind} {one.name} {one.number}: exit {one.exit}{kept}: {' | '.join(one.why) or 'no word'}"


def _problems(
    rows: Sequence[Row], clean: Mapping[str, Counter[str]], hungry: Mapping[str, Counter[Outcome]], equals: Same
) -> Iterator[str]:
    for row in rows:
        if row.missed:
            yield f"{row.wanted} missed the mutant {row.name} in {row.missed} of {row.runs} runs"
    for name, counts in clean.items():
        for word in ("fail", "other"):
            if counts[word]:
                yield f"{counts[word]} clean runs of {name}: {word}"
    for check, outcomes in hungry.items():
        for outcome, says in ((Outcome.PASS, "passed"), (Outcome.FAIL, "failed")):
            if outcomes[outcome]:
                yield f"{check} {says} on {outcomes[outcome]} records without their observations"
    if equals.alarmed > ALARMS * equals.pairs:
        yield f"false alarms in {equals.alarmed} of {equals.pairs} comparisons of equals"


def _doubts(
    rows: Sequence[Row], clean: Mapping[str, Counter[str]], hungry: Mapping[str, Counter[Outcome]], equals: Same
) -> Iterator[str]:
    total = sum(clean.values(), Counter[str]())
    if total["inconclusive"] > max(1, UNCLEAR * total.total()):
        yield f"{total['inconclusive']} of {total.total()} clean runs were inconclusive"
    for row in rows:
        if row.late:
            yield f"{row.name}: our own machine was late in {row.late} of {row.runs} runs"
    if rows and (unguarded := sorted(set(registry()) - {row.wanted for row in rows}, key=_order)):
        yield f"no mutant was run for {', '.join(unguarded)}"
    if clean and (unseen := sorted(set(registry()) - set(hungry), key=_order)):
        yield f"no clean run had anything to judge for {', '.join(unseen)}"
    if equals.doubtful:
        yield f"{equals.doubtful} of {equals.doubtful + equals.pairs} pairs of equal runs could not be compared"


def _order(check: str) -> tuple[str, int]:
    return check[:1], int(check[1:])
