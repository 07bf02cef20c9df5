"""`chaos new`: files to start from."""

from __future__ import annotations

from pathlib import Path

import click

from chaos.cli.base import Command, Group
from chaos.cli.places import EXPERIMENT_SUFFIXES, shipped_experiments
from chaos.cli.table import BY_NAME
from chaos.errors import UsageError

EXAMPLE = "chaos new experiment lecture_hall --from network_congestion"


@click.group("new", cls=Group, short_help=BY_NAME["new"].says, example=EXAMPLE)
def command() -> None:
    """Write a file to start from."""


@command.command("experiment", cls=Command, example=EXAMPLE)
@click.argument("name")
@click.option("--from", "source", default="network_congestion", show_default=True, help="The shipped one to copy.")
@click.option("--force", is_flag=True, help="Overwrite a file that is there.")
def experiment(name: str, source: str, force: bool) -> None:  # noqa: FBT001 - click hands options over by name
    """Copy a shipped experiment to NAME.json (or to NAME, if it has a suffix)."""
    shipped = shipped_experiments()
    if source not in shipped:
        raise UsageError(f"no shipped experiment is called {source}", hint=f"there are: {', '.join(sorted(shipped))}")
    origin = shipped[source]
    target = Path(name)
    if target.suffix not in EXPERIMENT_SUFFIXES:
        target = target.with_name(target.name + origin.suffix)
    if target.suffix != origin.suffix:
        raise UsageError(f"{source} is written in {origin.suffix[1:]}", hint=f"name it {target.stem}{origin.suffix}")
    if target.exists() and not force:
        raise UsageError(f"{target} is there already", hint="choose another name, or --force")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(origin.read_bytes())
    except OSError as error:
        raise UsageError(f"cannot write {target}: {error.strerror}") from error
    click.echo(f"wrote {target}")
    click.echo(f"next: chaos validate {target} && chaos plan {target}")
