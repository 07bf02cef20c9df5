"""`chaos validate`: every problem of experiment files at once, each with its place."""

from __future__ import annotations

import click

from chaos.cli import show
from chaos.cli.arguments import json_option, one_target, words_of
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import InvalidInput, Problem, UsageError

EXAMPLE = "chaos validate experiments/*.json\nchaos validate network_congestion --json"


@click.command(
    "validate",
    cls=Command,
    short_help=BY_NAME["validate"].says,
    example=EXAMPLE,
    context_settings={"ignore_unknown_options": True},
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED, metavar="EXPERIMENT...")
@json_option
@click.option("--no-verify-tls", is_flag=True, hidden=True)
@click.option("--output", hidden=True)
@click.pass_context
def command(ctx: click.Context, /, words: tuple[str, ...], as_json: bool, **_stock: object) -> None:
    """Check experiment files and report every problem at once, as FILE:LINE:COL.

    Touches nothing. Exit code 0 if all are valid, 2 if not. A single experiment with nothing of ours in it is
    checked by the stock toolkit.
    """
    names = [word for word in words if not word.startswith("-")]
    if (len(names) == 1 or len(names) < len(words)) and one_target(ctx, words) is None:
        from chaos.cli.upstream import hand_over

        hand_over(ctx, "validate", words_of(ctx))
        return
    problems = [problem for name in names for problem in _problems(name)]
    if as_json:
        show.as_json({"valid": not problems, "problems": [_plain(problem) for problem in problems]})
        ctx.exit(2 if problems else 0)
    if problems:
        raise InvalidInput(tuple(problems), hint="`chaos schema` prints what an experiment may hold")
    for name in names:
        click.echo(f"{name}: valid")


def _problems(name: str) -> tuple[Problem, ...]:
    """What is wrong with one file; a file that is not there is one problem among the others."""
    from chaos.experiment.document import load

    try:
        load(name)
    except InvalidInput as error:
        return error.problems
    except UsageError as error:
        return (Problem(name, 0, 0, error.message, error.hint),)
    return ()


def _plain(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line,
        "col": problem.col,
        "message": problem.message,
        "hint": problem.hint,
    }
