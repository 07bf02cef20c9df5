"""`chaos judge`: the verdict on a recorded run again, from its record alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chaos.cli.arguments import json_option, runs_option
from chaos.cli.base import Command
from chaos.cli.runs import LATEST, find_run
from chaos.cli.table import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "chaos judge\nchaos judge runs/20260314T090000Z-network-congestion-1f3a --json"


@click.command("judge", cls=Command, short_help=BY_NAME["judge"].says, example=EXAMPLE)
@click.argument("run", default=LATEST)
@runs_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, run: str, runs_dir: Path, as_json: bool) -> None:
    """Give the verdict on RUN (latest, a name under runs/ or a directory) again; ends with its exit code.

    Reads the record and writes nothing, so it says the same on every machine.
    """
    directory = find_run(run, runs_dir)
    from chaos.verdict.run import load_run

    record = load_run(directory)
    verdict = record.verdict
    from chaos.report import tell

    story = tell(record)
    if as_json:
        from chaos.report.json import render

        click.echo(render(story, verdict), nl=False)
    else:
        from chaos.report.terminal import print_verdict

        print_verdict(verdict, story)
    ctx.exit(int(verdict.exit_code))
