"""Whether a run may begin here now: the operator's policy allows it, no halt stands, nobody else has its target."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from chaos.engine.audit import Audit
from chaos.engine.halt import refuse_if_halted
from chaos.engine.runs import Membership, RunFile, enrol

if TYPE_CHECKING:
    from pathlib import Path

    from chaos.model.plan import Plan
    from chaos.model.policy import Policy
    from chaos.model.stack import StackSpec
    from chaos.model.verdict import Verdict


class Admission:
    """A run's place among those in progress, and its lines in the audit log, until it leaves."""

    def __init__(self, place: Membership, audit: Audit) -> None:
        self._place = place
        self._audit = audit

    def started(self, stack: str) -> None:
        """The run has started a stack of its own, which is its target from now on."""
        self._place.started(stack)

    def judged(self, verdict: Verdict) -> None:
        """Write the verdict down; raises `StorageFailed`."""
        self._audit.end(verdict)

    def failed(self, error: BaseException) -> None:
        """Write down what kept the run from a verdict, unless it has one; raises `StorageFailed`."""
        self._audit.failed(error)

    def leave(self) -> None:
        """The run is over; twice is no error."""
        self._place.leave()


def admit(plan: Plan, directory: Path, *, attach: str = "", policy: Policy | None = None) -> Admission:
    """Let a run in, or raise `UnsafeTarget` (the policy), `Refused` (a halt, a target that is taken), `StorageFailed`.

    Whoever gets the admission must `leave`.
    """
    audit = Audit(policy, plan, directory.name)
    audit.check()
    refuse_if_halted()
    known = RunFile(
        run=directory.name,
        title=plan.experiment.title,
        directory=str(directory),
        target=attach or _standing(plan.spec),
    )
    place = enrol(known)
    try:
        # Again, now that whoever halts can see this run: one of the two sees the other.
        refuse_if_halted()
        audit.begin()
    except BaseException:
        place.leave()
        raise
    return Admission(place, audit)


def _standing(spec: StackSpec) -> str:
    """A name for a stack that runs somewhere already, from its addresses; empty for one that the run will start."""
    if spec.runtime == "process" and (spec.links or any(node.command for _, node in spec.nodes().values())):
        return ""
    plain = spec.model_dump(mode="json")
    where = {name: {"urls": one["urls"], "nodes": one["nodes"]} for name, one in plain["services"].items()}
    text = json.dumps([where, plain.get("containers")], sort_keys=True)
    return f"{spec.stack}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"
