"""Several workers of one load: what each plays of the plan, and what they tell together."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from chaos.load.arrivals import make_plan
from chaos.load.plan import Plan, shard
from chaos.load.seconds import Second, Seconds, merged
from chaos.model.experiment import LoadSpec

REGIONS = ("cn-east", "cn-north", "eu-west")
quick = settings(max_examples=40, deadline=None)


@st.composite
def shared(draw: st.DrawFn) -> tuple[Plan, list[Plan]]:
    """A plan, and the shards of as many workers as it can have."""
    rooms, documents = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    participants, editors = draw(st.integers(0, 40)), draw(st.integers(0, 12))
    most = rooms * bool(participants) + documents * bool(editors)
    of = draw(st.integers(1, max(1, min(16, most))))
    load = LoadSpec(
        participants=participants, rooms=rooms, editors=editors, documents=documents, rejoin=0.8, cut=0.5, workers=of
    )
    regions = REGIONS[: draw(st.integers(1, 3))]
    limits = draw(st.dictionaries(st.sampled_from(["hall", "stage", "room-1", "room-4"]), st.integers(1, 9)))
    plan = make_plan(load, draw(st.integers(0, 2**32)), regions, draw(st.floats(1, 30)), limits=limits)
    return plan, [shard(plan, number, of) for number in range(of)]


@quick
@given(shared())
def test_the_shards_are_the_plan(drawn: tuple[Plan, list[Plan]]) -> None:
    """Whoever is in the plan is in exactly one shard, unchanged and in the plan's order."""
    plan, shards = drawn
    for part in ("people", "editors", "watchers", "limited"):
        whole = getattr(plan, part)
        dealt = [one for each in shards for one in getattr(each, part)]
        assert len(dealt) == len(whole)
        assert set(dealt) == set(whole)
        for each in shards:
            places = [whole.index(one) for one in getattr(each, part)]
            assert places == sorted(places)
    assert {each.horizon_s for each in shards} == {plan.horizon_s}


@quick
@given(shared())
def test_a_room_and_a_document_are_in_one_shard(drawn: tuple[Plan, list[Plan]]) -> None:
    """With everybody in it: users, observers from each side, and those who knock at its limit."""
    seen: dict[str, set[int]] = {}
    for number, each in enumerate(drawn[1]):
        keys = [*(one.room for one in each.people), *(one.document for one in each.editors)]
        keys += [*(one.key for one in each.watchers), *(one.room for one in each.limited)]
        for key in keys:
            seen.setdefault(key, set()).add(number)
    assert all(len(numbers) == 1 for numbers in seen.values())


@quick
@given(shared())
def test_twins_are_together_and_names_are_nobody_elses(drawn: tuple[Plan, list[Plan]]) -> None:
    """Each re-entry has its twin in its own shard, and no user is in two shards."""
    for each in drawn[1]:
        twins = {person.twin_of for person in each.people if person.twin_of}
        assert twins == {visit.pair for person in each.people for visit in person.visits if visit.pair}
    names = [
        {one.user for part in (each.people, each.editors, each.watchers) for one in part}  # type: ignore[attr-defined]
        for each in drawn[1]
    ]
    assert all(not (one & other) for one, other in itertools.combinations(names, 2))


@quick
@given(shared())
def test_no_worker_is_idle(drawn: tuple[Plan, list[Plan]]) -> None:
    """Each of as many workers as there are rooms and documents has one, and none has two more rooms than another."""
    plan, shards = drawn
    if plan.watchers:
        assert all(each.watchers for each in shards)
    rooms = [len({one.key for one in each.watchers if one.kind == "room"}) for each in shards]
    assert max(rooms) - min(rooms) <= 1


def test_each_worker_has_rooms_at_home_in_every_region() -> None:
    """As many workers as regions: a slow worker is no slow region."""
    plan = make_plan(LoadSpec(rooms=6, workers=2), 7, REGIONS[:2], 20.0)
    for number in range(2):
        watchers = shard(plan, number, 2).watchers
        assert {one.region for one in watchers if one.kind == "room" and not one.user.endswith("-b")} == set(
            REGIONS[:2]
        )


def test_one_worker_plays_the_plan_itself() -> None:
    """The only shard of one is the plan."""
    plan = make_plan(LoadSpec(), 7, REGIONS, 20.0, limits={"hall": 6})
    assert shard(plan, 0, 1) == plan


@pytest.mark.parametrize(
    ("counts", "most"),
    [
        ({"rooms": 2, "documents": 3}, 5),
        ({"rooms": 2, "documents": 3, "editors": 0}, 2),
        ({"rooms": 2, "documents": 3, "participants": 0}, 3),
        ({"participants": 0, "editors": 0}, 1),
        ({"rooms": 100}, 16),
    ],
)
def test_there_are_no_more_workers_than_can_have_users(counts: dict[str, int], most: int) -> None:
    """Rooms and documents that nobody comes to give a worker nothing to do; sixteen are the most."""
    names = LoadSpec(workers=most, **counts).worker_names
    assert names == (("load",) if most == 1 else tuple(f"load-{number}" for number in range(1, most + 1)))
    with pytest.raises(ValidationError, match=f"workers(?s:.)*{most}"):
        LoadSpec(workers=most + 1, **counts)


def line(t: int, ok: int, *, region: str = "cn-east", last: tuple[str, ...] = ()) -> Second:
    flows = {"join": {region: {"ok": ok, "bad": 1, "ms": [float(ok)] * ok}}}
    return {"say": "second", "t": t, "flows": flows, "live": {"participants": ok}, "last": list(last)}


def test_seconds_are_added_up() -> None:
    """Counts add, times are together, regions stay apart, and each worker's first sentence comes before a second."""
    one, two = line(4, 2, last=("a1", "a2", "a3")), line(4, 3, last=("b1",))
    both = merged([one, two, line(4, 1, region="cn-north")])
    assert both["flows"]["join"]["cn-east"] == {"ok": 5, "bad": 2, "ms": [2.0, 2.0, 3.0, 3.0, 3.0]}
    assert both["flows"]["join"]["cn-north"]["ok"] == 1
    assert (both["t"], both["live"], both["last"]) == (4, {"participants": 6}, ["a1", "b1", "a2"])
    assert one == line(4, 2, last=("a1", "a2", "a3"))
    assert merged([one]) is one


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_every_second_is_told_once_in_order(lengths: list[int], random: object) -> None:
    """However the workers' lines come in, and whenever one of them ends, nothing is lost and nothing told twice."""
    steps = [[*range(1, length + 1), None] for length in lengths]
    seconds, heard = Seconds(len(lengths)), []
    seconds.on_second = heard.append
    while any(steps):
        worker = random.choice([number for number, rest in enumerate(steps) if rest])  # type: ignore[attr-defined]
        t = steps[worker].pop(0)
        if t is None:
            seconds.ended(worker)
        else:
            seconds.add(worker, line(t, 1))
            told = sum(cell["live"]["participants"] for cell in heard if cell["t"] == t)
            assert told in {0, sum(length >= t for length in lengths)}
    assert [one["t"] for one in heard] == list(range(1, max(lengths) + 1))
    assert [one["live"]["participants"] for one in heard] == [
        sum(length >= t for length in lengths) for t in range(1, max(lengths) + 1)
    ]
    assert seconds.window("join", 60).ok == sum(lengths)


def test_a_second_waits_for_who_still_goes_on() -> None:
    """Half a second's users are no second; a worker that has ended is not waited for."""
    seconds = Seconds(2)
    seconds.add(0, line(1, 5))
    assert seconds.told.empty()
    seconds.ended(1)
    assert seconds.told.get(timeout=1)["live"] == {"participants": 5}
