"""Our own part of an experiment: the extension, the injections, the probes, and whether the method is sound."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import TYPE_CHECKING, Any, Literal, cast

from chaos.experiment.stock import HYPOTHESIS
from chaos.experiment.stops import parse_stop
from chaos.experiment.suggest import did_you_mean
from chaos.experiment.thresholds import EFFECTS, METRICS, PHASES, BadThreshold, parse_threshold
from chaos.experiment.variables import fill
from chaos.faults import registry
from chaos.model.experiment import Experiment, Injection, LoadSpec, PhaseSpec, StopRule, Threshold

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.experiment.positions import KeyPath
    from chaos.experiment.report import Model, Report

EXTENSION = "collab-chaos"
ACTIONS = "chaos.actions"
CONTROL = "chaos.actions.control"
FUNCTIONS = ("inject", "recover", "heal")
EXTENSION_KEYS = (
    "name", "stack", "seed", "load", "phases", "thresholds", "assurance", "allow_whole_service",
    "allow_all_users", "stop",
)  # fmt: skip
ASSURANCES = ("measured", "proven")
PACKAGES = ("chaos", "probes")
_INTERLEAVE = 'inject the fault "interleave", and name the one to measure in its `of`'


def is_ours(document: dict[str, Any]) -> bool:
    """Whether the experiment has anything of ours: the extension, or a provider from our packages."""
    extensions = document.get("extensions")
    named = extensions if isinstance(extensions, list) else []
    if any(isinstance(one, dict) and one.get("name") == EXTENSION for one in named):
        return True
    return any(_belongs(module) for module in _modules(document))


def _belongs(module: str) -> bool:
    package, _, rest = module.partition(".")
    return package == "chaos" or (package == "probes" and (not rest or rest.split(".")[0] in probe_modules()))


def probe_modules() -> list[str]:
    """Names of our probe modules; a team may have a `probes` package of its own, which is none of our business."""
    try:
        package = importlib.import_module("probes")
    except ImportError:
        return []
    return sorted(one.name for one in pkgutil.iter_modules(package.__path__) if not one.name.startswith("_"))


def _modules(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        module = value.get("module")
        if isinstance(module, str):
            yield module
        for inner in value.values():
            yield from _modules(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _modules(inner)


def read(report: Report, document: dict[str, Any]) -> Experiment:
    """The typed experiment; what has a problem keeps its default, and the caller raises the problems."""
    path, extension = _extension(report, document)
    for where, activity in _activities(document):
        _our_provider(report, where, activity)
    injections = _injections(report, document)
    return Experiment(
        file=report.located.file,
        title=str(document.get("title", "")),
        description=str(document.get("description", "")),
        document=document,
        stack=_stack(report, path, extension),
        seed=_seed(report, path, extension),
        load=_part(report, path, extension, "load", LoadSpec),
        phases=_part(report, path, extension, "phases", PhaseSpec),
        thresholds=_thresholds(report, path, extension, windows=any(map(in_windows, injections))),
        injections=injections,
        stop=_stops(report, path, extension),
        assurance=_assurance(report, path, extension),
        allow_whole_service=_reason(report, path, extension, "allow_whole_service"),
        allow_all_users=_reason(report, path, extension, "allow_all_users"),
    )


def _extension(report: Report, document: dict[str, Any]) -> tuple[KeyPath, dict[str, Any]]:
    """Our extension and its path; empty where there is none."""
    extensions = document.get("extensions")
    found: tuple[KeyPath, dict[str, Any]] = ((), {})
    for index, one in enumerate(extensions if isinstance(extensions, list) else []):
        name = one.get("name") if isinstance(one, dict) else None
        path = ("extensions", index)
        if name != EXTENSION:
            if isinstance(name, str) and did_you_mean(name, (EXTENSION,)).startswith("did"):
                report.say((*path, "name"), f"there is no extension {name!r}", f"did you mean {EXTENSION}?")
        elif found[0]:
            report.say(path, f"a second extension {EXTENSION!r}", "put both into one")
        else:
            report.mapping(path, one, EXTENSION_KEYS)
            found = (path, one)
    return found


def _stack(report: Report, path: KeyPath, extension: dict[str, Any]) -> str:
    stack = extension.get("stack", "embedded")
    return str(stack) if report.text((*path, "stack"), stack) else "embedded"


def _seed(report: Report, path: KeyPath, extension: dict[str, Any]) -> int:
    seed = extension.get("seed", 0)
    if not report.typed((*path, "seed"), seed, int):
        return 0
    if seed < 0:
        report.say((*path, "seed"), "seed must be 0 or more")
    return int(seed)


def _part(report: Report, path: KeyPath, extension: dict[str, Any], name: str, model: type[Model]) -> Model:
    data = extension.get(name, {})
    found = report.model((*path, name), model, data) if report.typed((*path, name), data, dict) else None
    return found or model.model_validate({})


def _assurance(report: Report, path: KeyPath, extension: dict[str, Any]) -> Literal["measured", "proven"]:
    word = extension.get("assurance", "measured")
    known = report.choice((*path, "assurance"), word, ASSURANCES)
    return cast("Literal['measured', 'proven']", word) if known else "measured"


def _reason(report: Report, path: KeyPath, extension: dict[str, Any], name: str) -> str:
    if name not in extension:
        return ""
    reason = extension[name]
    if reason is True:
        report.say((*path, name), f"{name} must be the reason, in words, not true")
        return ""
    return str(reason) if report.text((*path, name), reason) else ""


def _stops(report: Report, path: KeyPath, extension: dict[str, Any]) -> tuple[StopRule, ...]:
    rules = extension.get("stop", [])
    found: list[StopRule] = []
    if not report.typed((*path, "stop"), rules, list):
        return ()
    for index, text in enumerate(rules):
        here = (*path, "stop", index)
        if not report.typed(here, text, str):
            continue
        try:
            found.append(parse_stop(text, report.located.place(here)))
        except BadThreshold as error:
            report.say(here, f"stop condition {text!r}: {error.message}", error.hint, offset=error.offset)
    return tuple(found)


def _thresholds(report: Report, path: KeyPath, extension: dict[str, Any], *, windows: bool) -> tuple[Threshold, ...]:
    """`windows`: whether a fault of the method comes in windows, so that its effect can be measured."""
    phases = extension.get("thresholds", {})
    path = (*path, "thresholds")
    if not report.mapping(path, phases, PHASES):
        return ()
    found: list[Threshold] = []
    for phase, rules in phases.items():
        if not report.typed((*path, phase), rules, list):
            continue
        for index, text in enumerate(rules):
            here = (*path, phase, index)
            if report.typed(here, text, str):
                made = _threshold(report, here, text, phase)
                if not windows and any(METRICS[one.metric] in EFFECTS for one in made):
                    report.say(here, f"threshold {text!r}: no fault of the method is interleaved", _INTERLEAVE)
                found.extend(made)
    return tuple(found)


def _threshold(report: Report, path: KeyPath, text: str, phase: str) -> list[Threshold]:
    try:
        return [parse_threshold(text, phase if phase in PHASES else "run", report.located.place(path))]
    except BadThreshold as error:
        report.say(path, f"threshold {text!r}: {error.message}", error.hint, offset=error.offset)
        return []


# Activities


def _activities(document: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every activity whose provider is a python module, with its path."""
    hypothesis = document.get(HYPOTHESIS)
    probes = hypothesis.get("probes") if isinstance(hypothesis, dict) else None
    parts: list[tuple[KeyPath, Any]] = [((HYPOTHESIS, "probes"), probes)]
    parts += [((name,), document.get(name)) for name in ("method", "rollbacks")]
    for path, activities in parts:
        for index, one in enumerate(activities if isinstance(activities, list) else []):
            provider = one.get("provider") if isinstance(one, dict) else None
            if isinstance(provider, dict) and isinstance(provider.get("module"), str):
                yield (*path, index), one


def is_action(activity: Any, func: str) -> bool:
    """Whether an activity calls that action of ours."""
    provider = activity.get("provider") if isinstance(activity, dict) else None
    return isinstance(provider, dict) and provider.get("module") == ACTIONS and provider.get("func") == func


def _our_provider(report: Report, path: KeyPath, activity: dict[str, Any]) -> None:
    """Whether a provider of ours names a function that is there, with arguments that fit it."""
    provider = activity["provider"]
    module, func = provider["module"], provider.get("func")
    here = (*path, "provider")
    if module == ACTIONS:
        if isinstance(func, str) and report.choice((*here, "func"), func, FUNCTIONS) and func != "inject":
            report.mapping((*here, "arguments"), provider.get("arguments", {}), ())
    elif module.partition(".")[0] in PACKAGES:
        _our_probe(report, path, activity, module, func)
    if path[0] == "method" and "tolerance" in activity:
        hint = "move the probe to the steady-state-hypothesis, or say it as a threshold"
        report.say((*path, "tolerance"), "a tolerance in the method is ignored by the toolkit", hint, key=True)


def _our_probe(report: Report, path: KeyPath, activity: dict[str, Any], module: str, func: Any) -> None:
    here = (*path, "provider")
    try:
        imported = importlib.import_module(module)
    except ImportError:
        hint = did_you_mean(module, [*(f"probes.{name}" for name in probe_modules()), ACTIONS])
        report.say((*here, "module"), f"there is no module {module!r}", hint)
        return
    public = {
        name: one
        for name, one in vars(imported).items()
        if inspect.isfunction(one) and one.__module__ == module and not name.startswith("_")
    }
    if not isinstance(func, str) or not report.choice((*here, "func"), func, tuple(public)):
        return
    signature = inspect.signature(public[func])
    arguments = activity["provider"].get("arguments", {})
    needed = [name for name, one in signature.parameters.items() if one.default is inspect.Parameter.empty]
    report.mapping((*here, "arguments"), arguments, tuple(signature.parameters), needed)
    if str(signature.return_annotation).startswith("dict"):
        _tolerance_of_mapping(report, path, activity)


def _tolerance_of_mapping(report: Report, path: KeyPath, activity: dict[str, Any]) -> None:
    """A probe that answers with a mapping under a tolerance for a number would end the toolkit without rollbacks."""
    tolerance = activity.get("tolerance")
    if tolerance is None or path[0] != HYPOTHESIS:
        return
    if not isinstance(tolerance, dict) or (tolerance.get("type") in {"range", "regex"} and "target" not in tolerance):
        hint = 'for example {"type": "range", "target": "ok", "range": [1, 1]}'
        report.say((*path, "tolerance"), "this probe answers with a mapping: the tolerance must name a target", hint)


def _injections(report: Report, document: dict[str, Any]) -> tuple[Injection, ...]:
    configuration = document.get("configuration")
    fixed = configuration if isinstance(configuration, dict) else {}
    found: list[Injection] = []
    injects = False
    open_since: list[KeyPath] = []
    for path, activity in _activities(document):
        if path[0] != "method":
            continue
        if is_action(activity, "inject"):
            new = _injection(report, path, activity, fixed)
            if any(map(in_windows, new)) and any(map(in_windows, found)):
                report.say(path, "a second fault that is interleaved", "put it into an experiment of its own")
            found.extend(new)
            open_since.append(path)
            injects = True
        elif is_action(activity, "recover"):
            open_since.clear()
    for path in open_since:
        message = "nothing takes this fault back before the hypothesis is judged again"
        report.say(path, message, f"end the method with an action {ACTIONS}.recover")
    healed = any(is_action(activity, "heal") for path, activity in _activities(document) if path[0] == "rollbacks")
    if injects and not healed:
        path = ("rollbacks",) if "rollbacks" in document else ()
        report.say(path, "no rollback heals", f"add an action {ACTIONS}.heal to rollbacks")
    return tuple(found)


def in_windows(injection: Injection) -> bool:
    """Whether its fault comes in windows that are compared."""
    return registry()[injection.fault].model_validate(injection.arguments).windows() is not None


def _injection(
    report: Report, path: KeyPath, activity: dict[str, Any], configuration: dict[str, Any]
) -> list[Injection]:
    here = (*path, "provider", "arguments")
    arguments = activity["provider"].get("arguments", {})
    if not isinstance(arguments, dict):
        return []
    known = registry()
    name = arguments.get("fault")
    if name is None:
        report.say(here, "'fault' is missing in arguments", did_you_mean("", known))
        return []
    if not isinstance(name, str) or name not in known:
        report.say((*here, "fault"), f"there is no fault {name!r}", did_you_mean(str(name), known))
        return []
    own = {key: value for key, value in arguments.items() if key not in {"fault", "name"}}
    own = fill(report, here, own, configuration)
    if report.model(here, known[name], own) is None:
        return []
    place = report.located.place(path)
    called = arguments.get("name") or activity.get("name") or name
    return [Injection(name=str(called), fault=name, arguments=own, place=place)]
