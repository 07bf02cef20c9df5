"""The checks D9, D10, D11 and D12: who reads what, who is shown, who may edit, and that all edit one document."""

from __future__ import annotations

import pytest
from histories import Record, findings, seen, told
from whole_runs import clean

from chaos.model.verdict import Outcome

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


# --- D9


def test_fresh_reads_that_hold_all_pass() -> None:
    """An editor finds its own edits and what it had seen; an edit is seen with what went before it: pass."""
    record = seen([], ["a"], ["a", "b"]).reread(6, ["a", "b"], number=1, lacks=[])
    found = findings("D9", record.cold(52, ["a", "b"]))
    assert (found.outcome, found.judged) == (PASS, 2)
    assert found.figures == {"edits_with_a_past": 1, "fresh_reads": 1}


def test_who_does_not_find_his_own_edit_is_told() -> None:
    """Read your writes: an acknowledged own edit is missing in a fresh read, though not one that nobody answered."""
    says = told("D9", seen([], ["a"]).reread(6, ["b"], number=1, lacks=["a"]))
    assert says == "user e1, reading doc-1 afresh via cn-east, does not find his own acknowledged a (6.0 s)"
    unanswered = Record().edit(3, "a", 8, "info").sight(4, []).reread(6, [], number=1, lacks=["a"])
    assert findings("D9", unanswered).outcome is PASS


def test_who_no_longer_finds_what_he_saw_is_told() -> None:
    """Monotonic reads: what others wrote and the open copy had is missing; what was deleted may be."""
    record = seen([], ["a"]).reread(6, ["b"], number=1, lacks=["a"], user="e2")
    assert "which his open copy had from others" in told("D9", record)
    assert findings("D9", record.delete(5.5, "a")).outcome is PASS


def test_an_observer_that_comes_back_sees_no_less() -> None:
    """A new session of the same observer that lacks what the last one saw: fail."""
    record = seen([], ["a"], ["a", "b"]).sight(8, ["a"], session="o1.2")
    assert told("D9", record) == "observer o1 came back to doc-1 and no longer sees b (8.0 s)"


def test_an_edit_is_seen_with_what_its_writer_had_seen() -> None:
    """Writes follow reads, and monotonic writes: the later token without the earlier one is a violation."""
    record = Record().edit(3, "a").edit(4, "b", user="e2", answer={"level": "durable", "seen": "a"}).sight(5, ["b"])
    assert "sees b in doc-1, and not a" in told("D9", record)
    assert "sees b in doc-1, and not a" in told("D9", seen([], [], ["b"]))


def test_a_fresh_read_that_did_not_come_is_open_unless_a_fault_explains_it() -> None:
    """A gap is inconclusive; under a fault that reaches it, it is excused."""
    record = seen([], ["a"]).reread(6, ["a", "b"], number=1, lacks=[]).reread(9, None, number=2, lacks=[])
    assert findings("D9", record).outcome is INCONCLUSIVE
    assert findings("D9", record.fault(8, 10, regions=["cn-east"])).excused == 1
    assert findings("D9", Record().edit(3, "a")).outcome is INCONCLUSIVE


# --- D10


def closed(*, polite: bool, shown_at: tuple[float, ...] = (), gap_at: float = 0) -> Record:
    """A fresh reader goes at 6 s; looks each second to 16 s, which show it at some moments."""
    record = Record().edit(3, "a").reread(6, ["a"], number=1, lacks=[], polite=polite)
    for second in range(4, 17):
        present = ["e1.1", "e1.r1"] if second in shown_at else ["e1.1"]
        record.sight(second, None if second == gap_at else ["a"], present=present)
    return record


def test_who_is_gone_is_not_shown_after_the_bound() -> None:
    """Shown within the bound only: pass, for a polite end and for a cut."""
    assert findings("D10", closed(polite=True, shown_at=(6, 7, 8))).outcome is PASS
    assert findings("D10", closed(polite=False, shown_at=(6, 7, 10, 11))).outcome is PASS


def test_a_presence_that_outlives_its_bound_is_told() -> None:
    """Shown by a look asked for after the bound: fail; a fault that reaches the document excuses."""
    record = closed(polite=True, shown_at=(9,))
    assert told("D10", record) == (
        "user e1 (session e1.r1) had doc-1 open and closed it at 6.0 s; "
        "it is still shown as present 3.0 s later (bound 2 s)"
    )
    assert findings("D10", closed(polite=False, shown_at=(9,))).outcome is PASS
    assert findings("D10", closed(polite=False, shown_at=(12,))).outcome is FAIL
    assert findings("D10", record.fault(5, 7, keys=["doc-1"])).excused == 1


def test_an_editor_that_came_back_as_another_session_is_gone() -> None:
    """The session before a reload is not shown after the unclean bound."""
    record = Record().edit(3, "a").fact("dropped", 5, user="e1", key="doc-1")
    record.fact("refreshed", 5, user="e1", session="e1.2", key="doc-1").sight(12, ["a"], present=["e1.1", "e1.2"])
    assert "was cut off and came back as a new session" in told("D10", record)


def test_a_look_at_the_present_that_did_not_come_is_open() -> None:
    """A gap after the bound is inconclusive; no look at all is no pass; looks that show nobody ever make it moot."""
    assert findings("D10", closed(polite=True, gap_at=10)).outcome is INCONCLUSIVE
    assert findings("D10", Record().edit(3, "a").reread(6, ["a"], number=1)).outcome is INCONCLUSIVE
    assert findings("D10", seen([], ["a"]).reread(6, ["a"], number=1)).moot == "the backend shows no presence"


# --- D11


def typed(*, silent: tuple[float, float] = (0, 0), region: str = "cn-east") -> Record:
    """An edit each second to 40 s; those of a span time out after 5 s."""
    record = Record()
    for second in range(3, 40):
        vain = silent[0] <= second < silent[1]
        done, outcome = (second + 5, "info") if vain else (second + 0.1, "ok")
        record.edit(second, f"t{second}", done, outcome, region=region, error="timeout" if vain else "", node="doc-e1")
    return record


def test_a_document_that_takes_edits_passes() -> None:
    """Gaps below two deadlines pass, and the longest is told."""
    found = findings("D11", typed(silent=(10, 18)))
    assert (found.outcome, found.judged, found.figures["longest_s"]) == (PASS, 1, 8.1)


def test_a_document_that_takes_none_is_told() -> None:
    """Longer than two deadlines without an acknowledged edit: fail; to the end of the load as well."""
    assert told("D11", typed(silent=(10, 25))) == (
        "doc-1 took no edit from 10.0 s to 25.1 s, 15.1 s (bound 10 s), while 1 users typed"
    )
    assert "took no edit from 28.0 s" in told("D11", typed(silent=(28, 60)))


def test_what_a_fault_covers_is_cut_out_of_the_time() -> None:
    """A fault that reaches the document, or all who typed, excuses its part; what is left over is judged."""
    assert findings("D11", typed(silent=(10, 25)).fault(10, 16, keys=["doc-1"])).outcome is PASS
    assert findings("D11", typed(silent=(10, 25)).fault(10, 16, regions=["cn-east"])).outcome is PASS
    assert findings("D11", typed(silent=(10, 25)).fault(10, 16, regions=["cn-north"])).outcome is FAIL
    assert findings("D11", typed(silent=(10, 34)).fault(10, 16, keys=["doc-1"])).outcome is FAIL


def test_nobody_who_types_makes_no_stall() -> None:
    """Time in which nobody tried is none in which the document refused; no edit at all is no pass."""
    record = Record().edit(3, "a").edit(4, "b", 9, "info").edit(30, "c")
    assert findings("D11", record).figures["longest_s"] == 5.0
    assert findings("D11", Record()).outcome is INCONCLUSIVE


def test_edits_without_an_end_are_open() -> None:
    """A record that lost the ends of edits tells nothing of them."""
    record = typed()
    record.events = [event for event in record.events if not (event.f == "edit" and event.type == "ok")][:20]
    assert findings("D11", record).outcome is INCONCLUSIVE


# --- D12


def beside(east: list[str], north: list[str] | None, *, node: str = "doc-n1") -> Record:
    """`a` and `b` are acknowledged at 3 and 4 s by two nodes; at 9 s two fresh readers look."""
    record = Record().edit(3, "a").edit(4, "b", user="e2", node="doc-n1", region="cn-north")
    record.reread(9, east, number=3, lacks=[])
    return record.reread(9, north, number=3, user="r", entry="cn-north", node=node)


def test_one_copy_looks_the_same_from_everywhere() -> None:
    """Two reads that hold the same, and one that lags behind the other, are one document: pass."""
    assert findings("D12", beside(["a", "b"], ["a", "b"], node="doc-e1")).judged == 1
    assert findings("D12", beside(["a", "b"], ["a"])).outcome is PASS


def test_two_copies_that_grow_apart_are_told() -> None:
    """Each of two nodes has an old acknowledged edit that the other lacks: fail."""
    assert told("D12", beside(["a"], ["b"])) == (
        "doc-1 is two documents at 9.0 s: a by doc-e1 and b by doc-n1, neither has the other's"
    )
    assert findings("D12", beside(["a"], ["b"]).delete(8, "b")).outcome is PASS


def test_what_is_only_just_acknowledged_may_be_on_its_way() -> None:
    """Tokens younger than the visibility bound say nothing."""
    record = Record().edit(8.8, "a").edit(8.8, "b", user="e2").reread(9, ["a"], number=3, lacks=[])
    assert findings("D12", record.reread(9, ["b"], number=3, user="r", entry="cn-north", node="x")).outcome is PASS


def test_a_read_without_its_other_is_open() -> None:
    """A gap is inconclusive, or excused where a fault explains it; the shift of one is not shared by the other."""
    assert findings("D12", beside(["a"], None)).outcome is INCONCLUSIVE
    assert findings("D12", beside(["a"], None).fault(8, 10, regions=["cn-north"])).excused == 1
    assert findings("D12", Record().edit(3, "a").reread(9, ["a"], number=1)).outcome is INCONCLUSIVE
    assert findings("D12", Record().edit(3, "a")).outcome is INCONCLUSIVE


@pytest.mark.parametrize("name", ["D5", "D6", "D7", "D9", "D10", "D11", "D12"])
def test_a_whole_clean_run_passes_every_document_check(name: str) -> None:
    """The clean run of the verdict's own tests has what each of these checks needs."""
    found = findings(name, clean(faults=False))
    assert found.outcome is PASS, found.reasons
