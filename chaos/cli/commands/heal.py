"""`chaos heal`: take back what runs left behind, from their ledgers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chaos.cli import show
from chaos.cli.arguments import json_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import StillDirty

if TYPE_CHECKING:
    from chaos.engine.ledger import Entry, Ledger

EXAMPLE = "chaos heal --dry-run\nchaos heal"


@click.command("heal", cls=Command, short_help=BY_NAME["heal"].says, example=EXAMPLE)
@click.option("--dry-run", is_flag=True, help="Only say what would be taken back.")
@json_option
def command(dry_run: bool, as_json: bool) -> None:
    """Take back every fault that a run on this machine began and did not heal.

    Every fault is written to a ledger, with its undo, before it is injected. Healing twice is no error; a run
    that is still going on loses its faults. Exit code 4 if something could not be taken back.
    """
    from chaos.engine.ledger import ledgers

    books = [book for book in ledgers() if book.open_entries()]
    if dry_run:
        _show([_row(entry) for book in books for entry in book.open_entries()], as_json=as_json)
        return
    rows, problems = _heal(books)
    _show(rows, as_json=as_json)
    if problems:
        raise StillDirty("something could not be taken back", evidence=tuple(problems), hint="chaos heal")


def _heal(books: list[Ledger]) -> tuple[list[dict[str, Any]], list[str]]:
    rows: list[dict[str, Any]] = []
    problems: list[str] = []

    def healed(entry: Entry, said: str) -> None:
        rows.append({**_row(entry), "undone": said})

    for book in books:
        problems += book.heal(healed)
    return rows, problems


def _row(entry: Entry) -> dict[str, Any]:
    return {"run": entry.run, "fault": entry.fault, "says": entry.says, "undo": [undo.says for undo in entry.undo]}


def _show(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        show.as_json(rows)
        return
    show.table(rows, ("run", "fault", "says", "undo"), empty="nothing was left behind")
