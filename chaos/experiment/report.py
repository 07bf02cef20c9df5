"""Collects the problems of one located document while it is walked."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from chaos.experiment.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

    from chaos.errors import Problem
    from chaos.experiment.positions import Key, KeyPath, Located

Model = TypeVar("Model", bound=BaseModel)

_KINDS: dict[type, str] = {
    dict: "a mapping",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    type(None): "null",
}


def kind(value: Any) -> str:
    """What a value is, in words of the file format."""
    return _KINDS.get(type(value), type(value).__name__)


class Report:
    """All problems of a document; every method that finds one goes on."""

    def __init__(self, located: Located) -> None:
        self.located = located
        self.problems: list[Problem] = located.duplicates()

    def say(self, path: KeyPath, message: str, hint: str = "", *, key: bool = False, offset: int | None = None) -> None:
        """Add a problem at the value (or key) of a path."""
        self.problems.append(self.located.problem(path, message, hint, key=key, offset=offset))

    def typed(self, path: KeyPath, value: Any, *wanted: type) -> bool:
        """Whether the value has one of the types; `bool` counts as no number. Says so if it has not."""
        if type(value) in wanted or (float in wanted and type(value) is int):
            return True
        words = " or ".join(_KINDS[one] for one in wanted)
        self.say(path, f"{_name(path)} must be {words}, not {kind(value)}")
        return False

    def mapping(self, path: KeyPath, value: Any, known: Collection[str], required: Collection[str] = ()) -> bool:
        """Whether the value is a mapping; says which of its keys are unknown or missing."""
        if not self.typed(path, value, dict):
            return False
        for key in value:
            if key not in known:
                self.say((*path, str(key)), f"unknown key {key!r}", did_you_mean(str(key), known), key=True)
        for key in required:
            if key not in value:
                self.say(path, f"{key!r} is missing{_where(path)}")
        return True

    def text(self, path: KeyPath, value: Any) -> bool:
        """Whether the value is a text that says something."""
        if not self.typed(path, value, str):
            return False
        if not value.strip():
            self.say(path, f"{path[-1]} is empty")
        return bool(value.strip())

    def choice(self, path: KeyPath, value: Any, names: Collection[str]) -> bool:
        """Whether the value is one of the names."""
        if isinstance(value, str) and value in names:
            return True
        self.say(path, f"{path[-1]} cannot be {value!r}", did_you_mean(str(value), names))
        return False

    def model(self, path: KeyPath, model: type[Model], data: Mapping[str, Any]) -> Model | None:
        """The data as a model, types taken strictly; None when a problem was said. `path` leads to the data.

        A model's own validators may stop before its fields were looked at, so the fields are looked at first.
        """
        text = json.dumps(data, default=str)
        fields = self._validated(path, _bare(model), data, text, spanning=False)
        whole = self._validated(path, model, data, text, spanning=fields is None)
        return whole if fields is not None else None

    def _validated(
        self, path: KeyPath, model: type[Model], data: Mapping[str, Any], text: str, *, spanning: bool
    ) -> Model | None:
        """`spanning`: say only what is no single field's problem, for those were said before."""
        try:
            return model.model_validate_json(text, strict=True)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                if not (spanning and item["loc"]):
                    self._model_error(path, model, data, item)
            return None

    def _model_error(self, path: KeyPath, model: type[BaseModel], data: Mapping[str, Any], item: ErrorDetails) -> None:
        loc = _real(data, item["loc"]) or _quoted(data, item["msg"])
        name = ".".join(map(str, loc))
        if item["type"] == "missing":
            says = _fields(model, loc[:-1])[str(loc[-1])].description or ""
            self.say((*path, *loc[:-1]), f"{loc[-1]!r} is missing{_where((*path, *loc[:-1]))}", _first_line(says))
        elif item["type"] == "extra_forbidden":
            hint = did_you_mean(str(loc[-1]), _fields(model, loc[:-1]))
            self.say((*path, *loc), f"unknown key {loc[-1]!r}", hint, key=True)
        elif item["type"] == "literal_error":
            expected = re.findall(r"'([^']*)'", str(item.get("ctx", {}).get("expected", "")))
            self.say((*path, *loc), f"{name} cannot be {item['input']!r}", did_you_mean(str(item["input"]), expected))
        else:
            self.say((*path, *loc), _said(name, item))


@functools.cache
def _bare(model: type[BaseModel]) -> type[BaseModel]:
    """The same fields without the model's own validators."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in model.model_fields.items()}
    return create_model(model.__name__, __config__=ConfigDict(extra="forbid"), **fields)


def _quoted(data: Mapping[str, Any], message: str) -> tuple[Key, ...]:
    """The argument whose value a message about the whole model quotes."""
    quoted = re.findall(r"'([^']*)'", message)[:1]
    return next(((key,) for key, value in data.items() if [value] == quoted), ())


def _name(path: KeyPath) -> str:
    """The last key, with what follows it: `method[2]`."""
    names = [index for index, part in enumerate(path) if isinstance(part, str)]
    start = names[-1] if names else 0
    return str(path[start]) + "".join(f"[{index}]" for index in path[start + 1 :]) if path else "an experiment"


def _where(path: KeyPath) -> str:
    return f" in {_name(path)}" if path else ""


def _first_line(text: str) -> str:
    return text.strip().splitlines()[0].rstrip(".") if text.strip() else ""


def _real(data: Any, loc: tuple[int | str, ...]) -> tuple[Key, ...]:
    """A pydantic location without the parts that name members of a union."""
    real: list[Key] = []
    for index, part in enumerate(loc):
        inside = isinstance(data, dict | list)
        there = (isinstance(data, dict) and part in data) or (isinstance(data, list) and isinstance(part, int))
        if there:
            data = data[part]
        if there or (inside and index == len(loc) - 1):
            real.append(part)
    return tuple(real)


def _fields(model: type[BaseModel], loc: tuple[Key, ...]) -> dict[str, FieldInfo]:
    """The fields that are known at a location inside a model."""
    for part in (one for one in loc if isinstance(one, str)):
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        found = [
            one for one in (annotation, *get_args(annotation)) if isinstance(one, type) and issubclass(one, BaseModel)
        ]
        if not found:
            return {}
        model = found[0]
    return dict(model.model_fields)


_WORDS = (
    ("a valid integer", "a whole number"),
    ("a valid number", "a number"),
    ("a valid string", "a text"),
    ("a valid boolean", "true or false"),
    ("a valid dictionary or instance of Target", "a mapping"),
    ("a valid dictionary", "a mapping"),
    ("an object", "a mapping"),
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("greater than", "more than"),
)


def _said(name: str, item: ErrorDetails) -> str:
    """Pydantic's message in our tone: `duration must be more than 0, not -1`."""
    said = item["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if not said.startswith("Input should be"):
        return said if item["type"] in {"value_error", "assertion_error"} else f"{name}: {said}"
    said = said.removeprefix("Input should be ")
    for theirs, ours in _WORDS:
        said = said.replace(theirs, ours)
    given = item["input"]
    shown = json.dumps(given) if isinstance(given, str | int | float | None) else kind(given)
    return f"{name} must be {said}, not {shown}"
