"""The stock toolkit's own commands: for experiments that hold nothing of ours, and for names that we do not have.

Two ways lead here. Through our script our group was entered first: then the toolkit's group is called with the
very words that the user typed. Through the toolkit's own script (it installs one of the same name) its group was
entered first and has replaced its commands by ours: then its own command is run below that group.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from chaos.cli.base import HANDED_OVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import click

ARGUMENTS = "collab-chaos.arguments"
DIRECTORY = "collab-chaos.directory"


def group() -> click.Group:
    """The toolkit's group with its own commands in it, ours taken out."""
    from chaostoolkit import commands

    found: click.Group = commands.cli
    for name, command in vars(commands).items():
        if name.endswith("_cli"):
            found.commands[command.name or name.removesuffix("_cli")] = command
    return found


def commands() -> dict[str, click.Command]:
    """Commands of the toolkit and of other plugins that have a name we do not use."""
    from chaos.cli.table import BY_NAME

    return {name: command for name, command in group().commands.items() if name not in BY_NAME}


def hand_over(ctx: click.Context, name: str, args: Sequence[str]) -> Any:
    """Run the toolkit's command `name` instead of the command of `ctx`; `args` are that command's own words."""
    root = ctx.find_root()
    ctx.meta[HANDED_OVER] = True
    toolkit = group()
    if ARGUMENTS in root.meta:
        os.chdir(root.meta[DIRECTORY])  # it will follow --change-dir itself
        sys.exit(toolkit.main(args=list(root.meta[ARGUMENTS]), prog_name=root.info_name, standalone_mode=True))
    command = toolkit.commands[name]
    with command.make_context(name, list(args), parent=ctx.parent) as own:
        return command.invoke(own)
