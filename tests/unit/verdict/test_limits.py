"""M9: a room with a limit admits that many, and who was refused stays outside."""

from __future__ import annotations

import pytest
from histories import Record, findings

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def crush(inside: int = 2, *, limit: int = 3, number: int = 4, at: float = 5) -> Record:
    """An observer in the hall; `number` knock at once, `inside` of them get in and leave 2 s later."""
    record = Record().fact("limit", 0, value=limit, user="", key="hall").listen(1, 50, user="watcher", key="hall")
    for one in range(number):
        knock(record, f"k{one}", at + one / 100, let_in=one < inside)
    listed = ["watcher.1", *(f"k{one}.1" for one in range(inside))]
    return record.look(at - 1, ["watcher.1"], key="hall").look(at + 1, listed, key="hall")


def knock(record: Record, user: str, t: float, *, let_in: bool) -> Record:
    error = "" if let_in else "refused: full"
    record.do("knock", t, t + 0.1, "ok" if let_in else "fail", user=user, key="hall", error=error)
    return record.do("knock_leave", t + 2, t + 2.1, user=user, key="hall") if let_in else record


def test_as_many_as_may_are_let_in() -> None:
    """Two beside the observer fill a room of three, and the others are refused rightly."""
    found = findings("M9", crush())
    assert (found.outcome, found.judged) == (PASS, 6)


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (crush(4), "over"),
        (crush(2).look(6.5, ["watcher.1", "k0.1", "k1.1", "x.1"], key="hall"), "over"),
        (crush(2).look(8, ["watcher.1", "k3.1"], key="hall"), "inside"),
        (knock(crush(), "late", 20, let_in=False), "shut"),
    ],
)
def test_a_broken_limit_is_told(record: Record, kind: str) -> None:
    """Too many inside, a refused one inside, and a door that is shut without need fail, each with its witness."""
    found = findings("M9", record)
    assert found.outcome is FAIL
    assert found.figures[kind] >= 1
    assert 2 <= len(witness(record.history(), found.violations[0]).events) <= 12


def test_a_crush_under_a_fault_is_excused_where_it_reaches() -> None:
    """A fault on the room excuses its knocks and looks, one elsewhere does not."""
    assert findings("M9", crush(4, at=12).fault(keys=["hall"])).outcome is INCONCLUSIVE
    assert findings("M9", crush(4, at=12).fault(regions=["cn-south"])).outcome is FAIL


def test_a_missing_look_at_the_hall_leaves_it_open() -> None:
    """A look that did not come is inconclusive, and so is a record without a limit."""
    assert findings("M9", crush().look(7, None, key="hall")).outcome is INCONCLUSIVE
    assert findings("M9", Record().stay(3, 9)).outcome is INCONCLUSIVE
