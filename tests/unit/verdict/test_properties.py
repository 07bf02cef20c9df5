"""Properties that hold for every record, correct or not."""

from __future__ import annotations

import random

import pytest
from histories import BOUNDS, Record, findings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from runs import checks, clean

from chaos.model.event import Event
from chaos.model.verdict import Outcome
from chaos.verdict.checks import registry
from chaos.verdict.findings import merge
from chaos.verdict.history import build
from chaos.verdict.judge import judge

OUTCOMES = st.lists(st.sampled_from(list(Outcome)), min_size=1, max_size=6)
LOOKS = ("roster", "tokens", "view", "cold_read")
MUTANTS = ("none", "ghost", "lost", "twice", "diverged", "offline", "seen")


@given(OUTCOMES, OUTCOMES, OUTCOMES)
def test_merge_is_associative_commutative_and_idempotent(a: list[Outcome], b: list[Outcome], c: list[Outcome]) -> None:
    """The order and the grouping of results do not matter, nor does saying one twice."""
    assert merge([merge(a), merge([*b, *c])]) is merge([merge([*a, *b]), merge(c)])
    assert merge([*a, *b]) is merge([*b, *a])
    assert merge([*a, *a]) is merge(a)


def planted(mutant: str) -> Record:
    """A small correct record, or one with a single planted violation."""
    record = Record()
    for user in range(4):
        record.stay(3 + user, 22 + user, user=f"u{user}")
    for t in (24, 26, 28, 31, 34):
        ghost = ["u0.1"] if mutant == "ghost" and t == 28 else []
        record.look(t, ghost)
    record.edit(3, "a").edit(4, "b").edit(5, "c", 10, "info", error="lost")
    there = ["a", "b"] if mutant == "seen" else ["a", "b", "c"]
    record.sight(6, ["a"]).sight(8, ["a", "b", "c"]).sight(12, ["a", "b", "c"])
    known = {"user": "e1", "key": "doc-1", "value": {"group": 1}}
    record.fact("offline", 22, **known)
    record.do("offline_edit", 22.5, 41, user="e1", key="doc-1", value="x")
    record.fact("online", 24, **known).fact("idle_end", 40, **known)
    for t in (26, 30, 35):
        record.sight(t, there if mutant == "offline" else [*there, "x"])
    record.fact("quiet", 50, key="doc-1")
    final = [*there, "x"]
    for t in (50.5, 55.5, 56):
        record.view(t, final, user="e1").view(t, final[:-1] if mutant == "diverged" else final, user="e2")
    cold = {"lost": final[1:], "twice": [*final, "b"]}.get(mutant, final)
    return record.cold(57, final, region="cn-east").cold(57, cold)


EXPECTED = {"ghost": "M3", "lost": "D1", "twice": "D4", "diverged": "D3", "offline": "D8", "seen": "D1"}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_planted_violation_is_found_and_no_other_check_passes_it_off(mutant: str) -> None:
    """The correct record passes every check that it feeds; each planted violation fails its check."""
    for name in ("M1", "M3", "M5", "D1", "D3", "D4", "D8"):
        outcome = findings(name, planted(mutant)).outcome
        if EXPECTED.get(mutant) == name:
            assert outcome is Outcome.FAIL
        elif mutant == "none":
            assert outcome is Outcome.PASS


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(MUTANTS), st.data())
def test_removing_observations_never_makes_a_pass(mutant: str, data: st.DataObject) -> None:
    """What failed or was open is never passed because looks are gone: their plan stays, and says so."""
    record = planted(mutant)
    looks = [at for at, event in enumerate(record.events) if event.type == "obs" and event.f in LOOKS]
    gone = set(data.draw(st.lists(st.sampled_from(looks), max_size=len(looks), unique=True)))
    fewer = [event for at, event in enumerate(record.events) if at not in gone]
    before, after = record.history(), build(fewer)
    for name in ("M3", "D1", "D3", "D4", "D8"):
        if registry()[name].run(before, BOUNDS).outcome is not Outcome.PASS:
            assert registry()[name].run(after, BOUNDS).outcome is not Outcome.PASS, name


@pytest.mark.parametrize("name", ["M3", "D1", "D3", "D4"])
def test_without_any_observation_nothing_passes(name: str) -> None:
    """Starved of all looks, a check is inconclusive."""
    record = planted("none")
    record.events = [event for event in record.events if not (event.type == "obs" and event.f in LOOKS)]
    assert findings(name, record).outcome is Outcome.INCONCLUSIVE


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(MUTANTS), st.integers(0, 5))
def test_irrelevant_sessions_change_nothing(mutant: str, strangers: int) -> None:
    """Well-behaved users of other rooms and documents do not change what a check finds."""
    record, crowded = planted(mutant), planted(mutant)
    for stranger in range(strangers):
        crowded.stay(5, 15, user=f"x{stranger}", key=f"elsewhere-{stranger}")
    for name, check in registry().items():
        alone, among = (check.run(one.history(), BOUNDS) for one in (record, crowded))
        assert among.violations == alone.violations, name
        assert (among.outcome is Outcome.FAIL) == (alone.outcome is Outcome.FAIL)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.sampled_from(MUTANTS))
def test_the_order_of_the_files_does_not_matter(seed: int, mutant: str) -> None:
    """Events in any order give the same verdict, to the last word."""
    record = planted(mutant).fault(10, 20, regions=["cn-north"])
    shuffled = list(record.events)
    random.Random(seed).shuffle(shuffled)
    rules = checks()
    assert judge(build(shuffled), rules) == judge(build(record.events), rules)


GARBAGE = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_no_record_makes_the_judge_raise(data: st.DataObject) -> None:
    """Values of any shape at any place give a verdict, never an exception."""
    events: list[Event] = list(planted("none").fault(10, 20, regions=["cn-east"]).events)
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
