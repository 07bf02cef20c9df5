"""What a run will do, decided before anything is touched: targets, times, blast radius, and what can be judged."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field, field_serializer

from chaos.model.carrier import Means
from chaos.model.experiment import Experiment, Seconds
from chaos.model.policy import Ruling
from chaos.model.stack import Frozen, StackSpec
from chaos.model.verdict import Place

MASK = "********"
_SECRET_WORDS = ("secret", "password", "passwd", "token", "credential", "api_key", "apikey")


class PlannedInjection(Frozen):
    """One fault, aimed."""

    name: str
    fault: str
    says: str
    """The harm in a few words."""
    band: str
    """Its colour."""
    target: str
    """As the experiment gives it: `region=cn-east, kind=access`."""
    rule: str = ""
    """How a role that exists only at run time will be resolved; `nodes` then holds the candidates."""
    parts: str = ""
    """Of a partition of several nodes or regions: who is cut off from whom."""
    nodes: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    carriers: tuple[str, ...] = ()
    """What does the harm here."""
    means: tuple[Means, ...] = ()
    """The same for each thing that the fault asks for, with what was tried before and why it cannot."""
    undo: tuple[str, ...] = ()
    """How it is taken back, in words."""
    starts_s: Seconds = 0.0
    """Seconds after the load begins; a run adds the moments that proofs take."""
    duration_s: Seconds = 0.0
    place: Place | None = None


class PlannedPhase(Frozen):
    """A part of the run."""

    name: str
    starts_s: Seconds
    seconds: Seconds
    expected: dict[str, int] = Field(default_factory=dict)
    """Instances of each flow that the load should give in it."""


class Blast(Frozen):
    """How much is hit at most, over all injections."""

    services: dict[str, float] = Field(default_factory=dict)
    """Share of each service's nodes that is hit directly."""
    users: dict[str, float] = Field(default_factory=dict)
    """Share of each region's users that may feel it."""


class Sampling(Frozen):
    """Whether the load gives a threshold enough to be judged on."""

    threshold: str
    phase: str
    expected: int
    """Instances that the load should give; -1: it depends on what the fault does."""
    at_most: int = -1
    """The same if the phase goes on for as long as it may (`phases.extend`)."""
    needed: int
    """Instances that `assurance: measured` asks for."""
    proven: int
    """Clean instances that `assurance: proven` asks for; 0: no number proves it."""
    proven_one_failure: int
    proven_s: Seconds
    """Seconds of that phase that would give `proven` instances; 0 where that cannot be said."""
    place: Place | None = None

    @property
    def enough(self) -> bool:
        """Whether `measured` can be reached."""
        return self.expected < 0 or max(self.expected, self.at_most) >= self.needed


class Plan(Frozen):
    """Everything that a conductor needs. As JSON, the stack's secrets are masked."""

    experiment: Experiment
    spec: StackSpec
    seed: int
    injections: tuple[PlannedInjection, ...] = ()
    phases: tuple[PlannedPhase, ...] = ()
    blast: Blast = Blast()
    samplings: tuple[Sampling, ...] = ()
    notes: tuple[str, ...] = ()
    """What a reader should know before: thresholds that cannot be judged, services that are hit whole."""
    policy: tuple[Ruling, ...] = ()
    """What the operator's policy says of it; empty where there is none."""
    total_s: Seconds = 0.0
    """From the load's start to the end of recovery."""
    horizon_s: Seconds = 0.0
    """How far arrivals are planned: the total, with room for an extension, proofs and slow heals."""
    sandbox: bool = False
    """Everything of the run lives in a private network."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Of what carried the plan out; empty until a run does."""

    @field_serializer("spec", when_used="json")
    def _mask(self, spec: StackSpec) -> dict[str, Any]:
        return masked(spec)


def is_secret(name: str) -> bool:
    """Whether a value of this name must not be shown or written down."""
    return any(word in name.lower() for word in _SECRET_WORDS)


def masked(spec: StackSpec) -> dict[str, Any]:
    """The stack as plain data without its secrets, wherever in it they stand."""
    plain = spec.model_dump(mode="json")
    text = json.dumps(plain, ensure_ascii=False)
    for secret in sorted(_secrets(spec), key=len, reverse=True):
        text = text.replace(json.dumps(secret, ensure_ascii=False)[1:-1], MASK)
    found: dict[str, Any] = json.loads(text)
    return found


def _secrets(spec: StackSpec) -> set[str]:
    found = {value for service in spec.services.values() for value in (service.key, service.secret)}
    named = [spec.settings, *(node.env for _, node in spec.nodes().values())]
    for values in named:
        found |= {value for name, value in values.items() if is_secret(name)}
    # A short value would mask parts of other words, and a placeholder is no secret.
    return {value for value in found if len(value) > 3 and not value.startswith("${")}  # noqa: PLR2004
