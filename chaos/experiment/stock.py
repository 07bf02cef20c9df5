"""The Chaos Toolkit's own part of an experiment: its keys and types, at every level, with places.

The toolkit itself stops at the first error, names no place and lets unknown keys pass; it has the last word all the
same, for what is checked here is what it would refuse or silently ignore.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from chaos.experiment.positions import KeyPath
    from chaos.experiment.report import Report

HYPOTHESIS = "steady-state-hypothesis"
TOP = (
    "$schema", "version", "title", "description", "tags", "configuration", "secrets", "contributions", "extensions",
    "controls", HYPOTHESIS, "method", "rollbacks", "runtime", "dry",
)  # fmt: skip
ACTIVITY = (
    "type", "name", "provider", "tolerance", "pauses", "background", "controls", "configuration", "secrets", "ref",
    "timeout", "tags",
)  # fmt: skip
PROVIDERS = {
    "python": ("type", "module", "func", "arguments", "secrets", "configuration"),
    "process": ("type", "path", "arguments", "timeout", "secrets", "configuration"),
    "http": (
        "type", "url", "method", "headers", "timeout", "arguments", "expected_status", "verify_tls", "max_retries",
        "secrets", "configuration",
    ),
}  # fmt: skip
NEEDED = {"python": ("module", "func"), "process": ("path",), "http": ("url",)}
CONTROL = ("name", "type", "provider", "scope", "automatic", "ref", "configuration", "secrets")
STRATEGIES = {
    "hypothesis": (
        "default", "before-method-only", "after-method-only", "during-method-only", "continuously", "skip",
    ),
    "rollbacks": ("default", "always", "never", "deviated"),
}  # fmt: skip
DRY = ("probes", "actions", "activities", "pause")
TOLERANCES = ("probe", "regex", "jsonpath", "range")


def check(report: Report, document: dict[str, Any]) -> None:
    """Say every problem of the toolkit's own keys."""
    report.mapping((), document, TOP, ("title", "description", "method"))
    for name in ("title", "description"):
        if name in document:
            report.text((name,), document[name])
    for name in ("configuration", "secrets", "contributions"):
        if name in document:
            report.typed((name,), document[name], dict)
    if "dry" in document:
        report.choice(("dry",), document["dry"], DRY)
    _tags_and_extensions(report, document)
    _controls(report, (), document)
    _hypothesis(report, document)
    for part in ("method", "rollbacks"):
        for index, activity in enumerate(_list(report, (part,), document)):
            _activity(report, (part, index), activity)
    _runtime(report, document)


def _tags_and_extensions(report: Report, document: dict[str, Any]) -> None:
    for index, tag in enumerate(_list(report, ("tags",), document)):
        report.text(("tags", index), tag)
    for index, extension in enumerate(_list(report, ("extensions",), document)):
        if report.typed(("extensions", index), extension, dict) and "name" not in extension:
            report.say(("extensions", index), f"'name' is missing in extensions[{index}]")


def _list(report: Report, path: KeyPath, owner: dict[str, Any]) -> list[Any]:
    """The list under the last key of the path; empty where there is none."""
    value = owner.get(str(path[-1]), [])
    return value if report.typed(path, value, list) else []


def _runtime(report: Report, document: dict[str, Any]) -> None:
    if "runtime" not in document or not report.mapping(("runtime",), document["runtime"], tuple(STRATEGIES)):
        return
    for name, names in STRATEGIES.items():
        part = document["runtime"].get(name)
        path = ("runtime", name)
        if part is not None and report.mapping(path, part, ("strategy",)) and "strategy" in part:
            report.choice((*path, "strategy"), part["strategy"], names)


def _controls(report: Report, path: KeyPath, owner: dict[str, Any]) -> None:
    for index, control in enumerate(_list(report, (*path, "controls"), owner)):
        here = (*path, "controls", index)
        if not report.mapping(here, control, CONTROL, () if "ref" in _as_dict(control) else ("name", "provider")):
            continue
        if "scope" in control:
            report.choice((*here, "scope"), control["scope"], ("before", "after"))
        if "automatic" in control:
            report.typed((*here, "automatic"), control["automatic"], bool)
        if "provider" in control:
            provider = control["provider"]
            known = ("type", "module", "arguments", "secrets", "configuration", "export")
            if report.mapping((*here, "provider"), provider, known, ("type", "module")) and "type" in provider:
                report.choice((*here, "provider", "type"), provider["type"], ("python",))


def _as_dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _hypothesis(report: Report, document: dict[str, Any]) -> None:
    hypothesis = document.get(HYPOTHESIS)
    path = (HYPOTHESIS,)
    if hypothesis is None or not report.mapping(path, hypothesis, ("title", "probes", "controls"), ("title",)):
        return
    if "title" in hypothesis:
        report.text((*path, "title"), hypothesis["title"])
    _controls(report, path, hypothesis)
    for index, probe in enumerate(_list(report, (*path, "probes"), hypothesis)):
        here = (*path, "probes", index)
        _activity(report, here, probe)
        if not isinstance(probe, dict) or "ref" in probe:
            continue
        if "tolerance" in probe:
            _tolerance(report, (*here, "tolerance"), probe["tolerance"])
        else:
            report.say(here, "'tolerance' is missing in a probe of the hypothesis")


def _tolerance(report: Report, path: KeyPath, tolerance: Any) -> None:
    if not report.typed(path, tolerance, bool, int, list, str, dict) or not isinstance(tolerance, dict):
        return
    if not report.choice((*path, "type"), tolerance.get("type"), TOLERANCES):
        return
    if tolerance["type"] == "range":
        bounds = tolerance.get("range")
        numbers = isinstance(bounds, list) and [type(one) in {int, float} for one in bounds] == [True, True]
        if not numbers:
            report.say((*path, "range"), "range must be a list of two numbers")
    elif tolerance["type"] == "regex":
        _pattern(report, (*path, "pattern"), tolerance.get("pattern"))
    elif tolerance["type"] == "probe":
        _activity(report, path, tolerance)


def _pattern(report: Report, path: KeyPath, pattern: Any) -> None:
    try:
        if report.text(path, pattern):
            re.compile(pattern)
    except re.error as error:
        report.say(path, f"pattern is no regular expression: {error}")


def _activity(report: Report, path: KeyPath, activity: Any) -> None:
    if "ref" in _as_dict(activity):
        report.text((*path, "ref"), activity["ref"])
        return
    if not report.mapping(path, activity, ACTIVITY, ("type", "name", "provider")):
        return
    if "type" in activity:
        report.choice((*path, "type"), activity["type"], ("probe", "action"))
    if "name" in activity:
        report.text((*path, "name"), activity["name"])
    if "background" in activity:
        report.typed((*path, "background"), activity["background"], bool)
    if "pauses" in activity and report.mapping((*path, "pauses"), activity["pauses"], ("before", "after")):
        for name, pause in activity["pauses"].items():
            variable = isinstance(pause, str) and pause.startswith("${") and pause.endswith("}")
            if not variable:
                report.typed((*path, "pauses", name), pause, float)
    _controls(report, path, activity)
    if "provider" in activity:
        _provider(report, (*path, "provider"), activity["provider"])


def _provider(report: Report, path: KeyPath, provider: Any) -> None:
    if not report.typed(path, provider, dict):
        return
    kind = provider.get("type")
    if "type" not in provider:
        report.say(path, "'type' is missing in provider", "python, process or http")
    elif report.choice((*path, "type"), kind, tuple(PROVIDERS)):
        report.mapping(path, provider, PROVIDERS[kind], NEEDED[kind])
        for name in NEEDED[kind]:
            if name in provider:
                report.text((*path, name), provider[name])
        if kind == "python" and "arguments" in provider:
            report.typed((*path, "arguments"), provider["arguments"], dict)
