"""Takes the observations out of a real record, to see that no check passes on what nobody saw.

First the answers to all looks go, while their plan stays. A check that still passes lives on what the users did
themselves; so then everything goes that they did.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.model.verdict import Kind, Outcome
from chaos.verdict.checks import registry
from chaos.verdict.history import build
from chaos.verdict.judge import judge
from chaos.verdict.run import load_run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from chaos.model.event import Event
    from chaos.verdict.run import RunRecord


def starved(directory: Path) -> dict[str, Outcome]:
    """Per check that passes on this record, what it says without observations: inconclusive, if it can be trusted."""
    record = load_run(directory)
    fed = _outcomes(record, lambda _event: True)
    passed = [name for name, outcome in fed.items() if outcome is Outcome.PASS]
    unseen = _outcomes(record, lambda event: event.type != "obs")
    undone = _outcomes(record, lambda event: event.op < 0 and event.type != "obs")
    found = {}
    for name in passed:
        # A check that then has no line at all says nothing, as it should.
        first = unseen.get(name, Outcome.INCONCLUSIVE)
        found[name] = undone.get(name, Outcome.INCONCLUSIVE) if first is Outcome.PASS else first
    return found


def _outcomes(record: RunRecord, stays: Callable[[Event], bool]) -> dict[str, Outcome]:
    history = build(event for event in record.history.events if stays(event))
    verdict = judge(history, record.checks)
    return {one.id: one.outcome for one in verdict.checks if one.id in registry() and one.kind is not Kind.VALIDITY}
