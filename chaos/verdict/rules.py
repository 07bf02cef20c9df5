"""What a run is judged by: bounds, thresholds and assurance, taken from its plan."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ValidationError

from chaos.errors import InvalidInput, Problem
from chaos.model.experiment import Experiment, Injection, LoadSpec, PhaseSpec, StopRule, Threshold
from chaos.model.plan import Plan
from chaos.model.stack import Alerts, Bounds, Frozen


class Checks(Frozen):
    """Everything besides the record that a verdict depends on."""

    bounds: Bounds = Bounds()
    thresholds: tuple[Threshold, ...] = ()
    assurance: Literal["measured", "proven"] = "measured"
    load: LoadSpec | None = None
    """What the load was asked to do; None: not known, so a flow is wanted only where the record has it."""
    phases: PhaseSpec | None = None
    injections: tuple[Injection, ...] = ()
    """What the method was asked to inject: each must be in the record, with its proofs."""
    stop: tuple[StopRule, ...] = ()
    alerts: Alerts | None = None
    """Who was asked for the stack's alerts; None: nobody."""


def checks_from_plan(plan: dict[str, Any], file: str = "plan.json") -> Checks:
    """The rules in a plan's JSON; raises `InvalidInput` when they are not there or not understood."""
    experiment, spec = plan.get("experiment"), plan.get("spec")
    if not isinstance(experiment, dict) or not isinstance(spec, dict):
        raise InvalidInput((Problem(file, 0, 0, "is not the plan of a run (no experiment or no spec)"),))
    unknown = [name for name in plan if name not in Plan.model_fields]
    unknown += [f"experiment.{name}" for name in experiment if name not in Experiment.model_fields]
    if unknown:
        problems = tuple(Problem(file, 0, 0, f"{name}: this chaos does not know it") for name in unknown)
        raise InvalidInput(problems, hint="judge it with the chaos that ran it")
    known = {
        name: experiment[name]
        for name in ("thresholds", "assurance", "load", "phases", "injections", "stop")
        if name in experiment
    }
    try:
        return Checks.model_validate(known | {"bounds": spec.get("bounds", {}), "alerts": spec.get("alerts")})
    except ValidationError as error:
        where = (f"{'.'.join(map(str, one['loc']))}: {one['msg'].lower()}" for one in error.errors())
        hint = "judge it with the chaos that ran it"
        raise InvalidInput(tuple(Problem(file, 0, 0, text) for text in where), hint=hint) from error
