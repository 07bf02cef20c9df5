"""`chaos new`: files to start from."""

from __future__ import annotations

import click

from chaos.cli.base import Command, Group
from chaos.cli.table import BY_NAME

EXAMPLE = "chaos new experiment lecture_hall --from network_congestion"


@click.group("new", cls=Group, short_help=BY_NAME["new"].says, example=EXAMPLE)
def command() -> None:
    """Write a file to start from."""


@command.command("experiment", cls=Command, example=EXAMPLE)
@click.argument("name")
@click.option("--from", "source", default="network_congestion", show_default=True, help="The shipped one to copy.")
def experiment(name: str, source: str) -> None:
    """Copy a shipped experiment to NAME.json. A file that is there stays as it is."""
    from chaos.experiment.document import copy_out

    target = copy_out(source, name)
    click.echo(f"wrote {target}")
    click.echo(f"next: chaos validate {target} && chaos plan {target}")
