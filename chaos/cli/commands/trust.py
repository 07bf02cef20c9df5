"""`chaos trust`: whether the verdicts can be believed on this machine."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from chaos.cli.arguments import json_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import ExitCode, Interrupted, UsageError

if TYPE_CHECKING:
    from types import FrameType

    from chaos.trust.runs import Result

EXAMPLE = "chaos trust\nchaos trust --only ghost --only lost-edit --clean 0 --steady 0"


@click.command("trust", cls=Command, short_help=BY_NAME["trust"].says, example=EXAMPLE)
@click.option("--only", multiple=True, metavar="MUTANT", help="Only this mutant of the embedded stack. Repeatable.")
@click.option("--times", type=click.IntRange(0, 1000), default=1, show_default=True, help="Runs of each mutant.")
@click.option(
    "--clean",
    type=click.IntRange(0, 10000),
    show_default="each once",
    help="Runs of the shipped experiments, in turn, on a stack without a defect.",
)
@click.option(
    "--steady",
    type=click.IntRange(0, 100),
    default=3,
    show_default=True,
    help="Runs without a fault; each is compared with each.",
)
@click.option("--jobs", type=click.IntRange(1, 64), default=1, show_default=True, help="Runs at the same time.")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/trust"),
    show_default=True,
    help="Where the results stand.",
)
@click.option("--fresh", is_flag=True, help="Make those runs again that other code than this has made.")
@json_option
@click.pass_context
def command(  # noqa: PLR0913 - one per option
    ctx: click.Context,
    /,
    *,
    only: tuple[str, ...],
    times: int,
    clean: int | None,
    steady: int,
    jobs: int,
    directory: Path,
    fresh: bool,
    as_json: bool,
) -> None:
    """Say whether verdicts can be believed here: every defect found, a clean stack passed, no alarm without a cause.

    Switches on one defect of the embedded stack after the other, each in a run that is marked as such, and looks
    whether its check fails; runs the shipped experiments without any defect; takes the observations out of their
    records; and compares runs without a fault. Each run is noted when it ends, so an interrupted suite goes on where
    it was. Ends with 1 where a verdict was wrong, with 3 where too little was seen.
    """
    from chaos.experiment.document import shipped
    from chaos.stacks.embedded import mutants
    from chaos.trust.cases import RUN_S, cases

    known = mutants.names()
    if wrong := [name for name in only if name not in known]:
        raise UsageError(f"there is no mutant {', '.join(wrong)}", hint=f"there are {', '.join(known)}")
    wanted = cases(only or known, times, len(shipped()) if clean is None else clean, steady)
    if not wanted:
        raise UsageError("nothing to run", hint="--times, --clean and --steady say how many")
    from chaos.trust.conclusion import conclude
    from chaos.trust.runs import Store, carry_out

    signal.signal(signal.SIGTERM, _end)
    with Store(directory) as store:
        done = store.known(fresh=fresh)
        todo = sum(case not in done for case in wanted)
        minutes = todo * RUN_S / 60 / jobs
        sys.stderr.write(f"{todo} of {len(wanted)} runs to make, about {minutes:.0f} min; goes on where it was ended\n")
        trust = conclude(carry_out(store, wanted, done, jobs, _told))
    from chaos.report.trust import document, show
    from chaos.verdict.judge import EXIT_CODES

    if as_json:
        click.echo(document(trust), nl=False)
    else:
        show(trust)
    ctx.exit(int(EXIT_CODES[trust.outcome]))


def _told(result: Result) -> None:
    said = "pass" if result.exit == 0 else "; ".join(result.why[:2]) or "no word"
    if result.kind == "mutant":
        said = f"{result.case.wanted} caught it" if result.caught else f"{result.case.wanted} MISSED it: {said}"
    sys.stderr.write(f"{result.kind} {result.name} {result.number}: {said}, {result.seconds:.0f} s\n")


def _end(_number: int, _frame: FrameType | None) -> None:
    raise Interrupted(ExitCode.TERMINATED)
