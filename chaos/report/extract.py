"""From a judged record to the `Story` that reports tell; the figures are the verdict's own units, counted again.

Reads nothing but the record, and where its directory is seen from here. Total: what a record lacks is left out.
"""

from __future__ import annotations

import os
import re
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from chaos.errors import InvalidInput, Problem
from chaos.model.plan import Plan
from chaos.report import story as told
from chaos.report.story import FaultSpan, Figure, PhaseSpan, PlannedFault, Point, Story
from chaos.report.words import count
from chaos.verdict.flows import measure, within
from chaos.verdict.series import series
from chaos.verdict.stats import quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.fault import Evidence, Reach
    from chaos.model.plan import Blast
    from chaos.model.stack import Bounds
    from chaos.verdict.flows import Unit
    from chaos.verdict.history import History
    from chaos.verdict.run import RunRecord
    from chaos.verdict.series import Second, Series
    from chaos.verdict.spans import FaultSpan as JudgedFault

PHASES = ("warm-up", "baseline", "fault", "recovery")
NAMED = 3
_STAMP = re.compile(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z")


def story_of(record: RunRecord) -> Story:
    """The story of a run that `chaos.verdict.run.load_run` read."""
    try:
        plan = Plan.model_validate(record.plan)
    except ValidationError as error:
        problem = Problem(
            str(record.directory / "plan.json"), 0, 0, f"is not a plan of this chaos: {error.errors()[0]['msg']}"
        )
        raise InvalidInput((problem,), hint="tell it with the chaos that ran it") from error
    return tell(record.history, plan, record.checks.bounds, record.directory)


def tell(history: History, plan: Plan, bounds: Bounds, directory: Path) -> Story:
    """The story of a history that came about by a plan."""
    experiment, spec = plan.experiment, plan.spec
    units = {flow: found for flow, found in measure(history, bounds).items() if found}
    return Story(
        run_id=directory.resolve().name,
        title=experiment.title,
        description=experiment.description,
        file=experiment.file,
        stack=spec.stack,
        stack_says=f"{count(len(spec.regions), 'region')}, {count(len(spec.nodes()), 'node')}",
        seed=plan.seed,
        assurance=experiment.assurance,
        directory=shown(directory),
        replay=near(directory) if (directory / "replay.json").is_file() else "",
        started=_started(directory.resolve().name),
        phases=tuple(
            PhaseSpan(span.phase.value, history.seconds(span.start_ns), history.seconds(span.end_ns))
            for span in history.phases
            if span.phase != "end"
        ),
        faults=tuple(_fault(history, fault) for fault in history.faults),
        series=tuple(_series(found) for found in series(history, bounds) if found.seconds),
        figures=tuple(_figures(units)),
        plan=tuple(_planned(plan)),
        blast_radius=blast_in_words(plan.blast),
        versions=_versions(plan),
        notes=tuple(_notes(history)),
    )


def shown(directory: Path) -> str:
    """The directory as a person here would type it: `runs/latest` if it is that, relative where that is shorter."""
    latest = directory.parent / "latest"
    try:
        return near(latest if latest.resolve() == directory.resolve() else directory)
    except OSError:
        return str(directory)


def near(path: Path) -> str:
    """The path from here, if it lies below."""
    try:
        relative = os.path.relpath(path)
    except (OSError, ValueError):
        return str(path)
    return relative if not relative.startswith("..") else str(path)


def blast_in_words(blast: Blast) -> str:
    """`all users of cn-east; 25 % of the nodes of documents`; `nobody` where the plan hits nothing."""
    parts = [(share, "users", region) for region, share in blast.users.items()]
    parts += [(share, "the nodes", service) for service, share in blast.services.items()]
    said = [
        f"{'all' if share >= 1 else f'{share * 100:.0f} % of'} {what} of {name}"
        for share, what, name in parts
        if share > 0
    ]
    return "; ".join(said).replace("all the nodes", "all nodes") or "nobody"


def _started(name: str) -> str:
    found = _STAMP.search(name)
    return "{}-{}-{}T{}:{}:{}Z".format(*found.groups()) if found else ""


def _fault(history: History, fault: JudgedFault) -> FaultSpan:
    intent = _intent(history, fault.id)
    evidence = _deciding(fault.bites)
    duration = intent.get("duration")
    return FaultSpan(
        id=fault.id,
        name=fault.name,
        fault=fault.fault,
        band=fault.band,
        says=str(intent.get("says", "")),
        duration_s=float(duration) if isinstance(duration, int | float) else None,
        on_s=None if fault.on_ns is None else history.seconds(fault.on_ns),
        off_s=None if fault.off_ns is None else history.seconds(fault.off_ns),
        evidence=evidence.says if evidence else "",
        bit=evidence.bit if evidence else None,
        measured=evidence.measured if evidence else {},
        off_says=fault.off_says,
        clean=fault.off_clean,
        reach=_reach(fault.reach),
    )


def _intent(history: History, id_: str) -> dict[str, Any]:
    for event in history.events:
        if event.type == "fault" and event.f == "intent" and event.key == id_ and isinstance(event.value, dict):
            return event.value
    return {}


def _deciding(bites: Sequence[Evidence]) -> Evidence | None:
    """The first proof that it bit, else the last look."""
    return next((bite for bite in bites if bite.bit), bites[-1] if bites else None)


def _reach(reach: Reach | None) -> str:
    if reach is None:
        return ""
    parts = reach.regions or reach.nodes or reach.links
    if not parts:
        return "everything" if reach.everything else ""
    rest = len(parts) - NAMED
    return ", ".join(parts[:NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _series(found: Series) -> told.Series:
    """The same with the seconds in which nothing was tried, in milliseconds."""
    known = {second.t: second for second in found.seconds}
    points = [_point(t, known.get(t)) for t in range(min(known), max(known) + 1)]
    return told.Series(found.flow, found.region, tuple(points))


def _point(t: int, second: Second | None) -> Point:
    if second is None:
        return Point(t, 0, 0)
    return Point(t, second.ok, second.bad, _ms(second.p50), _ms(second.p95))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000


def _figures(units: dict[str, list[Unit]]) -> list[Figure]:
    """Per phase as the verdict counts: who got no answer waited longer than anybody."""
    out = []
    for flow, found in units.items():
        for phase in PHASES:
            here = within(found, phase)
            for region in dict.fromkeys(["", *sorted({unit.region for unit in here})]):
                some = [unit for unit in here if region in {"", unit.region}]
                if some:
                    times = sorted(unit.seconds * 1000 for unit in some)
                    good = sum(unit.good for unit in some)
                    middle, high = quantile(times, 0.5), quantile(times, 0.95)
                    out.append(Figure(flow, phase, region, good, len(some) - good, middle, high))
    return out


def _planned(plan: Plan) -> list[PlannedFault]:
    return [
        PlannedFault(
            name=one.name or one.fault,
            target=one.target + (f"; {one.rule}" if one.rule else "") + _hit(one.nodes, one.links),
            carrier=", ".join(one.carriers),
            undo=", ".join(one.undo),
            duration_s=one.duration_s,
        )
        for one in plan.injections
    ]


def _hit(nodes: Sequence[str], links: Sequence[str]) -> str:
    hit = [*([", ".join(nodes)] if nodes else []), *([count(len(links), "link")] if links else [])]
    return f": {', '.join(hit)}" if hit else ""


def _versions(plan: Plan) -> dict[str, str]:
    """Of what ran it, and of what judges it now."""
    try:
        own = metadata.version("collab-chaos")
    except metadata.PackageNotFoundError:
        own = "from a checkout"
    return plan.versions | {"judged by collab-chaos": own}


def _notes(history: History) -> list[str]:
    notes = [f"The record {wrong}." for wrong in history.damage]
    if history.malformed:
        notes.append(f"{count(history.malformed, 'row')} of the record could not be read as events.")
    more = [event.value["seconds"] for event in history.facts.get("extended", ()) if _says_seconds(event.value)]
    if more:
        notes.append(f"Recovery went on for {sum(more):g} s more, since too few samples left rules of it undecided.")
    return notes


def _says_seconds(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("seconds"), int | float)
