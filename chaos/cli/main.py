"""`chaos`: the group of all commands. Names that it does not know are the stock toolkit's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaos.cli import upstream
from chaos.cli.base import LazyCommand, did_you_mean, write_block
from chaos.cli.table import BY_NAME, COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = "chaos run network_congestion"
STOCK = """\
discover, info, init, settings and every experiment that holds nothing of ours
run as in the stock toolkit; so do its options, which stand before the command:
--verbose --settings FILE --change-dir DIR --log-file FILE --no-log-file
--log-file-level LEVEL --log-format FORMAT --no-version-check"""


class Main(click.Group):
    """Our commands first, the toolkit's behind them."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Ours (not yet loaded), or one of the toolkit's that will run with the words as they were typed."""
        entry = BY_NAME.get(cmd_name)
        if entry is not None:
            return LazyCommand(entry)
        if cmd_name.startswith("-") or ctx.resilient_parsing or cmd_name not in upstream.commands():
            return None
        return _Stock(cmd_name)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's
        """Our names; the toolkit's would have to be imported."""
        return [entry.name for entry in COMMANDS]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as typed: the toolkit may get them."""
        ctx.meta[upstream.ARGUMENTS] = tuple(args)
        ctx.meta[upstream.DIRECTORY] = str(Path.cwd())
        return super().parse_args(ctx, args)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown name is answered with its neighbours."""
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            ctx.fail(f"No such command '{name}'.{did_you_mean(name, [*BY_NAME, *upstream.commands()])}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """Commands in the sections of the table."""
        for section in dict.fromkeys(entry.section for entry in COMMANDS):
            with formatter.section(section):
                formatter.write_dl([(entry.name, entry.says) for entry in COMMANDS if entry.section == section])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's
        """An example, and where the toolkit's own commands are."""
        write_block(formatter, "Example", EXAMPLE)
        write_block(formatter, "Chaos Toolkit", STOCK)


class _Stock(click.Command):
    """A command of the toolkit or of another plugin of it; its words are not ours to parse."""

    def __init__(self, name: str) -> None:
        super().__init__(name, add_help_option=False, context_settings={"ignore_unknown_options": True})
        self.params = [click.Argument(["words"], nargs=-1, type=click.UNPROCESSED)]

    def invoke(self, ctx: click.Context) -> Any:
        """Hand over."""
        return upstream.hand_over(ctx, self.name or "", ctx.params["words"])


def _version(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from chaos import __version__

    parts = [f"Python {platform.python_version()}"]
    for package in ("chaostoolkit", "chaostoolkit-lib"):
        try:
            parts.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            parts.append(f"{package} missing")
    click.echo(f"collab-chaos {__version__} ({', '.join(parts)})")
    ctx.exit()


def _stock_options(function: Callable[..., None]) -> Callable[..., None]:
    """The options of the toolkit's group: parsed here so that a pipeline's call stays valid, used there."""
    for name in ("--verbose", "--no-version-check", "--no-log-file"):
        function = click.option(name, is_flag=True, hidden=True)(function)
    for name in ("--change-dir", "--log-file", "--log-file-level", "--log-format", "--settings"):
        function = click.option(name, hidden=True)(function)
    return function


@click.command(cls=Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print versions.")
@_stock_options
def main(change_dir: str | None, **_stock: Any) -> None:
    """Chaos engineering for meetings, live classes and shared documents.

    Injects a fault into a staging stack under the load of virtual users, and says with proof what they felt.
    """
    if change_dir:
        try:
            os.chdir(change_dir)
        except OSError as error:
            raise click.BadParameter(f"{change_dir}: {error.strerror}", param_hint="--change-dir") from error
