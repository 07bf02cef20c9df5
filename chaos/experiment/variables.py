"""`${name}` in the arguments of a fault, filled from the experiment's configuration where that is fixed beforehand.

The toolkit substitutes again when it runs the activity; a plan has to know the same values before anything is started.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from chaos.experiment.suggest import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from chaos.experiment.positions import KeyPath
    from chaos.experiment.report import Report

_NAME = re.compile(r"\$\{(\w+)\}")
_TYPES: dict[str, Callable[[str], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.lower() in {"true", "1", "on", "yes"},
}


class _Unknown(LookupError):
    """A variable that has no value yet; the arguments are message and hint."""


def fill(report: Report, path: KeyPath, value: Any, configuration: Mapping[str, Any]) -> Any:
    """The value with its variables filled in; says what has none. A text that is one variable takes its type."""
    if isinstance(value, dict):
        return {key: fill(report, (*path, key), inner, configuration) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(report, (*path, index), inner, configuration) for index, inner in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        whole = _NAME.fullmatch(value)
        if whole:
            return _value(whole[1], configuration)
        return _NAME.sub(lambda found: str(_value(found[1], configuration)), value)
    except _Unknown as error:
        report.say(path, *error.args)
        return value


def _value(name: str, configuration: Mapping[str, Any]) -> Any:
    if name not in configuration:
        raise _Unknown(f"configuration has no {name!r}", did_you_mean(name, configuration))
    value = configuration[name]
    if not isinstance(value, dict) or "type" not in value:
        return value
    if value["type"] != "env":
        raise _Unknown(f"configuration {name!r} is known only once the run has begun", "a fault needs a value before")
    key = str(value.get("key", ""))
    if key not in os.environ:
        if "default" in value:
            return value["default"]
        raise _Unknown(f"the environment has no {key!r}, which configuration {name!r} asks for", f"export {key}=...")
    kind = str(value.get("env_var_type", "str"))
    try:
        return _TYPES.get(kind, str)(os.environ[key])
    except ValueError:
        raise _Unknown(f"the environment's {key} is no {kind}", f"it is {os.environ[key]!r}") from None
