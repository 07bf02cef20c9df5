"""`chaos stack`: stacks that live beyond a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from chaos.cli import show
from chaos.cli.arguments import json_option, set_option
from chaos.cli.base import Command, Group
from chaos.cli.table import BY_NAME
from chaos.errors import UsageError

if TYPE_CHECKING:
    from chaos.model.stack import Site

EXAMPLE = "chaos stack up embedded\nchaos run network_congestion --stack embedded-1f3a\nchaos stack down"


@click.group("stack", cls=Group, short_help=BY_NAME["stack"].says, example=EXAMPLE)
def command() -> None:
    """Start, stop and look at a stack.

    A stack that a run starts ends with it; one that is started here lives until `chaos stack down`.
    """


@command.command(
    "up",
    cls=Command,
    short_help="Start a stack that lives until `down`.",
    example="chaos stack up\nchaos stack up ./staging.yaml",
)
@click.argument("stack", default="embedded")
@set_option
@click.option("--clocks", is_flag=True, help="Let faults set the nodes' wall clocks (takes libfaketime).")
@json_option
def up(stack: str, sets: tuple[str, ...], clocks: bool, as_json: bool) -> None:
    """Start STACK, a built-in name (embedded) or a stack file, and return when every node is healthy."""
    from chaos.experiment.overrides import parse_sets, settings_of
    from chaos.runtimes import clocks as faketime
    from chaos.runtimes.process import start_stack
    from chaos.runtimes.stackfile import load_stack

    changes = parse_sets(sets)
    spec = load_stack(stack, settings_of(load_stack(stack), changes))
    if not any(node.command for _, node in spec.nodes().values()):
        raise UsageError(f"{stack} starts nothing: it only says where its services are", hint="run experiments on it")
    if clocks and not faketime.library():
        raise UsageError(faketime.NOT_INSTALLED)
    running = start_stack(spec, detached=True, clocks=clocks)
    if as_json:
        show.as_json(_plain(running.site))
        return
    click.echo(f"{running.site.id} is up: {len(running.site.node_ports)} nodes")
    for service, said in running.site.spec.services.items():
        for region, url in said.urls.items():
            click.echo(f"  {service:<10} {region:<10} {url}")
    click.echo(f"next: chaos run network_congestion --stack {running.site.id}")
    click.echo(f"      chaos stack down {running.site.id}")


@command.command(
    "down",
    cls=Command,
    short_help="End a running stack.",
    example="chaos stack down\nchaos stack down embedded-1f3a\nchaos stack down --all",
)
@click.argument("stack", default="")
@click.option("--all", "every", is_flag=True, help="End every running stack.")
def down(stack: str, every: bool) -> None:
    """End STACK, its id or its name; without one, the only stack that runs."""
    from chaos.runtimes.process import list_stacks, stop_stack

    names = [site.id for site in list_stacks()] if every else [stack or _only()]
    for name in names:
        stop_stack(name)
        click.echo(f"{name} is down")
    if not names:
        click.echo("no stack runs")


@command.command(
    "ps", cls=Command, short_help="List the nodes of running stacks.", example="chaos stack ps\nchaos stack ps --json"
)
@json_option
def ps(as_json: bool) -> None:
    """List running stacks and the state of their nodes."""
    from chaos.runtimes.process import list_stacks

    sites = list_stacks()
    if as_json:
        show.as_json([_plain(site) for site in sites])
        return
    rows = [row for site in sites for row in _nodes(site)]
    show.table(rows, ("stack", "node", "region", "port", "pid", "state", "faults"), empty="no stack runs")


@command.command(
    "logs",
    cls=Command,
    short_help="Print the last lines that a node wrote.",
    example="chaos stack logs meet-e1\nchaos stack logs store --stack embedded-1f3a --lines 50",
)
@click.argument("node")
@click.option("--stack", default="", metavar="STACK", help="The stack's id or name, if several run.")
@click.option("--lines", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many.")
def logs(node: str, stack: str, lines: int) -> None:
    """Print the last lines that NODE wrote; `supervisor` and `proxy` are nodes here too."""
    from chaos.runtimes.process import stack_logs

    for line in stack_logs(stack or _only(), node, lines):
        click.echo(line)


def _only() -> str:
    """The id of the only stack that runs."""
    from chaos.runtimes.process import list_stacks

    ids = [site.id for site in list_stacks()]
    if len(ids) == 1:
        return ids[0]
    if not ids:
        raise UsageError("no stack runs", hint="chaos stack up")
    raise UsageError(f"{len(ids)} stacks run: {', '.join(ids)}", hint="name one of them")


def _plain(site: Site) -> dict[str, Any]:
    urls = {name: service.urls for name, service in site.spec.services.items() if service.urls}
    return {
        "id": site.id,
        "stack": site.spec.stack,
        "directory": site.directory,
        "urls": urls,
        "links": site.link_ports,
        "nodes": _nodes(site),
    }


def _nodes(site: Site) -> list[dict[str, Any]]:
    from chaos.runtimes.process import attach_stack

    states = attach_stack(site.id).runtime.states()
    rows = []
    for name, (service, node) in site.spec.nodes().items():
        now = states.get(name)
        row: dict[str, Any] = {"stack": site.id, "node": name, "service": service, "region": node.region or ""}
        row |= {"port": site.node_ports.get(name), "pid": now.pid if now else None}
        rows.append(row | {"state": now.state if now else "unknown", "faults": list(now.faults) if now else []})
    return rows
