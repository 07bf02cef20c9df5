"""`chaos list`: what is installed, by kind."""

from __future__ import annotations

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
    else:
        show.table(rows, catalogue.COLUMNS[kind], empty=f"no {kind} are installed")
