"""Equals compared, and records starved: pure, on records that were written for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from whole_runs import busy, write

from chaos.model.verdict import Outcome
from chaos.trust.same import failed, same, slowed
from chaos.trust.starve import starved
from chaos.verdict.comparison import compare
from chaos.verdict.history import build

if TYPE_CHECKING:
    from pathlib import Path


def test_equals_raise_no_alarm_and_show_what_would() -> None:
    """Two runs that differ by chance: two comparisons, no regression, and a slow-down of twice is seen."""
    found = same([busy(1), busy(2)])
    assert (found.pairs, found.doubtful, found.alarmed, found.alarms) == (2, 0, 0, ())
    assert found.lines > 0
    assert 1.5 < found.slower["say"] <= 2.0
    assert found.failing["say"] <= 0.12


def test_a_run_that_cannot_be_believed_is_compared_with_nobody() -> None:
    """It is counted as a pair that nobody could compare."""
    spoilt = busy(2)
    spoilt = replace(spoilt, history=build(event for event in spoilt.history.events if event.f != "null"))
    assert same([busy(1), spoilt])[:5] == (0, 0, 0, (), 2)


def test_worse_is_worse() -> None:
    """A record made twice as slow, or made to refuse a fifth, is a regression."""
    first, second = busy(1), busy(2)
    for events in (slowed(second, 2.0), failed(second, 0.2)):
        found = compare(first, replace(second, history=build(events)))
        assert Outcome.FAIL in {one.outcome for one in found}


def test_a_starved_record_passes_nothing(tmp_path: Path) -> None:
    """Without what was observed, every check that had passed is inconclusive."""
    found = starved(write(tmp_path))
    assert len(found) >= 15
    assert set(found.values()) == {Outcome.INCONCLUSIVE}
