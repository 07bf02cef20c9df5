"""The checks on documents: D1, D3, D4, D8. Each passes, fails with its witness, excuses, and starves."""

from __future__ import annotations

import pytest
from histories import Record, findings

from chaos.model.verdict import Outcome
from chaos.verdict.findings import witness

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE


# --- D1


def test_acknowledged_edits_are_in_every_cold_read() -> None:
    """All there, at every entry: pass."""
    record = Record().edit(3, "a").edit(4, "b").cold(52, ["a", "b"]).cold(52, ["b", "a"], region="cn-east")
    found = findings("D1", record)
    assert (found.outcome, found.judged) == (PASS, 2)


def test_a_lost_edit_is_told_with_its_story() -> None:
    """One entry without an acknowledged token fails; the witness says who was told what, and what happened between."""
    record = Record().edit(9.9, "a", user="u41").fault(10, 12, name="kill of doc-e1", nodes=["doc-e1"])
    record.cold(41, [], region="cn-north").cold(41, ["a"], region="cn-east")
    found = findings("D1", record)
    assert found.outcome is FAIL
    told = witness(record.history(), found.violations[0])
    assert told.says == (
        "user u41 was told 'saved' at 9.9 s by doc-e1; kill of doc-e1 began on doc-e1 at 10.0 s; "
        "kill of doc-e1 was healed at 12.0 s; a cold reader via cn-north at 41.0 s does not have it (a)"
    )
    assert len(told.events) == 6


def test_nobody_was_promised_an_unanswered_edit() -> None:
    """A token that timed out, failed, or was acknowledged as merely received may be there or not."""
    record = Record().edit(3, "a").edit(4, "b", 9, "info", error="lost").edit(5, "c", 5.1, "fail")
    record.edit(6, "d", answer={"level": "received"}).cold(52, ["a"])
    assert findings("D1", record).outcome is PASS


def test_what_another_saw_is_kept_too() -> None:
    """An unanswered edit that an observer saw must be in the cold reads."""
    record = Record().edit(4, "b", 9, "info", error="lost").sight(5, ["b"]).cold(52, [])
    found = findings("D1", record)
    assert found.outcome is FAIL
    assert "observer o1.1 saw b" in found.violations[0].says


def test_a_missing_cold_read_leaves_its_document_open() -> None:
    """A gap is inconclusive, unless another read shows the loss."""
    record = Record().edit(3, "a").cold(52, ["a"]).cold(52, None, region="cn-east")
    assert findings("D1", record).outcome is INCONCLUSIVE
    assert findings("D1", record.edit(4, "b")).outcome is FAIL


def test_no_cold_read_is_no_pass() -> None:
    """Without cold reads nothing is known."""
    assert findings("D1", Record().edit(3, "a")).outcome is INCONCLUSIVE


def test_a_read_too_soon_after_the_heal_convicts_nobody() -> None:
    """A token missing before heal + bound may still come; one missing after it is lost."""
    record = Record().edit(3, "a").fault(10, 20, nodes=["doc-e1"])
    assert findings("D1", Record.cold(record, 24, [])).outcome is INCONCLUSIVE
    assert findings("D1", record.cold(26, [])).outcome is FAIL


def test_a_fault_that_was_never_off_convicts_nobody() -> None:
    """While a fault is still on, a missing token is no proof."""
    assert findings("D1", Record().edit(3, "a").fault(10, None).cold(52, [])).outcome is INCONCLUSIVE


def test_no_fault_excuses_a_loss() -> None:
    """D1 is no timed check: what was acknowledged under the fault must be there."""
    assert findings("D1", Record().fault(everything=True).edit(12, "a").cold(52, [])).outcome is FAIL


def test_a_blind_observer_hides_nothing() -> None:
    """An unpromised token is missing and an observer's look is too: it may have been seen. A fault may explain that."""

    def record(*, look: list[str] | None) -> Record:
        return Record().edit(11, "a").edit(12, "b", 17, "info", error="lost").sight(13, look).cold(52, ["a"])

    assert findings("D1", record(look=["a"])).outcome is PASS
    assert findings("D1", record(look=None)).outcome is INCONCLUSIVE
    assert findings("D1", record(look=None).fault(regions=["cn-north"])).outcome is PASS


def test_deltas_that_do_not_fit_are_no_sight() -> None:
    """When a look is lost from the record, those after it no longer fit, and say nothing."""
    record = Record().edit(3, "a").edit(4, "b", 9, "info").edit(4, "c", 9, "info")
    record.sight(5, ["a"]).sight(6, ["a", "b"]).sight(7, ["a", "b", "c"]).cold(52, ["a"])
    assert len(findings("D1", record).violations) == 2
    record.events = [
        e for e in record.events if not (e.type == "obs" and e.value.__class__ is dict and e.value["n"] == 2)
    ]
    assert findings("D1", record).outcome is INCONCLUSIVE


# --- D3


def rest(record: Record, quiet: float, *views: tuple[float, str, list[str] | None]) -> Record:
    """The document comes to rest, then these views are seen."""
    record.fact("quiet", quiet, key="doc-1")
    for t, user, tokens in views:
        record.view(t, tokens, user=user)
    return record


def settled(**parts: float) -> Record:
    """Two views that agree after a second, and a cold read that does too."""
    record = Record(**parts).edit(3, "a").edit(4, "b")
    rest(record, 50, (50.5, "e1", ["a", "b"]), (50.5, "e2", ["a"]), (51, "e1", ["a", "b"]), (51, "e2", ["a", "b"]))
    return record


def test_views_that_come_to_agree_converge() -> None:
    """Equal within the bound, and the cold read as well: pass, with the time it took."""
    found = findings("D3", settled().cold(52, ["a", "b"]))
    assert found.outcome is PASS
    assert found.figures["convergence_s"] == pytest.approx(1.01)


def test_views_that_differ_after_the_bound_fail() -> None:
    """Two views asked for after quiet + bound that differ are a violation that names both."""
    record = rest(Record().edit(3, "a"), 50, (56, "e1", ["a"]), (56.1, "e2", []))
    found = findings("D3", record.cold(57, ["a"]))
    assert found.outcome is FAIL
    assert "e1.1" in found.violations[0].says
    assert "e2.1" in found.violations[0].says


def test_the_clock_starts_after_the_heal() -> None:
    """Views that differ within the bound after the last heal are not judged by the earlier quiet."""
    record = Record().fault(10, 53).edit(3, "a")
    rest(record, 50, (56, "e1", ["a"]), (56.1, "e2", []), (57, "e2", ["a"]))
    assert findings("D3", record.cold(58, ["a"])).outcome is PASS


def test_a_cold_read_that_differs_from_what_all_agreed_on_fails() -> None:
    """State that went back once everybody had left is a divergence."""
    assert findings("D3", settled().cold(52, ["a"])).outcome is FAIL


@pytest.mark.parametrize("views", [(), ((50.5, "e1", None),), ((50.5, "e1", ["a"]), (50.5, "e2", []))])
def test_too_little_to_see_is_no_convergence(views: tuple[tuple[float, str, list[str] | None], ...]) -> None:
    """No view, a missing one, or two that differ before the bound: inconclusive."""
    assert findings("D3", rest(Record().edit(3, "a"), 50, *views).cold(52, ["a"])).outcome is INCONCLUSIVE


def test_a_missing_view_or_cold_read_leaves_it_open() -> None:
    """A planned view or cold read that did not come could have differed."""
    assert findings("D3", settled().cold(52, None)).outcome is INCONCLUSIVE
    assert findings("D3", settled().view(51.5, None).cold(52, ["a", "b"])).outcome is INCONCLUSIVE
    assert findings("D3", settled()).outcome is INCONCLUSIVE


def test_a_document_that_never_rests_cannot_converge() -> None:
    """Without quiet there is no clock."""
    assert findings("D3", Record().edit(3, "a").view(51, ["a"]).cold(52, ["a"])).outcome is INCONCLUSIVE


# --- D4


def test_each_edit_is_there_once() -> None:
    """No token twice in any cold read: pass."""
    assert findings("D4", Record().edit(3, "a").edit(3, "b").cold(52, ["a", "b"])).outcome is PASS


def test_a_token_twice_fails_even_when_a_read_is_missing() -> None:
    """A duplicate in one cold read is enough, and names the token."""
    found = findings("D4", Record().edit(3, "a").cold(52, ["a", "a"]).cold(52, None, region="cn-east"))
    assert found.outcome is FAIL
    assert "has a 2 times" in found.violations[0].says


def test_a_document_not_read_cold_is_open() -> None:
    """A gap, or no read at all, is inconclusive."""
    assert findings("D4", Record().edit(3, "a").cold(52, None)).outcome is INCONCLUSIVE
    assert findings("D4", Record().edit(3, "a")).outcome is INCONCLUSIVE


# --- D8


def away(record: Record, *, done: float | None = 24.2, outcome: str = "ok", idle_until: float = 40) -> Record:
    """An editor goes offline at 22 s, writes `x`, is back at 24 s and idles."""
    known = {"user": "e1", "key": "doc-1"}
    record.fact("offline", 22, value={"group": 1}, **known)
    record.do("offline_edit", 22.5, done, outcome, value="x", answer={"level": "durable"}, **known)
    record.fact("online", 24, value={"group": 1, "tokens": ["x"]}, **known)
    return record.fact("idle_end", idle_until, value={"group": 1}, **known)


def test_offline_edits_that_others_see_are_merged() -> None:
    """Seen by an observer within the bound, without a nudge: pass."""
    assert (
        findings("D8", away(Record()).sight(23, []).sight(25, ["x"]).sight(31, ["x"]).cold(52, ["x"])).outcome is PASS
    )


def test_an_acknowledgement_will_do() -> None:
    """Where nobody observes, an acknowledged offline edit counts as merged; D1 watches over it."""
    assert findings("D8", away(Record())).outcome is PASS


def test_an_observer_that_waits_in_vain_convicts() -> None:
    """A look after the bound, while the editor idles, without the token: fail, with the editor's story."""
    found = findings("D8", away(Record(), done=41).sight(30, []).sight(42, ["x"]).cold(52, ["x"]))
    assert found.outcome is FAIL
    assert "wrote x offline and came back at 24.0 s" in found.violations[0].says


def test_a_lack_within_the_bound_or_after_the_idling_is_none() -> None:
    """Looks before the bound do not convict, nor do those after the idling ended."""
    assert findings("D8", away(Record()).sight(28, []).cold(52, ["x"])).outcome is PASS
    assert findings("D8", away(Record(), idle_until=27).sight(30, []).cold(52, ["x"])).outcome is PASS


def test_a_fault_excuses_the_delay_and_never_the_loss() -> None:
    """A late merge under a fault is excused; a token that its editor kept and nobody ever got is not."""
    late = away(Record(), done=41).sight(30, []).sight(42, ["x"]).cold(52, ["x"])
    assert findings("D8", late.fault(10, 23, regions=["cn-east"])).excused == 1
    lost = away(Record(), done=None).cold(52, []).fault(10, 23, regions=["cn-east"])
    assert findings("D8", lost).outcome is FAIL


def test_who_threw_the_copy_away_lost_it_alone() -> None:
    """A reload before coming back loses offline edits, and that is nobody's violation."""
    record = away(Record(), done=None).fact("refreshed", 23, user="e1", key="doc-1").cold(52, [])
    assert findings("D8", record).unjudged == 1


def test_who_was_cut_while_idle_is_not_judged() -> None:
    """A drop within the bound ends the idling; what has not arrived by then proves nothing."""
    record = away(Record(), done=None).fact("dropped", 25, user="e1", key="doc-1").cold(52, [])
    assert findings("D8", record).unjudged == 1


def test_a_look_that_did_not_come_hides_nothing_here() -> None:
    """A gap after the bound, or no evidence at all before the idling ended: inconclusive."""
    assert findings("D8", away(Record()).sight(30, None)).outcome is INCONCLUSIVE
    assert findings("D8", away(Record(), done=41)).outcome is INCONCLUSIVE


def test_an_idling_too_short_tells_nothing() -> None:
    """Where the idling ended before the bound, what had not arrived by then is unjudged."""
    assert findings("D8", away(Record(), done=41, idle_until=26)).unjudged == 1


def test_who_never_came_back_is_not_judged() -> None:
    """Offline at the end of the load: unjudged."""
    record = Record().fact("offline", 45, user="e1", key="doc-1", value={"group": 1})
    assert findings("D8", record.do("offline_edit", 46, None, user="e1", key="doc-1", value="x")).unjudged == 1
