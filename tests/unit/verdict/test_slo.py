"""Objectives: the units, their phases, the three-valued rule on shares and on quantiles."""

from __future__ import annotations

import math

import pytest
from histories import BOUNDS, Record, rule

from chaos.model.event import Phase
from chaos.model.verdict import Outcome
from chaos.verdict.flows import Unit, measure, tightest_s, within
from chaos.verdict.series import series
from chaos.verdict.slo import is_objective, judge_threshold


def units(good: int, bad: int, seconds: float = 0.1) -> dict[str, list[Unit]]:
    served = [Unit(0, seconds, True, "r", Phase.FAULT)] * good
    return {"join": served + [Unit(0, math.inf, False, "r", Phase.FAULT)] * bad}


@pytest.mark.parametrize(
    ("good", "bad", "assurance", "outcome"),
    [
        (100, 0, "measured", Outcome.PASS),
        (29, 0, "measured", Outcome.INCONCLUSIVE),
        (59, 1, "measured", Outcome.INCONCLUSIVE),
        (90, 10, "measured", Outcome.FAIL),
        (8, 2, "measured", Outcome.FAIL),
        (267, 0, "proven", Outcome.INCONCLUSIVE),
        (268, 0, "proven", Outcome.PASS),
        (445, 1, "proven", Outcome.PASS),
        (0, 0, "measured", Outcome.INCONCLUSIVE),
    ],
)
def test_a_share_is_judged_in_three_values(good: int, bad: int, assurance: str, outcome: Outcome) -> None:
    """Fail when even the upper bound misses, pass when measured (or proven) on enough, else inconclusive."""
    assert judge_threshold(rule("join.success >= 99%"), units(good, bad), assurance).outcome is outcome


@pytest.mark.parametrize(
    ("good", "bad", "assurance", "outcome"),
    [
        (100, 0, "measured", Outcome.PASS),
        (97, 3, "measured", Outcome.PASS),
        (94, 6, "measured", Outcome.INCONCLUSIVE),
        (80, 20, "measured", Outcome.FAIL),
        (58, 0, "proven", Outcome.INCONCLUSIVE),
        (59, 0, "proven", Outcome.PASS),
    ],
)
def test_a_quantile_is_judged_in_three_values(good: int, bad: int, assurance: str, outcome: Outcome) -> None:
    """The same rule on p95, where who was not served waited for ever."""
    assert judge_threshold(rule("join.p95 < 500ms"), units(good, bad), assurance).outcome is outcome


def test_the_line_says_n_and_interval() -> None:
    """A share and a latency both show how many and how sure."""
    assert judge_threshold(rule("join.success >= 99%"), units(88, 0), "measured").measured == (
        "100 %  [97.0, 100]  88 of 88"
    )
    assert judge_threshold(rule("join.p95 < 500ms"), units(60, 0), "measured").measured == (
        "100 ms  [100 ms, 100 ms]  n = 60"
    )
    assert judge_threshold(rule("join.p95 < 500ms"), units(9, 1, 0.0042), "measured").measured == (
        "never  [4.2 ms, never]  n = 10"
    )
    assert judge_threshold(rule("join.p95 < 500ms"), units(0, 0), "measured").measured == "no samples"


def test_nearly_all_is_not_all() -> None:
    """99.99 % is never rounded up to 100 %."""
    assert judge_threshold(rule("join.success >= 99%"), units(9999, 1), "measured").measured.startswith("99.9 %")


def test_exactly_is_judged_by_the_interval() -> None:
    """`== 100%` fails once the interval leaves it out, and passes when all were served."""
    assert judge_threshold(rule("join.success == 100%"), units(50, 0), "measured").outcome is Outcome.PASS
    assert judge_threshold(rule("join.success == 100%"), units(50, 1), "measured").outcome is Outcome.FAIL


def test_a_unit_is_served_within_its_deadline_from_its_intended_time() -> None:
    """Late, refused, timed out, lost and never answered operations are failures; latency counts from the plan."""
    record = Record().do("join", 11, 11.5, intended=10.5).do("join", 11, 17, intended=11)
    record.do("join", 11, 11.1, "fail", error="refused: full").do("join", 11, 16, "info", error="timeout")
    record.do("join", 12, None).fact("null", 40)
    found = measure(record.history(), BOUNDS)["join"]
    assert [unit.good for unit in found] == [True, False, False, False, False]
    assert [unit.seconds for unit in found] == [1.0, 6.0, math.inf, math.inf, math.inf]


def test_what_the_end_cut_off_is_left_out() -> None:
    """An operation that the load or the record ended before its deadline is nobody's failure."""
    record = Record().do("join", 48, 50, "info", error="load ended").do("join", 49.9, None)
    record.do("join", 40, 50, "info", error="load ended")
    assert [unit.good for unit in measure(record.history(), BOUNDS)["join"]] == [False]


def test_an_operation_belongs_to_the_phase_of_its_intended_time() -> None:
    """But what was still open when the fault began is the fault's; `run` is all from baseline to recovery."""
    record = Record().do("join", 1, 1.1).do("join", 5, 5.1).do("join", 9, 12).do("join", 19, 22).do("join", 30, 30.1)
    found = measure(record.history(), BOUNDS)["join"]
    assert [unit.phase for unit in found] == [
        Phase.WARM_UP,
        Phase.BASELINE,
        Phase.FAULT,
        Phase.FAULT,
        Phase.RECOVERY,
    ]
    assert len(within(found, "run")) == 4
    assert len(within(found, "fault")) == 2


def test_flows_have_their_words() -> None:
    """Objectives are FLOW.success or FLOW.pNN; counts and durations are none."""
    assert is_objective("edit_ack.p95")
    assert not is_objective("edits.lost")
    assert not is_objective("join.p42")
    assert not is_objective("recovery")
    assert tightest_s(BOUNDS) == 3


def test_series_count_by_intended_second_and_region() -> None:
    """A second holds its good and bad units and the latencies of those that were answered."""
    record = Record().do("join", 11.2, 11.3, intended=11.2).do("join", 11.9, 16.9, "info", error="timeout")
    record.do("join", 13, 13.4, region="cn-north", intended=13)
    found = {(one.flow, one.region): one.seconds for one in series(record.history(), BOUNDS)}
    assert set(found) == {("join", ""), ("join", "cn-east"), ("join", "cn-north")}
    (first, last) = found["join", ""]
    assert (first.t, first.ok, first.bad, last.t) == (11, 1, 1, 13)
    assert first.p50 == pytest.approx(0.1)
    assert found["join", "cn-north"][0].p95 == pytest.approx(0.4)


def test_a_second_without_an_answer_has_no_latency() -> None:
    """Where nobody was answered there is nothing to plot."""
    (seconds,) = {
        one.seconds for one in series(Record().do("join", 11, 16, "info").history(), BOUNDS) if not one.region
    }
    assert seconds[0].p50 is None
