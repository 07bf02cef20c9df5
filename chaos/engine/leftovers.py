"""What earlier runs left behind, and taking it back: from their ledgers, and where these are damaged, by their mark.

The mark is the run's id, with which the id of each of its faults begins. A run in progress is left alone unless it
is named.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from chaos.engine import runs
from chaos.engine.ledger import Entry, Ledger, directory, ledgers
from chaos.errors import ChaosError, StillDirty, StorageFailed, UsageError
from chaos.runtimes import state
from chaos.runtimes.process import ProcessRuntime, list_stacks, stop_stack

if TYPE_CHECKING:
    from chaos.model.stack import Site


@dataclass(frozen=True, slots=True)
class Undone:
    """A fault that was taken back (or would be)."""

    run: str
    fault: str
    says: str
    undo: tuple[str, ...] = ()
    undone: str = ""
    """What became of it; empty in a dry run."""


@dataclass(slots=True)
class Healing:
    """What a heal did (or would do)."""

    healed: list[Undone] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What could not be taken back, in words."""
    in_progress: list[str] = field(default_factory=list)
    """Runs that still have faults in force by right, and were left alone."""
    notes: list[str] = field(default_factory=list)
    """What was not looked at or not touched, in words."""

    def check(self, command: str) -> None:
        """Raise `StillDirty` with the list, and the command that tries again, if something is left."""
        if self.left:
            raise StillDirty("something could not be taken back", evidence=tuple(self.left), hint=command)


def heal(wanted: Collection[str] | None = None, *, every: bool = False, dry: bool = False) -> Healing:
    """Take back what is open of runs that are over; of the `wanted` ones, or of `every` one, also in progress.

    `every` also takes from containers what carries our marks and stands in no ledger.
    Raises `UsageError` for a wanted run that this machine does not know.
    """
    if wanted:
        _must_be_known(wanted)
    done = Healing()
    for book in ledgers():
        if wanted and book.run not in wanted:
            continue
        try:
            _heal_run(book, done, asked=bool(wanted) or every, dry=dry)
        except StorageFailed as error:
            done.left.append(error.message)
    for known in runs.abandoned():
        if not wanted or known.run in wanted:
            _end_stack(known, done, dry=dry)
    if every:
        _by_marks(done, dry=dry)
    if not dry:
        with contextlib.suppress(StorageFailed):
            state.living()  # and the folders of those that died are gone
    return done


def notes() -> tuple[str, ...]:
    """What is left of earlier runs, a sentence each with the command; for the beginning of a run. Changes nothing."""
    found = []
    for book in ledgers():
        try:
            count = 0 if runs.is_in_progress(book.run) else len(book.open_entries()) + len(book.damaged())
        except StorageFailed as error:
            found.append(error.message)
            continue
        if count:
            what = "1 fault" if count == 1 else f"{count} faults"
            found.append(f"run {book.run} ended without healing {what}: chaos heal --run {book.run}")
    living = {site.id for site in list_stacks()}
    found += [
        f"stack {known.owns} of run {known.run}, which has ended, still runs: chaos stack down {known.owns}"
        for known in runs.abandoned()
        if known.owns in living
    ]
    return tuple(found)


def sweep() -> None:
    """Put away what dead runs left that means nothing any more: ledgers with nothing open, files of runs."""
    with contextlib.suppress(StorageFailed):
        for book in ledgers():
            if not runs.is_in_progress(book.run) and not book.damaged():
                put_away(book)
        open_runs = {book.run for book in ledgers()}
        living = {site.id for site in list_stacks()}
        for known in runs.abandoned():
            if known.run not in open_runs and known.owns not in living:
                runs.forget(known.run)


def put_away(book: Ledger) -> None:
    """Move the ledger of a run that is over out of the way, if nothing in it is open."""
    if not book.open_entries():
        book.put_away()


def _must_be_known(wanted: Collection[str]) -> None:
    known = {book.run for book in ledgers()} | {one.run for one in (*runs.in_progress(), *runs.abandoned())}
    for run in wanted:
        if run not in known and not (directory() / "done" / f"{run}.jsonl").exists():
            near = ", ".join(sorted(known)[-3:])
            raise UsageError(f"no run {run} has a ledger here", hint=f"there are {near}" if near else "nothing is open")


def _heal_run(book: Ledger, done: Healing, *, asked: bool, dry: bool) -> None:
    going_on = runs.is_in_progress(book.run)
    entries, damaged = book.open_entries(), book.damaged()
    if going_on and not asked:
        if entries:
            done.in_progress.append(book.run)
        return
    if dry:
        done.healed += [_undone(entry) for entry in reversed(entries)]
        done.healed += [_by_mark(book, damaged)] if damaged else []
        return
    left = list(book.heal(lambda entry, said: done.healed.append(_undone(entry, said))))
    if damaged:
        left += _release_marked(book, damaged, done)
    done.left += left
    if not left and not going_on:
        put_away(book)


def _undone(entry: Entry, said: str = "") -> Undone:
    return Undone(entry.run, entry.fault, entry.says, tuple(undo.says for undo in entry.undo), said)


def _by_mark(book: Ledger, damaged: tuple[int, ...], said: str = "") -> Undone:
    lines = ", ".join(map(str, damaged))
    says = f"line {lines} of its ledger is damaged" if len(damaged) == 1 else f"lines {lines} are damaged"
    return Undone(book.run, f"{book.run}.*", says, ("release whatever carries its mark",), said)


def _release_marked(book: Ledger, damaged: tuple[int, ...], done: Healing) -> list[str]:
    """An intent may have stood in a damaged line: take back everything on this machine that carries the run's mark."""
    released, left = [], []
    for site in list_stacks():
        try:
            released += _release(site, f"{book.run}.")
        except ChaosError as error:
            left.append(f"{book.run} ({book.path} is damaged): {site.id}: {error.message}")
    left += _unmark(released)
    said = f"released {', '.join(released)}" if released else "nothing carries its mark"
    if not left:
        done.healed.append(_by_mark(book, damaged, said))
    return left


def _unmark(released: list[str]) -> list[str]:
    """Containers know no run: what no living agent holds is taken back, whosever it was."""
    found = Healing()
    _by_marks(found, dry=False)
    released += [one.fault for one in found.healed]
    return found.left


def _by_marks(done: Healing, *, dry: bool) -> None:
    """Containers, without any ledger."""
    from chaos.runtimes import docker_marks  # noqa: PLC0415 - the engine's library takes a while to import

    try:
        swept = docker_marks.look(dry=dry)
    except UsageError as error:
        done.notes.append(f"containers were not looked at: {error.message}")
        return
    except ChaosError as error:
        done.left.append(f"containers by their marks: {error.message}")
        return
    done.healed += [
        Undone("-", name, f"marked as ours: {what}", ("take it back by its marks",), "" if dry else "taken back")
        for name, what in swept.done.items()
    ]
    done.left += swept.left
    done.notes += swept.kept


def _release(site: Site, mark: str) -> list[str]:
    runtime = ProcessRuntime(site)
    found = [fault for fault in runtime.active() if fault.startswith(mark)]
    for fault in found:
        runtime.release(fault)
    return found


def _end_stack(known: runs.RunFile, done: Healing, *, dry: bool) -> None:
    """A stack that a dead run started should have died with it."""
    if known.owns and known.owns in {site.id for site in list_stacks()}:
        says, undo = f"stack {known.owns} outlived its run", (f"end stack {known.owns}",)
        try:
            if not dry:
                stop_stack(known.owns)
        except ChaosError as error:
            done.left.append(f"{says}: {error.message}")
            return
        done.healed.append(Undone(known.run, known.owns, says, undo, "" if dry else "ended"))
    if not dry:
        with contextlib.suppress(StorageFailed):
            runs.forget(known.run)
