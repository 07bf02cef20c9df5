"""A load of several workers is judged as one, and each of them must have been there and quick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from histories import NS, ORIGIN, Record
from whole_runs import LOAD, checks, clean

from chaos.model.verdict import Outcome
from chaos.verdict.judge import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from chaos.model.event import Event
    from chaos.model.verdict import Verdict

TWO = LOAD.model_copy(update={"workers": 2})


def split() -> Record:
    """The clean run, its room played by load-1 and its document by load-2; each numbers its operations from 1."""
    record = clean()
    numbers: dict[str, dict[int, int]] = {"load-1": {}, "load-2": {}}
    events = []
    for event in record.events:
        if event.worker != "load" or event.f in {"null", "arrivals"}:
            continue
        worker = "load-2" if event.key == "doc-1" else "load-1"
        op = numbers[worker].setdefault(event.op, len(numbers[worker]) + 1)
        events.append(event._replace(worker=worker, op=op if event.op >= 0 else -1))
    for event in (event for event in record.events if event.worker == "load" and event.f in {"null", "arrivals"}):
        for number, worker in ((1, "load-1"), (2, "load-2")):
            value = event.value
            if event.f == "arrivals":
                editors = 4
                value = value | {"planned": value["planned"] - editors if number == 1 else editors}
            events.append(event._replace(worker=worker, value=value))
    events += [event for event in record.events if event.worker != "load"]
    record.events = events
    record.add(0, "info", "workers", worker="conductor", value=["load-1", "load-2"])
    return record


def verdict(record: Record) -> Verdict:
    return judge(record.history(), checks(load=TWO))


def missed(found: Verdict) -> dict[str, str]:
    return {one.id: one.reasons[0] for one in found.checks if one.outcome is not Outcome.PASS}


def test_two_workers_are_judged_as_one() -> None:
    """The same run told by two workers passes as that of one, with the same counts."""
    found, whole = verdict(split()), judge(clean().history(), checks())
    assert missed(found) == {}
    skip = {"record", "null-target", "generator"}
    told = [{one.id: one.measured for one in each.checks if one.id not in skip} for each in (found, whole)]
    assert told[0] == told[1]


@pytest.mark.parametrize("gone", ["load-1", "load-2"])
@pytest.mark.parametrize("known", ["planned", "started"])
def test_a_worker_without_a_record_is_missed(gone: str, known: str) -> None:
    """A file of the record that was deleted is named, whether the plan or the conductor says that there was one."""
    record = split()
    record.events = [event for event in record.events if event.worker != gone]
    if known == "planned":
        record.events = [event for event in record.events if event.f != "workers"]
    found = judge(record.history(), checks(load=TWO if known == "planned" else LOAD))
    assert found.outcome is Outcome.INCONCLUSIVE
    assert {"record", "arrivals", "null-target"} <= missed(found).keys()
    assert gone in missed(found)["record"]


@pytest.mark.parametrize(
    ("spoil", "line", "says"),
    [
        (lambda e: None if e.f == "arrivals" else e, "arrivals", "load-2"),
        (lambda e: None if e.f == "null" else e, "null-target", "load-2"),
        (lambda e: e._replace(intended_ns=0), "generator", "load-2"),
        (
            lambda e: e._replace(value=e.value | {"start_ns": ORIGIN + 1}) if e.f == "arrivals" else e,
            "arrivals",
            "did not begin at the same moment",
        ),
        (
            lambda e: e._replace(value=e.value | {"until_ns": "late"}) if e.f == "arrivals" else e,
            "arrivals",
            "did not say",
        ),
    ],
)
def test_each_worker_has_to_tell(spoil: Callable[[Event], Event | None], line: str, says: str) -> None:
    """What one of two says is no word of the other, and both count from one moment."""
    record = split()
    record.events = [
        told for event in record.events if (told := spoil(event) if event.worker == "load-2" else event) is not None
    ]
    found = verdict(record)
    assert says in missed(found)[line]
    assert found.outcome is Outcome.INCONCLUSIVE


def test_the_slowest_worker_counts() -> None:
    """A null target that was late once in ten times is not made up for by another worker's thousand quick answers."""
    record = split()
    record.events = [event for event in record.events if not (event.f == "null" and event.worker == "load-2")]
    for number in range(1000):
        record.add(3 + number / 25, "ok", "null", worker="load-1", intended_ns=ORIGIN + number * NS // 25 + 3 * NS)
    for number in range(10):
        late_s = 2.0 if number == 5 else 0.001
        record.add(3 + number + late_s, "ok", "null", worker="load-2", intended_ns=ORIGIN + (3 + number) * NS)
    found = verdict(record)
    assert "slow" in missed(found)["null-target"]
    assert "load-2, the slowest of 2" in next(one.measured for one in found.checks if one.id == "null-target")


def test_a_worker_that_starts_nobody_is_missed_in_the_sum() -> None:
    """Arrivals are added up over the workers."""
    record = split()
    record.events = [event for event in record.events if event.worker != "load-1" or event.f in {"null", "arrivals"}]
    assert "did not start all" in missed(verdict(record))["arrivals"]
