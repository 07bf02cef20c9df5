"""What is installed, by kind, as rows for `chaos list`."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any

from chaos.experiment.thresholds import FLOWS, QUANTILES

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.faults.base import Fault
    from chaos.model.carrier import Ask, Means

Row = dict[str, Any]
RUNTIMES = ("process", "sandbox", "docker")
COLUMNS: dict[str, tuple[str, ...]] = {
    "faults": ("name", "process", "docker", "says"),
    "backends": ("name", "serves", "ack", "says"),
    "stacks": ("name", "regions", "nodes", "says"),
    "checks": ("id", "metric", "says"),
    "probes": ("name", "says"),
    "experiments": ("name", "stack", "faults", "title"),
}

OBJECTIVES = (
    ("", "FLOW.success", "slo", f"who is served in time; FLOW: {', '.join(FLOWS)}"),
    ("", f"FLOW.{'|'.join(QUANTILES)}", "slo", "how long it takes"),
    ("", "FLOW.p95.effect", "slo", "how many times as long while an interleaved fault is on"),
    ("", "FLOW.success.effect", "slo", "how many points more fail while an interleaved fault is on"),
    ("", "recovery", "recovery", "it comes back after the heal"),
    ("", "convergence", "recovery", "copies of a document agree after the heal"),
)
"""What besides the checks a threshold may name."""

AS_APPLIED = "as applied"
"""A fault that applies another one needs what that one needs."""


def faults() -> list[Row]:
    """Every installed fault, with what carries it on this machine, by runtime."""
    from chaos.faults import registry

    return [_fault(name, fault) for name, fault in registry().items()]


def _fault(name: str, fault: type[Fault]) -> Row:
    from chaos.faults.applied import Applied
    from chaos.runtimes import carriers

    asks = _asks(fault)
    row: Row = {"name": name, "needs": [ask.what for ask in asks], "says": _first_line(fault.__doc__)}
    if issubclass(fault, Applied):
        return row | {"needs": [AS_APPLIED], **dict.fromkeys(RUNTIMES, AS_APPLIED)}
    for runtime in RUNTIMES:
        found = carriers.survey(runtime, asks)
        means = [found.means(ask, ()) for ask in asks]
        row[f"{runtime}_carriers"] = [one.model_dump() for one in means]
        row[runtime] = _carriers(runtime, means)
    return row


def _asks(fault: type[Fault]) -> tuple[Ask, ...]:
    """What the fault asks for at most; one of another distribution may tell only which capabilities it needs."""
    from pydantic import ValidationError

    from chaos.model.carrier import Ask
    from chaos.runtimes.base import Shaping

    try:
        return fault.example().asks()
    except ValidationError:
        return tuple(Ask(what=need.__name__.lower()) for need in fault.needs if need is not Shaping)


def _carriers(runtime: str, means: list[Means]) -> str:
    """Short names of what works together; where some part has no carrier, that part."""
    from chaos.runtimes import carriers

    names = {one.words: one.name for one in carriers.RUNTIMES[runtime]}
    works = dict.fromkeys(names[one.carrier] for one in means if one.carrier)
    lacks = [one.ask for one in means if not one.carrier]
    if not works:
        return "none"
    return ", ".join(f"no {ask}" for ask in lacks) or ", ".join(works)


def missing(rows: list[Row]) -> list[str]:
    """What cannot carry some fault of these rows here, a line for each reason."""
    why: dict[tuple[str, str], dict[str, None]] = {}
    for row in rows:
        for runtime in RUNTIMES:
            for tried in (one for means in row.get(f"{runtime}_carriers", ()) for one in means["instead_of"]):
                why.setdefault((runtime, tried["why_not"]), {})[tried["carrier"]] = None
    return [f"{runtime}: not by {', '.join(names)}: {said}" for (runtime, said), names in why.items()]


def backends() -> list[Row]:
    """Every installed protocol."""
    from chaos.backends import registry

    return [{"name": one.name, "serves": one.serves, "ack": one.ack, "says": one.says} for one in registry().values()]


def stacks() -> list[Row]:
    """Every built-in stack; one that cannot be read says why."""
    from chaos.errors import ChaosError
    from chaos.runtimes.stackfile import builtin_stacks, load_stack

    rows: list[Row] = []
    for name, path in builtin_stacks().items():
        row: Row = {"name": name, "file": str(path), "regions": 0, "nodes": 0}
        try:
            spec = load_stack(name)
        except ChaosError as error:
            rows.append(row | {"says": error.message})
            continue
        services = ", ".join(spec.services)
        rows.append(row | {"regions": len(spec.regions), "nodes": len(spec.nodes()), "says": services})
    return rows


def checks() -> list[Row]:
    """Every check of the verdict, with the word that thresholds use for it."""
    from chaos.verdict.checks import registry

    checked = [(one.id, one.metric, one.kind.value, one.name) for one in registry().values()]
    return [dict(zip(("id", "metric", "kind", "says"), row, strict=True)) for row in (*checked, *OBJECTIVES)]


def probes() -> list[Row]:
    """Every public function of the modules of `probes`."""
    package = importlib.import_module("probes")
    rows: list[Row] = []
    for found in pkgutil.iter_modules(package.__path__):
        if found.name.startswith("_"):
            continue
        module = importlib.import_module(f"probes.{found.name}")
        for name in getattr(module, "__all__", None) or vars(module):
            function = getattr(module, name)
            if not name.startswith("_") and inspect.isfunction(function) and function.__module__ == module.__name__:
                rows.append(_probe(f"{module.__name__}.{name}", function))
    return rows


def experiments() -> list[Row]:
    """Every shipped experiment."""
    from chaos.experiment.document import shipped

    return [_experiment(name, path) for name, path in shipped().items()]


def _probe(name: str, function: Any) -> Row:
    given = [name for name in inspect.signature(function).parameters if name not in {"configuration", "secrets"}]
    return {"name": name, "arguments": given, "says": _first_line(function.__doc__)}


def _experiment(name: str, path: Path) -> Row:
    from chaos.errors import ChaosError
    from chaos.experiment.document import load

    try:
        one = load(str(path))
    except ChaosError as error:
        return {"name": name, "file": str(path), "stack": "", "faults": [], "title": error.message}
    faults = list(dict.fromkeys(injection.fault for injection in one.injections))
    return {"name": name, "file": str(path), "stack": one.stack, "faults": faults, "title": one.title}


def _first_line(text: str | None) -> str:
    return (inspect.cleandoc(text or "").splitlines() or [""])[0]
