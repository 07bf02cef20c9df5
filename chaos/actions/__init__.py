"""What experiments call: put a fault in, let the stack recover, heal. Thin; the engine does the work."""

from __future__ import annotations

from typing import Any

from chaos.engine.session import current


def inject(fault: str, target: dict[str, Any], duration: float, name: str = "", **arguments: Any) -> dict[str, Any]:
    """Put a fault in, prove that it bit, hold it for `duration` seconds and take it out again.

    `chaos list faults` names the faults; `arguments` are the fault's own. Returns the evidence. A fault that did
    not bite fails this action, and makes the run inconclusive.
    """
    given = {"target": target, "duration": float(duration), **arguments}
    evidence = current().inject(name or fault, fault, given)
    if not evidence.bit:
        raise RuntimeError(f"{fault} did not bite: {evidence.says}")
    return evidence.model_dump()


def recover() -> dict[str, Any]:
    """Take back what is still in force and keep the load on for the recovery phase; before the last hypothesis."""
    current().recover()
    return {"healed": True}


def heal() -> dict[str, Any]:
    """Take back whatever the run's ledger has open; nothing to do is success. For rollbacks."""
    current().heal()
    return {"healed": True}
