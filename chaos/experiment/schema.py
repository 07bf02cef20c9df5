"""The JSON Schema (2020-12) of an experiment, built from the installed faults: what an editor completes and checks.

It says no less than the validator where a schema can say it; what spans several places (an injection without a
`recover` after it) only the validator sees.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from chaos.experiment import ours, stock, stops
from chaos.experiment.thresholds import PATTERN, PHASES
from chaos.faults import registry
from chaos.model.experiment import LoadSpec, PhaseSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE: Schema = {"type": "string", "pattern": r"^\$\{\w+\}$", "description": "A name in `configuration`."}
_TEXT: Schema = {"type": "string", "minLength": 1}
_FREE: Schema = {"type": "object"}
_SAYS = {
    "title": "What the experiment shows when it passes, in one sentence.",
    "description": "The class of real incident that it stands for, and the question it asks.",
    "tags": "Words to find it by.",
    "configuration": "Values for `${name}`, fixed or from the environment.",
    "secrets": "Where secrets come from.",
    "contributions": "What the experiment contributes to, for reports.",
    "dry": "What the toolkit only pretends to do.",
    "version": "The version of the format.",
    "$schema": "Where this schema is.",
}


def schema() -> Schema:
    """The schema as plain data; the same for the same installed faults."""
    definitions: dict[str, Schema] = {}
    properties: dict[str, Schema] = {
        name: {**shape, "description": _SAYS[name]}
        for name, shape in {
            "$schema": {"type": "string"},
            "version": {"type": "string"},
            "title": _TEXT,
            "description": _TEXT,
            "tags": {"type": "array", "items": _TEXT},
            "configuration": _FREE,
            "secrets": _FREE,
            "contributions": _FREE,
            "dry": {"enum": list(stock.DRY)},
        }.items()
    }
    properties |= {
        "extensions": {"type": "array", "items": _either("name", ours.EXTENSION, _extension(definitions), _named())},
        "controls": {"type": "array", "items": _ref("control")},
        stock.HYPOTHESIS: _hypothesis(),
        "method": {"type": "array", "items": _ref("activity")},
        "rollbacks": {"type": "array", "items": _ref("activity")},
        "runtime": _runtime(),
    }
    definitions |= {"control": _control(), "activity": _activity(), "provider": _provider()}
    definitions["injection"] = {"oneOf": [_fault(name, model, definitions) for name, model in registry().items()]}
    return {
        "$schema": DIALECT,
        "title": "Experiment of collab-chaos, readable by Chaos Toolkit",
        **_object(properties, ("title", "description", "method")),
        "$defs": dict(sorted(definitions.items())),
    }


def _object(properties: dict[str, Schema], required: tuple[str, ...] = ()) -> Schema:
    shape: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return shape | ({"required": list(required)} if required else {})


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _named() -> Schema:
    return {"type": "object", "properties": {"name": _TEXT}, "required": ["name"]}


def _either(key: str, value: str, then: Schema, otherwise: Schema) -> Schema:
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then, "else": otherwise}


def _model(model: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    """A model's own schema; what it refers to goes to the definitions of the whole."""
    shape = model.model_json_schema(ref_template="#/$defs/{model}")
    definitions.update(shape.pop("$defs", {}))
    return shape


def _extension(definitions: dict[str, Schema]) -> Schema:
    rules = {"type": "array", "items": {"type": "string", "pattern": PATTERN, "examples": ["join.success >= 99%"]}}
    properties: dict[str, Schema] = {
        "name": {"const": ours.EXTENSION},
        "stack": {**_TEXT, "description": "Name of a built-in stack, or path of a stack file."},
        "seed": {"type": "integer", "minimum": 0, "description": "Decides arrivals, aims and loss."},
        "load": _model(LoadSpec, definitions),
        "phases": _model(PhaseSpec, definitions),
        "thresholds": {**_object(dict.fromkeys(PHASES, rules)), "description": "METRIC OP NUMBER [%|ms|s], per phase."},
        "stop": {
            "type": "array",
            "items": {"type": "string", "pattern": stops.PATTERN, "examples": ["join.success < 50% for 10 s"]},
            "description": "METRIC OP NUMBER UNIT for SECONDS s: what ends the method early, healed.",
        },
        "assurance": {"enum": list(ours.ASSURANCES), "description": "How sure a pass must be."},
        "allow_whole_service": {**_TEXT, "description": "Why every node of a service may be hit."},
        "allow_all_users": {**_TEXT, "description": "Why every user of every region may feel it."},
    }
    return {**_object(properties, ("name",)), "description": "What is ours in the experiment."}


def _fault(name: str, model: type[BaseModel], definitions: dict[str, Schema]) -> Schema:
    """The arguments of `chaos.actions.inject` for one fault; each may be a variable instead."""
    shape = _model(model, definitions)
    fields = shape.get("properties", {})
    properties = {
        "fault": {"const": name, "description": inspect.getdoc(model) or name},
        "name": {**_TEXT, "description": "What the run calls it; else the fault's name."},
        **{key: {"anyOf": [field, VARIABLE]} for key, field in fields.items()},
    }
    return {"title": name, **_object(properties, ("fault", *shape.get("required", ())))}


def _control() -> Schema:
    provider = _object(
        {
            "type": {"const": "python"},
            "module": {**_TEXT, "examples": [ours.CONTROL]},
            "arguments": _FREE,
            "secrets": {},
            "configuration": {},
            "export": {},
        },
        ("type", "module"),
    )
    properties: dict[str, Schema] = {key: {} for key in stock.CONTROL} | {
        "name": _TEXT,
        "provider": provider,
        "scope": {"enum": ["before", "after"]},
        "automatic": {"type": "boolean"},
    }
    return _object(properties)


def _hypothesis() -> Schema:
    properties = {
        "title": _TEXT,
        "probes": {"type": "array", "items": {"allOf": [_ref("activity"), {"anyOf": _WITH_TOLERANCE}]}},
        "controls": {"type": "array", "items": _ref("control")},
    }
    return {**_object(properties, ("title",)), "description": "What is true before the method, and again after it."}


_WITH_TOLERANCE: list[Schema] = [{"required": ["tolerance"]}, {"required": ["ref"]}]


def _runtime() -> Schema:
    parts = {name: _object({"strategy": {"enum": list(names)}}) for name, names in stock.STRATEGIES.items()}
    return {**_object(parts), "description": "When the toolkit looks at the hypothesis and plays rollbacks."}


def _activity() -> Schema:
    pause = {"anyOf": [{"type": "number"}, VARIABLE]}
    properties: dict[str, Schema] = {key: {} for key in stock.ACTIVITY} | {
        "type": {"enum": ["action", "probe"]},
        "name": _TEXT,
        "ref": _TEXT,
        "provider": _ref("provider"),
        "tolerance": {"type": ["boolean", "integer", "array", "string", "object"]},
        "background": {"type": "boolean"},
        "pauses": _object({"before": pause, "after": pause}),
        "controls": {"type": "array", "items": _ref("control")},
    }
    return {**_object(properties), "anyOf": [{"required": ["type", "name", "provider"]}, {"required": ["ref"]}]}


def _provider() -> Schema:
    kinds = []
    for kind, keys in stock.PROVIDERS.items():
        properties: dict[str, Schema] = {key: {} for key in keys} | dict.fromkeys(stock.NEEDED[kind], _TEXT)
        properties["type"] = {"const": kind}
        if kind == "python":
            properties["arguments"] = _FREE
        kinds.append(_object(properties, ("type", *stock.NEEDED[kind])))
    module, inject = {"const": ours.ACTIONS}, {"const": "inject"}
    is_ours = {"properties": {"module": module}, "required": ["module"]}
    is_inject = {"properties": {"module": module, "func": inject}, "required": ["module", "func"]}
    return {
        "oneOf": kinds,
        "allOf": [
            {"if": is_ours, "then": {"properties": {"func": {"enum": list(ours.FUNCTIONS)}}}},
            {"if": is_inject, "then": {"properties": {"arguments": _ref("injection")}, "required": ["arguments"]}},
        ],
    }
