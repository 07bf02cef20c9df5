"""Those who saw a violation prove that they were healthy, or it does not count."""

from __future__ import annotations

import pytest
from histories import BOUNDS, NS, ORIGIN, Record, rule
from whole_runs import checks, clean
from worlds import judged

from chaos.model.verdict import CheckResult, Outcome
from chaos.verdict.checks import registry
from chaos.verdict.findings import WITNESS_EVENTS, witness
from chaos.verdict.health import weigh
from chaos.verdict.judge import judge

FAIL, INCONCLUSIVE = Outcome.FAIL, Outcome.INCONCLUSIVE


def haunted(*looks: tuple[float, float, bool]) -> Record:
    """A session that left at 9 s is listed by each of an observer's looks: (asked, answered, whether it was)."""
    record = Record().pulse(0, 40).stay(3, 9)
    for t, done, came in looks:
        known = {"user": "watcher", "region": "cn-north", "answer": ["u1.1"] if came else None}
        record.do("roster", t, done, "obs" if came else "gap", **known)
    return record


def line(record: Record, name: str, **changes: object) -> CheckResult:
    found = judge(record.history(), checks(**changes)).checks
    return next(one for one in found if one.id == name)


def test_the_witness_says_that_its_observers_were_healthy() -> None:
    """How many of the observer's looks around it were answered, and how slow the null target was at most."""
    record = haunted((8, 8.1, False), (12, 12.02, True), (13, 13.02, True)).pulse(12, 12.2, late=0.042)
    found = judged("M3", record.history())
    told = [event.says for event in witness(record.history(), found.violations[0]).events]
    assert "u1.1 and watcher.1 were healthy: 2 of 3 looks answered, null target 42 ms" in told
    assert found.outcome is FAIL


def test_health_is_among_the_twelve_events() -> None:
    """A long story makes room for it."""
    record = haunted((12, 12.02, True))
    for number in range(10):
        record.fault(3.1 + number / 2, 3.2 + number / 2, name=f"blip{number}", regions=["far"])
    (bad,) = judged("M3", record.history()).violations
    told = witness(record.history(), bad).events
    assert len(bad.events) > len(told) == WITNESS_EVENTS
    assert sum("healthy" in event.says for event in told) == 1


@pytest.mark.parametrize(
    ("looks", "outcome"),
    [
        (((12, 13.5, True),), FAIL),
        (((11, 11.1, True), (12, 13.5, True), (14, 14.1, True)), FAIL),
        (((10, 10.1, False), (12, 13.5, True), (14, 14.1, True)), INCONCLUSIVE),
        (((10, 10.1, True), (12, 13.5, True), (14, 14.1, False)), INCONCLUSIVE),
        (((10, 10.1, True), (12, 13.5, True)), INCONCLUSIVE),
    ],
)
def test_a_slow_look_counts_where_its_socket_is_proved_alive(
    looks: tuple[tuple[float, float, bool], ...], outcome: Outcome
) -> None:
    """By an answered look before it and one after; who looks once has that answer alone."""
    found = judged("M3", haunted(*looks).history())
    assert found.outcome is outcome
    assert bool(found.unproven) == (outcome is INCONCLUSIVE)


def test_a_look_that_does_not_fit_proves_nothing() -> None:
    """A fresh reader says that a token is missing, but the hash of what it read is another's."""
    record = Record().pulse(0, 40).edit(3, "a").edit(4, "b").reread(9, ["b"], number=1, lacks=["a"])
    assert judged("D9", record.history()).outcome is FAIL
    wrong = [event._replace(value=event.value | {"sha": "0"}) if event.f == "reread" and event.type == "obs" else event
             for event in record.events]  # fmt: skip
    found = judged("D9", record.of(wrong))
    assert found.outcome is INCONCLUSIVE
    assert "does not fit to the looks before it" in found.reasons[0]


@pytest.mark.parametrize(
    ("late_from", "late_to", "outcome"), [(14, 15, FAIL), (12.5, 13.5, INCONCLUSIVE), (10.5, 11.1, INCONCLUSIVE)]
)
def test_the_worker_is_on_time_from_a_second_before_to_a_second_after(
    late_from: float, late_to: float, outcome: Outcome
) -> None:
    """Lateness beyond that says nothing of the look; within, it does not count."""
    found = judged("M3", haunted((12, 12.02, True)).pulse(late_from, late_to, late=0.5).history())
    assert found.outcome is outcome


@pytest.mark.parametrize(("start", "end"), [(8, 14), (0, 14), (12, 60), (0, 60)])
def test_a_silent_worker_proves_nothing(start: float, end: float) -> None:
    """No answer of the null target for longer than a second around the look, or none at all."""
    record = haunted((12, 12.02, True), (20, 20.02, True))
    span = range(ORIGIN + round(start * NS), ORIGIN + round(end * NS))
    found = judged("M3", record.of([event for event in record.events if event.f != "null" or event.t_ns not in span]))
    assert found.outcome is INCONCLUSIVE
    assert "nothing tells" in found.reasons[0] or "no null target tells" in found.reasons[0]


def test_a_violation_without_an_observer_does_not_count() -> None:
    """Nobody who saw it, nobody who can prove anything."""
    history = haunted((12, 12.02, True)).history()
    found = registry()["M3"].run(history, BOUNDS)
    object.__setattr__(found.violations[0], "seen_by", ())
    assert weigh(history, BOUNDS, found).outcome is INCONCLUSIVE


def test_unproven_violations_are_told_and_never_tolerated_away() -> None:
    """The line says how many, shows them, and a rule that tolerates the proven ones alone is inconclusive."""
    record = clean().pulse(42, 43, late=2)
    for number, t in enumerate((30.0, 36.0, 40.0)):
        record.do("leave", t, t + 4.5, "info", user=f"u90{number}", error="timeout")
    plain = line(record, "M5")
    assert (plain.outcome, plain.figures["violations"], plain.figures["unproven"]) == (FAIL, 2, 1)
    assert plain.measured.endswith(", 1 unproven")
    assert ["healthy" in "".join(e.says for e in one.events) for one in plain.witnesses] == [True, True, False]
    assert plain.reasons[0].startswith("1 of 3 violations do not count: load, the worker of u902.1, was late at 44.8 s")
    for most, outcome in ((1, FAIL), (2, INCONCLUSIVE), (3, INCONCLUSIVE)):
        assert line(record, "M5", thresholds=(rule(f"leaves.stuck <= {most}"),)).outcome is outcome
