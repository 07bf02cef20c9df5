"""The checks D2, D5, D6 and D7: what is in a document, and in which order."""

from __future__ import annotations

from histories import Record, findings, seen, told
from whole_runs import checks, clean

from chaos.model.experiment import Injection
from chaos.model.verdict import Outcome
from chaos.verdict.judge import judge

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


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
