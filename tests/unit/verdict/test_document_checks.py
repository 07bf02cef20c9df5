"""The checks D2, D5, D6, D7, D9, D10, D11 and D12 on documents: each passes, fails with its witness, and starves."""

from __future__ import annotations

import pytest
from histories import Record, findings
from runs import checks, clean

from chaos.model.experiment import Injection
from chaos.model.verdict import Outcome
from chaos.verdict.findings import WITNESS_EVENTS, witness
from chaos.verdict.judge import judge

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


def told(name: str, record: Record) -> str:
    """What a check says of its only violation, whose witness is short enough to be read."""
    found = findings(name, record)
    assert (found.outcome, len(found.violations)) == (FAIL, 1)
    shown = witness(record.history(), found.violations[0])
    assert 2 <= len(shown.events) <= WITNESS_EVENTS
    return shown.says


# --- D2


def crashed(read: list[str] | None, **parts: str) -> Record:
    """`a` and `b` are acknowledged, `c` is not; the owner is killed at 10 s, and a fresh client reads."""
    record = Record().edit(8, "a", **parts).edit(9, "b", **parts).edit(9.8, "c", 15, "info", error="timeout")
    record.fault(10, 15, fault="server_loss", name="kill of doc-e1", nodes=["doc-e1"], keys=["doc-1"])
    return record.crash(10.05, read)


def test_what_was_durable_is_there_after_the_crash() -> None:
    """All acknowledged edits are in the fresh read: pass, with a recovery point of 0."""
    found = findings("D2", crashed(["a", "b"]))
    assert (found.outcome, found.judged) == (PASS, 2)
    assert found.figures == {"crash_reads": 1, "rpo_s": 0.0, "freshest_s": 1.03}


def test_a_durable_edit_that_the_crash_took_is_told_with_its_age() -> None:
    """Lost: fail, and the recovery point is how long it had been acknowledged."""
    record = crashed(["a"])
    assert told("D2", record) == (
        "user e1 was told 'durable' at 9.0 s by doc-e1; kill of doc-e1 hit doc-1 at 10.0 s; "
        "a fresh client via cn-east, before anybody could upload it again, does not have b"
    )
    assert findings("D2", record).figures["rpo_s"] == 1.03


def test_a_crash_that_nobody_read_after_is_open() -> None:
    """The fresh client could not read, or none was sent: inconclusive."""
    assert findings("D2", crashed(None)).outcome is INCONCLUSIVE
    unread = crashed(None)
    unread.events = [event for event in unread.events if event.f != "crash_read"]
    assert findings("D2", unread).outcome is INCONCLUSIVE


def test_a_read_without_a_crash_says_nothing() -> None:
    """All clients were cut at once and nothing was killed: not judged, whatever is missing."""
    record = Record().edit(8, "a").fault(10, 15, regions=["cn-east"]).crash(10.05, [])
    found = findings("D2", record)
    assert (found.unjudged, found.violations) == (1, [])


def test_a_crash_under_another_fault_convicts_nobody() -> None:
    """While a link is also cut, a read may be late for that reason."""
    assert findings("D2", crashed([]).fault(9, 20, regions=["cn-east"])).outcome is INCONCLUSIVE


def test_who_promises_nothing_durable_has_no_line() -> None:
    """Acknowledgements below `durable`, or a crash that reached no document, make the check moot; a rule shows it."""
    weak = Record().edit(8, "a", answer={"level": "applied"}).fault(10, 15, fault="server_loss", keys=["doc-1"])
    far = Record().edit(8, "a").fault(10, 15, fault="server_loss", nodes=["meet-e1"])
    assert "no edit as durable" in findings("D2", weak).moot
    assert "no crash reached a document" in findings("D2", far).moot
    kill = (Injection(name="kill", fault="server_loss", arguments={}),)
    assert "D2" not in {one.id for one in judge(far.history(), checks(thresholds=(), injections=kill)).checks}


def test_a_crash_is_wanted_only_where_the_method_makes_one() -> None:
    """Without a crash in the method the line is not there; with one and no read it is inconclusive."""
    record = clean(faults=False).fault(10, 15, fault="server_loss", keys=["doc-1"])
    kill = (Injection(name="kill", fault="server_loss", arguments={}),)
    assert "D2" not in {one.id for one in judge(clean().history(), checks()).checks}
    lines = {one.id: one.outcome for one in judge(record.history(), checks(injections=kill)).checks}
    assert lines["D2"] is INCONCLUSIVE


# --- D5


def seen(*looks: list[str] | None) -> Record:
    """`a` and `b` are written at 3 and 4 s; looks follow each second from 2 s on."""
    record = Record().edit(3, "a").edit(4, "b")
    for second, tokens in enumerate(looks, 2):
        record.sight(second + 0.5, tokens)
    return record


def test_only_what_was_written_is_seen() -> None:
    """Every token that a read shows was written before: pass."""
    found = findings("D5", seen([], ["a"], ["a", "b"]).cold(52, ["a", "b"]))
    assert (found.outcome, found.judged) == (PASS, 2)


def test_a_token_that_nobody_wrote_is_a_phantom() -> None:
    """In an observer's look or in a cold read: fail."""
    record = seen([], ["a"], ["a", "x"], ["a"]).cold(52, ["a", "b"])
    assert told("D5", record) == "doc-1 held x at 4.5 s as o1 via cn-north read it; nobody wrote it there"
    assert "nobody wrote it" in told("D5", seen([], ["a"]).cold(52, ["a", "b", "x"]))


def test_a_token_of_another_document_is_a_phantom_here() -> None:
    """What was written elsewhere does not belong here, and the witness says where it was written."""
    record = seen([], ["a"]).edit(5, "z", key="doc-2").cold(52, ["a", "b", "z"]).cold(52, ["z"], key="doc-2")
    found = findings("D5", record)
    assert any("into doc-2" in says for _, says in found.violations[0].events)


def test_a_token_read_before_it_was_written_is_a_phantom() -> None:
    """Nothing can be read before it is there; nor what never left its user's machine."""
    assert "only later" in told("D5", seen(["a"]).cold(52, ["a", "b"]))
    unsent = seen([]).edit(5, "x", 10, "fail", error="not sent: no connection").cold(52, ["a", "b", "x"])
    assert "never sent" in told("D5", unsent)


def test_what_was_there_before_the_run_is_nobody_s_phantom() -> None:
    """A strange token in the very first look is older than the run; if that look did not come, nobody knows."""
    assert findings("D5", seen(["old"], ["old", "a"]).cold(52, ["old", "a", "b"])).outcome is PASS
    assert findings("D5", seen(None, ["old", "a"]).cold(52, ["old", "a", "b"])).outcome is INCONCLUSIVE


def test_a_missing_read_may_have_shown_a_phantom() -> None:
    """A cold read that did not come, or an observer that ends blind with no fault to explain it: inconclusive."""
    assert findings("D5", seen([], ["a"]).cold(52, None)).outcome is INCONCLUSIVE
    blind = seen([], ["a"], None).cold(52, ["a", "b"])
    assert findings("D5", blind).outcome is INCONCLUSIVE
    assert findings("D5", blind.fault(3, 4, regions=["cn-north"])).outcome is PASS


# --- D6


def deleted(*looks: list[str]) -> Record:
    """`a` and `b` are written, `a` is deleted at 5 s; looks follow each second from 6 s on."""
    record = Record().edit(3, "a").edit(4, "b").sight(4.5, ["a", "b"]).delete(5, "a")
    for second, tokens in enumerate(looks, 6):
        record.sight(second, tokens)
    return record


def test_what_was_deleted_stays_deleted() -> None:
    """Gone from every cold read: pass; and its loss is no lost edit."""
    record = deleted(["b"], ["b"]).cold(52, ["b"])
    assert (findings("D6", record).outcome, findings("D6", record).judged) == (PASS, 1)
    assert (findings("D1", record).outcome, findings("D1", record).judged) == (PASS, 1)


def test_what_comes_back_is_told() -> None:
    """In a cold read, or in a copy that had lost it already, even if it goes again."""
    assert told("D6", deleted(["b"]).cold(52, ["a", "b"])) == (
        "user e1 was told a is deleted at 5.0 s; a cold reader via cn-north at 52.0 s has it"
    )
    assert "has it again" in told("D6", deleted(["b"], ["b", "a"], ["b"]).cold(52, ["b"]))


def test_a_delete_that_nobody_answered_promises_nothing() -> None:
    """It may have been made or not: neither D6 nor D1 judges the token."""
    record = Record().edit(3, "a").edit(4, "b").delete(5, "a", 10, "info", error="timeout")
    for tokens in (["b"], ["a", "b"]):
        one = copied(record).cold(52, tokens)
        assert findings("D6", one).violations == []
        assert findings("D1", one).outcome is PASS


def copied(record: Record) -> Record:
    """A copy that can be gone on with."""
    copy = Record()
    copy.events, copy.seq, copy.op = list(record.events), dict(record.seq), record.op
    return copy


def test_a_resurrection_is_judged_once_it_is_ripe() -> None:
    """A cold read sooner than heal + bound that still has it proves nothing; without any cold read nothing passes."""
    assert findings("D6", deleted().fault(45, 50, everything=True).cold(52, ["a", "b"])).outcome is INCONCLUSIVE
    assert findings("D6", deleted().fault(45, 50, everything=True).cold(56, ["a", "b"])).outcome is FAIL
    assert findings("D6", deleted(["b"])).outcome is INCONCLUSIVE
    assert findings("D6", deleted(["b"]).cold(52, None)).outcome is INCONCLUSIVE


def test_a_backend_that_cannot_delete_has_no_line() -> None:
    """The load says so in the record; without that word, no delete is no pass."""
    record = Record().edit(3, "a").cold(52, ["a"])
    assert findings("D6", record).outcome is INCONCLUSIVE
    assert findings("D6", record.fact("cannot", 4, value="delete")).moot == "the backend cannot delete"


# --- D7


def test_reads_that_agree_on_the_order_pass() -> None:
    """Reads of different length with one order: pass."""
    record = seen([], ["a"], ["a", "b"]).edit(6, "c", user="e2").sight(7, ["c", "a", "b"])
    found = findings("D7", record.crash(10, ["c", "a"]).cold(52, ["c", "a", "b"]))
    assert (found.outcome, found.judged) == (PASS, 3)


def test_a_pair_that_two_reads_show_in_opposite_orders_is_told() -> None:
    """The violation names the pair and both reads, between a look and a cold read, or a read after a crash and one."""
    record = seen([], ["a"]).edit(6, "c", user="e2").sight(7, ["a", "c"]).cold(52, ["c", "a", "b"])
    assert told("D7", record) == (
        "doc-1: observer o1.1 via cn-north has a before c at 7.0 s, a cold reader via cn-north at 52.0 s "
        "has them the other way round"
    )
    record = seen([], ["a"]).edit(6, "c", user="e2").crash(10, ["a", "c"]).cold(52, ["c", "a", "b"])
    assert "a reader after the crash" in told("D7", record)


def test_a_swap_of_what_nobody_reads_cold_is_seen_between_two_looks() -> None:
    """Tokens that are gone at the end are held against the look before."""
    record = seen([], ["a"], ["a", "b"], ["b", "a"], []).delete(8, "a").delete(8, "b").edit(9, "c").cold(52, ["c"])
    assert "b before a" in told("D7", record)


def test_an_own_run_keeps_its_order() -> None:
    """What a session wrote after an acknowledgement stands behind it; what overlapped may stand anywhere."""
    assert "wrote b after a was acknowledged" in told("D7", seen([]).cold(52, ["b", "a"]))
    both = Record().edit(3, "a", 4.5).edit(4, "b", 4.6).sight(5, ["b", "a"]).cold(52, ["b", "a"])
    assert findings("D7", both).outcome is PASS


def test_one_read_has_no_order_to_break() -> None:
    """A single read, a cold read that did not come, or a blind observer: inconclusive."""
    assert findings("D7", Record().edit(3, "a").cold(52, ["a"])).outcome is INCONCLUSIVE
    assert findings("D7", seen([], ["a"]).cold(52, None)).outcome is INCONCLUSIVE
    assert findings("D7", seen([], ["a"], None).cold(52, ["a", "b"])).outcome is INCONCLUSIVE


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


def test_a_stall_beside_documents_that_go_on_is_no_late_machine() -> None:
    """Alone it is timed: our own machine may have stood still; not so where another document took edits meanwhile."""
    record = typed(silent=(10, 25))
    assert findings("D11", record).violations[0].timed
    for second in range(3, 40):
        record.edit(second, f"x{second}", user="e2", key="doc-2")
    assert not findings("D11", record).violations[0].timed


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
    assert findings("D12", beside(["a"], ["b"])).violations[0].timed
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
