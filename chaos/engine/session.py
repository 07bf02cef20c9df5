"""A run in progress: the stack, the load, the record and the faults, opened in order and closed whatever happens."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from chaos.engine.halt import Watch
from chaos.engine.injector import Injector
from chaos.engine.ledger import Entry, Ledger
from chaos.engine.leftovers import put_away
from chaos.engine.rundir import storage
from chaos.engine.signals import Shield
from chaos.engine.stops import StopWatch
from chaos.errors import CannotJudge, ChaosError, InternalError, StillDirty, Stopped, UsageError
from chaos.faults import registry
from chaos.load.client import Load
from chaos.model.event import Phase, Type
from chaos.model.experiment import LOOKS
from chaos.record import Recorder
from chaos.runtimes.process import attach_stack, start_stack
from chaos.verdict.extension import still_open
from chaos.verdict.run import load_run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chaos.engine.admission import Admission
    from chaos.engine.rundir import RunDirectory
    from chaos.model.experiment import StopRule
    from chaos.model.fault import Evidence
    from chaos.model.plan import Plan
    from chaos.model.view import View
    from chaos.runtimes.docker import DockerStack
    from chaos.runtimes.process import RunningStack

CONDUCTOR = "conductor"
FINISH_S = 120.0
"""The load's final reads are bounded by its own bounds; this is the last resort."""

_current: Session | None = None
_expected: Session | None = None


def expect(session: Session | None) -> None:
    """Hand over the session that the next experiment of this process shall open; None takes it back."""
    global _expected  # noqa: PLW0603 - the toolkit finds modules by name and passes no object on
    _expected = session


def expected() -> Session | None:
    """The session that was handed over and is not ended yet."""
    return _expected


def current() -> Session:
    """The run in progress in this process; raises `UsageError` outside of one."""
    if _current is None:
        hint = 'the experiment needs the control "chaos.actions.control", which starts stack and load'
        raise UsageError("no run is in progress here", hint=hint)
    return _current


def in_progress() -> bool:
    """Whether `current()` would answer."""
    return _current is not None


class Session:
    """One run, from the start of its stack to the end of its record. Not reusable."""

    def __init__(
        self, plan: Plan, directory: RunDirectory, view: View, admission: Admission, *, attach: str = ""
    ) -> None:
        self.plan = plan
        self.admission = admission
        """Given up when the run is closed."""
        self.attach = attach
        """Id of a running stack to use; empty: start one, which ends with the run."""
        self.directory = directory
        self.view = view
        self.shield = Shield()
        self.trouble: ChaosError | None = None
        """The first failure that ended the run early."""
        self.phase: Phase | None = None
        self.crash: Exception | None = None
        """The bug behind an `InternalError`, with its traceback."""
        self.rolling_back = False
        """Rollbacks are played even when a signal came or the run broke."""
        self._lock = threading.Lock()
        self._exits = contextlib.ExitStack()
        self._recorder: Recorder | None = None
        self.stack: RunningStack | DockerStack
        self.stops: StopWatch
        self.load: Load
        self.ledger: Ledger
        self._injector: Injector

    def open(self) -> None:
        """Start everything and hold the baseline; raises what kept it from starting."""
        global _current  # noqa: PLW0603 - chaoslib calls actions by name, so the run must be found by name
        _current = self
        self._exits.callback(self._let_go)
        plan = self.plan
        self.view.begin(plan.experiment.title, plan.spec.stack, plan.seed)
        self._recorder = self._exits.enter_context(
            contextlib.closing(Recorder(self.directory.path / "events" / f"{CONDUCTOR}.msgpack", CONDUCTOR))
        )
        watch = Watch(self.shield.end)
        watch.start()
        self._exits.callback(watch.end)
        self.ledger = Ledger.create(self.directory.id)
        self._exits.callback(self._keep_ledger)
        self._exits.callback(self._look_once_more)
        self.stack = self._open_stack()
        self._exits.callback(self.stack.close, self.directory.path / "logs")
        self.directory.write_json("site.json", self.stack.site.model_dump(exclude={"spec"}))
        self._injector = Injector(self.stack.runtime, self.ledger, plan.seed, self.shield.stop, self._tell)
        self.load = Load.start(self._load_plan(), self.directory.path)
        self._exits.callback(self.load.kill)
        self._record(Type.INFO, "workers", value=list(self.load.names))
        self.stops = StopWatch(plan.experiment.stop, self._stop)
        self.load.seconds.on_second = self._second
        self.shield.check()
        self._enter(Phase.WARM_UP, plan.experiment.phases.warm_up)
        self.load.begin()
        self.wait(plan.experiment.phases.warm_up)
        self._enter(Phase.BASELINE, plan.experiment.phases.baseline)
        self.wait(plan.experiment.phases.baseline)

    def inject(self, name: str, fault: str, arguments: dict[str, Any]) -> Evidence:
        """Put a fault in, hold it, take it out; blocks. Interrupted by a signal, it heals first."""
        model = registry().get(fault)
        if model is None:
            raise UsageError(f"unknown fault {fault!r}", hint=f"there are {', '.join(registry())}")
        with self.remembering():
            self.shield.check()
            self.stops.arm()
            if self.phase is not Phase.FAULT:
                self._enter(Phase.FAULT, float(arguments.get("duration", 0)))
            evidence = self._injector.run(model(**arguments), name)
            self.shield.check()
        return evidence

    def recover(self) -> None:
        """Heal what is open and keep the load on for the recovery phase."""
        seconds = self.plan.experiment.phases.recovery
        with self.remembering():
            self._injector.end_all()
            self.heal()
            self.stops.disarm()
            self.shield.check()
            self._enter(Phase.RECOVERY, seconds)
            self.wait(seconds)
            self._go_on(self.plan.experiment.phases.extend / (LOOKS - 1))

    def _go_on(self, step_s: float) -> None:
        """Extend the recovery phase by a step while too few samples leave its objectives open, three times at most."""
        for _ in range(LOOKS - 1 if step_s else 0):
            so_far = load_run(self.directory.path)
            rules = still_open(so_far.history, so_far.checks)
            if not rules:
                return
            self._record(Type.INFO, "extended", value={"seconds": step_s, "rules": list(rules)})
            self.view.say(f"recovery goes on for {step_s:g} s: {', '.join(rules)}")
            self.wait(step_s)

    def heal(self) -> None:
        """Take back everything that the ledger has open; raises `StillDirty`."""

        def off(entry: Entry, _said: str) -> None:
            self._tell("off", entry.fault, {"says": "healed"})

        problems = self.ledger.heal(off) if hasattr(self, "ledger") else ()
        if problems:
            hint = f"chaos heal --run {self.directory.id}"
            raise StillDirty("a fault could not be taken back", hint=hint, evidence=problems)

    def wait(self, seconds: float) -> None:
        """Let time pass while the load runs; ends at once on a signal or when the load or the stack dies."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self.shield.stop.wait(min(left, 0.25)):
                break
            self.load.check()
            self.stack.check()
        self.shield.check()

    def miss(self, activity: str, why: str) -> None:
        """An action failed, or a probe was not in its tolerance: the toolkit may end the method for it."""
        self._record(Type.INFO, "missed", key=activity, value=why)
        self.view.say(f"missed: {activity}: {why}")

    def steady(self, *, met: bool, says: str) -> None:
        """What the toolkit made of the steady-state hypothesis, before or after the method."""
        when = "before" if self.phase in {None, Phase.WARM_UP, Phase.BASELINE} else "after"
        self._record(Type.INFO, "hypothesis", key=when, value={"met": met, "says": says})
        if not met:
            self.view.say(f"steady state not met {when} the method: {says}")

    def close(self) -> None:
        """Heal, finish the load with its final reads, and end the stack; what goes wrong is noted. Idempotent."""
        try:
            if self._recorder is not None:
                with self._noting():
                    self.heal()
                if self.will_be_judged:
                    with self._noting():
                        self._finish_load()
        finally:
            with self._noting():
                self._exits.close()
            with self._noting():
                self.admission.leave()

    @property
    def will_be_judged(self) -> bool:
        """Whether a verdict is due: nothing ended the run early, or only a stop condition or a fault that stays did."""
        return self.trouble is None or isinstance(self.trouble, Stopped | StillDirty)

    def _look_once_more(self) -> None:
        """Dirty is what is still there at the very end, and stands in the record; what is gone by then is not."""
        with self._noting():
            self.heal()
            if isinstance(self.trouble, StillDirty):
                evidence = self.trouble.evidence
                self.trouble = CannotJudge(
                    "a fault could not be taken back in time; it is gone by now", evidence=evidence
                )
        if isinstance(self.trouble, StillDirty):
            self._record(Type.INFO, "dirty", value=list(self.trouble.evidence))

    def _keep_ledger(self) -> None:
        """A copy beside the record: the ledger itself stays where `chaos heal` looks for it while anything is open."""
        with storage(self.directory.path):
            text = self.ledger.path.read_text(encoding="utf-8")
        self.directory.write("ledger.jsonl", text)
        put_away(self.ledger)

    def _let_go(self) -> None:
        global _current  # noqa: PLW0603
        self._recorder = None
        _current = None
        self.shield.disarm()

    def note(self, error: ChaosError) -> None:
        """Remember the failure that ended the run; a fault that stays outranks what came before."""
        if self.trouble is None or isinstance(error, StillDirty) or isinstance(self.trouble, Stopped):
            self.trouble = error

    @contextlib.contextmanager
    def remembering(self) -> Iterator[None]:
        """Note what is raised inside and let it go on: the toolkit turns it into a line of its journal."""
        try:
            yield
        except ChaosError as error:
            self.note(error)
            raise
        except Exception as error:
            self.crash = self.crash or error
            self.note(InternalError(f"{type(error).__name__}: {error}"))
            raise

    @contextlib.contextmanager
    def _noting(self) -> Iterator[None]:
        """Note what is raised inside, and go on: an end has several steps, and each is due."""
        with contextlib.suppress(Exception), self.remembering():
            yield

    def _open_stack(self) -> RunningStack | DockerStack:
        if self.attach:
            return attach_stack(self.attach)
        began = time.monotonic()
        if self.plan.spec.runtime == "docker":
            return self._attach_containers()
        clocks = any(means.ask == "skewing" for one in self.plan.injections for means in one.means)
        stack = start_stack(self.plan.spec, clocks=clocks, on_progress=lambda _: self.shield.check())
        if stack.site.id:
            self.admission.started(stack.site.id)
        size = f"{len(stack.site.node_ports)} nodes, {len(stack.site.link_ports)} links"
        self.view.say(f"stack {stack.site.spec.stack} is up after {time.monotonic() - began:.1f} s: {size}")
        return stack

    def _attach_containers(self) -> DockerStack:
        from chaos.runtimes.docker import attach  # noqa: PLC0415 - the engine's library takes a while to import

        stack = attach(self.plan.spec)
        self.view.say(f"attached to {len(stack.site.containers)} containers of {stack.site.spec.stack}")
        return stack

    def _load_plan(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "site": self.stack.site.model_dump(),
            "load": plan.experiment.load.model_dump(),
            "phases": plan.experiment.phases.model_dump(),
            "seed": plan.seed,
            "horizon_s": plan.horizon_s,
        }

    def _finish_load(self) -> None:
        self._enter(Phase.FINAL, 0)
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="finish") as pool:
            finished = pool.submit(self.load.finish, FINISH_S)
            while not finished.done():
                if self.shield.abandon.wait(0.1):
                    self.load.kill()
                    self.shield.check()
            finished.result()
        self.stack.check()
        self._enter(Phase.END, 0)

    def _second(self, data: dict[str, Any]) -> None:
        self.view.second(data)
        self.stops.second(data)

    def _stop(self, rule: StopRule, figures: dict[str, Any]) -> None:
        """A stop condition is met: say so in the record, and let everything that waits go on to heal."""
        self._record(Type.INFO, "stop", key=rule.text, value=figures)
        self.view.say(f"stop condition met: {rule.text}; healing")
        self.shield.end(Stopped(f"the stop condition {rule.text} was met; everything was healed"))

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self._record(Type.PHASE, phase.value, value={"seconds": seconds})
        self.view.phase(phase.value, seconds)

    def _tell(self, step: str, fault_id: str, data: dict[str, Any]) -> None:
        self._record(Type.FAULT, step, key=fault_id, value=data)
        self.view.fault(step, data | {"id": fault_id})

    def _record(self, kind: Type, f: str, **parts: Any) -> None:
        with self._lock:
            if self._recorder is not None:
                self._recorder.record(kind, f, **parts)
                self._recorder.flush()
