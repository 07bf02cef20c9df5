"""Runs that did not end by themselves."""

from __future__ import annotations

from whole_runs import checks, clean

from chaos.errors import ExitCode
from chaos.experiment.stops import parse_stop
from chaos.model.verdict import Kind, Outcome, Place
from chaos.verdict.judge import judge

FIGURES = {"value": 0.25, "ok": 3, "bad": 9, "for_s": 10.0, "t_s": 18}
STOP = parse_stop("join.success < 50% for 10 s", Place(file="e.json", line=9, col=5))


def test_a_stop_condition_that_was_met_fails_the_run() -> None:
    """The line has the figures and the place of the rule; a run that ended early for it is not merely inconclusive."""
    record = clean(faults=False).fault(10, 18, bit=False, regions=["cn-east"])
    record.add(18, "info", "stop", key=STOP.text, value=FIGURES)
    found = judge(record.history(), checks(stop=(STOP,)))
    (line,) = [check for check in found.checks if check.id == "stop"]
    assert (line.kind, line.outcome, line.place) == (Kind.SLO, Outcome.FAIL, STOP.place)
    assert line.measured == "0.25 in 10 s, 3 of 12 succeeded"
    assert line.figures == FIGURES
    assert (found.outcome, found.exit_code) == (Outcome.FAIL, ExitCode.FAIL)


def test_a_stop_condition_that_was_not_met_has_no_line() -> None:
    """The clean run stays as it was."""
    found = judge(clean().history(), checks(stop=(STOP,)))
    assert found.outcome is Outcome.PASS
    assert not [check for check in found.checks if check.id == "stop"]


def test_dirty_outranks_everything() -> None:
    """What is left is named in a line, and the run ends with 4 even where a check failed."""
    record = clean(bad_joins=(10, 15))
    record.add(45, "info", "dirty", value=["r.1 (pause): no answer", "r.2 (delay): no answer"])
    found = judge(record.history(), checks())
    (line,) = [check for check in found.checks if check.id == "dirty"]
    assert line.reasons == ("r.1 (pause): no answer", "r.2 (delay): no answer")
    assert line.measured == "2 left"
    assert (found.outcome, found.exit_code) == (Outcome.DIRTY, ExitCode.DIRTY)
    assert "1 failed" in found.says


def test_nonsense_in_their_place_is_no_crash() -> None:
    """A damaged record is judged all the same."""
    record = clean()
    record.add(45, "info", "stop", key="what", value=7)
    record.add(46, "info", "dirty", value=None)
    assert judge(record.history(), checks()).exit_code is ExitCode.DIRTY
