"""The history: pairing, phases, faults, and indifference to damage and order."""

from __future__ import annotations

import random

from histories import NS, ORIGIN, Record

from chaos.model.event import Event, Phase
from chaos.verdict.history import build


def test_an_operation_is_its_invoke_and_its_completion() -> None:
    """Invoke and completion pair by worker and op; one without a completion is open."""
    history = Record().do("join", 3, 3.5, intended=2.9).do("join", 4, None).history()
    done, still_open = history.ops["join"]
    assert (done.outcome, done.start_ns) == ("ok", ORIGIN + int(2.9 * NS))
    assert still_open.outcome == "open"


def test_a_moment_has_a_phase() -> None:
    """Phases begin at their events; the time before all of them is warm-up."""
    history = Record().history()
    moments = (-1, 1, 3, 12, 30, 55)
    assert [history.phase_at(ORIGIN + t * NS) for t in moments] == [
        Phase.WARM_UP,
        Phase.WARM_UP,
        Phase.BASELINE,
        Phase.FAULT,
        Phase.RECOVERY,
        Phase.FINAL,
    ]


def test_a_fault_carries_its_times_and_proofs() -> None:
    """Intent, on, bite, off and off-proof become one span."""
    (fault,) = Record().fault(10, 20, regions=["cn-east"]).history().faults
    assert (fault.on_ns, fault.off_ns) == (ORIGIN + 10 * NS, ORIGIN + 20 * NS)
    assert fault.bites[0].bit
    assert fault.off_clean
    assert fault.reaches(region="cn-east", nodes=(), key="")
    assert not fault.reaches(region="cn-north", nodes=("gw-north",), key="room-1")


def test_a_fault_of_unknown_reach_may_have_hit_anyone() -> None:
    """An injection that broke off before its `on` reaches everybody, and lasts until it is taken out."""
    record = Record()
    record.add(10, "fault", "intent", worker="conductor", key="f1", value={"name": "kill"})
    (fault,) = record.history().faults
    assert fault.reaches(region="x", nodes=(), key="y")
    assert fault.harms(ORIGIN + 500 * NS, ORIGIN + 501 * NS, 0)


def test_damage_is_counted_and_not_obeyed() -> None:
    """Rows that are no events and completions without an invoke are counted; the rest is read."""
    good = Record().do("join", 3, 3.5)
    good.add(5, "ok", "join", op=99)
    events: list[object] = [*good.events, ("no", "event"), Event(0, "late", "ok", "join"), Event(1, 2, 3, 4)]  # type: ignore[arg-type]
    history = build(events)  # type: ignore[arg-type]
    assert history.malformed == 4
    assert len(history.ops["join"]) == 1


def test_the_order_of_rows_does_not_matter() -> None:
    """Shuffled rows give the same history."""
    record = Record().stay(3, 8).fault(10, 20, regions=["cn-east"]).look(9, ["u1.1"]).edit(4, "t1")
    events = list(record.events)
    random.Random(4).shuffle(events)
    assert build(events) == build(record.events)


def test_an_empty_record_has_a_history() -> None:
    """Nothing at all is a history without phases, faults or operations."""
    history = build([])
    assert (history.phases, history.faults, history.end_ns) == ((), (), 0)
    assert history.span(Phase.FAULT) is None
    assert history.healed_ns == 0


def test_people_count_seconds_from_the_start_of_the_load() -> None:
    """The origin is what the load said it was; else the first phase; else the first event."""
    record = Record()
    assert record.history().t0_ns == ORIGIN
    record.add(1, "info", "arrivals", value={"planned": 1, "start_ns": ORIGIN + NS, "until_ns": ORIGIN + 9 * NS})
    assert record.history().seconds(ORIGIN + 3 * NS) == 2.0
    assert build([Event(0, 77, "info", "x")]).t0_ns == 77


def test_a_fault_that_is_still_on_leaves_nothing_healed() -> None:
    """The stack is healed only when every fault is off."""
    assert Record().fault(10, 20).fault(15, None, name="kill").history().healed_ns is None
    assert Record().fault(10, 20).fault(12, 25, name="kill").history().healed_ns == ORIGIN + 25 * NS
