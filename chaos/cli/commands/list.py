"""`chaos list`: what is installed, by kind."""

from __future__ import annotations

import re
import shutil
import textwrap

import click

from chaos.cli import show
from chaos.cli.arguments import json_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME

KINDS = ("faults", "backends", "stacks", "checks", "probes", "experiments")
EXAMPLE = "chaos list faults\nchaos list experiments --json"


@click.command("list", cls=Command, short_help=BY_NAME["list"].says, example=EXAMPLE)
@click.argument("kind", type=click.Choice(KINDS))
@json_option
def command(kind: str, as_json: bool) -> None:
    """List what is installed of KIND, with one line on each."""
    from chaos.cli import catalogue

    rows = getattr(catalogue, kind)()
    if as_json:
        show.as_json(rows)
        return
    if kind == "faults":
        short = [{**row, "says": re.split(r"[.;:]\s", row["says"])[0].rstrip(".")} for row in rows]
        show.table(short, catalogue.COLUMNS[kind], empty="no faults are installed")
        click.echo()
        width = shutil.get_terminal_size((80, 24)).columns
        for line in catalogue.missing(rows):
            click.echo(textwrap.fill(line, width, subsequent_indent="  "))
        return
    show.table(rows, catalogue.COLUMNS[kind], empty=f"no {kind} are installed")
