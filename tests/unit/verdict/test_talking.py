"""The checks that listen: M11 and M7. Each passes, fails with its witness, excuses, and starves."""

from __future__ import annotations

import pytest
from histories import Record, findings

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


# --- M11


def room(*texts: tuple[float, str], said: tuple[str, ...] = ("u1.1-1", "u1.1-2", "u1.1-3"), start: float = 5) -> Record:
    """u1 says three things, one a second; the watcher hears `texts` (time, text), and looks until 20 s after."""
    record = Record().stay(3, 45)
    for number, text in enumerate(said):
        record.say(start + number, text)
    record.listen(1, 49, *texts)
    for t in (2.0, start + 4, start + 20):
        record.look(t, ["watcher.1", "u1.1"] if t > 4 else ["watcher.1"])
    return record


HEARD = ((5.1, "u1.1-1"), (6.1, "u1.1-2"), (7.1, "u1.1-3"))


def test_what_is_said_is_heard_once_and_in_order() -> None:
    """Every acknowledged message, heard once by the listener, passes."""
    found = findings("M11", room(*HEARD))
    assert (found.outcome, found.judged) == (PASS, 3)


@pytest.mark.parametrize(
    ("heard", "kind"),
    [
        (HEARD[:1] + HEARD[2:], "lost"),
        ((*HEARD, (9.0, "u1.1-2")), "duplicated"),
        (((5.1, "u1.1-2"), (6.1, "u1.1-1"), (7.1, "u1.1-3")), "reordered"),
    ],
)
def test_lost_doubled_and_swapped_messages_are_told(heard: tuple[tuple[float, str], ...], kind: str) -> None:
    """Each of the three defects fails by itself, with a witness of at most twelve events."""
    record = room(*heard)
    found = findings("M11", record)
    assert (found.outcome, len(found.violations), found.figures[kind]) == (FAIL, 1, 1)
    told = witness(record.history(), found.violations[0])
    assert "u1" in told.says
    assert 3 <= len(told.events) <= 12


def test_what_nobody_acknowledged_may_arrive_or_not() -> None:
    """A message that timed out is not lost, but twice is twice."""
    record = Record().stay(3, 45).say(5, "u1.1-1", 10, "info", error="timeout").say(6, "u1.1-2")
    record.look(2, []).look(30, ["watcher.1", "u1.1"])
    assert findings("M11", record.listen(1, 49, (6.1, "u1.1-2"))).outcome is PASS
    twice = Record().stay(3, 45).say(5, "u1.1-1", 10, "info", error="timeout").look(30, [])
    assert findings("M11", twice.listen(1, 49, (6.1, "u1.1-1"), (6.2, "u1.1-1"))).outcome is FAIL


def test_who_came_later_or_was_not_proved_alive_need_not_hear() -> None:
    """Only what was said while the listener was certainly there counts."""
    record = Record().stay(3, 45).say(5, "u1.1-1").say(40, "u1.1-2").say(20, "u1.1-3")
    record.listen(10, 49, (20.1, "u1.1-3")).look(12, []).look(30, [])
    found = findings("M11", record)
    assert (found.outcome, found.judged) == (PASS, 1)


def test_participants_listen_too() -> None:
    """A participant whose ears were recorded is judged up to its last answer."""
    record = Record().stay(3, 45).say(5, "u1.1-1").stay(3, 10, user="u2").say(12, "u1.1-2")
    assert findings("M11", record.listen(3.1, 10, user="u2")).outcome is FAIL
    assert findings("M11", Record().stay(3, 45).stay(3, 10, user="u2").say(12, "u1.1-2")).outcome is INCONCLUSIVE


def test_messages_under_a_fault_are_excused_where_it_reaches() -> None:
    """A loss is excused when a fault reaches its sender or its listener, and no other."""
    assert findings("M11", room(start=12).fault(regions=["cn-east"])).excused == 3
    assert findings("M11", room(start=12).fault(regions=["cn-north"])).excused == 3
    assert findings("M11", room(start=12).fault(nodes=["doc-e1"])).outcome is FAIL
    assert findings("M11", room(start=30).fault(regions=["cn-east"])).outcome is FAIL


def test_a_listener_whose_record_is_not_whole_says_nothing() -> None:
    """A number that is missing, or a count that does not fit, makes it inconclusive; never a pass."""
    record = room(*HEARD)
    assert record.events
    gone = [event for event in record.events if not (event.f == "heard" and event.value["i"] == 2)]
    record.events = gone
    assert findings("M11", record).outcome is INCONCLUSIVE
    record = room(*HEARD)
    record.events = [event for event in record.events if event.f != "heard_total"]
    assert findings("M11", record).outcome is INCONCLUSIVE


def test_a_listener_whose_last_looks_did_not_come_hides_nothing() -> None:
    """Where the looks that would prove it alive are gaps, what it did not hear is inconclusive."""
    record = Record().stay(3, 45).say(5, "u1.1-1").say(20, "u1.1-2").listen(1, 49, (5.1, "u1.1-1"))
    record.look(2, []).look(10, []).look(30, None)
    assert findings("M11", record).outcome is INCONCLUSIVE


# --- M7


def resumed(
    *heard: tuple[float, str], during: tuple[str, ...] = ("u1.1", "u2.1"), own: tuple[str, ...] = ("u1.1", "u2.1")
) -> Record:
    """u1 is cut off at 30 s and back at 30.5 s; u2 speaks meanwhile; an observer looks, and u1 does at 33 s."""
    record = Record().do("join", 26, 26.1).stay(26, 48, user="u2").say(30.2, "u2.1-1")
    record.listen(26.1, 40, *(heard or ((30.6, "u2.1-1"),)), user="u1", region="cn-east")
    record.look(28, ["u1.1", "u2.1"]).look(30.25, list(during)).look(32, ["u1.1", "u2.1"])
    record.cut(30, 30.5).look(33, list(own), f="own_roster", user="u1", region="cn-east")
    return record.do("leave", 40, 40.1)


def test_a_short_cut_that_nobody_notices_passes() -> None:
    """Listed all the time, a true roster afterwards, and nothing missed."""
    found = findings("M7", resumed())
    assert (found.outcome, found.judged) == (PASS, 1)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (resumed(during=("u2.1",)), "flaps"),
        (resumed(own=("u1.1",)), "stale"),
        (resumed(own=("u1.1", "u2.1", "u3.1")).stay(26, 27, user="u3"), "stale"),
        (resumed((29.0, "u2.1-0")), "missed"),
    ],
)
def test_what_the_cut_leaves_behind_is_told(record: Record, kind: str) -> None:
    """A flap, a stale roster (somebody absent, or a ghost) and a missed message fail, each with its witness."""
    found = findings("M7", record)
    assert (found.outcome, found.figures[kind]) == (FAIL, 1)
    told = witness(record.history(), found.violations[0])
    assert "u1" in told.says
    assert 4 <= len(told.events) <= 12


def test_a_refused_resume_within_the_window_fails() -> None:
    """Refused after half a second fails; after more than the window it is nobody's fault."""
    refused = {"outcome": "fail", "error": "refused: expired"}
    assert findings("M7", Record().do("join", 26, 26.1).cut(30, 30.5, **refused)).outcome is FAIL
    assert findings("M7", Record().do("join", 26, 26.1).cut(30, 34, **refused)).unjudged == 1


def test_a_resume_under_a_fault_is_excused_where_it_reaches() -> None:
    """A flap in the faulted region is excused, in another it is not."""
    flap = resumed(during=("u2.1",))
    assert findings("M7", flap.fault(28, 32, regions=["cn-east"])).excused == 1
    assert findings("M7", resumed(during=("u2.1",)).fault(28, 32, nodes=["doc-e1"])).outcome is FAIL


@pytest.mark.parametrize(("f", "at"), [("roster", 30.25), ("own_roster", 33), ("heard", 30.6)])
def test_a_resume_without_its_observations_is_open(f: str, at: float) -> None:
    """Without the look in the cut, the session's own, or a message that it heard, nothing is passed."""
    record = resumed()
    seconds = [(event, (event.t_ns - 1000 * 10**9) / 1e9) for event in record.events]
    record.events = [e for e, t in seconds if not (e.type == "obs" and e.f == f and abs(t - at) < 0.1)]
    assert findings("M7", record).outcome is INCONCLUSIVE
