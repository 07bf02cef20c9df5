"""`chaos completion`: the script that teaches a shell our commands and options."""

from __future__ import annotations

import click

from chaos.cli.base import Command
from chaos.cli.table import BY_NAME

SHELLS = ("bash", "zsh", "fish")
VARIABLE = "_CHAOS_COMPLETE"
"""What click looks for under the name that every one of our scripts runs as."""
EXAMPLE = """\
eval "$(chaos completion bash)"                     # in ~/.bashrc
chaos completion fish > ~/.config/fish/completions/chaos.fish"""


@click.command("completion", cls=Command, short_help=BY_NAME["completion"].says, example=EXAMPLE)
@click.argument("shell", type=click.Choice(SHELLS))
@click.option("--name", default="chaos", show_default=True, help="The script to complete: chaos or collab-chaos.")
def command(shell: str, name: str) -> None:
    """Print the completion script of SHELL."""
    from click.shell_completion import get_completion_class

    from chaos.cli.main import main

    made = get_completion_class(shell)
    if made is None:  # pragma: no cover - the three are click's own
        raise click.UsageError(f"click knows no completion for {shell}")
    click.echo(made(main, {}, name, VARIABLE).source())
