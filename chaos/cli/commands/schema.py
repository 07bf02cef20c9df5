"""`chaos schema`: what an editor needs to complete and check experiments."""

from __future__ import annotations

from pathlib import Path

import click

from chaos.cli import show
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME

EXAMPLE = "chaos schema --out experiment.schema.json"


@click.command("schema", cls=Command, short_help=BY_NAME["schema"].says, example=EXAMPLE)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write it to this file.")
def command(out: Path | None) -> None:
    """Print the JSON Schema of experiments, built from the faults that are installed."""
    from chaos.experiment.schema import schema

    if out is None:
        show.as_json(schema())
        return
    import json

    out.write_text(json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    click.echo(f"wrote {out}")
