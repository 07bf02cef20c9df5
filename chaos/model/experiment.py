"""An experiment as the rest of the tool sees it: typed, checked, with the place of every rule."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from chaos.model.stack import Frozen
from chaos.model.verdict import Place

Seconds = float

LOOKS = 4
"""How often objectives are looked at where `phases.extend` allows more load: at the end of the recovery phase, and
after each third of the extension. Each look may err with 5 % / 4 (Bonferroni), so all of them together with 5 %."""


class LoadSpec(Frozen):
    """Who comes, how often, and how they behave. Counts are concurrent users."""

    profile: Literal["steady", "churn"] = "steady"
    """steady: sessions of `stay_s`, few come back; churn: stays of at most 5 s, at least nine in ten come back.
    Whoever comes back has a twin: a fresh user who joins the same room at the same moment."""
    participants: int = Field(120, ge=0, le=5000)
    rooms: int = Field(8, ge=1, le=1000)
    editors: int = Field(24, ge=0, le=2000)
    documents: int = Field(6, ge=1, le=1000)
    stay_s: Seconds = Field(10.0, gt=0)
    """Mean stay of a participant (exponential, at least 2 s); arrivals per second = participants / stay_s."""
    rejoin: float = Field(0.5, ge=0, le=1)
    """Share of leavers who come back after `away_s`, each paired with a fresh user's join to the same room."""
    away_s: Seconds = Field(1.5, gt=0)
    vanish: float = Field(0.1, ge=0, le=1)
    """Share of participants who go without a word (socket cut, no leave)."""
    cut: float = Field(0.15, ge=0, le=1)
    """Share of stays (of those that are long enough to show it) whose connection is cut for half a second, after
    which the session is resumed."""
    say_every_s: Seconds = Field(10.0, gt=0)
    """Mean time between a participant's messages; three in ten are followed by a second one at once."""
    edit_every_s: Seconds = Field(1.0, gt=0)
    refresh: float = Field(0.67, ge=0, le=1)
    """Share of documents whose editors reload the page when they are cut: they come back with an empty copy."""
    undo: float = Field(0.05, ge=0, le=1)
    """Share of edits that their editor takes back a moment after they were acknowledged: the token is deleted."""
    offline: float = Field(0.25, ge=0, le=1)
    """Share of editors who now and then go offline for `offline_s`, edit on, come back and then stay idle a while."""
    offline_s: Seconds = Field(2.0, gt=0)
    retry: Literal["none", "fixed", "exponential", "full-jitter"] = "full-jitter"
    """How an impatient user tries again; base 0.25 s, cap 2 s."""
    patience_s: Seconds = Field(5.0, gt=0)
    """A user gives up an operation after this long."""
    workers: int = Field(1, ge=1, le=16)
    """Processes that share the load, for more users than one core can play. A room or a document with everybody in it
    belongs to one of them, so there are at most as many as rooms and documents that somebody comes to."""

    @field_validator("workers")
    @classmethod
    def _no_idle_worker(cls, workers: int, info: ValidationInfo) -> int:
        known = info.data
        if not {"participants", "rooms", "editors", "documents"} <= known.keys():
            return workers
        rooms = known["rooms"] if known["participants"] else 0
        documents = known["documents"] if known["editors"] else 0
        most = max(1, rooms + documents)
        if workers > most:
            there = f"{rooms} rooms and {documents} documents have users, each in one worker"
            message = f"workers must be at most {most}, not {workers}: {there}"
            raise ValueError(message)
        return workers

    @property
    def worker_names(self) -> tuple[str, ...]:
        """Of the processes that play the load, and of what they write: `load`, or `load-1`, `load-2` and so on."""
        if self.workers == 1:
            return ("load",)
        return tuple(f"load-{number}" for number in range(1, self.workers + 1))


class PhaseSpec(Frozen):
    """How long the parts last that the method does not decide."""

    warm_up: Seconds = Field(3.0, ge=1)
    baseline: Seconds = Field(6.0, ge=2)
    recovery: Seconds = Field(13.0, ge=2)
    """Load stays on this long after the heal. Recovery is 10 good seconds in a row: less than 10 cannot show it."""
    extend: Seconds = Field(0.0, ge=0, le=300)
    """How much longer the recovery phase may go on, in thirds, while too few samples leave its objectives, or those of
    the run, undecided; 0: never. Their bounds are then those of four looks: 98.75 % instead of 95 %."""

    def looks(self, phase: str) -> int:
        """How often objectives of this phase may be looked at before they are decided."""
        return LOOKS if self.extend and phase in {"recovery", "run"} else 1


class Threshold(Frozen):
    """One rule of an experiment: `join.success >= 99%`."""

    text: str
    phase: Literal["baseline", "fault", "recovery", "run"]
    metric: str
    """`FLOW.success`, `FLOW.pNN`, or a count: `edits.lost`, `ghosts`, `recovery`; `chaos list checks` names all."""
    op: Literal["<", "<=", "==", ">=", ">"]
    value: float
    """Shares as 0..1, durations in seconds."""
    place: Place | None = None


class StopRule(Frozen):
    """When a run must end early: `join.success < 50% for 10 s`."""

    text: str
    metric: str
    """`FLOW.success` or `FLOW.pNN`."""
    op: Literal["<", "<=", ">=", ">"]
    value: float
    """A share as 0..1, a time in seconds."""
    for_s: Seconds
    """The figures are those of so many last seconds of the load together."""
    place: Place | None = None


class Injection(Frozen):
    """A fault that the method puts in: an action of `chaos.actions.inject`."""

    name: str
    fault: str
    arguments: dict[str, Any]
    """Of the fault's own model, `target` and `duration` included."""
    place: Place | None = None


class Experiment(Frozen):
    """A checked experiment. `document` is the Chaos Toolkit experiment itself, untouched."""

    file: str
    title: str
    description: str = ""
    document: dict[str, Any]
    ours: bool = True
    """False: nothing of ours in it; it runs exactly as the stock toolkit runs it."""
    stack: str = "embedded"
    """Name of a built-in stack or path of a stack file."""
    seed: int = 0
    load: LoadSpec = LoadSpec()
    phases: PhaseSpec = PhaseSpec()
    thresholds: tuple[Threshold, ...] = ()
    injections: tuple[Injection, ...] = ()
    stop: tuple[StopRule, ...] = ()
    """The first that is met ends the method, healed."""
    assurance: Literal["measured", "proven"] = "measured"
    allow_whole_service: str = ""
    """A reason, where the experiment may hit every node of a service; empty: it may not."""
    allow_all_users: str = ""
    """A reason, where every user of every region may feel a fault; empty: they may not."""
