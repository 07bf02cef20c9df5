"""`chaos run`: an experiment of ours from its file to its verdict; any other as the stock toolkit runs it."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chaos.cli.arguments import one_target, sandbox_option, seed_option, set_option, stack_option, words_of
from chaos.cli.base import Command, write_block
from chaos.cli.runs import find_run
from chaos.cli.table import BY_NAME
from chaos.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

EXIT_CODES: dict[ExitCode, str] = {
    ExitCode.PASS: "every check passed",
    ExitCode.FAIL: "a weakness was found, or a stop condition was met",
    ExitCode.USAGE: "bad arguments, invalid experiment or unsafe target; nothing was touched",
    ExitCode.INCONCLUSIVE: "no verdict: the fault did not bite, no baseline, too few samples, a halt",
    ExitCode.DIRTY: "something could not be healed: it is named, with what heals it",
    ExitCode.INTERNAL: "a bug of this tool; the crash file is named",
    ExitCode.HANGUP: "ended by SIGHUP, and healed",
    ExitCode.INTERRUPTED: "ended by Ctrl-C (SIGINT), and healed",
    ExitCode.TERMINATED: "ended by SIGTERM, and healed",
}

_STOCK_FLAGS = ("--no-validation", "--no-verify-tls", "--fail-fast")
_STOCK_VALUES = (
    "--dry",
    "--rollback-strategy",
    "--hypothesis-strategy",
    "--hypothesis-frequency",
    "--control-file",
    "--var",
    "--var-file",
    "--output",
    "--events-file",
)
_INSTEAD = {
    "dry": "`chaos plan EXPERIMENT` shows what would be done",
    "no_validation": "an invalid experiment is never run",
    "rollback_strategy": "rollbacks are always played",
    "output": "`--json` prints the verdict for a machine",
    "events_file": "`--json` prints the verdict; the events are in the run directory",
    "var": "`--set STACK.NAME=VALUE` sets a value of the stack",
}


class _Run(Command):
    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_epilog(ctx, formatter)
        lines = [f"{int(code):>3}  {says}" for code, says in EXIT_CODES.items()]
        write_block(formatter, "Exit codes", "\n".join(lines))
        options = "--journal-path " + " ".join((*_STOCK_VALUES, *_STOCK_FLAGS))
        text = "An experiment with nothing of ours in it runs exactly as in the stock toolkit, with its options: "
        block = textwrap.fill(text + options, formatter.width - 4, break_on_hyphens=False)
        write_block(formatter, "Chaos Toolkit", block)


def _stock_options(function: Callable[..., None]) -> Callable[..., None]:
    """Options that only the toolkit knows: parsed so that they do not hide the experiment's name."""
    for name in _STOCK_FLAGS:
        function = click.option(name, is_flag=True, hidden=True)(function)
    for name in _STOCK_VALUES:
        function = click.option(name, multiple=True, hidden=True)(function)
    return function


@click.command(
    "run",
    cls=_Run,
    short_help=BY_NAME["run"].says,
    context_settings={"ignore_unknown_options": True},
    example="chaos run network_congestion\nchaos run experiments/server_loss.json --seed 7 --json",
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="EXPERIMENT")
@seed_option
@stack_option
@sandbox_option
@set_option
@click.option("--json", "as_json", is_flag=True, help="Print verdict.json and nothing else on stdout.")
@click.option(
    "--runs-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where the run directory is made.",
)
@click.option("--replay", metavar="RUN", help="Run what a recorded run did: its experiment, its seed and its words.")
@click.option("--confirm", is_flag=True, help="A safety check that fails is looked at twice, with the same seed.")
@click.option("--journal-path", type=click.Path(path_type=Path, dir_okay=False), help="Write the journal here too.")
@_stock_options
@click.pass_context
def command(  # noqa: PLR0913, PLR0917 - click calls it by name, one parameter an option
    ctx: click.Context,
    /,
    words: tuple[str, ...],
    seed: int | None,
    stack: str | None,
    sandbox: bool,
    sets: tuple[str, ...],
    as_json: bool,
    runs_dir: Path,
    replay: str | None,
    confirm: bool,
    journal_path: Path | None,
    **stock: Any,
) -> None:
    """Run EXPERIMENT, a file or the name of a shipped one, and give a verdict.

    Starts the stack, brings users in, injects the fault, heals it, and judges what the users felt. Everything is
    recorded in a directory under runs/.
    """
    target = None if replay and not words else one_target(ctx, words)
    if replay and target:
        raise UsageError(f"--replay {replay} names the experiment already", hint=f"leave out {target}")
    if target is None and not replay:
        from chaos.cli.upstream import hand_over

        hand_over(ctx, "run", words_of(ctx))
        return
    _refuse_stock_options(stock)
    from chaos.execute import Options, execute, replayed

    options = Options(
        target=target or "",
        sets=sets,
        seed=seed,
        stack=stack,
        sandbox=sandbox,
        confirm=confirm,
        json=as_json,
        runs_dir=runs_dir,
        journal=journal_path,
    )
    if replay:
        options = replayed(find_run(replay, runs_dir), options)
    ctx.exit(int(execute(options)))


def _refuse_stock_options(stock: dict[str, Any]) -> None:
    """An option that would be without effect is an error, not a silence."""
    for name, value in stock.items():
        if value and not (name == "rollback_strategy" and value == ("always",)):
            option = "--" + name.replace("_", "-")
            hint = _INSTEAD.get(name, "leave it out")
            raise UsageError(f"{option} is for experiments of the stock toolkit; this one is ours", hint=hint)
