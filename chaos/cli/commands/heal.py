"""`chaos heal`: take back what runs left behind, from their ledgers."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from chaos.cli import show
from chaos.cli.arguments import json_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import UsageError

if TYPE_CHECKING:
    from chaos.engine.leftovers import Healing

EXAMPLE = "chaos heal --dry-run\nchaos heal\nchaos heal --run 20260314T090000Z-network-congestion-1f3a"


@click.command("heal", cls=Command, short_help=BY_NAME["heal"].says, example=EXAMPLE)
@click.option("--run", "runs", multiple=True, metavar="ID", help="Only this run, also while it goes on. Repeatable.")
@click.option("--all", "every", is_flag=True, help="Every run, also those that still go on.")
@click.option("--dry-run", is_flag=True, help="Only say what would be taken back.")
@json_option
def command(runs: tuple[str, ...], every: bool, dry_run: bool, as_json: bool) -> None:
    """Take back every fault that a run on this machine began and did not heal.

    Every fault is written to a ledger, with its undo, before it is injected. Healing twice is no error. A run that
    is still in progress keeps its faults unless --run or --all says otherwise. With --all, containers are also freed
    of what carries our marks and stands in no ledger. Exit code 4 if something could not be taken back: it is named.
    """
    if runs and every:
        raise UsageError("--run and --all at once", hint="--all heals every run")
    from chaos.engine.leftovers import heal

    done = heal(runs or None, every=every, dry=dry_run)
    if as_json:
        show.as_json(asdict(done))
    else:
        tell(done, dry=dry_run)
    again = " ".join(["chaos heal", *(f"--run {run}" for run in runs), *(["--all"] if every else [])])
    done.check(again)


def tell(done: Healing, *, dry: bool = False) -> None:
    """Print what was healed, and which runs were left alone."""
    columns = ("run", "fault", "says", "undo") if dry else ("run", "fault", "says", "undone")
    empty = "something is left behind" if done.left else "nothing was left behind"
    show.table([asdict(one) for one in done.healed], columns, empty=empty)
    for note in done.notes:
        click.echo(note)
    for run in done.in_progress:
        click.echo(f"run {run} is in progress and keeps its faults; to end them: chaos heal --run {run}")
