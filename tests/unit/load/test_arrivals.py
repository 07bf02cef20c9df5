"""The arrival plan: a pure function with the properties that the checks count on."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaos.load.arrivals import make_plan
from chaos.load.plan import Plan
from chaos.load.shares import Share
from chaos.model.experiment import LoadSpec

REGIONS = ("cn-east", "cn-north")

specs = st.builds(
    LoadSpec,
    profile=st.sampled_from(["steady", "churn"]),
    participants=st.integers(0, 40),
    rooms=st.integers(1, 9),
    editors=st.integers(0, 12),
    documents=st.integers(1, 6),
    stay_s=st.floats(0.5, 30),
    rejoin=st.floats(0, 1),
    vanish=st.floats(0, 1),
    refresh=st.floats(0, 1),
    offline=st.floats(0, 1),
)
plans = st.builds(make_plan, specs, st.integers(0, 2**32), st.sampled_from([REGIONS, REGIONS[:1]]), st.floats(1, 30))
quick = settings(max_examples=25, deadline=None)


@quick
@given(specs, st.integers(0, 2**32), st.floats(1, 20))
def test_same_seed_same_plan(load: LoadSpec, seed: int, horizon_s: float) -> None:
    """The same arguments give the same plan."""
    assert make_plan(load, seed, REGIONS, horizon_s) == make_plan(load, seed, REGIONS, horizon_s)


@quick
@given(plans)
def test_every_reentry_has_its_twin(plan: Plan) -> None:
    """Each re-entry is paired with one fresh user's first join: same moment, same room, same way in."""
    twins = {person.twin_of: person for person in plan.people if person.twin_of}
    pairs = {visit.pair: (person, visit) for person in plan.people for visit in person.visits if visit.pair}
    assert twins.keys() == pairs.keys()
    for number, twin in twins.items():
        person, visit = pairs[number]
        assert (twin.visits[0].at_s, twin.room, twin.region) == (visit.at_s, person.room, person.region)
        assert twin.user != person.user
        assert len(twin.visits) == 1


@quick
@given(plans)
def test_nothing_is_planned_after_the_horizon(plan: Plan) -> None:
    """Joins, ends, words, edits and windows all lie within the horizon."""
    times = [at for person in plan.people for v in person.visits for at in (v.at_s, v.until_s, *v.says)]
    times += [edit.at_s for editor in plan.editors for edit in editor.edits]
    times += [at for editor in plan.editors for w in editor.windows for at in (w.off_s, w.back_s, w.idle_until_s)]
    times += [watcher.at_s for watcher in plan.watchers]
    assert all(0 <= at <= plan.horizon_s for at in times)


@quick
@given(plans)
def test_visits_follow_each_other(plan: Plan) -> None:
    """A user is out before he comes in again, and says how he went; users come in order of their first join."""
    firsts = [person.visits[0].at_s for person in plan.people]
    assert firsts == sorted(firsts)
    for person in plan.people:
        for before, after in zip(person.visits, person.visits[1:], strict=False):
            assert before.at_s < before.until_s < after.at_s
            assert after.after == before.end != "stay"


@quick
@given(plans)
def test_tokens_are_unique_and_idle_is_idle(plan: Plan) -> None:
    """No token is planned twice, offline edits lie in their window, and nobody types while it must be idle."""
    tokens = [edit.token for editor in plan.editors for edit in editor.edits]
    assert len(tokens) == len(set(tokens))
    for editor in plan.editors:
        for edit in editor.edits:
            inside = [window for window in editor.windows if window.off_s <= edit.at_s < window.back_s]
            assert bool(inside) == edit.offline
            assert not any(window.back_s <= edit.at_s < window.idle_until_s for window in editor.windows)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("profile", ["steady", "churn"])
def test_every_phase_has_its_samples(seed: int, profile: str) -> None:
    """With the default sizes each phase of about 8 s has the samples that its checks need."""
    load = LoadSpec(profile=profile)
    plan = make_plan(load, seed, REGIONS, 45.0, warm_up_s=3.0, idle_s=5.5)
    for start in (4.0, 12.0, 20.0, 28.0):
        end = start + 8.0
        visits = [(n, v) for person in plan.people for n, v in enumerate(person.visits)]
        joins = sum(n == 0 and start <= v.at_s < end for n, v in visits)
        rejoins = sum(n > 0 and start <= v.at_s < end for n, v in visits)
        ends = [v.end for _, v in visits if start <= v.until_s < end]
        edits = sum(start <= e.at_s < end and not e.offline for editor in plan.editors for e in editor.edits)
        backs = sum(start <= w.back_s < end for editor in plan.editors for w in editor.windows)
        assert joins >= 30
        assert rejoins >= (30 if profile == "churn" else 10)
        assert ends.count("leave") >= 30
        assert ends.count("vanish") >= 3
        assert edits >= 100
        assert backs >= 2


@pytest.mark.parametrize("seed", range(3))
def test_the_population_stays_level(seed: int) -> None:
    """After the warm-up about as many are in as were asked for."""
    plan = make_plan(LoadSpec(), seed, REGIONS, 45.0)
    for at_s in (5, 15, 25, 35):
        inside = sum(v.at_s <= at_s < v.until_s for person in plan.people for v in person.visits)
        assert 80 <= inside <= 165


def test_most_come_in_at_home() -> None:
    """About nine in ten come in through the region where their room lives."""
    plan = make_plan(LoadSpec(), 1, REGIONS, 30.0)
    home = sum(person.region == REGIONS[int(person.room.split("-")[1]) % 2] for person in plan.people)
    assert 0.8 <= home / len(plan.people) <= 0.97


def test_a_document_reloads_as_a_whole() -> None:
    """Editors of one document all reload or all keep, both kinds occur, and only keepers go offline."""
    plan = make_plan(LoadSpec(), 1, REGIONS, 30.0)
    kinds: dict[str, set[bool]] = {}
    for editor in plan.editors:
        kinds.setdefault(editor.document, set()).add(editor.refresh)
        assert not (editor.windows and editor.refresh)
    assert all(len(kind) == 1 for kind in kinds.values())
    assert {True, False} == set().union(*kinds.values())


@given(st.floats(0, 1), st.integers(0, 99), st.integers(1, 200))
def test_shares_are_even(share: float, seed: int, calls: int) -> None:
    """Of n calls a share says yes n times the share, give or take two."""
    draw = Share(share, random.Random(seed))
    assert abs(sum(draw() for _ in range(calls)) - share * calls) <= 2


@quick
@given(specs, st.integers(0, 2**32), st.floats(0.1, 3))
def test_cuts_leave_time_to_see_what_they_did(load: LoadSpec, seed: int, visible_s: float) -> None:
    """Before a cut and after its resume the stay goes on for the visibility bound, and only some stays are cut."""
    plan = make_plan(load, seed, REGIONS, 20.0, visible_s=visible_s)
    visits = [visit for person in plan.people for visit in person.visits]
    cut = [visit for visit in visits if visit.cut_s]
    assert all(visit.at_s + visible_s < visit.cut_s < visit.until_s - visible_s - 0.5 for visit in cut)
    assert len(cut) <= load.cut * len(visits) + 1


def test_some_messages_come_in_twos() -> None:
    """About three in ten messages are followed by another within a moment, and other arrivals do not change them."""
    plan = make_plan(LoadSpec(participants=100), 7, REGIONS, 30.0)
    gaps = [b - a for p in plan.people for v in p.visits for a, b in itertools.pairwise(v.says)]
    says = sum(len(visit.says) for person in plan.people for visit in person.visits)
    assert 0.15 <= sum(gap < 0.03 for gap in gaps) / says <= 0.35


def test_every_room_has_an_observer_from_each_side() -> None:
    """Two observers of a room come in through different regions, the second after the first."""
    plan = make_plan(LoadSpec(rooms=3, editors=0), 7, REGIONS, 30.0)
    for room in range(3):
        one, two = (watcher for watcher in plan.watchers if watcher.key == f"room-{room}")
        assert (one.region, two.region) in {REGIONS, REGIONS[::-1]}
        assert one.from_s < two.from_s < two.at_s


def test_no_region_is_an_error() -> None:
    """A load that nobody can enter through is refused."""
    with pytest.raises(ValueError, match="at least one region"):
        make_plan(LoadSpec(), 1, (), 10.0)


def test_each_document_has_an_edit_that_is_taken_back() -> None:
    """A share of the online edits is taken back, in each document one of the first; none where the share is 0."""
    load = LoadSpec(editors=8, documents=4, undo=0.1)
    editors = make_plan(load, 3, ("a", "b"), 40.0).editors
    online = [edit for editor in editors for edit in editor.edits if not edit.offline]
    assert 0.06 < sum(edit.undo for edit in online) / len(online) < 0.14
    assert not any(edit.undo for editor in editors for edit in editor.edits if edit.offline)
    for editor in editors[:4]:
        assert next(edit for edit in editor.edits if not edit.offline).undo
    none = make_plan(load.model_copy(update={"undo": 0.0}), 3, ("a", "b"), 40.0).editors
    assert not any(edit.undo for editor in none for edit in editor.edits)
