"""`chaos export`: a record as lines of JSON."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from chaos.cli.arguments import runs_option
from chaos.cli.base import Command
from chaos.cli.runs import LATEST, find_run
from chaos.cli.table import BY_NAME
from chaos.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "chaos export > events.ndjson\nchaos export latest | jq 'select(.type == \"fault\")'"


@click.command("export", cls=Command, short_help=BY_NAME["export"].says, example=EXAMPLE)
@click.argument("run", default=LATEST)
@runs_option
@click.pass_context
def command(ctx: click.Context, /, run: str, runs_dir: Path) -> None:
    """Print the events of RUN (latest, a name under runs/ or a directory), in order of time, one JSON object a line.

    Bytes become `{"base64": ...}`; what is wrong with a file is told on stderr, and the exit code is 3 then.
    """
    directory = find_run(run, runs_dir)
    from chaos.record import as_json, read_log

    log = read_log(directory)
    for event in log.events:
        click.echo(as_json(event))
    for wrong in log.damage:
        sys.stderr.write(f"note: events/{wrong}\n")
    if log.damage:
        ctx.exit(int(ExitCode.INCONCLUSIVE))
