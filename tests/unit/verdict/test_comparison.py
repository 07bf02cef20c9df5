"""One record against another: what got worse, what did not, and what cannot be told."""

from __future__ import annotations

import dataclasses

import pytest
from histories import NS, Record
from whole_runs import busy, clean, run_of

from chaos.model.verdict import CheckResult, Outcome
from chaos.verdict.comparison import WINDOWS, compare
from chaos.verdict.history import build
from chaos.verdict.run import RunRecord


def lines(first: RunRecord, second: RunRecord, metric: str, margin: float = 1.5) -> dict[str, CheckResult]:
    return {one.phase: one for one in compare(first, second, margin) if one.id == metric}


def test_the_same_stack_twice_is_no_worse() -> None:
    """Two runs that differ by chance alone: every line is within the margin."""
    found = compare(busy(1), busy(2))
    assert {one.outcome for one in found} == {Outcome.PASS}
    assert {one.phase for one in found if one.id == "say.p95"} == {"baseline", "fault", "recovery"}


def test_equal_runs_raise_no_alarm() -> None:
    """Sixteen pairs of equal runs give no regression at all."""
    for seed in range(16):
        assert not [one for one in compare(busy(seed), busy(seed + 1000)) if one.outcome is Outcome.FAIL]


def test_twice_as_slow_is_a_regression_with_its_interval() -> None:
    """A ratio of two is found in every phase, and its interval holds it."""
    for one in lines(busy(1), busy(2, slower=2.0), "say.p95").values():
        assert one.outcome is Outcome.FAIL
        assert one.figures["low"] <= 2.0 <= one.figures["high"]
        assert one.figures["p"] <= 0.05


def test_faster_is_no_regression() -> None:
    """Improvements pass."""
    assert {one.outcome for one in lines(busy(1), busy(2, slower=0.4), "say.p95").values()} == {Outcome.PASS}


def test_the_margin_is_the_callers() -> None:
    """Twice as slow is allowed where three times is."""
    found = lines(busy(1), busy(2, slower=2.0), "say.p95", margin=3.0)
    assert {one.outcome for one in found.values()} == {Outcome.PASS}


def test_lost_messages_are_a_regression_of_success() -> None:
    """Two fifths unanswered is more than one point, and counts for the slowest times as well."""
    found = lines(busy(1), busy(2, lost=0.4), "say.success")
    assert {one.outcome for one in found.values()} == {Outcome.FAIL}


def test_too_little_is_compared_over_the_whole_run_or_not_at_all() -> None:
    """A flow too rare for ten windows of any phase falls back to the run; rarer still, it gives no line."""
    assert set(lines(busy(1, every=8), busy(2, every=8), "say.p95")) == {"run"}
    assert lines(busy(1, every=30), busy(2, every=30), "say.p95") == {}


def test_nothing_to_compare_is_inconclusive() -> None:
    """Two records without any flow say so."""
    (one,) = [one for one in compare(run_of(Record()), run_of(Record())) if one.id == "flows"]
    assert one.outcome is Outcome.INCONCLUSIVE
    assert str(WINDOWS) in one.reasons[0]


def test_a_check_that_fails_now_is_a_regression_with_its_witness() -> None:
    """What passed and fails is told with what was seen."""
    worse = clean()
    worse.look(46, ["p2.1"])
    (one,) = [one for one in compare(run_of(clean()), run_of(worse)) if one.id == "M3"]
    assert one.outcome is Outcome.FAIL
    assert one.witnesses
    assert one.measured.startswith("pass")


@pytest.mark.parametrize("at_fault", ["first", "second"])
def test_a_run_that_cannot_be_believed_is_compared_with_nothing(at_fault: str) -> None:
    """Flows of a run whose validity was missed are inconclusive, with the reason."""
    bad = busy(2, slower=3.0)
    unwatched = build([event for event in bad.history.events if event.f != "null"])
    doubted = dataclasses.replace(bad, history=unwatched)
    first, second = (doubted, busy(1)) if at_fault == "first" else (busy(1), doubted)
    found = lines(first, second, "say.p95")
    assert {one.outcome for one in found.values()} == {Outcome.INCONCLUSIVE}
    assert all(at_fault in one.reasons[0] for one in found.values())


@pytest.mark.parametrize("busy_one", [0, 1])
def test_runs_on_a_machine_that_was_not_the_same_are_not_compared(busy_one: int) -> None:
    """Where a target that does nothing took several times as long, nobody can say whose fault the rest is."""
    pair = [busy(1), busy(2, slower=3.0)]
    events = [
        event._replace(t_ns=event.t_ns + NS // 100) if event.f == "null" else event
        for event in pair[busy_one].history.events
    ]
    pair[busy_one] = dataclasses.replace(pair[busy_one], history=build(events))
    found = lines(pair[0], pair[1], "say.p95")
    assert {one.outcome for one in found.values()} == {Outcome.INCONCLUSIVE}
    assert all("our own machine was not the same" in one.reasons[0] for one in found.values())
