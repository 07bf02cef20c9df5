"""`chaos report`: the reports of a recorded run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from chaos.cli.arguments import runs_option
from chaos.cli.base import Command
from chaos.cli.runs import LATEST, find_run
from chaos.cli.table import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

EXAMPLE = "chaos report\nchaos report runs/20260314T090000Z-network-congestion-1f3a"


@click.command("report", cls=Command, short_help=BY_NAME["report"].says, example=EXAMPLE)
@click.argument("run", default=LATEST)
@runs_option
def command(run: str, runs_dir: Path) -> None:
    """Judge RUN (latest, a name under runs/ or a directory) again and write its reports into its directory."""
    directory = find_run(run, runs_dir)
    from chaos.report import publish
    from chaos.verdict.run import load_run

    record = load_run(directory)
    verdict = record.verdict
    publish(record, verdict, directory)
    for name in ("report.html", "junit.xml", "summary.md", "verdict.json"):
        if (directory / name).exists():
            click.echo(directory / name)
