"""Stop conditions on the figures of a running load."""

from __future__ import annotations

from typing import Any

from chaos.engine.stops import StopWatch
from chaos.experiment.stops import parse_stop


def second(ok: int = 0, bad: int = 0, ms: float = 10.0, flow: str = "join", t: int = 1) -> dict[str, Any]:
    return {
        "t": t,
        "flows": {flow: {"east": {"ok": ok, "bad": bad, "ms": [ms] * ok}, "west": {"ok": 0, "bad": 0, "ms": []}}},
    }


def watched(*texts: str) -> tuple[StopWatch, list[tuple[str, dict[str, Any]]]]:
    told: list[tuple[str, dict[str, Any]]] = []
    watch = StopWatch([parse_stop(text) for text in texts], lambda rule, found: told.append((rule.text, found)))
    watch.arm()
    return watch, told


def test_it_is_met_when_the_whole_window_is() -> None:
    """Of the joins of the last three seconds less than half succeeded: told once, with the figures."""
    watch, told = watched("join.success < 50% for 3 s")
    for t in range(1, 6):
        watch.second(second(1, 3, t=t))
    assert told == [("join.success < 50% for 3 s", {"value": 0.25, "ok": 3, "bad": 9, "for_s": 3.0, "t_s": 3})]


def test_a_good_share_a_short_time_or_a_few_operations_are_no_reason() -> None:
    """Half is not less than half, two seconds are not three, and four failures may be chance."""
    for share in ([second(2, 2)] * 5, [second(0, 9)] * 2, [second(0, 1), second(), second(), second(0, 3)] * 1):
        watch, told = watched("join.success < 50% for 3 s")
        for one in share:
            watch.second(one)
        assert told == []


def test_a_quantile_counts_what_got_no_answer() -> None:
    """An operation that failed is slower than any that did not; where most fail, there is no figure."""
    watch, told = watched("edit_ack.p95 > 2s for 1 s")
    watch.second(second(19, 0, 100, "edit_ack"))
    assert told == []
    watch.second(second(19, 2, 100, "edit_ack"))
    assert told[0][1]["value"] is None
    watch, told = watched("edit_ack.p50 >= 100 ms for 1 s")
    watch.second(second(9, 0, 100, "edit_ack"))
    assert told[0][1]["value"] == 0.1


def test_only_seconds_under_a_fault_count() -> None:
    """What came before the injection and what comes after the heal is not the fault's doing."""
    watch, told = watched("join.success < 50% for 2 s")
    watch.second(second(0, 9))
    watch.disarm()
    watch.second(second(0, 9))
    watch.arm()
    watch.second(second(0, 9))
    assert told == []
    watch.arm()
    watch.second(second(0, 9))
    assert len(told) == 1


def test_of_several_conditions_the_first_that_is_met_counts() -> None:
    """The run ends once."""
    watch, told = watched("leave.success < 50% for 1 s", "join.success < 90% for 1 s", "join.success < 50% for 1 s")
    watch.second(second(0, 9))
    watch.second(second(0, 9))
    assert [text for text, _ in told] == ["join.success < 90% for 1 s"]
