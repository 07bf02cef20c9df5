"""Recovery and the metastability gate."""

from __future__ import annotations

import pytest
from histories import Record, rule
from whole_runs import checks, clean

from chaos.model.verdict import CheckResult, Outcome
from chaos.verdict.flows import measure
from chaos.verdict.recovery import first_of_row, recovery

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
G, B, N = True, False, None


def judged(record: Record, *texts: str) -> dict[str, CheckResult]:
    rules = checks(thresholds=tuple(rule(text, "recovery") for text in texts))
    history = record.history()
    return {one.id: one for one in recovery(history, rules, measure(history, rules.bounds))}


def test_ten_good_seconds_in_a_row_are_recovery() -> None:
    """The time is from the heal to the first of them."""
    found = judged(clean(bad_joins=(18, 24)), "recovery < 15s")
    assert (found["recovery"].outcome, found["recovery"].measured) == (PASS, "4.0 s")


def test_recovery_counts_from_the_heal_and_not_from_the_proof_of_it() -> None:
    """Seconds between the fault's end and the phase that follows its proof belong to the recovery."""
    found = judged(clean(bad_joins=(18, 24), healed_at=23), "recovery < 3s")
    assert (found["recovery"].outcome, found["recovery"].measured) == (FAIL, "4.0 s")


def test_a_late_recovery_misses_its_rule() -> None:
    """Recovered after 4 s where 3 s were allowed: fail."""
    assert judged(clean(bad_joins=(18, 24)), "recovery < 3s")["recovery"].outcome is FAIL


def test_never_is_a_failure() -> None:
    """Bad until the load ends: fail, and goodput did not come back either."""
    found = judged(clean(bad_joins=(18, 60)))
    assert (found["recovery"].outcome, found["metastability"].outcome) == (FAIL, FAIL)
    assert found["recovery"].measured == "never, in 30 s"
    assert "join: 0 % served at the end, 100 % before the fault" in found["metastability"].reasons


def test_good_at_the_end_but_too_short_is_open() -> None:
    """Five good seconds before the load ended are no proof either way."""
    assert judged(clean(bad_joins=(18, 44.5)))["recovery"].outcome in {INCONCLUSIVE, FAIL}
    record = Record(final_at=26)
    for t in range(60):
        record.do("join", 2 + t * 0.4, 2.1 + t * 0.4, user=f"u{t}", intended=2 + t * 0.4)
    record.fault(10, 20)
    found = judged(record, "recovery < 15s")
    assert found["recovery"].outcome is INCONCLUSIVE
    assert "has 6" in found["recovery"].reasons[0]
    assert "recovery" not in judged(record), "nobody asked, and the phase is too short to say"


def test_one_unlucky_second_at_the_end_is_open() -> None:
    """A single bad second in the middle of a short phase is not "never"."""
    record = Record(final_at=33)
    for t in range(150):
        at = 2 + t * 0.2
        done = (at + 5, "info") if t == 120 else (at + 0.1, "ok")
        record.do("join", at, *done, user=f"u{t}", intended=at, error="" if done[1] == "ok" else "timeout")
    found = judged(record.fault(10, 20))
    assert found["recovery"].outcome is INCONCLUSIVE


@pytest.mark.parametrize(
    ("goods", "at"),
    [([G] * 10, 0), ([B] + [G] * 10, 1), ([G] * 9, None), ([N] * 12, None), ([G, N] * 5, 0), ([G] * 9 + [B], None)],
)
def test_a_row_is_ten_without_a_bad_one(goods: list[bool | None], at: int | None) -> None:
    """Seconds without operations neither break a row nor make one."""
    assert first_of_row(goods) == at


def test_without_a_fault_there_is_nothing_to_recover_from() -> None:
    """No fault and no rule: no line; with a rule, and no recovery phase: inconclusive."""
    assert judged(clean(faults=False)) == {}
    record = Record().fault(10, 20)
    record.phases = record.phases[:3]
    assert judged(record, "recovery < 15s")["recovery"].outcome is INCONCLUSIVE


def test_a_flow_that_fell_silent_did_not_come_back() -> None:
    """Edits that simply stopped are goodput lost, though none of them failed."""
    record = clean()
    record.events = [e for e in record.events if not (e.f == "edit" and e.t_ns > (1000 + 30) * 10**9)]
    assert "edit_ack: none in the last 10 s" in judged(record)["metastability"].reasons[0]


def test_without_samples_goodput_is_open() -> None:
    """Nothing before the fault to compare with: inconclusive."""
    assert judged(Record().fault(10, 20))["metastability"].outcome is INCONCLUSIVE
