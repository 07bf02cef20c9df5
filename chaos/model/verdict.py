"""What a judgement says: per check and as a whole."""

from __future__ import annotations

import enum
from typing import Any

from pydantic import Field

from chaos.errors import ExitCode
from chaos.model.stack import Frozen


class Outcome(enum.StrEnum):
    """Of a check: three-valued; merged by priority fail > inconclusive > pass."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    DIRTY = "dirty"
    """Of a run only, and it outranks the others: something that was injected could not be taken back."""


class Kind(enum.StrEnum):
    """What a check is about; a safety violation fails even a run whose validity was missed, an SLO does not."""

    VALIDITY = "validity"
    SAFETY = "safety"
    SLO = "slo"
    RECOVERY = "recovery"


class Place(Frozen):
    """Where an experiment says it."""

    file: str
    line: int = 0
    col: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file

    @property
    def exact(self) -> str:
        """With the column, for errors."""
        return f"{self}:{self.col}" if self.line and self.col else str(self)


class WitnessEvent(Frozen):
    """One step of the shortest story that shows a violation."""

    t_s: float
    """Seconds since the load began."""
    says: str


class Witness(Frozen):
    """The smallest sequence of events (at most 12) that shows a violation."""

    says: str
    """The violation in one sentence."""
    events: tuple[WitnessEvent, ...] = ()


class CheckResult(Frozen):
    """The judgement of one check."""

    id: str
    """For example D1, M3, or the threshold's metric (`join.success`)."""
    name: str
    """For people: `edits.lost == 0`, `presence.ghosts == 0`."""
    kind: Kind
    phase: str
    """baseline, fault, recovery, or `run` for all of it."""
    outcome: Outcome
    measured: str
    """With n and interval where there is one: `96.2 %  [94.7, 97.3]  603 of 627`."""
    threshold: str = ""
    judged: int = 0
    excused: int = 0
    inconclusive: int = 0
    reasons: tuple[str, ...] = ()
    witnesses: tuple[Witness, ...] = ()
    place: Place | None = None
    figures: dict[str, Any] = Field(default_factory=dict)


class Verdict(Frozen):
    """The whole judgement: a pure function of a record."""

    outcome: Outcome
    exit_code: ExitCode
    checks: tuple[CheckResult, ...]
    says: str
    """`1 failed, 2 passed, 1 inconclusive`."""
