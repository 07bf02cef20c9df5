"""`chaos plan`: what a run would do, from the files alone."""

from __future__ import annotations

import click

from chaos.cli import show
from chaos.cli.arguments import json_option, one_target, sandbox_option, seed_option, set_option, stack_option
from chaos.cli.base import Command
from chaos.cli.table import BY_NAME
from chaos.errors import UsageError

EXAMPLE = "chaos plan network_congestion\nchaos plan experiments/server_loss.json --seed 7 --json"


@click.command("plan", cls=Command, short_help=BY_NAME["plan"].says, example=EXAMPLE)
@click.argument("experiment")
@seed_option
@stack_option
@sandbox_option
@set_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    experiment: str,
    seed: int | None,
    stack: str | None,
    sandbox: bool,
    sets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show what a run of EXPERIMENT would touch, by what means, for how long, and how it is taken back.

    Targets are resolved from the seed, as a run resolves them. Starts nothing and touches nothing.
    """
    if one_target(ctx, (experiment,)) is None:
        hint = f"`chaos run --dry activities {experiment}` walks through it"
        raise UsageError(f"{experiment} holds nothing of ours: the stock toolkit makes no plans", hint=hint)
    from chaos.execute import Options, prepare

    plan = prepare(Options(target=experiment, sets=sets, seed=seed, stack=stack, sandbox=sandbox)).plan
    if as_json:
        show.as_json(plan.model_dump(mode="json"))
        return
    from chaos.cli.plantext import lines

    for line in lines(plan):
        click.echo(line)
