"""`chaos doctor`: what can run on this machine, and why not the rest."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from chaos.cli import show
from chaos.cli.arguments import json_option, runs_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import ExitCode

EXAMPLE = "chaos doctor\nchaos doctor --json"
_SIGNS = {"yes": ("✓", "green"), "no": ("✗", "red"), "without": ("-", "yellow")}


@click.command("doctor", cls=Command, short_help=BY_NAME["doctor"].says, example=EXAMPLE)
@json_option
@runs_option
@click.pass_context
def command(ctx: click.Context, /, as_json: bool, runs_dir: Path) -> None:
    """Look at this machine and say what can run here; changes nothing.

    "no" stands only beside what the embedded stack needs; "without" is what other stacks or faults would need.
    Exit code 3 if the embedded stack cannot run here.
    """
    from chaos.cli.looks import look

    findings = look(runs_dir)
    if as_json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            sign, colour = _SIGNS[finding.can]
            click.secho(f" {sign} ", fg=colour, nl=False)
            click.echo(f"{finding.what:<20} {finding.says}")
            if finding.hint:
                click.echo(f"   {'':<20} {finding.hint}")
    if any(finding.can == "no" for finding in findings):
        ctx.exit(int(ExitCode.INCONCLUSIVE))
