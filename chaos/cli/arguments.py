"""What several commands read from their words: the experiment, `--set`, `--json`, `--runs-dir`."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from chaos.cli.base import WORDS
from chaos.cli.kind import is_stock

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine.")
runs_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the run directories are.",
)
seed_option = click.option(
    "--seed", type=click.IntRange(min=0), metavar="N", help="Seed of targets and users instead of the experiment's."
)
stack_option = click.option(
    "--stack", metavar="STACK", help="Stack to run on: a name, a stack file, or the id of a running one."
)
sandbox_option = click.option(
    "--sandbox", is_flag=True, help="In a private network, where the kernel itself impairs the links (Linux, no root)."
)
set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="STACK.NAME=VALUE",
    help="Set a value of the stack, for example embedded.mutant=ghost. Repeatable.",
)


def words_of(ctx: click.Context) -> tuple[str, ...]:
    """The command's own words as they were typed."""
    words: tuple[str, ...] = ctx.meta[WORDS]
    return words


def one_target(ctx: click.Context, words: tuple[str, ...]) -> str | None:
    """The experiment that is named among `words`; None if it is the stock toolkit's.

    `words` may hold options that we do not know, with their values. They are the toolkit's business if the
    experiment is, and an error if it is ours.
    """
    names = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-")]
    if any(is_stock(name) for name in names):
        return None
    if unknown:
        option = unknown[0].partition("=")[0]
        raise click.NoSuchOption(option, possibilities=_near_options(ctx, option), ctx=ctx)
    if not names:
        raise click.UsageError("Missing argument 'EXPERIMENT'.", ctx)
    if len(names) > 1:
        raise click.UsageError(f"One experiment at a time; got {', '.join(names)}.", ctx)
    return names[0]


def _near_options(ctx: click.Context, option: str) -> list[str]:
    known = [name for param in ctx.command.params if not getattr(param, "hidden", False) for name in param.opts]
    return difflib.get_close_matches(option, [name for name in known if name.startswith("-")])
