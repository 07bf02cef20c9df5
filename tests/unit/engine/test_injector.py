"""Putting a fault in and holding it, on a runtime that lives in this process."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, ClassVar, cast

from chaos.engine import injector as engine
from chaos.engine.injector import Injector
from chaos.engine.ledger import Ledger
from chaos.faults.base import Fault, Injection
from chaos.model.fault import Evidence, Target, Undo
from chaos.model.stack import NodeSpec, ServiceSpec, Site, StackSpec
from chaos.runtimes.control import AgentSilent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pytest


class Harm(Fault):
    """Bites always."""

    name: ClassVar[str] = "harm"
    band: ClassVar[str] = "#000000"
    needs: ClassVar[tuple[type, ...]] = ()

    def says(self) -> str:
        return "harm"

    def undo(self, fault_id: str, site: Site) -> tuple[Undo, ...]:  # noqa: ARG002
        return ()

    def inject(self, injection: Injection) -> None:
        cast("Lessor", injection.runtime).held.append(injection.id)

    def measure(self, injection: Injection) -> dict[str, Any]:  # noqa: ARG002
        return {}

    def evidence(self, before: Mapping[str, Any], during: Sequence[Mapping[str, Any]]) -> Evidence:  # noqa: ARG002
        return Evidence(bit=True, says="felt")

    def healed(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> Evidence:  # noqa: ARG002
        return Evidence(bit=False, says="gone")


class Lessor:
    """A runtime that holds leases; `answers`: what it does with each renewal, True for a good one."""

    def __init__(self, answers: tuple[bool, ...] = ()) -> None:
        spec = StackSpec(stack="s", services={"web": ServiceSpec(nodes=(NodeSpec(name="web"),))})
        self.site = Site(spec=spec)
        self.held: list[str] = []
        self.renewed = threading.Event()
        self.lapse = False
        self._answers = list(answers)

    def renew(self, fault: str, lease_s: float) -> None:  # noqa: ARG002
        if self._answers and not self._answers.pop(0):
            raise AgentSilent("no answer")
        self.renewed.set()

    def active(self) -> tuple[str, ...]:
        return () if self.lapse else tuple(self.held)


def put_in(runtime: Lessor, tmp_path: Path, duration: float = 0.05) -> Evidence:
    """Hold the harm for its duration, or until it is renewed."""
    ledger = Ledger.create("r", tmp_path)
    injector = Injector(cast("Any", runtime), ledger, 1, runtime.renewed, lambda *_: None)
    return injector.run(Harm(target=Target(node="web"), duration=duration), "harm")


def test_a_lease_that_ran_out_is_no_bite(tmp_path: Path) -> None:
    """A fault that was gone before its time has not been there for the time that the record says."""
    runtime = Lessor()
    assert put_in(runtime, tmp_path).bit
    runtime.lapse = True
    found = put_in(runtime, tmp_path / "again")
    assert (found.bit, found.says) == (False, "felt; it ended before its time")


def test_a_fault_that_somebody_took_back_did_bite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the ledger knows to be healed did not run out by itself."""
    runtime = Lessor()
    runtime.lapse = True
    monkeypatch.setattr(Ledger, "open_entries", lambda _: ())
    assert put_in(runtime, tmp_path).bit


def test_a_lease_is_renewed_after_a_missed_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One renewal without an answer does not end the renewing."""
    monkeypatch.setattr(engine, "RENEW_S", 0.005)
    runtime = Lessor(answers=(False, True, True))
    put_in(runtime, tmp_path, duration=20)
    assert runtime.renewed.is_set()
