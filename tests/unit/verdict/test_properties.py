"""Properties that hold for every record, correct or not, and for every check."""

from __future__ import annotations

import random
from itertools import chain, groupby
from typing import Any

import pytest
from histories import Record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from whole_runs import checks, clean
from worlds import CORRECT, PLANTED, judged, world

from chaos.model.event import Event
from chaos.model.verdict import Kind, Outcome
from chaos.verdict.checks import registry
from chaos.verdict.findings import LOOKS, CheckFindings, merge
from chaos.verdict.history import History, build
from chaos.verdict.judge import judge

OUTCOMES = st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=6)
SEEN = (*LOOKS, "heard", "null")
"""What a record can be starved of: looks, what was heard, and the evidence that those who looked were healthy."""
LOOKLESS = ("M1", "M5", "M6", "M10", "M12", "D11")
"""They judge what users' own operations came to."""
PLANTS = sorted(PLANTED)
SLOW = [HealthCheck.too_slow]
seeds = st.integers(0, 100_000)
anything = st.sampled_from([*((kind, "") for kind in CORRECT), *PLANTS])


def gist(found: CheckFindings) -> tuple[Any, ...]:
    """All that a finding says, whatever its workers are called and in whatever order they wrote."""
    told = sorted((bad.t_ns, bad.says, sorted(bad.events)) for bad in (*found.violations, *found.unproven))
    counts = (found.judged, found.excused, found.inconclusive, found.unjudged)
    return found.outcome, counts, sorted(found.reasons), found.figures, told


def starved(record: Record, chance: random.Random, share: float, whole: str) -> History:
    """The history without a share of its observations, and without any of one kind; their plan stays.

    Some are missing in the record, others are told as gaps.
    """
    kept = []
    for event in record.events:
        observed = event.f in SEEN and event.type in {"obs", "ok"}
        if not observed or (event.f != whole and chance.random() >= share):
            kept.append(event)
        elif event.op >= 0 and chance.random() < 0.5:
            kept.append(event._replace(type="gap", value=None, node="", error="timeout"))
    return record.of(kept)


@given(OUTCOMES, OUTCOMES, OUTCOMES)
def test_merge_is_associative_commutative_and_idempotent(a: list[Outcome], b: list[Outcome], c: list[Outcome]) -> None:
    """The order and the grouping of results do not matter, nor does saying one twice."""
    assert merge([merge(a), merge([*b, *c])]) is merge([merge([*a, *b]), merge(c)])
    assert merge([*a, *b]) is merge([*b, *a])
    assert merge([*a, *a]) is merge(a)


def test_every_check_has_a_correct_history_and_a_planted_violation() -> None:
    """No check is left out of the properties below."""
    assert sorted(registry()) == sorted(set(PLANTED.values())) == sorted(set(chain(*CORRECT.values())))


@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
@given(st.sampled_from(sorted(CORRECT)), seeds)
def test_a_random_correct_history_passes_every_check(kind: str, seed: int) -> None:
    """Whatever correct users of a correct server do, each check that it feeds passes."""
    history = world(kind, seed).history()
    for name in CORRECT[kind]:
        found = judged(name, history)
        assert found.outcome is Outcome.PASS, (name, found.reasons, found.violations)


@pytest.mark.parametrize(("kind", "planted"), PLANTS)
@settings(max_examples=6, deadline=None, suppress_health_check=SLOW)
@given(seed=seeds)
def test_one_planted_violation_fails_its_check(kind: str, planted: str, seed: int) -> None:
    """Whatever else happens in the history, the check that looks for it fails, with a witness."""
    found = judged(PLANTED[kind, planted], world(kind, seed, planted).history())
    assert found.outcome is Outcome.FAIL
    assert len(found.violations[0].events) >= 2


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW)
@given(seeds, anything, st.floats(0, 0.9), st.sampled_from(["", *SEEN]))
def test_removing_observations_never_makes_a_pass(seed: int, what: tuple[str, str], share: float, whole: str) -> None:
    """What failed or was open is never passed because observations, or proofs of health, are gone."""
    record = world(what[0], seed, what[1])
    before, after = record.history(), starved(record, random.Random(seed), share, whole)
    for name in CORRECT[what[0]]:
        if judged(name, before).outcome is not Outcome.PASS:
            assert judged(name, after).outcome is not Outcome.PASS, name


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(seeds, st.sampled_from(PLANTS), st.data())
def test_removing_a_single_observation_never_makes_a_pass(
    seed: int, what: tuple[str, str], data: st.DataObject
) -> None:
    """Any one observation may be gone, the one that convicts too: the check that failed does not pass."""
    record = world(what[0], seed, what[1])
    seen = [at for at, event in enumerate(record.events) if event.f in SEEN and event.type == "obs"]
    gone = data.draw(st.sampled_from(seen)) if seen else -1
    after = record.of([event for at, event in enumerate(record.events) if at != gone])
    assert judged(PLANTED[what], after).outcome is not Outcome.PASS


@pytest.mark.parametrize("kind", sorted(CORRECT))
def test_without_any_observation_nothing_passes(kind: str) -> None:
    """Starved of all looks and of all that was heard, the checks that need them are inconclusive."""
    history = starved(world(kind, 1), random.Random(1), 1.0, "")
    for name in set(CORRECT[kind]) - set(LOOKLESS):
        assert judged(name, history).outcome is Outcome.INCONCLUSIVE, name


@pytest.mark.parametrize("f", SEEN)
@pytest.mark.parametrize("kind", sorted(CORRECT))
def test_starved_of_one_kind_of_observation_no_check_fails(kind: str, f: str) -> None:
    """What is missing makes a check inconclusive, or leaves it as it was; it convicts nobody."""
    history = starved(world(kind, 1), random.Random(1), 0.0, f)
    for name in CORRECT[kind]:
        assert judged(name, history).outcome is not Outcome.FAIL, name


@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
@given(seeds, anything, st.integers(1, 4))
def test_irrelevant_sessions_change_nothing(seed: int, what: tuple[str, str], strangers: int) -> None:
    """Well-behaved users of other rooms and documents do not change what a check finds."""
    alone, among = world(what[0], seed, what[1]), world(what[0], seed, what[1])
    for number in range(strangers):
        key, user = f"elsewhere-{number}", f"x{number}"
        among.stay(5, 15, user=user, key=key).edit(6, f"{user}-1", user=user, key=key)
        for t, tokens in ((5, []), (16, [f"{user}-1"])):
            among.sight(t, tokens, session=f"o{user}.1", key=key, present=[])
        among.cold(52, [f"{user}-1"], key=key)
    for name in CORRECT[what[0]]:
        first, second = judged(name, alone.history()), judged(name, among.history())
        assert gist(second)[4] == gist(first)[4], name
        assert (second.outcome is Outcome.FAIL) == (first.outcome is Outcome.FAIL)


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(seeds, anything)
def test_the_order_of_events_in_the_files_does_not_matter(seed: int, what: tuple[str, str]) -> None:
    """Events in any order give the same findings, to the last word."""
    before = world(what[0], seed, what[1]).history()
    shuffled = list(before.events)
    random.Random(seed).shuffle(shuffled)
    after = build(shuffled)
    for name in CORRECT[what[0]]:
        assert judged(name, after) == judged(name, before), name


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(seeds, anything)
def test_the_order_of_concurrent_events_does_not_matter(seed: int, what: tuple[str, str]) -> None:
    """Whatever happened at the same moment to different sessions may have been written down in any order."""
    record, chance = world(what[0], seed, what[1]), random.Random(seed)
    events: list[Event] = []
    for _, group in groupby(sorted(record.events, key=lambda event: event.t_ns), key=lambda event: event.t_ns):
        sessions: dict[str, list[Event]] = {}
        for event in group:
            sessions.setdefault(event.session, []).append(event)
        order = list(sessions)
        chance.shuffle(order)
        events += chain(*(sessions[name] for name in order))
    numbered = [event._replace(seq=number) for number, event in enumerate(events)]
    before, after = record.history(), record.of(numbered)
    for name in CORRECT[what[0]]:
        assert gist(judged(name, after))[:4] == gist(judged(name, before))[:4], name


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(seeds, anything, st.integers(2, 4))
def test_how_many_workers_wrote_it_does_not_matter(seed: int, what: tuple[str, str], workers: int) -> None:
    """The sessions of a history may have been any worker's, each with a null target of its own."""
    before = world(what[0], seed, what[1])
    after = shared(before, workers, random.Random(seed))
    for name in CORRECT[what[0]]:
        assert gist(judged(name, after))[:4] == gist(judged(name, before.history()))[:4], name


def shared(record: Record, workers: int, chance: random.Random) -> History:
    """The same history, written by several workers, each for some of the sessions."""
    names = [f"load-{number}" for number in range(1, workers + 1)]
    owner: dict[str, str] = {}
    events = []
    for event in record.events:
        if event.f == "null":
            events += [event._replace(worker=name) for name in names]
        elif event.worker == "load":
            events.append(event._replace(worker=owner.setdefault(event.session, chance.choice(names))))
        else:
            events.append(event)
    return record.of(events)


@settings(max_examples=20, deadline=None, suppress_health_check=SLOW)
@given(seeds, st.sampled_from(PLANTS), st.sampled_from(["late", "silent"]))
def test_only_the_worker_that_saw_it_needs_to_be_healthy(seed: int, what: tuple[str, str], how: str) -> None:
    """A violation fails whatever other workers did, and is inconclusive where its own were late or silent."""
    check = registry()[PLANTED[what]]
    history = shared(world(what[0], seed, what[1]), 3, random.Random(seed))
    if check.kind is not Kind.SAFETY:
        return
    found = judged(check.id, history).violations
    first, every = ({sight.worker for bad in some for sight in bad.seen_by} for some in (found[:1], found))
    others = {"load-1", "load-2", "load-3"} - first
    assert judged(check.id, spoilt(history, others, how)).outcome is Outcome.FAIL
    doubted = judged(check.id, spoilt(history, every, how))
    assert doubted.outcome is Outcome.INCONCLUSIVE
    assert doubted.unproven
    assert "do not count" in doubted.reasons[0]


def spoilt(history: History, workers: set[str], how: str) -> History:
    """The same history, but some workers were late all the while, or their null targets never answered."""
    events = []
    for event in history.events:
        if event.f != "null" or event.worker not in workers:
            events.append(event)
        elif how == "late":
            events.append(event._replace(intended_ns=event.t_ns - 400_000_000))
    return build(events)


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
@given(st.sampled_from(["meeting", "story"]), st.data())
def test_no_record_makes_the_judge_raise(kind: str, data: st.DataObject) -> None:
    """Values of any shape at any place give a verdict, never an exception."""
    events: list[Event] = list(world(kind, 1).fault(10, 20, regions=["cn-east"]).events)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(events) - 1))
        field = data.draw(st.sampled_from(Event._fields))
        events[at] = events[at]._replace(**{field: data.draw(GARBAGE)})
    found = judge(build(events), checks())
    assert found.outcome in Outcome
    assert all(check.outcome is not Outcome.FAIL or check.kind.value != "validity" for check in found.checks)


def test_a_verdict_is_the_same_each_time() -> None:
    """The judge has no clock and no chance in it."""
    history = clean(bad_joins=(12, 14)).history()
    assert judge(history, checks()) == judge(history, checks())
