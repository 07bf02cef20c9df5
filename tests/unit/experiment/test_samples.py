"""How many instances there will be, and how many are needed."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.experiment import samples
from chaos.experiment.samples import expected, lower_bound, proving, rates, samplings
from chaos.experiment.thresholds import parse_threshold
from chaos.load import arrivals
from chaos.model.experiment import LOOKS, LoadSpec, PhaseSpec
from chaos.model.plan import PlannedPhase


def test_the_known_numbers_for_99_percent() -> None:
    """268 clean instances prove 99 %, 446 with one failure among them."""
    assert (proving(0.99), proving(0.99, 1)) == (268, 446)


@given(st.floats(0.01, 0.999), st.integers(0, 3))
def test_proving_is_the_smallest_number_that_proves(share: float, failures: int) -> None:
    """At that number the lower bound reaches the share, and one instance fewer does not."""
    count = proving(share, failures)
    assert lower_bound(count - failures, count) >= share
    assert count - 1 <= failures or lower_bound(count - 1 - failures, count - 1) < share


def test_four_looks_have_their_price() -> None:
    """Where the recovery may go on, 498 clean instances prove 99 %, and what it may have at most is told."""
    assert (proving(0.99, 0, LOOKS), proving(0.99, 1, LOOKS)) == (498, 683)
    rules = [parse_threshold("join.success >= 99%", phase) for phase in ("recovery", "fault")]
    phases = [PlannedPhase(name=name, starts_s=0, seconds=10) for name in ("recovery", "fault")]
    load = LoadSpec(participants=15, stay_s=10, rejoin=0.5)
    found = samplings(rules, load, phases, PhaseSpec(extend=30))
    assert [(one.expected, one.at_most, one.proven, one.enough) for one in found] == [
        (10, 40, 498, True),
        (10, 10, 268, False),
    ]


def test_nothing_proves_that_all_succeed() -> None:
    """A share of 100 % has no number."""
    assert proving(1.0) == 0


@pytest.mark.parametrize(
    "load",
    [
        LoadSpec(participants=200, stay_s=8, rejoin=0.6, vanish=0.1),
        LoadSpec(profile="churn", participants=200, stay_s=30, rejoin=0.1, vanish=0.3),
    ],
)
def test_the_rates_are_those_of_the_load(load: LoadSpec) -> None:
    """What the plan promises is what the arrival plan holds, within its chance variation (over 60 seconds)."""
    begin, end = 20.0, 80.0
    made = arrivals.make_plan(load, 1, ("a", "b"), 100.0)
    seen: Counter[str] = Counter()
    for person in made.people:
        for visit in person.visits:
            if begin <= visit.at_s < end:
                seen["rejoin" if visit.after else "join"] += 1
            if begin <= visit.until_s < end and visit.end == "leave":
                seen["leave"] += 1
    for flow, count in seen.items():
        assert count == pytest.approx(rates(load)[flow] * (end - begin), rel=0.15), flow


def test_the_churn_profile_is_the_loads_own() -> None:
    """The rooms of the house do not import each other, so a test holds the two figures together."""
    assert (samples.CHURN_STAY_S, samples.CHURN_REJOIN) == (arrivals.CHURN_STAY_S, arrivals.CHURN_REJOIN)


def test_a_sampling_compares_what_comes_with_what_is_needed() -> None:
    """Counted thresholds need no samples, quantiles need those of their share, resumes cannot be foretold."""
    load = LoadSpec(participants=100, stay_s=10, rejoin=0.25)
    phases = [PlannedPhase(name="baseline", starts_s=3, seconds=2, expected=expected(load, 2))]
    phases.append(PlannedPhase(name="fault", starts_s=5, seconds=10))
    texts = ["join.success >= 99%", "edit_ack.p95 < 1 s", "resume.success >= 50%", "edits.lost == 0"]
    rules = [parse_threshold(text, "baseline") for text in texts] + [parse_threshold(texts[0], "run")]
    found = samplings(rules, load, phases)
    assert [(one.expected, one.proven, one.enough) for one in found] == [
        (16, 268, False),
        (48, 52, True),
        (-1, 3, True),
        (96, 268, True),
    ]
    assert (found[0].proven_s, found[2].proven_s, found[0].proven_one_failure) == (34, 0, 446)
