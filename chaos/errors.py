"""Every failure that a user can meet, each with one exit code and room for one hint.

ChaosError
├── UsageError                  2  bad arguments; nothing was touched
│   ├── InvalidInput            2  a file with problems: all of them, with file:line:col
│   ├── UnsafeTarget            2  the stack is not marked as staging, or a cap is exceeded
│   ├── NoSuchTarget            2  a selector that matches nothing
│   └── Refused                 2  an operator has halted all runs, or another run has this target
├── Stopped                     1  a stop condition of the experiment was met; everything was healed
├── CannotJudge                 3  the run cannot give a verdict
│   ├── StackFailed             3  a stack did not start, or went away
│   ├── LoadFailed              3  the virtual users did not start, or died
│   ├── Halted                  3  an operator ended all runs; everything was healed
│   └── StorageFailed           3  the run directory cannot be written (disk full)
├── StillDirty                  4  something injected could not be taken back
├── InternalError               5  a bug of ours
└── Interrupted           129/130/143  ended by a signal; everything was healed
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class ExitCode(enum.IntEnum):
    """What `chaos run` says to the shell."""

    PASS = 0
    FAIL = 1
    USAGE = 2
    INCONCLUSIVE = 3
    DIRTY = 4
    INTERNAL = 5
    HANGUP = 129
    INTERRUPTED = 130
    TERMINATED = 143


class ChaosError(Exception):
    """A failure with its evidence (for example the last log lines) and the next thing to do."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(self, message: str, *, hint: str = "", evidence: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.evidence = evidence


class UsageError(ChaosError):
    """Bad arguments or input. Nothing was touched."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing wrong with a file; `line` and `col` count from 1, and 0 means "the file as a whole"."""

    file: str
    line: int
    col: int
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.col}" if self.line else self.file
        return f"{where}: {self.message}" + (f" ({self.hint})" if self.hint else "")


class InvalidInput(UsageError):
    """A file with problems, all of them at once."""

    def __init__(self, problems: tuple[Problem, ...], *, hint: str = "") -> None:
        count = f"{len(problems)} problem" + ("" if len(problems) == 1 else "s")
        files = ", ".join(sorted({problem.file for problem in problems}))
        super().__init__(f"{count} in {files}", hint=hint, evidence=tuple(map(str, sorted(problems))))
        self.problems = tuple(sorted(problems))


class UnsafeTarget(UsageError):
    """The target is not marked as staging, or the blast radius exceeds its cap."""


class NoSuchTarget(UsageError):
    """A selector that matches nothing in the stack."""


class Refused(UsageError):
    """No run may begin here now: an operator has halted all runs, or another run has this target."""


class Stopped(ChaosError):
    """A stop condition of the experiment was met: the method ended early, healed, and the run is judged."""

    exit_code = ExitCode.FAIL


class CannotJudge(ChaosError):
    """The run can give no verdict."""

    exit_code = ExitCode.INCONCLUSIVE


class StackFailed(CannotJudge):
    """A stack did not start, or went away; the evidence holds its last log lines."""


class LoadFailed(CannotJudge):
    """The virtual users did not start, or died."""


class Halted(CannotJudge):
    """An operator ended every run on this machine; everything was healed."""


class StorageFailed(CannotJudge):
    """The run directory or the state directory cannot be written."""


class StillDirty(ChaosError):
    """Something that was injected could not be taken back; the evidence lists it."""

    exit_code = ExitCode.DIRTY


class InternalError(ChaosError):
    """A bug of this tool."""


_SIGNALS = {ExitCode.HANGUP: "SIGHUP", ExitCode.INTERRUPTED: "Ctrl-C", ExitCode.TERMINATED: "SIGTERM"}


class Interrupted(ChaosError):
    """Ended by a signal, and healed."""

    def __init__(self, exit_code: ExitCode) -> None:
        super().__init__(f"ended by {_SIGNALS[exit_code]}; nothing is left in force")
        self.exit_code = exit_code
