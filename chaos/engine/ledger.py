"""The ledger: what is about to be done and how to undo it, on disk before it is done.

One file per run under the state directory, one JSON object per line, each line fsynced before the next step:
`intent` (with the undo) -> inject -> `injected` -> hold -> `healing` -> `healed`. A line that was cut off, by a crash
or by a full disk, says nothing, and the next one begins afresh. Whatever has an `intent` and no `healed` may still be
in force, and is taken back by the undo that stands in the intent: idempotent, by `chaos.runtimes.undo`.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from chaos.engine.rundir import storage
from chaos.engine.steps import Step as Moment
from chaos.engine.steps import Steps, unwatched
from chaos.errors import StorageFailed
from chaos.model.fault import Undo
from chaos.model.stack import Frozen
from chaos.runtimes.state import root
from chaos.runtimes.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable

Step = str
KEPT = 50
"""Ledgers of finished runs that are kept to look at."""


class Entry(Frozen):
    """A fault that the ledger knows, as its lines leave it."""

    run: str
    fault: str
    says: str
    undo: tuple[Undo, ...]
    step: Step = "intent"


class Reading(NamedTuple):
    """What a ledger's file says."""

    entries: tuple[Entry, ...]
    damaged: tuple[int, ...] = ()
    """Lines, from 1, that mean nothing: each may have been an intent."""


def directory() -> Path:
    """Where ledgers live: in the state directory, never in one for temporary files."""
    return root() / "ledger"


class Ledger:
    """The ledger of one run; safe to use from several threads. `steps` hears of each step that was done."""

    def __init__(self, path: Path, steps: Steps = unwatched) -> None:
        self.path = path
        self._steps = steps
        self._lock = threading.Lock()

    @property
    def run(self) -> str:
        """The id of its run."""
        return self.path.stem

    @classmethod
    def create(cls, run: str, at: Path | None = None, steps: Steps = unwatched) -> Ledger:
        """Begin an empty one, durably; raises `StorageFailed`."""
        folder = at or directory()
        path = folder / f"{run}.jsonl"
        with storage(path, hint="point COLLAB_CHAOS_STATE at a directory that can be written"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(exist_ok=False, mode=0o600)
            _sync_directory(folder)
        return cls(path, steps)

    def intent(self, fault: str, says: str, undos: tuple[Undo, ...]) -> None:
        """Before anything is touched: what will be done, and how to take it back."""
        self._append({"fault": fault, "step": "intent", "says": says, "undo": [u.model_dump() for u in undos]})
        self._steps(Moment.INTENT)

    def step(self, fault: str, step: Step) -> None:
        """A step has been done: injected, healing, healed."""
        self._append({"fault": fault, "step": step})

    def open_entries(self) -> tuple[Entry, ...]:
        """What may still be in force; raises `StorageFailed` where the file cannot be read."""
        return tuple(entry for entry in read(self.path) if entry.step != "healed")

    def damaged(self) -> tuple[int, ...]:
        """Lines that mean nothing, from 1."""
        return scan(self.path).damaged

    def heal(self, say: Callable[[Entry, str], None] | None = None, *, only: str | None = None) -> tuple[str, ...]:
        """Take back what is open (or one fault), newest first; return what could not be, in words."""
        failed = []
        for entry in reversed(self.open_entries()):
            if only not in {None, entry.fault}:
                continue
            written = self._try_step(entry.fault, "healing")
            self._steps(Moment.HEALING)
            # A full disk must not keep a fault in force: the undo is idempotent, and its entry stays open.
            said, problem = _undo_all(entry)
            self._steps(Moment.UNDO)
            if problem:
                failed.append(f"{entry.fault} ({entry.says}): {problem}")
                continue
            if written:
                self._try_step(entry.fault, "healed")
                self._steps(Moment.HEALED)
            if say:
                say(entry, said)
        return tuple(failed)

    def put_away(self) -> None:
        """Move a ledger with nothing open out of the way; an empty one is deleted. Only the last `KEPT` are kept."""
        done = self.path.parent / "done"
        with contextlib.suppress(FileNotFoundError), storage(self.path):
            if not self.path.stat().st_size:
                self.path.unlink()
                return
            done.mkdir(mode=0o700, exist_ok=True)
            self.path.replace(done / self.path.name)
            for old in sorted(done.glob("*.jsonl"))[:-KEPT]:
                old.unlink(missing_ok=True)

    def _try_step(self, fault: str, step: Step) -> bool:
        try:
            self.step(fault, step)
        except StorageFailed:
            return False
        return True

    def _append(self, line: dict[str, Any]) -> None:
        with self._lock, storage(self.path), self.path.open("a+b") as file:
            text = json.dumps(line).encode() + b"\n"
            # Behind a line that a crash cut off a new one begins, or both would be lost.
            file.write(text if _ends_whole(file.fileno()) else b"\n" + text)
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> tuple[Entry, ...]:
    """Replay a ledger: one entry per fault, in order of intent. What means nothing is passed over."""
    return scan(path).entries


def scan(path: Path) -> Reading:
    """Replay a ledger and say which of its lines mean nothing; a last line without an end is none of them.

    Total on any content; raises `StorageFailed` where the file cannot be read, and finds nothing in one that is gone.
    """
    entries: dict[str, Entry] = {}
    damaged = []
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return Reading(())
    except OSError as error:
        raise StorageFailed(f"cannot read the ledger {path}: {error.strerror}") from error
    for number, line in enumerate(data.split(b"\n")[:-1], 1):
        try:
            _apply(json.loads(line), path.stem, entries)
        except (ValueError, KeyError, TypeError, RecursionError):  # pydantic's and Unicode's are ValueErrors
            damaged.append(number)
    return Reading(tuple(entries.values()), tuple(damaged))


def _apply(said: Any, run: str, entries: dict[str, Entry]) -> None:
    fault = said["fault"]
    if said["step"] == "intent":
        entries[fault] = Entry(run=run, fault=fault, says=said["says"], undo=said["undo"])
    else:
        entries[fault] = entries[fault].model_copy(update={"step": str(said["step"])})


def ledgers(at: Path | None = None) -> tuple[Ledger, ...]:
    """Every ledger on this machine that was not put away, oldest first."""
    return tuple(Ledger(path) for path in sorted((at or directory()).glob("*.jsonl")))


def _undo_all(entry: Entry) -> tuple[str, str]:
    said, problems = [], []
    for step in entry.undo:
        try:
            said.append(undo(step))
        except Exception as error:  # noqa: BLE001 - every undo is tried, whatever the one before it did
            problems.append(str(error))
    return ", ".join(said), "; ".join(problems)


def _ends_whole(handle: int) -> bool:
    size = os.fstat(handle).st_size
    return not size or os.pread(handle, 1, size - 1) == b"\n"


def _sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
