"""What there is to run: every mutant of the embedded stack, clean runs of shipped experiments, runs without a fault."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from chaos.experiment.document import shipped
from chaos.stacks.embedded import mutants

if TYPE_CHECKING:
    from collections.abc import Sequence

STEADY = Path(__file__).with_name("steady.json")
"""An experiment in which nothing happens."""
STEADY_SEED = 1
"""Of all runs without a fault: only then do they differ by nothing but chance."""
RUN_S = 48
"""About what one run takes."""


class Case(NamedTuple):
    """One run."""

    kind: Literal["mutant", "clean", "steady"]
    name: str
    """Of the mutant, or of the experiment."""
    number: int
    """From 1; the seed, except of runs without a fault."""

    @property
    def experiment(self) -> str:
        """What `chaos run` is given."""
        if self.kind == "mutant":
            return mutants.described(self.name)[0]
        return str(STEADY) if self.kind == "steady" else self.name

    @property
    def wanted(self) -> str:
        """The id of the check that must fail; empty where none may."""
        return mutants.described(self.name)[1] if self.kind == "mutant" else ""

    @property
    def words(self) -> tuple[str, ...]:
        """Further words for `chaos run`."""
        seed = STEADY_SEED if self.kind == "steady" else self.number
        defect = ("--set", f"embedded.mutant={self.name}") if self.kind == "mutant" else ()
        return ("--seed", str(seed), *defect)


def cases(chosen: Sequence[str], times: int, clean: int, steady: int) -> tuple[Case, ...]:
    """Each chosen mutant `times` times, `clean` runs over all experiments in turn, `steady` runs without a fault.

    In an order that makes sense of a part: first of each kind once.
    """
    names = tuple(shipped())
    found = [Case("mutant", name, number) for number in range(1, times + 1) for name in chosen]
    found += [Case("clean", names[at % len(names)], at // len(names) + 1) for at in range(clean)]
    found += [Case("steady", "nothing happens", number) for number in range(1, steady + 1)]
    return tuple(sorted(found, key=lambda case: case.number))
