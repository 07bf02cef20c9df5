"""Properties of the checks on meetings, over random meetings."""

from __future__ import annotations

import random

from histories import BOUNDS
from hypothesis import given, settings
from hypothesis import strategies as st
from meetings import PLANTED, meeting
from runs import checks

from chaos.model.verdict import Outcome
from chaos.verdict.checks import registry
from chaos.verdict.history import build
from chaos.verdict.judge import judge

NAMES = ("M2", "M4", "M7", "M8", "M10", "M11")
LOOKS = ("roster", "own_roster", "heard")
seeds = st.integers(0, 10_000)
plants = st.sampled_from(["", *PLANTED])


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_a_meeting_that_keeps_every_promise_passes(seed: int) -> None:
    """Whoever comes, speaks, is cut off or comes back: every check that the meeting feeds passes."""
    history = meeting(seed).history()
    for name in (*NAMES, "M3", "M5"):
        found = registry()[name].run(history, BOUNDS)
        assert found.outcome is Outcome.PASS, (name, found)


@settings(max_examples=60, deadline=None)
@given(seeds, st.sampled_from(sorted(PLANTED)))
def test_one_broken_promise_fails_its_check(seed: int, planted: str) -> None:
    """The check that looks for it fails, whatever else happens in the meeting."""
    found = registry()[PLANTED[planted]].run(meeting(seed, planted).history(), BOUNDS)
    assert found.outcome is Outcome.FAIL
    assert len(found.violations[0].events) >= 2


@settings(max_examples=60, deadline=None)
@given(seeds, plants, st.data())
def test_removing_observations_never_makes_a_pass(seed: int, planted: str, data: st.DataObject) -> None:
    """What failed or was open is never passed because looks, or what was heard, are gone."""
    record = meeting(seed, planted)
    before = record.history()
    share = data.draw(st.floats(0.01, 0.9))
    chance = random.Random(data.draw(seeds))
    fewer = [e for e in record.events if not (e.type == "obs" and e.f in LOOKS and chance.random() < share)]
    after = build(fewer)
    for name in NAMES:
        if registry()[name].run(before, BOUNDS).outcome is not Outcome.PASS:
            assert registry()[name].run(after, BOUNDS).outcome is not Outcome.PASS, name


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(PLANTED)), st.data())
def test_removing_the_one_observation_that_convicts_never_makes_a_pass(
    seed: int, planted: str, data: st.DataObject
) -> None:
    """Any single observation may be gone: the check that failed does not pass."""
    record = meeting(seed, planted)
    looks = [at for at, event in enumerate(record.events) if event.type == "obs" and event.f in LOOKS]
    gone = data.draw(st.sampled_from(looks))
    after = build([event for at, event in enumerate(record.events) if at != gone])
    assert registry()[PLANTED[planted]].run(after, BOUNDS).outcome is not Outcome.PASS


def test_without_any_observation_nothing_passes() -> None:
    """Starved of all looks and of all that was heard, the checks that need them are inconclusive."""
    record = meeting(1)
    record.events = [event for event in record.events if not (event.type == "obs" and event.f in LOOKS)]
    for name in ("M2", "M4", "M7", "M8", "M11"):
        assert registry()[name].run(record.history(), BOUNDS).outcome is Outcome.INCONCLUSIVE, name


@settings(max_examples=20, deadline=None)
@given(seeds, plants, st.integers(1, 5))
def test_irrelevant_sessions_change_nothing(seed: int, planted: str, strangers: int) -> None:
    """Well-behaved users of other rooms do not change what a check finds."""
    record, crowded = meeting(seed, planted), meeting(seed, planted)
    for stranger in range(strangers):
        crowded.stay(5, 15, user=f"x{stranger}", key=f"elsewhere-{stranger}")
    for name in NAMES:
        alone, among = (registry()[name].run(one.history(), BOUNDS) for one in (record, crowded))
        assert among.violations == alone.violations, name
        assert among.outcome is alone.outcome


@settings(max_examples=10, deadline=None)
@given(seeds, plants)
def test_the_order_of_the_files_does_not_matter(seed: int, planted: str) -> None:
    """Events in any order give the same verdict, to the last word."""
    record = meeting(seed, planted).fault(10, 20, regions=["cn-north"])
    shuffled = list(record.events)
    random.Random(seed).shuffle(shuffled)
    assert judge(build(shuffled), checks()) == judge(build(record.events), checks())
