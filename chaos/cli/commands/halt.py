"""`chaos halt`: the emergency stop for every run on this machine."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import StillDirty, UsageError

if TYPE_CHECKING:
    from chaos.engine.runs import RunFile

EXAMPLE = 'chaos halt --reason "live class at ten"\nchaos halt --lift'
PATIENCE_S = 60.0
"""A run looks for a halt twice a second; then it heals, and ends its load and its stack."""
LOOK_S = 0.2


@click.command("halt", cls=Command, short_help=BY_NAME["halt"].says, example=EXAMPLE)
@click.option("--lift", is_flag=True, help="Let runs begin again.")
@click.option("--reason", default="", metavar="TEXT", help="What those are told whose run ends or may not begin.")
def command(lift: bool, reason: str) -> None:
    """Heal every run on this machine, end those in progress, and let none begin until --lift.

    Covers every run that uses this state directory (`chaos doctor` names it). Exit code 4 if something could not be
    taken back or a run did not end: it is named.
    """
    if lift:
        _lift(reason)
        return
    from chaos.cli.commands.heal import tell
    from chaos.engine import halt, runs
    from chaos.engine.leftovers import heal

    stands = halt.halt(reason)
    click.echo(f"no run may begin: {stands}")
    going_on = [known.run for known in runs.in_progress()]
    first = heal(every=True)
    for run in going_on:
        click.echo(f"ending run {run}")
    slow = _wait(PATIENCE_S)
    # Once more: a run may have been between its look for a halt and its injection.
    done = heal(every=True)
    done.healed[:0] = first.healed
    tell(done)
    click.echo("runs may begin again after: chaos halt --lift")
    if slow:
        left = tuple(f"run {known.run} (process {known.pid}) did not end" for known in slow)
        raise StillDirty("not every run has ended", evidence=(*left, *done.left), hint="chaos halt")
    done.check("chaos heal --all")


def _lift(reason: str) -> None:
    if reason:
        raise UsageError("--reason says why runs are halted; --lift ends that")
    from chaos.engine import halt

    stood = halt.lift()
    click.echo(f"runs may begin again (they were {stood})" if stood else "nothing was halted")


def _wait(seconds: float) -> tuple[RunFile, ...]:
    """Runs that are still in progress after at most so many seconds."""
    from chaos.engine import runs

    until = time.monotonic() + seconds
    while (left := runs.in_progress()) and time.monotonic() < until:
        time.sleep(LOOK_S)
    return left
