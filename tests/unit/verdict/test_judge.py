"""From whole runs to verdicts: the merge, validity, and that nothing in a record makes it raise."""

from __future__ import annotations

import pytest
from histories import Record, rule
from whole_runs import LOAD, RULES, checks, clean

from chaos.errors import ExitCode
from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict
from chaos.verdict import checks as checks_room
from chaos.verdict.checks import registry
from chaos.verdict.findings import Check, CheckFindings
from chaos.verdict.history import build
from chaos.verdict.judge import judge
from chaos.verdict.rules import Checks

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def verdict(record: Record, **changes: object) -> Verdict:
    return judge(record.history(), checks(**changes))


def one(found: Verdict, name: str, phase: str = "") -> CheckResult:
    return next(check for check in found.checks if check.id == name and phase in {"", check.phase})


def bad(found: Verdict) -> dict[str, tuple[str, tuple[str, ...]]]:
    return {c.id: (c.outcome.value, c.reasons) for c in found.checks if c.outcome is not PASS}


def test_a_clean_run_passes() -> None:
    """Every line passes, the exit code is 0, and each rule stands at its line of the experiment."""
    found = verdict(clean())
    assert bad(found) == {}
    assert (found.outcome, found.exit_code) == (PASS, ExitCode.PASS)
    assert {c.place.line for c in found.checks if c.place} == {3, 4, 5, 6, 7, 8}
    assert found.says == f"{sum(c.kind is not Kind.VALIDITY for c in found.checks)} passed"


def test_safety_is_judged_without_a_threshold() -> None:
    """A rule only gives a check its line: all that the load feeds are judged anyway, but those without their fault."""
    ids = {c.id for c in verdict(clean(), thresholds=()).checks if c.kind is Kind.SAFETY}
    fed = {name for name, check in registry().items() if check.kind is Kind.SAFETY and check.wanted(LOAD)}
    assert ids == {name for name in fed if not registry()[name].faults} - {"M9"}, "M9: where there are limits"
    assert ids >= {"M1", "M2", "M3", "M4", "M5", "M6", "M8", "M10", "M11"}
    assert ids >= {"D1", "D3", "D4", "D5", "D6", "D7", "D8", "D9", "D10", "D11", "D12"}


def test_a_load_without_a_flow_leaves_its_checks_out() -> None:
    """No editors, no checks on documents; a rule that names one is inconclusive, never a pass."""
    load = checks().load.model_copy(update={"editors": 0})  # type: ignore[union-attr]
    record = Record()
    ids = {c.id for c in verdict(record, load=load, thresholds=()).checks}
    assert not {"D1", "D3", "D4", "D8"} & ids
    assert one(verdict(record, load=load), "D1").outcome is INCONCLUSIVE


def test_a_missed_objective_fails() -> None:
    """Half of the joins time out during the fault: the line fails, with n and interval, and recovery is seen."""
    found = verdict(clean(bad_joins=(10, 15)))
    line = one(found, "join.success", "fault")
    assert (found.outcome, found.exit_code, line.outcome) == (FAIL, ExitCode.FAIL, FAIL)
    assert line.measured == "50.0 %  [38.6, 61.3]  25 of 50"
    assert one(found, "recovery").measured == "0.0 s"


def test_a_lost_edit_fails_even_an_invalid_run() -> None:
    """A confirmed safety violation outranks validity."""
    record = clean(faults=False).edit(30, "lost").fault(10, 20, bit=False, regions=["cn-east"])
    found = verdict(record)
    assert one(found, "fault.congestion-10").outcome is INCONCLUSIVE
    assert one(found, "D1").outcome is FAIL
    assert found.exit_code is ExitCode.FAIL
    assert one(found, "D1").measured.startswith("1 of ")
    assert len(one(found, "D1").witnesses[0].events) <= 12


def test_a_missed_objective_in_an_invalid_run_is_inconclusive() -> None:
    """Where the fault did not bite, a missed SLO proves nothing."""
    record = clean(faults=False, bad_joins=(10, 15)).fault(10, 20, bit=False, regions=["cn-east"])
    found = verdict(record)
    assert (found.outcome, found.exit_code) == (INCONCLUSIVE, ExitCode.INCONCLUSIVE)
    assert "cannot be believed" in one(found, "join.success", "fault").reasons[0]


def test_a_missed_baseline_is_inconclusive() -> None:
    """A stack that does not hold before the fault gives no verdict."""
    found = verdict(clean(bad_joins=(2, 6)))
    assert one(found, "baseline").outcome is INCONCLUSIVE
    assert one(found, "join.success", "baseline").outcome is INCONCLUSIVE
    assert found.outcome is INCONCLUSIVE


def test_a_tolerated_count_passes() -> None:
    """A rule may tolerate some violations; the line says so."""
    record = clean().edit(30, "lost")
    found = verdict(record, thresholds=(rule("edits.lost <= 1", "run"),))
    assert one(found, "D1").outcome is PASS
    assert "tolerates" in one(found, "D1").reasons[0]


def test_an_unknown_metric_is_inconclusive() -> None:
    """A rule that nobody can judge never passes."""
    assert one(verdict(clean(), thresholds=(rule("joy > 3", "run"),)), "joy").outcome is INCONCLUSIVE


def test_convergence_is_compared_with_its_rule() -> None:
    """The slowest document's time to agree meets its bound, or fails it, or was not seen."""
    met = one(verdict(clean(), thresholds=(rule("convergence < 5s", "run"),)), "convergence")
    assert (met.outcome, met.measured) == (PASS, "0.3 s, 1 documents")
    assert one(verdict(clean(), thresholds=(rule("convergence < 100ms", "run"),)), "convergence").outcome is FAIL
    assert one(verdict(Record(), thresholds=(rule("convergence < 5s", "run"),)), "convergence").outcome is INCONCLUSIVE


def test_a_checker_that_raises_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug in a check is never a pass and never a traceback: the reason stands in its line."""

    def explode(history: object, bounds: object) -> CheckFindings:
        raise ZeroDivisionError("oops")

    broken = Check("D1", "breaks", "edits.lost", explode, bool)
    known = checks_room.registry()
    monkeypatch.setattr("chaos.verdict.judge.registry", lambda: known | {"D1": broken})
    line = one(verdict(clean()), "D1")
    assert line.outcome is INCONCLUSIVE
    assert line.reasons == ("the check itself failed: ZeroDivisionError: oops",)
    assert line.place is not None


@pytest.mark.parametrize("place", ["validity", "recovery", "slo.judge_threshold"])
def test_a_part_that_raises_is_inconclusive(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same holds for validity, recovery and objectives."""

    def explode(*args: object) -> None:
        raise KeyError("oops")

    monkeypatch.setattr(f"chaos.verdict.judge.{place}", explode)
    assert verdict(clean()).outcome is INCONCLUSIVE


def test_an_empty_record_is_inconclusive() -> None:
    """Nothing recorded: inconclusive, with every rule in its place, and no exception."""
    for rules in (checks(), Checks()):
        found = judge(build([]), rules)
        assert found.exit_code is ExitCode.INCONCLUSIVE
        assert all(c.outcome is INCONCLUSIVE for c in found.checks if c.kind is not Kind.VALIDITY)


def test_validity_alone_is_no_pass() -> None:
    """A run in which nothing was asked passes nothing."""
    from chaos.verdict.judge import verdict_of

    assert verdict_of(()).says == "nothing was judged"
    valid = tuple(c for c in verdict(clean()).checks if c.kind is Kind.VALIDITY)
    assert verdict_of(valid).outcome is INCONCLUSIVE


def test_a_damaged_record_is_inconclusive() -> None:
    """A file that is not whole spoils the run's validity."""
    events = list(clean().events)
    assert one(judge(build(events, ["load.msgpack is damaged"]), checks()), "record").outcome is INCONCLUSIVE


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda e: e.f != "off-proof", "fault.congestion-10"),
        (lambda e: e.f != "bite", "fault.congestion-10"),
        (lambda e: e.f != "off", "fault.congestion-10"),
        (lambda e: e.f != "on", "fault.congestion-10"),
        (lambda e: e.type != "fault", "faults"),
        (lambda e: e.f != "null", "null-target"),
        (lambda e: e.f != "arrivals", "arrivals"),
        (lambda e: e.f != "join" or e.seq % 3, "arrivals"),
        (lambda e: e.f != "rejoin", "sometimes.a-rejoin-and-its-twin"),
        (lambda e: e.f != "offline_edit", "sometimes.an-edit-made-offline"),
        (lambda e: e.f != "join", "samples"),
        (lambda e: e.f not in {"join", "edit"}, "generator"),
    ],
)
def test_what_is_missing_makes_the_run_inconclusive(spoil: object, line: str) -> None:
    """Each proof and condition of validity is missed when its events are not there."""
    record = clean()
    record.events = [event for event in record.events if spoil(event)]  # type: ignore[operator]
    found = verdict(record)
    assert one(found, line).outcome is INCONCLUSIVE
    assert found.outcome is not PASS


def test_a_fault_that_is_not_gone_is_said() -> None:
    """An off-proof that found something left spoils validity."""
    found = verdict(clean(faults=False).fault(10, 20, clean=False, regions=["cn-east"]))
    assert "not gone" in one(found, "fault.congestion-10").reasons[0]


def test_a_late_generator_and_a_slow_machine_are_said() -> None:
    """Joins that began long after their time, or a null target that took long, spoil validity."""
    record = clean()
    for i in range(10):
        record.do("join", 30 + i / 10, 31 + i / 10, user=f"late{i}", intended=29 + i / 10)
        record.fact("null", 30, kind="ok", intended_ns=1000 * 10**9 + 29 * 10**9)
    found = verdict(record)
    assert "too slow" in one(found, "generator").reasons[0]
    assert "the machine" in one(found, "null-target").reasons[0]


def test_a_killed_server_must_have_cut_somebody_off() -> None:
    """With server_loss, a user who was dropped and came back is on the list of what must have happened."""
    name = "sometimes.a-user-was-cut-off-and-came-back"
    record = clean(faults=False).fault(10, 20, fault="server_loss", nodes=["meet-e1"], keys=["room-1"])
    assert one(verdict(record), name).outcome is INCONCLUSIVE
    record.fact("dropped", 10.1, user="p60").do("resume", 10.5, 10.6, user="p60")
    assert one(verdict(record), name).outcome is PASS


def test_a_fresh_reader_is_no_operation_under_way() -> None:
    """A fault must have hit somebody who wanted something; our own readers are always there."""
    name = "sometimes.an-operation-under-way-as-congestion-hit"
    record = Record().fault(10, 20, regions=["cn-east"])
    record.do("reread", 9.9, 10.5, "obs", key="doc-1").do("crash_read", 9.9, 10.5, "obs", key="doc-1")
    assert one(verdict(record), name).outcome is INCONCLUSIVE
    record.edit(9.9, "t1", 10.5)
    assert one(verdict(record), name).outcome is PASS


def test_arrivals_planned_beyond_the_load_are_not_missed() -> None:
    """Where the plan reaches further than the load did, only the part that fits is due."""
    record = clean()
    arrivals = record.events[-1]
    value = {"planned": 2 * arrivals.value["planned"], "start_ns": 1000 * 10**9, "until_ns": 1100 * 10**9}
    record.events[-1] = arrivals._replace(value=value)
    assert one(verdict(record), "arrivals").outcome is PASS


def test_the_same_rules_stand_twice_if_they_are_named_twice() -> None:
    """Two rules on one count give two lines with their own places."""
    rules = (rule("ghosts == 0", "fault", 11), rule("ghosts == 0", "recovery", 12))
    lines = [c for c in verdict(clean(), thresholds=rules).checks if c.id == "M3"]
    assert [c.place.line for c in lines if c.place] == [11, 12]


def test_an_assurance_of_proof_takes_more() -> None:
    """50 clean joins are measured, and not proven; the reason says how many would prove it."""
    line = one(verdict(clean(), assurance="proven", thresholds=RULES[1:2]), "join.success")
    assert line.outcome is INCONCLUSIVE
    assert "268" in line.reasons[0]


def test_what_came_late_on_a_late_machine_is_no_failure() -> None:
    """A leave that was not answered in time fails a run; where its client's worker was late it proves nothing."""
    quick, late = clean(), clean().pulse(42, 43, late=2)
    for record in (quick, late):
        record.do("leave", 40.0, 44.5, "info", user="u900", error="timeout")
    outcomes = [{one.id: one for one in judge(one.history(), checks()).checks}["M5"] for one in (quick, late)]
    assert [one.outcome for one in outcomes] == [Outcome.FAIL, Outcome.INCONCLUSIVE]
    assert "load, the worker of u900.1, was late at 44.8 s" in outcomes[1].reasons[0]
