"""Whether a run may begin here now: no halt stands, and nobody else has its target."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from chaos.engine.halt import refuse_if_halted
from chaos.engine.runs import Membership, RunFile, enrol

if TYPE_CHECKING:
    from chaos.model.plan import Plan
    from chaos.model.stack import StackSpec


def admit(plan: Plan, directory: Path, attach: str) -> Membership:
    """Take the run's place; whoever gets it must `leave`. Raises `Refused`, `StorageFailed`."""
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
    except BaseException:
        place.leave()
        raise
    return place


def _standing(spec: StackSpec) -> str:
    """A name for a stack that runs somewhere already, from its addresses; empty for one that the run will start."""
    if spec.runtime == "process" and (spec.links or any(node.command for _, node in spec.nodes().values())):
        return ""
    plain = spec.model_dump(mode="json")
    where = {name: {"urls": one["urls"], "nodes": one["nodes"]} for name, one in plain["services"].items()}
    text = json.dumps([where, plain.get("containers")], sort_keys=True)
    return f"{spec.stack}@{hashlib.sha256(text.encode()).hexdigest()[:8]}"
