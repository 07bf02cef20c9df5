"""The checks that look at rosters: M2, M4, M8, M10. Each passes, fails with its witness, excuses, and starves."""

from __future__ import annotations

import pytest
from histories import Record, findings

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
BOTH = ["watcher.1", "other.1"]


# --- M2


def test_who_is_in_is_listed() -> None:
    """A session that every look between join + bound and leave lists passes."""
    found = findings("M2", Record().stay(3, 8).look(3.5, []).look(5, ["u1.1"]).look(7, ["u1.1"]).look(9, []))
    assert (found.outcome, found.judged) == (PASS, 1)


def test_who_is_in_and_not_listed_is_missing() -> None:
    """One look without the session fails, and says who, where and when."""
    record = Record().stay(3, 8).look(5, ["u1.1"]).look(7, ["u2.1"])
    found = findings("M2", record)
    assert found.outcome is FAIL
    told = witness(record.history(), found.violations[0])
    assert told.says == (
        "user u1 (session u1.1) was in room-1 from 3.0 s; the roster of 7.0 s does not list the session (bound 1 s)"
    )
    assert 3 <= len(told.events) <= 12


def test_a_socket_that_nobody_answered_proves_nothing() -> None:
    """A session that vanished without a later answer may have been gone before; an acknowledged message proves it."""
    record = Record().do("join", 3, 3.1, intended=3).fact("vanish", 9).look(6, [])
    assert findings("M2", record).unjudged == 1
    assert findings("M2", record.say(7, "u1.1-1")).outcome is FAIL


def test_a_cut_ends_the_proof() -> None:
    """While a session is cut off M2 has nothing to say of it; M7 has."""
    record = Record().do("join", 3, 3.1).say(4.9, "u1.1-1").cut(5, 5.5).look(4.5, ["u1.1"]).look(5.2, [])
    assert findings("M2", record.do("leave", 9, 9.1)).outcome is PASS


def test_presence_is_excused_by_the_fault_that_reaches_it() -> None:
    """A look without the session under a fault that reaches it, or the observer, does not count; later it does."""
    record = Record().stay(3, 40)
    assert findings("M2", record.fault(regions=["cn-east"]).look(12, [])).excused == 1
    assert findings("M2", record.look(30, [])).outcome is FAIL
    assert findings("M2", Record().stay(3, 40).fault(regions=["cn-north"]).look(12, [])).excused == 1
    assert findings("M2", Record().stay(3, 40).fault(nodes=["doc-e1"]).look(12, [])).outcome is FAIL


def test_a_missing_look_leaves_presence_open() -> None:
    """A planned look that did not come is inconclusive; one that convicts does not wait for it."""
    assert findings("M2", Record().stay(3, 8).look(5, ["u1.1"]).look(6, None)).outcome is INCONCLUSIVE
    assert findings("M2", Record().stay(3, 8).look(5, []).look(6, None)).outcome is FAIL


# --- M4


def observed(one: list[str], two: list[str], *, at: float = 6, **parts: str) -> Record:
    """Two observers who came at 1 s, see the whole room until then, and at `at` what is given."""
    record = Record().stay(2, 12, user="u1").stay(2, 12, user="u2")
    whole = [*BOTH, "u1.1", "u2.1"]
    for user, seen, region in (("watcher", one, "cn-north"), ("other", two, "cn-east")):
        record.listen(1, 20, user=user, region=region)
        for t in (4.0, at, at + 6):
            record.look(t, seen if t == at else whole, user=user, region=region, **parts)
    return record


def test_observers_who_see_each_other_are_in_one_room() -> None:
    """Rosters that list the other observer are one component, and so are two that share somebody who is there."""
    whole = [*BOTH, "u1.1", "u2.1"]
    assert findings("M4", observed(whole, whole)).outcome is PASS
    assert findings("M4", observed(["watcher.1", "u1.1"], ["other.1", "u1.1"])).outcome is PASS
    assert findings("M4", observed(["watcher.1", "other.1"], ["other.1"])).outcome is PASS


def test_a_room_that_falls_apart_is_told() -> None:
    """Two rosters without anything in common are two rooms, and a ghost in both does not join them."""
    record = observed(["watcher.1", "u1.1"], ["other.1", "u2.1"])
    found = findings("M4", record)
    assert (found.outcome, len(found.violations)) == (FAIL, 1)
    told = witness(record.history(), found.violations[0])
    assert "neither sees the other" in told.says
    assert len(told.events) <= 12
    assert findings("M4", observed(["watcher.1", "ghost.1"], ["other.1", "ghost.1"])).outcome is FAIL


def test_a_room_apart_under_a_fault_is_excused_where_it_reaches() -> None:
    """A split while a fault reaches one of the observers is excused; another region's fault excuses nothing."""
    apart = {"one": ["watcher.1"], "two": ["other.1"], "at": 12.0}
    assert findings("M4", observed(**apart).fault(regions=["cn-east"])).outcome is not FAIL  # type: ignore[arg-type]
    assert findings("M4", observed(**apart).fault(nodes=["doc-e1"])).outcome is FAIL  # type: ignore[arg-type]


def test_one_observer_alone_cannot_tell() -> None:
    """Without a second side nothing is judged; a look that did not come leaves it open."""
    alone = Record().listen(1, 20).look(4, ["watcher.1"]).look(5, ["watcher.1"])
    assert findings("M4", alone).outcome is INCONCLUSIVE
    whole = [*BOTH, "u1.1", "u2.1"]
    assert findings("M4", observed(whole, whole).look(7, None, user="other")).outcome is INCONCLUSIVE


# --- M8


def again(*seen: list[str], since: float = 6) -> Record:
    """A user who vanished at 5 s and came in again, and what the looks from then on list."""
    record = Record().do("join", 3, 3.1).fact("vanish", 5)
    record.do("rejoin", since, since + 0.1, session="u1.2", value={"pair": 1, "after": "vanish"})
    for number, listed in enumerate(seen):
        record.look(since + 1.5 + number, listed)
    return record.do("leave", 30, 30.1, session="u1.2")


def test_a_user_is_there_once() -> None:
    """A look that lists only the new session passes; so does one within the bound that lists both."""
    assert findings("M8", again(["u1.2"])).judged == 1
    assert findings("M8", again(["u1.2"]).look(6.5, ["u1.1", "u1.2"])).outcome is PASS


def test_a_user_who_is_there_twice_is_told() -> None:
    """Old and new session in one look after the bound fail, with the story of both."""
    record = again(["u1.2"], ["u1.1", "u1.2"])
    found = findings("M8", record)
    assert found.outcome is FAIL
    assert "lists both u1.1 and u1.2" in found.violations[0].says
    assert len(witness(record.history(), found.violations[0]).events) <= 12


def test_two_presences_under_a_fault_are_excused() -> None:
    """A fault that reaches the user from the end of the old session on excuses."""
    twice = again(["u1.1", "u1.2"], since=12)
    assert findings("M8", twice.fault(regions=["cn-east"])).excused == 1
    assert findings("M8", again(["u1.1", "u1.2"], since=12).fault(keys=["doc-1"])).outcome is FAIL


def test_without_looks_nothing_is_said_of_two_presences() -> None:
    """No look at all, or one that did not come, is inconclusive."""
    assert findings("M8", again()).outcome is INCONCLUSIVE
    assert findings("M8", again(["u1.2"]).look(9, None)).outcome is INCONCLUSIVE


# --- M10


@pytest.mark.parametrize("end", ["leave", "vanish", "cut"])
def test_who_goes_by_himself_was_not_removed(end: str) -> None:
    """A stay that its own user ends is fine."""
    record = Record().do("join", 3, 3.1)
    assert findings("M10", record.do("leave", 8, 8.1) if end == "leave" else record.fact(end, 8)).judged == 1


def test_who_is_dropped_without_cause_was_removed() -> None:
    """A connection that the other side ends fails, with the reason that it gave."""
    record = Record().do("join", 3, 3.1).fact("dropped", 8, error="closed 4000 the room has ended")
    found = findings("M10", record)
    assert found.outcome is FAIL
    assert "the room has ended" in found.violations[0].says
    assert len(witness(record.history(), found.violations[0]).events) <= 12


def test_a_drop_with_a_cause_is_none() -> None:
    """A fault that reaches it, the same user's newer session, or a leave under way explains a drop."""
    dropped = Record().do("join", 3, 3.1).fact("dropped", 12)
    assert findings("M10", dropped.fault(regions=["cn-east"])).excused == 1
    other = Record().do("join", 3, 3.1).fact("dropped", 12)
    assert findings("M10", other.fault(regions=["cn-north"])).outcome is FAIL
    replaced = Record().do("join", 3, 3.1).do("rejoin", 5, 5.1, session="u1.2").fact("dropped", 5.2)
    assert findings("M10", replaced.do("leave", 9, 9.1, session="u1.2")).outcome is PASS
    leaving = Record().do("join", 3, 3.1).do("leave", 8, 8.5, "info", error="lost").fact("dropped", 8.5)
    assert findings("M10", leaving).outcome is PASS


def test_who_is_still_there_says_nothing() -> None:
    """A connection without an end in the record is unjudged, and alone it makes no pass."""
    assert findings("M10", Record().do("join", 3, 3.1)).outcome is INCONCLUSIVE
