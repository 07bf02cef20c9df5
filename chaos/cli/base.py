"""What every command is made of: an example in its help, and failures that end in words and an exit code."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from chaos.cli.table import Entry


T = TypeVar("T")
WORDS = "collab-chaos.words"
HANDED_OVER = "collab-chaos.handed-over"


class Command(click.Command):
    """A click command with an example, whose failures are told by `chaos.cli.trouble`."""

    def __init__(self, *args: Any, example: str = "", **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the example, then the rest of the epilog, line by line as they were written."""
        write_block(formatter, "Example", self.example)
        super().format_epilog(ctx, formatter)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words as typed: the stock toolkit may get them."""
        ctx.meta[WORDS] = tuple(args)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; what it raises becomes a message on stderr and an exit code."""
        return guarded(lambda: super(Command, self).invoke(ctx), ctx)


class Group(click.Group):
    """A command with commands below it (`chaos stack up`)."""

    def __init__(self, *args: Any, example: str = "", **parts: Any) -> None:
        super().__init__(*args, **parts)
        self.example = example

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Print the example, then the rest of the epilog."""
        write_block(formatter, "Example", self.example)
        super().format_epilog(ctx, formatter)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that `args` begins with; an unknown name is answered with its neighbours."""
        name = args[0]
        if not name.startswith("-") and not ctx.resilient_parsing and self.get_command(ctx, name) is None:
            ctx.fail(f"No such command '{name}'.{did_you_mean(name, self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


class LazyCommand(click.Command):
    """Stands for a command until it is called: its module is imported by `make_context` only."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, short_help=entry.says, help=entry.says)
        self.entry = entry

    def load(self) -> click.Command:
        """Import the real command."""
        command = importlib.import_module(self.entry.module).command
        if not isinstance(command, click.Command):
            raise TypeError(f"{self.entry.module} exports no command")
        return command

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse with the real command; from here on the context knows only that one."""
        return guarded(self.load).make_context(info_name, args, parent, **extra)


def guarded(step: Callable[[], T], ctx: click.Context | None = None) -> T:
    """Do a step of a command; failures are told on stderr and end with their exit code.

    What the stock toolkit raises after a command was handed over to it stays as it is.
    """
    try:
        return step()
    except (click.exceptions.Exit, click.ClickException, click.Abort):
        raise
    except (Exception, KeyboardInterrupt) as error:  # the border to the user: nothing may pass it as a traceback
        if ctx is not None and HANDED_OVER in ctx.meta:
            raise
        from chaos.cli.trouble import tell

        raise click.exceptions.Exit(tell(error)) from error


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """` Did you mean ...?`, or nothing when no known word is near."""
    import difflib

    near = difflib.get_close_matches(word, known, n=3)
    return f" Did you mean {' or '.join(near)}?" if near else ""


def write_block(formatter: click.HelpFormatter, title: str, text: str) -> None:
    """Print lines as they are under a heading, or nothing for no text."""
    if not text:
        return
    formatter.write_paragraph()
    formatter.write(f"{title}:\n")
    for line in text.strip("\n").splitlines():
        formatter.write(f"  {line}\n" if line else "\n")
