"""Runs of this machine: which are in progress, and which target each has.

A run in progress holds the flock on its file under the state directory's `runs`; a file that nobody holds was left
by a process that died, and blocks nothing. Whoever begins or ends a run, or sweeps, does so one at a time.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from chaos.engine.rundir import storage
from chaos.errors import Refused
from chaos.model.stack import Frozen
from chaos.runtimes.state import is_held, root


class RunFile(Frozen):
    """What is known of a run while it goes on."""

    run: str
    title: str = ""
    pid: int = 0
    directory: str = ""
    target: str = ""
    """What no second run may have: the id of a running stack, or a name made from a stack's addresses."""
    owns: str = ""
    """Id of the stack that it started and that ends with it."""
    began: float = 0.0
    """Seconds since the epoch."""


def folder() -> Path:
    """Where the files are."""
    return root() / "runs"


class Membership:
    """A run's place among those in progress, from `enrol` to `leave`."""

    def __init__(self, known: RunFile, handle: int) -> None:
        self.known = known
        self._handle = handle

    @property
    def run(self) -> str:
        """The run's id."""
        return self.known.run

    def started(self, stack: str) -> None:
        """The run has started a stack of its own: that is its target from now on."""
        self.known = self.known.model_copy(update={"target": stack, "owns": stack})
        with _alone():
            _write(self._handle, self.known)

    def leave(self) -> None:
        """The run is over; twice is no error."""
        if self._handle < 0:
            return
        with _alone():
            _path(self.run).unlink(missing_ok=True)
            os.close(self._handle)
            self._handle = -1


def enrol(known: RunFile) -> Membership:
    """Begin a run; raises `Refused` if a run in progress has its target, `StorageFailed`."""
    known = known.model_copy(update={"pid": os.getpid(), "began": time.time()})
    with _alone():
        for other in in_progress():
            if known.target and other.target == known.target:
                raise Refused(
                    f"{known.target} is the target of run {other.run} (process {other.pid}), which is in progress",
                    hint="wait for its end, or start another stack: chaos stack up",
                )
        with storage(_path(known.run)):
            handle = os.open(_path(known.run), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(handle, fcntl.LOCK_EX)
        _write(handle, known)
    return Membership(known, handle)


def in_progress() -> tuple[RunFile, ...]:
    """Runs whose process lives, oldest first."""
    return tuple(_read(path) for path in _files() if is_held(path))


def abandoned() -> tuple[RunFile, ...]:
    """Runs whose process died before their end."""
    return tuple(_read(path) for path in _files() if not is_held(path))


def is_in_progress(run: str) -> bool:
    """Whether this run's process lives."""
    return is_held(_path(run))


def forget(run: str) -> None:
    """Remove the file of a run whose process died; one in progress keeps it."""
    with _alone():
        if not is_in_progress(run):
            _path(run).unlink(missing_ok=True)


def _path(run: str) -> Path:
    return folder() / f"{run}.json"


def _files() -> list[Path]:
    return sorted(folder().glob("*.json"))


def _read(path: Path) -> RunFile:
    try:
        return RunFile.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return RunFile(run=path.stem)


def _write(handle: int, known: RunFile) -> None:
    with storage(_path(known.run)):
        os.ftruncate(handle, 0)
        os.pwrite(handle, known.model_dump_json().encode(), 0)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    with storage(folder()):
        folder().mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(folder(), os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
