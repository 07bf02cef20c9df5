"""Puts one fault in, proves it, holds it, takes it out: every step in the ledger and in the record."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import logging
import math
import threading
import time
from typing import TYPE_CHECKING, Any

from chaos.engine.steps import Step, Steps, unwatched
from chaos.errors import CannotJudge, ChaosError, NoSuchTarget, StillDirty
from chaos.faults.base import Fault, Injection
from chaos.faults.measure import owned_keys
from chaos.runtimes.base import Watching
from chaos.runtimes.control import AgentGone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from chaos.engine.ledger import Ledger
    from chaos.model.fault import Evidence
    from chaos.runtimes.base import Runtime

LEASE_S = 6.0
"""A fault whose conductor is gone ends by itself within this."""
RENEW_S = 1.5
OFF_TRIES = 10
"""How often the proof that a fault is gone is looked for, half a second apart: nodes need a moment to come back."""

logger = logging.getLogger(__name__)


class Injector:
    """Runs faults on one stack. `tell(step, fault id, data)` hears of intent, on, step, bite, off and off-proof.

    `steps` hears of the moments at which a process may die; give the ledger the same.
    """

    def __init__(
        self,
        runtime: Runtime,
        ledger: Ledger,
        seed: int,
        stop: threading.Event,
        tell: Callable[[str, str, dict[str, Any]], None],
        *,
        steps: Steps = unwatched,
    ) -> None:
        self.runtime = runtime
        self.ledger = ledger
        self.seed = seed
        self.stop = stop
        self.tell = tell
        self._steps = steps
        self._count = 0
        self._running = 0
        self._changed = threading.Condition()
        self._ending = threading.Event()

    def run(self, fault: Fault, name: str) -> Evidence:
        """Inject, hold for the fault's duration or until `stop`, heal; raises `StillDirty` if it cannot be healed."""
        with self._counted():
            return self._run(fault, name)

    def end_all(self, within_s: float = 60.0) -> None:
        """End the faults that run in the background, each with its proofs, and return when they are through."""
        self._ending.set()
        with self._changed:
            self._changed.wait_for(lambda: not self._running, timeout=within_s)
        self._ending.clear()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        with self._changed:
            self._running += 1
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def _run(self, fault: Fault, name: str) -> Evidence:
        injection = self._aim(fault)
        before = fault.measure(injection)
        reach = fault.reach(injection, owned_keys(self.runtime.site))
        words: dict[str, Any] = {"name": name, "fault": fault.name, "band": fault.band, "says": fault.says()}
        self.ledger.intent(injection.id, f"{fault.name}: {fault.says()}", fault.undo(injection.id, self.runtime.site))
        if (windows := fault.windows()) is not None:
            words["windows"] = windows.model_dump()
        self.tell("intent", injection.id, words | {"duration": fault.duration})
        during: list[dict[str, Any]] = []
        try:
            fault.inject(injection)
            self._steps(Step.INJECT)
            began = time.monotonic()
            self.tell("on", injection.id, {"reach": reach.model_dump(), "aim": injection.aim.model_dump()})
            self.ledger.step(injection.id, "injected")
            self._steps(Step.INJECTED)
            with Renewal(self.runtime, injection.id):
                evidence = self._hold(fault, injection, before, during, began)
                self._steps(Step.HOLD)
        finally:
            self._steps(Step.HEAL)
            self.heal(injection.id)
        self._prove_off(fault, injection, before)
        return evidence

    def heal(self, fault_id: str) -> None:
        """Take one fault back; raises `StillDirty` with what is left."""
        problems = self.ledger.heal(only=fault_id)
        if problems:
            raise StillDirty(
                "a fault could not be taken back", hint=f"chaos heal --run {self.ledger.run}", evidence=problems
            )
        self.tell("off", fault_id, {"says": "healed"})

    def _aim(self, fault: Fault) -> Injection:
        with self._changed:
            self._count += 1
            number = self._count
        try:
            aim = fault.aim(self.runtime.site.spec, self.seed, owned_keys(self.runtime.site))
        except NoSuchTarget as error:  # the plan had candidates; by now none of them has the role
            raise CannotJudge(error.message, hint=error.hint) from error
        fault_id = f"{self.ledger.run}.{number}"
        seed = self.seed + number
        return Injection(fault_id, aim, self.runtime, seed, LEASE_S, step=fault.first_step)

    def _hold(
        self, fault: Fault, injection: Injection, before: dict[str, Any], during: list[dict[str, Any]], began: float
    ) -> Evidence:
        if injection.step < 0:
            injection, began = self._show(fault, injection, before, during), time.monotonic()
        until = began + fault.duration
        steps = fault.steps(injection.seed)
        if steps and injection.step >= 0:
            injection = self._walk(fault, injection, during, began, steps)
        # Two looks are enough for a proof, and each look is a small load of its own.
        for pause_s in () if steps else (fault.duration / 3, fault.duration):
            if not self._over(until):
                during.append(fault.measure(injection))
                self._wait(min(until, time.monotonic() + pause_s))
        evidence = fault.evidence(before, during)
        if fault.is_on(injection) and self._lapsed(injection.id):
            evidence = evidence.model_copy(update={"bit": False, "says": f"{evidence.says}; it ended before its time"})
        evidence = self._disturbed(injection.id, evidence)
        self.tell("bite", injection.id, evidence.model_dump())
        return evidence

    def _disturbed(self, fault_id: str, evidence: Evidence) -> Evidence:
        """What others did to the targets belongs to the evidence; what is not hit again after it was not hit."""
        found = self.runtime.disturbed(fault_id) if isinstance(self.runtime, Watching) else ()
        if not found:
            return evidence
        says = [one.says + ("" if one.mended else ", and is not hit any more") for one in found]
        bit = evidence.bit and all(one.mended for one in found)
        return evidence.model_copy(update={"bit": bit, "says": "; ".join((evidence.says, *says))})

    def _show(
        self, fault: Fault, injection: Injection, before: dict[str, Any], during: list[dict[str, Any]]
    ) -> Injection:
        """Take the steps below 0, with a look at each; being off is looked for as long as after a heal."""
        self._tell_step(fault, injection, 0.0)
        during.append(fault.measure(injection))
        while injection.step < 0 and not self._over(math.inf) and self._open(injection.id):
            injection = self._turn(fault, injection, injection.step + 1)
            for _ in range(OFF_TRIES if injection.step < 0 else 0):
                during.append(fault.measure(injection))
                if fault.is_on(injection) or not fault.healed(before, during[-1]).bit or self.stop.wait(0.5):
                    break
        return injection

    def _walk(
        self, fault: Fault, injection: Injection, during: list[dict[str, Any]], began: float, steps: tuple[float, ...]
    ) -> Injection:
        """Take the steps of a fault until it is over; look before them, after the first and after the last."""
        shown = bool(during)
        if not shown:
            self._tell_step(fault, injection, 0.0)
            during.append(fault.measure(injection))
        until = began + fault.duration
        while injection.step < len(steps):
            self._wait(min(until, began + steps[injection.step]))
            # What another process has healed meanwhile is not put in again.
            if self._over(until) or not self._open(injection.id):
                return injection
            # A look may have lasted longer than a step: go on where the time is.
            due = bisect.bisect_right(steps, time.monotonic() - began)
            injection = self._turn(fault, injection, max(due, injection.step + 1))
            if not shown and (len(during) == 1 or injection.step == len(steps)):
                during.append(fault.measure(injection))
        self._wait(until)
        return injection

    def _turn(self, fault: Fault, injection: Injection, step: int) -> Injection:
        injection = dataclasses.replace(injection, step=step, last=injection.step)
        turned = time.monotonic()
        fault.inject(injection)
        self._tell_step(fault, injection, time.monotonic() - turned)
        return injection

    def _tell_step(self, fault: Fault, injection: Injection, took_s: float) -> None:
        self.tell("step", injection.id, {"step": injection.step, "on": fault.is_on(injection), "took_s": took_s})

    def _over(self, until: float) -> bool:
        return self.stop.is_set() or self._ending.is_set() or time.monotonic() >= until

    def _wait(self, until: float) -> None:
        while not self._over(until):
            self.stop.wait(max(0.0, min(0.1, until - time.monotonic())))

    def _lapsed(self, fault_id: str) -> bool:
        """Whether it is gone although nobody took it back."""
        if fault_id in self.runtime.active():
            return False
        return self._open(fault_id)

    def _open(self, fault_id: str) -> bool:
        return any(entry.fault == fault_id for entry in self.ledger.open_entries())

    def _prove_off(self, fault: Fault, injection: Injection, before: dict[str, Any]) -> None:
        for attempt in range(OFF_TRIES):
            left = fault.healed(before, fault.measure(injection))
            if not left.bit or attempt == OFF_TRIES - 1 or self.stop.wait(0.5):
                break
        self.tell("off-proof", injection.id, {"clean": not left.bit, "says": left.says})


class Renewal:
    """Prolongs a lease while its fault is held."""

    def __init__(self, runtime: Runtime, fault_id: str) -> None:
        self._runtime = runtime
        self._fault = fault_id
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._renew, name=f"renew {fault_id}", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join(timeout=RENEW_S * 2)

    def _renew(self) -> None:
        while not self._done.wait(RENEW_S):
            try:
                self._runtime.renew(self._fault, LEASE_S)
            except AgentGone:
                return  # and the fault with it
            except ChaosError:
                # An agent that was too slow to answer may answer the next time, before the lease runs out.
                logger.warning("the lease of %s was not renewed", self._fault, exc_info=True)
