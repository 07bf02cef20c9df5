"""M12: whom no fault reached is served as before; compared flow by flow."""

from __future__ import annotations

from histories import Record, findings
from worlds import crowd

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def test_the_unreached_who_are_served_as_before_pass() -> None:
    """Nothing changed for the other region; what the reached suffered does not count."""
    assert findings("M12", crowd()).outcome is PASS
    assert findings("M12", crowd(region="cn-east", slow_s=2.0)).outcome is PASS
    assert findings("M12", crowd(slow_s=0.03)).outcome is PASS


def test_slow_answers_of_the_unreached_are_told() -> None:
    """Ten times slower only where the fault does not reach fails, with both figures."""
    record = crowd(slow_s=0.2)
    found = findings("M12", record)
    assert (found.outcome, len(found.violations)) == (FAIL, 1)
    told = witness(record.history(), found.violations[0])
    assert "getting in: p95 of those whom no fault reached went from" in told.says
    assert len(told.events) <= 12


def test_failures_of_the_unreached_are_told() -> None:
    """A tenth of the joins failing there fails."""
    found = findings("M12", crowd(bad=0.15))
    assert found.outcome is FAIL
    assert "were served before it" in found.violations[0].says


def test_a_fault_that_reaches_everybody_leaves_nothing_to_compare() -> None:
    """Without anybody unreached, or without a fault, nothing is judged, so it is no pass."""
    assert findings("M12", crowd().fault(12, 18, everything=True)).outcome is INCONCLUSIVE
    assert findings("M12", Record().stay(3, 9)).outcome is INCONCLUSIVE


def test_too_few_operations_are_no_pass() -> None:
    """Starved of operations it is inconclusive."""
    record = crowd(slow_s=0.2)
    record.events = [event for event in record.events if event.f != "join" or event.op % 20 == 0]
    assert findings("M12", record).outcome is INCONCLUSIVE


def test_the_null_target_s_own_slowness_is_not_the_stack_s() -> None:
    """What our own loop took longer is taken off."""
    record = crowd(slow_s=0.2)
    for number in range(20, 480):
        t = number / 10
        late = 0.3 if 10 <= t < 20 else 0.001
        record.add(t + late, "ok", "null", intended_ns=(1000 * 10 + number) * 10**8)
    assert findings("M12", record).outcome is PASS
