"""The ledger: what is about to be done and how to undo it, on disk before it is done.

One file per run under the state directory, one JSON object per line, each line fsynced before the next step:
`intent` (with the undo) -> inject -> `injected` -> hold -> `healing` -> `healed`. A line that was cut off, by a crash
or by a full disk, says nothing, and the next one begins afresh. Whatever has an `intent` and no `healed` may still be
in force, and is taken back by the undo that stands in the intent: idempotent, by `chaos.runtimes.undo`.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from chaos.engine.rundir import storage
from chaos.errors import StorageFailed
from chaos.model.fault import Undo
from chaos.model.stack import Frozen
from chaos.runtimes.state import root
from chaos.runtimes.undo import undo

if TYPE_CHECKING:
    from collections.abc import Callable

Step = str


class Entry(Frozen):
    """A fault that the ledger knows, as its lines leave it."""

    run: str
    fault: str
    says: str
    undo: tuple[Undo, ...]
    step: Step = "intent"


def directory() -> Path:
    """Where ledgers live: in the state directory, never in one for temporary files."""
    return root() / "ledger"


class Ledger:
    """The ledger of one run; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()

    @classmethod
    def create(cls, run: str, at: Path | None = None) -> Ledger:
        """Begin an empty one, durably; raises `StorageFailed`."""
        folder = at or directory()
        path = folder / f"{run}.jsonl"
        with storage(path, hint="point COLLAB_CHAOS_STATE at a directory that can be written"):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.touch(exist_ok=False, mode=0o600)
            _sync_directory(folder)
        return cls(path)

    def intent(self, fault: str, says: str, undos: tuple[Undo, ...]) -> None:
        """Before anything is touched: what will be done, and how to take it back."""
        self._append({"fault": fault, "step": "intent", "says": says, "undo": [u.model_dump() for u in undos]})

    def step(self, fault: str, step: Step) -> None:
        """A step has been done: injected, healing, healed."""
        self._append({"fault": fault, "step": step})

    def open_entries(self) -> tuple[Entry, ...]:
        """What may still be in force."""
        return tuple(entry for entry in read(self.path) if entry.step != "healed")

    def heal(self, say: Callable[[Entry, str], None] | None = None, *, only: str | None = None) -> tuple[str, ...]:
        """Take back what is open (or one fault), newest first; return what could not be, in words."""
        failed = []
        for entry in reversed(self.open_entries()):
            if only not in {None, entry.fault}:
                continue
            written = self._try_step(entry.fault, "healing")
            # A full disk must not keep a fault in force: the undo is idempotent, and its entry stays open.
            said, problem = _undo_all(entry)
            if problem:
                failed.append(f"{entry.fault} ({entry.says}): {problem}")
                continue
            if written:
                self._try_step(entry.fault, "healed")
            if say:
                say(entry, said)
        return tuple(failed)

    def _try_step(self, fault: str, step: Step) -> bool:
        try:
            self.step(fault, step)
        except StorageFailed:
            return False
        return True

    def _append(self, line: dict[str, Any]) -> None:
        with self._lock, storage(self.path), self.path.open("a+b") as file:
            # A line that was cut off must not swallow the one that follows it.
            torn = file.tell() > 0 and os.pread(file.fileno(), 1, file.tell() - 1) != b"\n"
            file.write(b"\n" * torn + json.dumps(line).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())


def read(path: Path) -> tuple[Entry, ...]:
    """Replay a ledger: one entry per fault, in order of intent. A line that was cut off is passed over."""
    entries: dict[str, Entry] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            continue
        fault = said["fault"]
        if said["step"] == "intent":
            entries[fault] = Entry(run=path.stem, fault=fault, says=said["says"], undo=said["undo"])
        else:
            entries[fault] = entries[fault].model_copy(update={"step": said["step"]})
    return tuple(entries.values())


def ledgers(at: Path | None = None) -> tuple[Ledger, ...]:
    """Every ledger on this machine, oldest first."""
    return tuple(Ledger(path) for path in sorted((at or directory()).glob("*.jsonl")))


def _undo_all(entry: Entry) -> tuple[str, str]:
    said, problems = [], []
    for step in entry.undo:
        try:
            said.append(undo(step))
        except Exception as error:  # noqa: BLE001 - every undo is tried, whatever the one before it did
            problems.append(str(error))
    return ", ".join(said), "; ".join(problems)


def _sync_directory(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
