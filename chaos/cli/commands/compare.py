"""`chaos compare`: two recorded runs against each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chaos.cli.arguments import json_option, runs_option
from chaos.cli.base import Command
from chaos.cli.runs import LATEST, find_run
from chaos.cli.table import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "chaos compare runs/20260314T090000Z-network-congestion-1f3a latest\nchaos compare A B --margin 1.2 --json"


@click.command("compare", cls=Command, short_help=BY_NAME["compare"].says, example=EXAMPLE)
@click.argument("before")
@click.argument("after", default=LATEST)
@click.option(
    "--margin",
    type=click.FloatRange(1.0, 100.0, min_open=True),
    default=1.5,
    show_default=True,
    help="How many times as long a flow may take.",
)
@runs_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, before: str, after: str, margin: float, runs_dir: Path, as_json: bool) -> None:
    """Say what got worse from run BEFORE to run AFTER (latest, names under runs/ or directories).

    Ends with 1 on a regression beyond the margin, 3 where that cannot be told, and 0 otherwise. Writes nothing.
    """
    folders = find_run(before, runs_dir), find_run(after, runs_dir)
    from chaos.report import comparison
    from chaos.verdict.comparison import compare
    from chaos.verdict.judge import verdict_of
    from chaos.verdict.run import load_run

    first, second = (load_run(folder) for folder in folders)
    verdict = verdict_of(compare(first, second, margin))
    if as_json:
        click.echo(comparison.document(first, second, verdict), nl=False)
    else:
        comparison.show(first, second, verdict)
    ctx.exit(int(verdict.exit_code))
