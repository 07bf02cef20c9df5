"""A plan in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.model.plan import Plan, PlannedInjection, Sampling


def lines(plan: Plan) -> Iterator[str]:
    """What `chaos plan` prints."""
    spec = plan.spec
    yield plan.experiment.title
    yield (
        f"stack {spec.stack} ({spec.environment or 'no environment'}) · {len(spec.regions)} regions, "
        f"{len(spec.nodes())} nodes · seed {plan.seed} · "
        f"{_seconds(plan.total_s)}{_longer(plan)}{' · in a sandbox' * plan.sandbox}"
    )
    if plan.experiment.load.workers > 1:
        yield f"load played by {plan.experiment.load.workers} workers, each with its own rooms and documents"
    yield ""
    yield "phases"
    for phase in plan.phases:
        expected = ", ".join(f"{count} {flow}" for flow, count in phase.expected.items())
        yield f"  {_seconds(phase.starts_s):>7}  {phase.name:<10} {_seconds(phase.seconds):>7}  {expected}".rstrip()
    for one in plan.injections:
        yield ""
        yield from _injection(one)
    yield ""
    yield "blast radius at most"
    hit = [f"{share:>5.0%} of the nodes of {name}" for name, share in plan.blast.services.items() if share]
    hit += [f"{share:>5.0%} of the users of {name}" for name, share in plan.blast.users.items() if share]
    yield from (f"  {line}" for line in hit or ["    0% of everything"])
    yield from _samplings(plan.samplings)
    if plan.notes:
        yield ""
        yield "notes"
        yield from (f"  {note}" for note in plan.notes)
    if plan.policy:
        yield ""
        forbidden = [one for one in plan.policy if not one.allowed]
        yield "operator's policy" + (": does not allow this run" if forbidden else ": allows it")
        yield from (f" {' ' if one.allowed else '!'} {one}" for one in plan.policy)
    if plan.experiment.stop:
        yield ""
        yield "stops early, healed, if"
        yield from (f"  {rule.text}" for rule in plan.experiment.stop)
    yield ""
    yield "nothing was touched"


def _injection(one: PlannedInjection) -> Iterator[str]:
    yield f"{one.fault}  {one.says}  ({one.name}, {one.place})" if one.place else f"{one.fault}  {one.says}"
    yield f"  when     {_seconds(one.starts_s)} after the load begins, for {_seconds(one.duration_s)}"
    yield f"  target   {one.target}" + (f"; {one.rule}" if one.rule else "")
    if one.parts:
        yield f"  parts    {one.parts}"
    for name, values in (("nodes", one.nodes), ("links", one.links), ("by", _carriers(one)), ("undo", one.undo)):
        if values:
            yield f"  {name:<8} {', '.join(values)}"
    yield from (f"  not by   {line}" for line in _not_by(one))


def _carriers(one: PlannedInjection) -> tuple[str, ...]:
    """With several of them: which does what."""
    if len(one.carriers) < 2:  # noqa: PLR2004
        return one.carriers
    done = {name: [means.ask for means in one.means if means.carrier == name] for name in one.carriers}
    return tuple(f"{name} ({', '.join(asks)})" if asks else name for name, asks in done.items())


def _not_by(one: PlannedInjection) -> Iterator[str]:
    """What would have been better, one line for each reason."""
    why: dict[str, list[str]] = {}
    for tried in dict.fromkeys((each.carrier, each.why_not) for means in one.means for each in means.instead_of):
        why.setdefault(tried[1], []).append(tried[0])
    yield from (f"{', '.join(names)}: {reason}" for reason, names in why.items())


def _samplings(samplings: tuple[Sampling, ...]) -> Iterator[str]:
    if not samplings:
        return
    yield ""
    yield "samples"
    for one in samplings:
        expected = "?" if one.expected < 0 else str(one.expected)
        if one.at_most > one.expected:
            expected += f" to {one.at_most}"
        mark = " " if one.enough else "!"
        yield f" {mark} {one.phase:<9} {one.threshold:<28} about {expected:>5} of {one.needed} needed"


def _longer(plan: Plan) -> str:
    most = plan.experiment.phases.extend
    return f", {_seconds(plan.total_s + most)} at most while rules are undecided" if most else ""


def _seconds(value: float) -> str:
    return f"{value:g} s"
