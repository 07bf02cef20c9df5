"""From a checked experiment and a stack to a plan; pure. Refuses what must not or cannot be hit."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from chaos.errors import NoSuchTarget, UnsafeTarget, UsageError
from chaos.experiment import ours
from chaos.experiment.carried import must_be_carried
from chaos.experiment.samples import MEASURED, expected, rates, samplings
from chaos.experiment.thresholds import EFFECTS, METRICS
from chaos.faults import registry
from chaos.faults.targets import OWNER_ROLES, Aim, describe, reach
from chaos.model.plan import Blast, Plan, PlannedInjection, PlannedPhase
from chaos.model.stack import Site

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.faults.base import Fault
    from chaos.model.carrier import Ask, Means, Survey
    from chaos.model.experiment import Experiment, Injection
    from chaos.model.plan import Sampling
    from chaos.model.stack import StackSpec

SLACK_S = 10.0
"""Room in the arrival plan: once for the run, and once for each fault's proofs and heal."""

IN_A_WINDOW = 8
"""With so many on average, all 16 windows have the two operations that each needs in 19 of 20 runs (Poisson)."""

GOOD_SECONDS = 10
"""Recovery is shown by this many good seconds in a row (`docs/checks.md`)."""


class _Aimed:
    """A fault with its aim, and what of the aim it really touches."""

    def __init__(self, injection: Injection, spec: StackSpec, seed: int) -> None:
        self.injection = injection
        self.fault = fault_of(injection)
        try:
            self.aim: Aim = self.fault.aim(spec, seed)
        except NoSuchTarget as error:
            raise NoSuchTarget(f"{_where(injection)}: {error.message}", hint=error.hint) from None
        self.asks = self.fault.asks()
        self.on_nodes = any(ask.effect is None for ask in self.asks)
        self.on_links = any(ask.effect is not None for ask in self.asks)
        self.owner = self.fault.target.role in OWNER_ROLES

    @property
    def nodes(self) -> tuple[str, ...]:
        """Nodes hit directly; the candidates, where an owner is looked for at run time."""
        return self.aim.nodes if self.on_nodes else ()

    @property
    def links(self) -> tuple[str, ...]:
        return self.aim.links if self.on_links else ()

    def means(self, spec: StackSpec, survey: Survey) -> tuple[Means, ...]:
        """What will carry each thing that it asks for; effects on links are put in at the ends that listen."""
        ends = tuple(dict.fromkeys(link.target for link in spec.links if link.name in self.links))
        return tuple(survey.means(ask, self.nodes if ask.effect is None else ends) for ask in self.asks)


def fault_of(injection: Injection) -> Fault:
    """The fault with the injection's arguments, which were checked before."""
    return registry()[injection.fault].model_validate(injection.arguments)


def _where(injection: Injection) -> str:
    return injection.place.exact if injection.place else injection.name


def asks(experiment: Experiment) -> tuple[Ask, ...]:
    """Everything that some carrier has to do for the experiment: what a survey has to find out for its plan."""
    return tuple(dict.fromkeys(ask for injection in experiment.injections for ask in fault_of(injection).asks()))


def make_plan(experiment: Experiment, spec: StackSpec, survey: Survey, *, sandbox: bool = False) -> Plan:
    """Aim every fault, pick its carriers from what the survey found, and count what can be judged.

    Raises `UnsafeTarget` (the stack is not marked as staging, or a service or all users would be hit without a reason),
    `NoSuchTarget` (a target that matches nothing, or nothing that its fault can hit), `InvalidInput` (nothing carries
    what a fault asks for, or two carriers get in each other's way).
    """
    if not experiment.ours:
        raise UsageError(
            f"{experiment.file}: nothing of ours to plan in it", hint="it runs as the stock toolkit runs it"
        )
    _must_be_staging(spec)
    aimed = [_Aimed(injection, spec, experiment.seed) for injection in experiment.injections]
    _must_have_users(spec)
    for one in aimed:
        _must_hit_something(one)
        _must_be_ours(one, spec)
    notes = [note for one in aimed for note in _whole_services(one, spec, experiment.allow_whole_service)]
    blast = _blast(aimed, spec)
    notes += _all_users(blast, experiment.allow_all_users or experiment.allow_whole_service)
    phases, starts = _timeline(experiment)
    site = Site(spec=spec, kernel="planned" if sandbox else "")
    planned = tuple(_planned(one, site, survey, at) for one, at in zip(aimed, starts, strict=True))
    must_be_carried(planned)
    counted = samplings(experiment.thresholds, experiment.load, phases, experiment.phases)
    total = sum(phase.seconds for phase in phases)
    return Plan(
        experiment=experiment,
        spec=spec,
        seed=experiment.seed,
        injections=planned,
        phases=phases,
        blast=blast,
        samplings=counted,
        notes=(
            *notes,
            *_too_short(experiment),
            *_unwarned(experiment, spec, total - min(starts, default=total)),
            *_thin_windows(experiment, aimed, spec),
            *_shortages(counted, experiment.assurance),
        ),
        total_s=total,
        horizon_s=total + experiment.phases.extend + SLACK_S * (1 + len(aimed)),
        sandbox=sandbox,
    )


def _must_be_staging(spec: StackSpec) -> None:
    if spec.environment != "staging":
        said = f"says environment: {spec.environment}" if spec.environment else "does not say what it is"
        hint = "only a stack whose file says `environment: staging` is attacked"
        raise UnsafeTarget(f"stack {spec.stack} {said}", hint=hint)


def _must_hit_something(one: _Aimed) -> None:
    if one.nodes or one.links:
        return
    wanted = "links" if one.on_links else "nodes"
    names = "no link goes to or from" if one.on_links else "a link or a kind of link is no node:"
    target = describe(one.fault.target)
    raise NoSuchTarget(
        f"{_where(one.injection)}: {one.injection.fault} hits {wanted}, and the target {target} has none",
        hint=f"{names} {', '.join(one.aim.nodes or one.aim.links)}",
    )


def _must_have_users(spec: StackSpec) -> None:
    if not any(service.backend and service.urls for service in spec.services.values()):
        hint = "give a service `backend` (chaos list backends) and `urls`"
        raise UsageError(f"stack {spec.stack} has no service that users can reach", hint=hint)


def _must_be_ours(one: _Aimed, spec: StackSpec) -> None:
    """Only the one who starts a node can stop it: a node without a command is there to be attached to."""
    placed = spec.nodes()
    foreign = [name for name in one.nodes if not placed[name][1].command]
    if foreign and not one.on_links and spec.runtime == "process":
        names = ", ".join(foreign)
        raise NoSuchTarget(
            f"{_where(one.injection)}: {one.injection.fault} cannot touch {names}, which this stack only attaches to",
            hint="give the node a `command` in the stack file, or hit its links",
        )


def _whole_services(one: _Aimed, spec: StackSpec, reason: str) -> Iterator[str]:
    """Say which services are hit whole; raises without a reason. A service of a single node is whole at once."""
    for service, hit, of in _hits(one, spec):
        if hit < of:
            continue
        nodes = "the only node" if of == 1 else f"all {of} nodes"
        if not reason:
            hint = 'narrow the target ("pick": "one" or "minority"), or say why in "allow_whole_service"'
            raise UnsafeTarget(
                f"{_where(one.injection)}: {one.injection.fault} would hit {nodes} of service {service}", hint=hint
            )
        yield f"{one.injection.fault} hits {nodes} of service {service}, allowed because: {reason}"


def _all_users(blast: Blast, reason: str) -> Iterator[str]:
    """Say that every user may feel it; raises without a reason. A stack of one region has no other to spare."""
    if len(blast.users) == 1 or min(blast.users.values()) < 1:
        return
    if not reason:
        hint = 'narrow the target to a region or a node, or say why in "allow_all_users"'
        raise UnsafeTarget("every user of every region may feel the faults of this experiment", hint=hint)
    yield f"every user may feel it, allowed because: {reason}"


def _hits(one: _Aimed, spec: StackSpec) -> Iterator[tuple[str, int, int]]:
    """Of each service that a fault on nodes touches: how many nodes it hits at once, and how many there are."""
    placed = spec.nodes()
    touched = Counter(placed[name][0] for name in one.nodes)
    for service, count in touched.items():
        yield service, 1 if one.owner else count, len(spec.services[service].nodes)


def _timeline(experiment: Experiment) -> tuple[tuple[PlannedPhase, ...], list[float]]:
    """The phases, and when each injection starts, from the method's order, pauses and background activities."""
    base = experiment.phases.warm_up + experiment.phases.baseline
    clock, end, starts = base, base, []
    order = iter(experiment.injections)
    for activity in experiment.document.get("method", []):
        pauses = activity.get("pauses", {})
        clock += _seconds(pauses.get("before"))
        if ours.is_action(activity, "inject"):
            starts.append(clock)
            over = clock + float(next(order).arguments["duration"])
            end = max(end, over)
            clock = clock if activity.get("background") else over
        clock += _seconds(pauses.get("after"))
    end = max(end, clock)
    spans = [
        ("warm-up", 0.0, experiment.phases.warm_up),
        ("baseline", experiment.phases.warm_up, experiment.phases.baseline),
        ("fault", base, end - base),
        ("recovery", end, experiment.phases.recovery),
    ]
    load = experiment.load
    phases = [PlannedPhase(name=n, starts_s=at, seconds=s, expected=expected(load, s)) for n, at, s in spans]
    return tuple(phases), starts


def _seconds(pause: Any) -> float:
    """A pause of an activity; one that is a variable counts as none."""
    return float(pause) if isinstance(pause, int | float) else 0.0


def _planned(one: _Aimed, site: Site, survey: Survey, starts_s: float) -> PlannedInjection:
    fault, means = one.fault, one.means(site.spec, survey)
    undo = tuple(step.says for step in fault.undo("planned", site))
    return PlannedInjection(
        name=one.injection.name,
        fault=one.injection.fault,
        says=fault.says(),
        band=fault.band,
        target=describe(fault.target),
        rule=one.aim.rule,
        parts=one.aim.parts,
        nodes=one.nodes,
        links=one.links,
        carriers=tuple(dict.fromkeys(each.carrier for each in means)),
        means=means,
        undo=undo,
        starts_s=starts_s,
        duration_s=fault.duration,
        place=one.injection.place,
    )


def _blast(aimed: Sequence[_Aimed], spec: StackSpec) -> Blast:
    services = dict.fromkeys(spec.services, 0.0)
    users = dict.fromkeys(spec.regions or ("default",), 0.0)
    for one in aimed:
        for service, hit, of in _hits(one, spec):
            services[service] = max(services[service], hit / of)
        for region in users:
            users[region] = max(users[region], _share_of_users(one, spec, region))
    return Blast(services=services, users=users)


def _share_of_users(one: _Aimed, spec: StackSpec, region: str) -> float:
    """How many of a region's users may feel a fault, taking its rooms and documents as spread evenly over its nodes."""
    felt = reach(one.aim, spec, {}, by_links=one.fault.acting.on_links)
    if felt.everything or region in felt.regions or (one.on_nodes and one.fault.target.region == region):
        return 1.0
    placed = spec.nodes()
    worst = 0.0
    for service in spec.services.values():
        if service.role not in OWNER_ROLES.values() and not service.backend:
            continue
        there = [node.name for node in service.nodes if (placed[node.name][1].region or region) == region]
        hit = len(set(there) & set(felt.nodes))
        if hit:
            worst = max(worst, (1 if one.owner else hit) / len(there))
    return worst


def _thin_windows(experiment: Experiment, aimed: Sequence[_Aimed], spec: StackSpec) -> Iterator[str]:
    """Rules on an effect whose flow will be too rare in the windows."""
    per_second = rates(experiment.load)
    regions = spec.regions or ("default",)
    for one in aimed:
        windows = one.fault.windows()
        if windows is None:
            continue
        share = sum(_share_of_users(one, spec, region) for region in regions) / len(regions)
        seconds = one.fault.duration / (2 * windows.pairs) - windows.settle_s
        for rule in experiment.thresholds:
            rate = per_second.get(rule.metric.partition(".")[0])
            if METRICS[rule.metric] in EFFECTS and rate is not None and rate * seconds * share < IN_A_WINDOW:
                here = f"about {rate * seconds * share:.1f} of those whom it reaches in each window"
                yield f"{rule.text} ({rule.phase}): {here}; less than {IN_A_WINDOW} may leave it inconclusive"


def _too_short(experiment: Experiment) -> Iterator[str]:
    seconds = experiment.phases.recovery
    if seconds < GOOD_SECONDS and experiment.injections:
        yield f"recovery is {GOOD_SECONDS} good seconds in a row; a phase of {seconds:g} s cannot show it"


def _unwarned(experiment: Experiment, spec: StackSpec, watched_s: float) -> Iterator[str]:
    for rule in experiment.thresholds:
        if rule.metric == "warning" and spec.alerts is None:
            yield f"{rule.text}: the stack file names no `alerts`; it will be inconclusive"
        elif rule.metric == "warning" and rule.value > watched_s:
            yield f"{rule.text}: the load ends {watched_s:g} s after the first fault; no alert by then proves nothing"


def _shortages(counted: Sequence[Sampling], assurance: str) -> Iterator[str]:
    for one in counted:
        where = f"{one.threshold} ({one.phase})"
        if not one.enough:
            most = max(one.expected, one.at_most)
            yield f"{where}: about {most} expected, {MEASURED} needed; it will be inconclusive"
        elif assurance == "proven" and not one.proven:
            yield f"{where}: no number of samples proves it"
        elif assurance == "proven" and 0 <= max(one.expected, one.at_most) < one.proven:
            needs = f"{one.proven} needed to prove it ({one.proven_s:g} s of {one.phase})"
            yield f"{where}: about {max(one.expected, one.at_most)} expected, {needs}"
