"""How soon the stack's own alerts warned, and that nothing passes on what nobody saw."""

from __future__ import annotations

import pytest
from histories import Record, rule
from hypothesis import given, settings
from hypothesis import strategies as st
from whole_runs import checks

from chaos.model.experiment import Threshold
from chaos.model.stack import Alerts
from chaos.model.verdict import CheckResult, Kind, Outcome
from chaos.verdict.flows import measure
from chaos.verdict.history import History
from chaos.verdict.judge import judge
from chaos.verdict.rules import checks_from_plan
from chaos.verdict.warning import warning

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
Span = tuple[float, float]
Fires = dict[str, list[Span]]
"""Alerts and when each fires, from and to."""
FAULT_S = 9.99
"""The intent of a fault that is on at 10 s."""


def looks(record: Record, fires: Fires, *, silent: Span = (0, 0), until: float = 58) -> Record:
    """A look each second and one as the fault begins; none is answered while Prometheus is silent."""
    for number, t in enumerate(sorted([*(0.5 + second for second in range(int(until))), 10.001]), 1):
        record.add(t, "invoke", "alerts", worker="conductor", op=number)
        if silent[0] <= t < silent[1]:
            record.add(t + 0.01, "gap", "alerts", worker="conductor", op=number, error="it cannot be reached")
            continue
        now = [name for name, spans in fires.items() if any(since <= t < to for since, to in spans)]
        value = [{"name": name, "labels": {"node": "a"}, "state": "firing", "active_at": ""} for name in sorted(now)]
        record.add(t + 0.01, "obs", "alerts", worker="conductor", op=number, value=value)
    return record


def joins(record: Record, bad: Span = (13, 25)) -> Record:
    """Five joins a second; those intended in a span time out."""
    for number in range(5 * 45):
        t = 2 + number / 5
        hurt = bad[0] <= t < bad[1]
        done = (t + 5, "info") if hurt else (t + 0.1, "ok")
        record.do("join", t, *done, user=f"u{number}", intended=t, error="timeout" if hurt else "")
    return record


def asked(*texts: str) -> tuple[Threshold, ...]:
    return tuple(rule(text, "run") for text in texts)


def judged(history: History, *texts: str) -> CheckResult | None:
    known = checks(thresholds=asked(*texts), alerts=Alerts(prometheus="http://127.0.0.1:9090"))
    found = warning(history, known, measure(history, known.bounds))
    return found[0] if found else None


def told(fires: Fires, *texts: str, bad: Span = (13, 25), **parts: object) -> CheckResult:
    record = looks(joins(Record().fault(10, 20), bad), fires, **parts)  # type: ignore[arg-type]
    found = judged(record.history(), *texts)
    assert found is not None
    return found


def test_an_alert_in_time_is_timed_from_the_fault_beside_the_users() -> None:
    """The line says how soon the first alert came, and how soon users were hurt."""
    found = told({"Late": [(40, 60)], "HighJoinErrors": [(22, 45)]}, "warning < 15s")
    assert (found.outcome, found.kind, found.phase) == (PASS, Kind.RECOVERY, "run")
    assert found.measured == "alert HighJoinErrors 12.5 s after the fault; users were hurt after 3 s"
    assert found.figures == {"hurt_s": 3, "warning_s": 12.52, "alert": "HighJoinErrors", "labels": {"node": "a"}}


@pytest.mark.parametrize(
    ("fires", "measured"),
    [
        ({}, "no alert in 48 s; users were hurt after 3 s"),
        ({"Late": [(40, 60)]}, "alert Late 30.5 s after the fault; users were hurt after 3 s"),
        ({"Old": [(0, 60)]}, "no alert in 48 s; users were hurt after 3 s"),
        ({"Old": [(5, 60)]}, "no alert in 48 s; users were hurt after 3 s"),
    ],
)
def test_no_alert_in_time_though_users_were_hurt_fails(fires: Fires, measured: str) -> None:
    """None at all, one that is late, and one that fired already before the fault: fail."""
    found = told(fires, "warning < 15s")
    assert (found.outcome, found.measured) == (FAIL, measured)
    assert found.reasons == (("fired before the fault already: Old",) if "Old" in fires else ())


def test_an_alert_that_fired_before_and_fires_again_does_not_count() -> None:
    """What flaps by itself warns of nothing, and a Prometheus that starts again fires again what fired."""
    assert told({"Old": [(0, 12), (14, 60)]}, "warning < 15s").outcome is FAIL


def test_where_the_last_look_before_the_fault_is_gone_nobody_knows_what_fired_already() -> None:
    """The one before it is no stand-in: an alert that began in between would seem new."""
    record = looks(joins(Record().fault(10, 20)), {"Old": [(9, 12), (14, 60)]})
    last = max(event.op for event in record.events if event.f == "alerts" and event.t_ns < 1_009_900_000_000)
    record.events = [event for event in record.events if event.f != "alerts" or event.op != last]
    found = judged(record.history(), "warning < 15s")
    assert found is not None
    assert found.outcome is INCONCLUSIVE
    assert "missing in the record" in found.reasons[0]


def test_an_alert_that_may_have_begun_before_the_fault_leaves_it_open() -> None:
    """Between the last look before the fault and the first one in it, nobody knows what came first."""
    found = told({"Odd": [(9.9, 60)]}, "warning < 15s")
    assert (found.outcome, found.reasons) == (INCONCLUSIVE, ("Odd began to fire as the fault did, perhaps before it",))
    assert told({"Odd": [(9.9, 60)], "New": [(12, 60)]}, "warning < 15s").outcome is PASS


def test_an_alert_about_at_the_limit_leaves_it_open() -> None:
    """Seen a moment too late, and not firing at a look that was in time."""
    found = told({"Slow": [(25, 60)]}, "warning < 15.1s")
    assert (found.outcome, found.reasons) == (
        INCONCLUSIVE,
        ("Slow began to fire between 14.5 s and 15.5 s after the fault",),
    )


@pytest.mark.parametrize(
    ("silent", "reason"),
    [
        ((0, 60), "the stack's alerts could not be asked: it cannot be reached"),
        ((9, 10), "the stack's alerts could not be asked as the fault set in: it cannot be reached"),
        ((10, 60), "the stack's alerts could not be asked after the fault: it cannot be reached"),
        ((14, 20), "the stack's alerts were not seen from 3.5 to 10.5 s: it cannot be reached"),
        ((16, 60), "the stack's alerts were seen for 5.5 s after the fault only: it cannot be reached"),
    ],
)
def test_alerts_that_could_not_be_asked_leave_it_open(silent: Span, reason: str) -> None:
    """Whatever is not known of the time that the rule allows is said, and neither passes nor fails."""
    found = told({}, "warning < 15s", silent=silent)
    assert (found.outcome, found.reasons) == (INCONCLUSIVE, (reason,))


def test_silence_after_the_rules_time_or_after_the_alert_changes_nothing() -> None:
    """What is known by then is enough."""
    assert told({}, "warning < 15s", silent=(40, 60)).outcome is FAIL
    assert told({"New": [(12, 60)]}, "warning < 15s", silent=(14, 60)).outcome is PASS


def test_a_run_that_is_shorter_than_the_rule_leaves_it_open() -> None:
    """No alert in 48 s says nothing of the 60 s that the rule allows."""
    found = told({}, "warning < 60s")
    assert found.outcome is INCONCLUSIVE
    assert found.reasons == ("the stack's alerts were seen for 47.5 s after the fault only: the run ended",)


def test_an_alert_is_due_only_where_users_were_hurt() -> None:
    """Nobody hurt and no alert: open where a rule asks, no line where none does; an alert in time passes anyway."""
    record = looks(joins(Record().fault(10, 20), bad=(0, 0)), {})
    found = judged(record.history(), "warning < 15s")
    assert found is not None
    assert (found.outcome, found.reasons) == (INCONCLUSIVE, ("users were not hurt, so no alert was due",))
    assert judged(record.history()) is None
    assert told({"New": [(12, 60)]}, "warning < 15s", bad=(0, 0)).outcome is PASS


def test_without_a_rule_it_is_told_and_never_fails() -> None:
    """The time is shown; none at all, though users were hurt, is open and names the rule that would judge it."""
    assert told({"New": [(42, 60)]}).outcome is PASS
    found = told({})
    assert found.outcome is INCONCLUSIVE
    assert "`warning < 60 s`" in found.reasons[0]


def test_a_rule_without_anybody_to_ask_or_without_a_fault_is_open() -> None:
    """Nothing was asked, or there was nothing to warn of: inconclusive; without a rule, no line."""
    history = looks(joins(Record().fault(10, 20)), {"New": [(12, 60)]}).history()
    nobody = checks(thresholds=asked("warning < 15s"))
    assert [one.outcome for one in warning(history, nobody, measure(history, nobody.bounds))] == [INCONCLUSIVE]
    assert warning(history, checks(), measure(history, checks().bounds)) == []
    calm = looks(joins(Record()), {}).history()
    found = judged(calm, "warning < 15s")
    assert found is not None
    assert found.reasons == ("no fault was put in",)
    assert judged(calm) is None


@pytest.mark.parametrize("value", [None, "x", [1], [{"name": "New"}], [{"name": 1, "labels": {}}], {"name": "New"}])
def test_a_damaged_row_is_a_look_that_was_not_answered(value: object) -> None:
    """Rows that are none of ours are no answers, and raise nothing."""
    record = looks(joins(Record().fault(10, 20)), {"New": [(12, 60)]})
    record.events = [e._replace(value=value) if e.f == "alerts" and e.type == "obs" else e for e in record.events]
    found = judged(record.history(), "warning < 15s")
    assert found is not None
    assert found.outcome is INCONCLUSIVE


def test_it_stands_in_the_verdict_and_is_no_operation_in_flight() -> None:
    """The verdict has the line; in a run that cannot be believed a missed one is inconclusive; looks are nobody's."""
    history = looks(joins(Record().fault(10, 20)), {}).history()
    known = checks(thresholds=asked("warning < 15s"), alerts=Alerts(prometheus="http://127.0.0.1:9090"))
    line = next(one for one in judge(history, known).checks if one.id == "warning")
    assert (line.outcome, line.reasons[0]) == (INCONCLUSIVE, "missed, in a run that cannot be believed")
    alone = looks(Record().fault(10, 20), {}).history()
    flight = next(one for one in judge(alone, known).checks if one.id.startswith("sometimes.an-operation"))
    assert flight.outcome is INCONCLUSIVE


def test_a_plan_says_whom_a_run_asked() -> None:
    """What the stack file named is read from the plan; a plan from before alerts names nobody."""
    asked_of = {"prometheus": "http://127.0.0.1:9090"}
    found = checks_from_plan({"experiment": {}, "spec": {"stack": "s", "alerts": asked_of}})
    assert found.alerts == Alerts(**asked_of)
    assert checks_from_plan({"experiment": {}, "spec": {"stack": "s"}}).alerts is None


spans = st.tuples(st.floats(0, 58), st.floats(0, 58)).map(lambda span: (min(span), max(span)))
alerts = st.dictionaries(st.sampled_from("ABC"), st.lists(spans, max_size=3))


@settings(max_examples=150, deadline=None)
@given(alerts, spans, st.integers(2, 40), st.data())
def test_removing_what_was_seen_never_makes_a_pass(fires: Fires, silent: Span, limit: int, data: st.DataObject) -> None:
    """Any looks, or their answers, may be gone: what did not pass still does not, and what was open is never failed."""
    record = looks(joins(Record().fault(10, 20)), fires, silent=silent)
    before = judged(record.history(), f"warning < {limit}s")
    numbers = sorted({event.op for event in record.events if event.f == "alerts"})
    gone = data.draw(st.sets(st.sampled_from(numbers)))
    unanswered = data.draw(st.sets(st.sampled_from(numbers)))
    record.events = [
        event
        for event in record.events
        if event.f != "alerts" or not (event.op in gone or (event.op in unanswered and event.type != "invoke"))
    ]
    after = judged(record.history(), f"warning < {limit}s")
    assert before is not None
    assert after is not None
    if before.outcome is not PASS:
        assert after.outcome is not PASS
    if before.outcome is INCONCLUSIVE:
        assert after.outcome is INCONCLUSIVE


@settings(max_examples=60, deadline=None)
@given(alerts, st.integers(2, 40), st.data())
def test_removing_what_users_felt_never_makes_a_pass(fires: Fires, limit: int, data: st.DataObject) -> None:
    """Without the operations that show the hurt a missed warning is open, never passed."""
    record = looks(joins(Record().fault(10, 20)), fires)
    before = judged(record.history(), f"warning < {limit}s")
    share = data.draw(st.integers(1, 6))
    record.events = [event for event in record.events if event.f != "join" or event.op % share]
    after = judged(record.history(), f"warning < {limit}s")
    assert before is not None
    assert after is not None
    assert (after.outcome is PASS) == (before.outcome is PASS)


@settings(max_examples=60, deadline=None)
@given(st.floats(10.2, 55), st.integers(2, 45))
def test_a_sure_warning_is_judged_by_its_time(began: float, limit: int) -> None:
    """One alert, seen all the time: passed if it was seen in time, failed if it cannot have been, else open."""
    found = told({"New": [(began, 60)]}, f"warning < {limit}s")
    since = began - FAULT_S
    if found.outcome is PASS:
        assert since < limit
    elif found.outcome is FAIL:
        assert since >= limit - 0.02
    else:
        assert abs(since - limit) < 1.1


def test_users_who_are_hurt_in_the_first_second_are_hurt_at_once() -> None:
    """No number of seconds is said where it is none."""
    found = told({"New": [(12, 60)]}, "warning < 15s", bad=(9.99, 25))
    assert found.measured == "alert New 2.5 s after the fault; users were hurt at once"
