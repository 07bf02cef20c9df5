"""`--set NAME=VALUE`: load.*, phases.*, seed, and settings of a stack."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from chaos.errors import UsageError
from chaos.experiment.suggest import did_you_mean
from chaos.model.experiment import Experiment, LoadSpec, PhaseSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from chaos.model.stack import Frozen, StackSpec


@dataclass(frozen=True, slots=True)
class Overrides:
    """What the command line changes of an experiment."""

    settings: dict[str, dict[str, str]] = field(default_factory=dict)
    """Per stack, per setting."""
    load: dict[str, Any] = field(default_factory=dict)
    phases: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None


_PARTS: dict[str, type[Frozen]] = {"load": LoadSpec, "phases": PhaseSpec}


def parse_sets(sets: Sequence[str]) -> Overrides:
    """Read `--set` values, the last of two for one name wins; raises `UsageError` for what is none."""
    settings: dict[str, dict[str, str]] = {}
    parts: dict[str, dict[str, Any]] = {"load": {}, "phases": {}}
    seed: int | None = None
    for text in sets:
        name, equals, value = text.partition("=")
        group, _, key = name.strip().partition(".")
        if not equals or not group:
            raise UsageError(f"--set {text}: not NAME=VALUE", hint="for example --set load.participants=40")
        if group == "seed" and not key:
            seed = _seed(text, value)
        elif not key:
            raise UsageError(f"--set {text}: there is no {group!r}", hint=_group_hint(group))
        elif group in _PARTS:
            parts[group][key] = _checked(text, group, key, value)
        else:
            settings.setdefault(group, {})[key] = value
    return Overrides(settings, parts["load"], parts["phases"], seed)


def _group_hint(group: str) -> str:
    near = did_you_mean(group, ("seed", *_PARTS))
    return near if near.startswith("did") else "names are seed, load.NAME, phases.NAME and STACK.SETTING"


def _seed(text: str, value: str) -> int:
    try:
        seed = int(value)
    except ValueError:
        seed = -1
    if seed < 0:
        raise UsageError(f"--set {text}: a seed is a whole number, 0 or more")
    return seed


def _checked(text: str, group: str, key: str, value: str) -> Any:
    """The value in its type, by the model that it will be part of."""
    model = _PARTS[group]
    if key not in model.model_fields:
        raise UsageError(f"--set {text}: there is no {group}.{key}", hint=did_you_mean(key, model.model_fields))
    try:
        return getattr(model.model_validate({key: value.strip()}), key)
    except ValidationError as error:
        said = error.errors()[0]["msg"].removeprefix("Value error, ")
        raise UsageError(f"--set {text}: {said[:1].lower()}{said[1:]}") from None


def apply(experiment: Experiment, overrides: Overrides) -> Experiment:
    """The experiment with its load, phases and seed changed; its document stays as it was written.

    Raises `UsageError` for values that do not go together.
    """
    load = _with(experiment.load, overrides.load)
    phases = experiment.phases.model_copy(update=overrides.phases)
    seed = experiment.seed if overrides.seed is None else overrides.seed
    return experiment.model_copy(update={"load": load, "phases": phases, "seed": seed})


def _with(load: LoadSpec, changes: dict[str, Any]) -> LoadSpec:
    if not changes:
        return load
    try:
        return LoadSpec.model_validate(load.model_dump() | changes)
    except ValidationError as error:
        given = " ".join(f"--set load.{key}={value}" for key, value in changes.items())
        raise UsageError(f"{given}: {error.errors()[0]['msg'].removeprefix('Value error, ')}") from None


def settings_of(spec: StackSpec, overrides: Overrides) -> dict[str, str]:
    """The settings of a stack with the command line's on top; raises `UsageError` for an unknown stack or setting."""
    for stack, wanted in overrides.settings.items():
        if stack != spec.stack:
            hint = f"the stack here is {spec.stack}: --set {spec.stack}.SETTING=VALUE"
            raise UsageError(f"--set {stack}.{next(iter(wanted))}: there is no stack {stack!r} in this run", hint=hint)
        for key in wanted:
            if key not in spec.settings:
                hint = did_you_mean(key, spec.settings) or "it has no settings"
                raise UsageError(f"--set {stack}.{key}: stack {stack} has no setting {key!r}", hint=hint)
    return spec.settings | overrides.settings.get(spec.stack, {})
