"""The checks on meetings: M1, M3, M5, M6. Each passes, fails with its witness, excuses, and starves."""

from __future__ import annotations

import pytest
from histories import Record, findings

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


# --- M1


def test_answered_joins_do_not_hang() -> None:
    """A join that is let in or refused within three deadlines is judged and fine."""
    record = Record().stay(3, 9).do("join", 4, 6, "fail", user="u2", error="refused: full", intended=4)
    found = findings("M1", record)
    assert (found.outcome, found.judged) == (PASS, 2)


@pytest.mark.parametrize(
    ("done", "outcome", "error"),
    [(40, "info", "timeout"), (40, "info", "load ended"), (38, "ok", ""), (None, "", "")],
)
def test_a_join_without_an_answer_for_three_deadlines_is_stuck(done: float | None, outcome: str, error: str) -> None:
    """Neither in nor refused after 15 s on a live socket fails, even if it gets in later."""
    record = (
        Record().stay(3, 9).do("join", 21, done, outcome, user="u2", error=error, intended=21).stay(44, 45, user="u3")
    )
    found = findings("M1", record)
    assert found.outcome is FAIL
    assert "u2" in found.violations[0].says


def test_giving_up_or_losing_the_socket_is_no_hanging() -> None:
    """Who gives up within three deadlines, was cut, or was told to try again, proves nothing about hanging."""
    record = Record().do("join", 21, 26, "info", user="u2", error="timeout", intended=21)
    record.do("join", 21, 40, "info", user="u3", error="lost", intended=21)
    record.do("join", 21, 40, user="u4", intended=21, answer={"attempts": 3})
    found = findings("M1", record)
    assert (found.outcome, found.unjudged) == (INCONCLUSIVE, 3)


def test_a_join_that_a_fault_reached_was_not_on_a_live_socket() -> None:
    """A fault on its region excuses a hanging join; one elsewhere does not."""
    hang = {"user": "u2", "error": "timeout", "intended": 12}
    assert findings("M1", Record().fault(regions=["cn-east"]).do("join", 12, 30, "info", **hang)).excused == 1
    assert findings("M1", Record().fault(regions=["cn-north"]).do("join", 12, 30, "info", **hang)).outcome is FAIL


def test_a_record_that_breaks_off_proves_no_hanging() -> None:
    """An open join counts only while its writer is known to have gone on recording."""
    assert findings("M1", Record().do("join", 21, None, intended=21)).outcome is INCONCLUSIVE


# --- M3


def test_who_left_is_gone_from_the_roster() -> None:
    """Looks after the bound that do not list the session pass."""
    found = findings("M3", Record().stay(3, 8).look(9, ["u1.1"]).look(11, []))
    assert (found.outcome, found.judged) == (PASS, 1)


def test_a_ghost_is_told_with_its_story() -> None:
    """A session listed after leave + bound fails; the witness names user, room, times and bound."""
    record = Record().stay(3, 8).look(11.25, ["u1.1"])
    found = findings("M3", record)
    assert found.outcome is FAIL
    told = witness(record.history(), found.violations[0])
    assert told.says == (
        "user u1 (session u1.1) left and was answered at 8.1 s; the roster of room-1 still lists the session "
        "3.2 s later (bound 2 s)"
    )
    assert 3 <= len(told.events) <= 12


def test_a_look_is_judged_by_when_it_was_asked_for() -> None:
    """A look asked for before the bound and answered after it proves nothing."""
    record = Record().stay(3, 8).do("roster", 9.9, 12, "obs", user="watcher", answer=["u1.1"])
    found = findings("M3", record)
    assert (found.outcome, found.unjudged) == (INCONCLUSIVE, 1)


@pytest.mark.parametrize("how", ["vanish", "dropped", "leave"])
def test_an_unclean_end_has_the_longer_bound(how: str) -> None:
    """Vanished, dropped or never answered: listed 4 s later is fine, 6 s later is a ghost."""

    def record(seen_at: float) -> Record:
        record = Record().do("join", 3, 3.1, intended=3)
        if how == "leave":
            record.do("leave", 25, 28, "info", error="timeout")
        else:
            record.fact(how, 28)
        return record.look(seen_at, ["u1.1"]).look(45, [])

    assert findings("M3", record(32)).outcome is PASS
    assert findings("M3", record(34)).outcome is FAIL


def test_a_resumed_session_is_no_ghost() -> None:
    """Between a drop and its resume the session may be listed, and after it it must be."""
    record = Record().do("join", 3, 3.1, intended=3).fact("dropped", 22).do("resume", 22.5, 23)
    record.look(29, ["u1.1"]).do("leave", 30, 30.1).look(40, [])
    assert findings("M3", record).outcome is PASS


def test_a_lost_resume_moves_the_end() -> None:
    """A resume that timed out may have been applied: the unclean bound runs from its end."""
    record = Record().do("join", 3, 3.1).fact("dropped", 22).do("resume", 22.5, 27.5, "info", error="timeout")
    assert findings("M3", Record.look(record, 31, ["u1.1"]).look(40, [])).outcome is PASS
    assert findings("M3", record.look(33, ["u1.1"])).outcome is FAIL


def test_a_user_who_comes_back_under_another_session_is_judged_by_the_old_one() -> None:
    """The new session is alive, the vanished one must go."""
    record = Record().do("join", 3, 3.1).fact("vanish", 22).do("rejoin", 24, 24.1, session="u1.2")
    assert findings("M3", Record.look(record, 30, ["u1.2"])).outcome is PASS
    assert findings("M3", record.look(31, ["u1.1", "u1.2"])).outcome is FAIL


def test_a_fault_excuses_whom_it_reaches() -> None:
    """A ghost during the fault counts only for sessions, rooms and observers that it did not reach."""
    ghost = Record().stay(3, 12).look(16, ["u1.1"])
    assert findings("M3", ghost.fault(regions=["cn-east"])).outcome is INCONCLUSIVE
    assert findings("M3", Record().stay(3, 12).look(16, ["u1.1"]).fault(nodes=["doc-e1"])).outcome is FAIL
    assert findings("M3", Record().stay(3, 12).look(16, ["u1.1"]).fault(keys=["room-1"])).excused == 1


def test_a_ghost_after_the_grace_is_a_ghost() -> None:
    """What a fault excused while it lasted counts again once the grace is over."""
    record = Record().fault(regions=["cn-east"]).stay(3, 26).look(30, ["u1.1"])
    assert findings("M3", record).outcome is FAIL


def test_a_missing_look_hides_nothing() -> None:
    """A look after the bound that did not come makes the check inconclusive, another that convicts does not wait."""
    assert findings("M3", Record().stay(3, 8).look(11, None).look(12, [])).outcome is INCONCLUSIVE
    assert findings("M3", Record().stay(3, 8).look(11, None).look(12, ["u1.1"])).outcome is FAIL


def test_a_look_that_the_load_never_finished_is_not_missed() -> None:
    """The end of the load cuts looks off; those say nothing."""
    record = Record().stay(3, 8).look(11, []).do("roster", 49, 50, "gap", user="watcher", error="load ended")
    assert findings("M3", record).outcome is PASS


# --- M5


def test_answered_leaves_work() -> None:
    """A leave answered in time is judged and fine."""
    assert findings("M5", Record().stay(3, 8)).outcome is PASS


@pytest.mark.parametrize(
    ("done", "outcome", "error"),
    [(11, "info", "timeout"), (9, "info", "refused: moving"), (13, "ok", ""), (None, "", "")],
)
def test_a_leave_that_hangs_is_stuck(done: float | None, outcome: str, error: str) -> None:
    """No answer within the bound, or a late one, fails."""
    record = Record().do("join", 3, 3.1).do("leave", 7.99, done, outcome, error=error).stay(30, 40, user="u2")
    found = findings("M5", record)
    assert found.outcome is FAIL
    assert "asked to leave room-1" in found.violations[0].says


def test_a_leave_under_a_fault_is_excused_where_it_reaches() -> None:
    """A stuck leave in the faulted region is excused, in the other it is not."""
    assert findings("M5", Record().fault(regions=["cn-east"]).do("leave", 12, 15, "info", error="timeout")).excused == 1
    other = Record().fault(regions=["cn-north"]).do("leave", 12, 15, "info", error="timeout")
    assert findings("M5", other).outcome is FAIL


def test_a_leave_that_lost_its_connection_tells_nothing() -> None:
    """Nobody was there to answer: unjudged, and inconclusive if it was the only one."""
    found = findings("M5", Record().do("leave", 25, 25.5, "info", error="lost"))
    assert (found.outcome, found.unjudged) == (INCONCLUSIVE, 1)


def test_a_broken_off_leave_is_inconclusive() -> None:
    """A record that ends inside a leave cannot say whether it worked."""
    assert findings("M5", Record().stay(3, 8).do("leave", 40, None, user="u2")).inconclusive == 1


def test_nothing_arrives_after_a_leave() -> None:
    """A message heard after the answer fails."""
    record = Record().stay(3, 8).fact("heard", 9, kind="obs", value={"from": "u2.1", "text": "x"})
    assert findings("M5", record).outcome is FAIL


def test_who_left_is_not_already_in() -> None:
    """A rejoin refused as "already in" after an answered leave fails; after a vanish M6 alone judges it."""
    refused = {"session": "u1.2", "error": "refused: already-in"}
    left = Record().stay(3, 8).do("rejoin", 9, 9.1, "fail", value={"pair": 1, "after": "leave"}, **refused)
    assert findings("M5", left).outcome is FAIL
    gone = Record().stay(3, 8, user="u2").fact("vanish", 8)
    gone.do("rejoin", 9, 9.1, "fail", value={"pair": 1, "after": "vanish"}, **refused)
    assert findings("M5", gone).outcome is PASS


# --- M6


def pair(record: Record, t: float, mine: str, twins: str | None, *, number: int = 1, error: str = "timeout") -> Record:
    """A rejoin and its twin at `t`, with their outcomes."""
    user, fresh = f"u{number}", f"f{number}"
    problem = "" if mine == "ok" else error
    value = {"pair": number, "after": "vanish"}
    record.do("rejoin", t, t + 4, mine, user=user, session=f"{user}.2", value=value, error=problem, intended=t)
    if twins is not None:
        problem = "" if twins == "ok" else "timeout"
        value = {"pair": number, "twin": True}
        record.do("join", t, t + 0.2, twins, user=fresh, value=value, error=problem, intended=t)
    return record


def test_everybody_gets_in_again() -> None:
    """A rejoin that succeeds is fine, with its twin or without."""
    assert findings("M6", pair(pair(Record(), 30, "ok", "ok"), 31, "ok", None, number=2)).judged == 2


def test_a_rejoin_that_fails_alone_is_a_violation() -> None:
    """Outside every fault one pair is enough; the witness names both users."""
    found = findings("M6", pair(Record().fault(regions=["cn-east"]), 30, "info", "ok"))
    assert found.outcome is FAIL
    assert "u1" in found.violations[0].says
    assert "f1" in found.violations[0].says


def test_both_failing_is_overload() -> None:
    """When the twin fails too, M6 has nothing to say."""
    found = findings("M6", pair(Record(), 30, "info", "fail"))
    assert (found.outcome, found.unjudged) == (INCONCLUSIVE, 1)


def test_already_in_is_never_excused() -> None:
    """A refusal that names the user's own presence fails under any fault, whatever the twin did."""
    record = Record().fault(everything=True)
    assert findings("M6", pair(record, 12, "fail", None, error="refused: already-in")).outcome is FAIL


def test_a_race_with_a_fault_fails_nobody() -> None:
    """Under a fault six pairs that fell apart one way are chance still, seven are not."""
    record = Record().fault(regions=["cn-east"])
    for number in range(6):
        pair(record, 11 + number, "info", "ok", number=number)
    found = findings("M6", record)
    assert found.outcome is PASS
    assert "6 rejoins failed" in found.reasons[0]
    assert findings("M6", pair(record, 18, "info", "ok", number=7)).outcome is FAIL


def test_pairs_that_fell_the_other_way_weigh_against() -> None:
    """Seven one way and three the other is what chance gives."""
    record = Record().fault(regions=["cn-east"])
    for number in range(10):
        mine, twins = ("info", "ok") if number < 7 else ("ok", "info")
        pair(record, 11 + number / 2, mine, twins, number=number)
    assert findings("M6", record).outcome is PASS


def test_a_twin_that_is_not_in_the_record_leaves_it_open() -> None:
    """Without the planned twin a failed rejoin cannot be told from overload."""
    assert findings("M6", pair(pair(Record(), 30, "ok", "ok"), 32, "info", None, number=2)).outcome is INCONCLUSIVE
