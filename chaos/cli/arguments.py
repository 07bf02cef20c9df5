"""What several commands read from their words: the experiment, `--set`, `--json`."""

from __future__ import annotations

import difflib
from pathlib import Path

import click

from chaos.cli.base import WORDS
from chaos.cli.kind import is_address, is_stock
from chaos.cli.places import find_experiment, shipped_experiments
from chaos.errors import UsageError

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for a machine.")
runs_option = click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the run directories are.",
)


def _check_sets(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    for one in value:
        name, equals, _ = one.partition("=")
        if not equals or "." not in name.strip("."):
            raise click.BadParameter(f"{one!r} is not STACK.NAME=VALUE")
    return value


set_option = click.option(
    "--set",
    "sets",
    multiple=True,
    callback=_check_sets,
    metavar="STACK.NAME=VALUE",
    help="Set a value of the stack, for example embedded.mutant=ghost. Repeatable.",
)


def words_of(ctx: click.Context) -> tuple[str, ...]:
    """The command's own words as they were typed."""
    words: tuple[str, ...] = ctx.meta[WORDS]
    return words


def one_target(ctx: click.Context, words: tuple[str, ...]) -> Path | None:
    """The experiment that is named among `words`; None if it is the stock toolkit's.

    `words` may hold options that we do not know, with their values. They are the toolkit's business if the
    experiment is, and an error if it is ours.
    """
    names = [word for word in words if not word.startswith("-")]
    unknown = [word for word in words if word.startswith("-")]
    if any(_is_stock_target(name) for name in names):
        return None
    if unknown:
        option = unknown[0].partition("=")[0]
        raise click.NoSuchOption(option, possibilities=_near_options(ctx, option), ctx=ctx)
    if not names:
        raise click.UsageError("Missing argument 'EXPERIMENT'.", ctx)
    if len(names) > 1:
        raise click.UsageError(f"One experiment at a time; got {', '.join(names)}.", ctx)
    return require_experiment(names[0])


def require_experiment(name: str) -> Path:
    """The file of an experiment given by path or name; `UsageError` with what is near if there is none."""
    found = find_experiment(name)
    if found is None:
        shipped = sorted(shipped_experiments())
        beside = [str(path) for path in Path(name).parent.glob("*.*")] if Path(name).parent.is_dir() else []
        near = difflib.get_close_matches(name, [*shipped, *beside], n=2, cutoff=0.7)
        near = near or difflib.get_close_matches(Path(name).stem, shipped, n=2)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        raise UsageError(f"no such experiment: {name}", hint=hint + "`chaos list experiments` names the shipped ones")
    if found.is_dir():
        raise UsageError(f"{name} is a directory, not an experiment", hint=f"name a file in it: {name.rstrip('/')}/...")
    return found


def _is_stock_target(name: str) -> bool:
    if is_address(name):
        return True
    path = find_experiment(name)
    return path is not None and path.is_file() and is_stock(path)


def _near_options(ctx: click.Context, option: str) -> list[str]:
    known = [name for param in ctx.command.params if not getattr(param, "hidden", False) for name in param.opts]
    return difflib.get_close_matches(option, [name for name in known if name.startswith("-")])
