"""What the scribe writes and counts, and how views and looks are put into words."""

from __future__ import annotations

import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from chaos.load.observer import digest, splice
from chaos.load.scribe import Scribe
from chaos.load.seconds import WindowStats
from chaos.record import Recorder, read_log


def _scribe(folder: Path) -> Scribe:
    return Scribe(Recorder(folder / "events" / "load.msgpack", "load"))


def test_each_invoke_is_ended_once(tmp_path: Path) -> None:
    """The first end of an operation is recorded, a second one is not, and what is open is ended with the load."""
    scribe = _scribe(tmp_path)
    one = scribe.invoke("join", "u1", "u1.1", "room-1", "east", intended_ns=time.monotonic_ns())
    one.ok({"attempts": 1}, "n1")
    one.info("timeout")
    scribe.invoke("leave", "u1", "u1.1", "room-1", "east", intended_ns=1)
    scribe.invoke("roster", "o", "o", "room-1", "east", intended_ns=1)
    scribe.end_all()
    scribe.recorder.close()
    said = [(event.f, event.type, event.error) for event in read_log(tmp_path).events]
    assert said == [
        ("join", "invoke", ""),
        ("join", "ok", ""),
        ("leave", "invoke", ""),
        ("roster", "invoke", ""),
        ("leave", "info", "load ended"),
        ("roster", "gap", "load ended"),
    ]


def test_a_second_is_counted_by_flow_and_region(tmp_path: Path) -> None:
    """The report of a second counts good and bad ends by region, and begins anew; bad news come first."""
    scribe = _scribe(tmp_path)
    now_ns = time.monotonic_ns()
    scribe.invoke("edit", "e1", "e1.1", "doc-1", "east", intended_ns=now_ns).ok()
    scribe.invoke("join", "u1", "u1.1", "room-1", "east", intended_ns=now_ns).ok()
    scribe.invoke("join", "u2", "u2.1", "room-1", "north", intended_ns=now_ns).fail("refused: full")
    flows, last = scribe.second()
    assert flows["edit_ack"]["east"]["ok"] == 1
    assert (flows["join"]["east"]["ok"], flows["join"]["north"]["bad"]) == (1, 1)
    assert last[0] == "u2 join room-1 via north: refused: full"
    assert last[1].startswith("u1 joined room-1 via east in ")
    assert scribe.second() == ({}, [])
    scribe.recorder.close()


lists = st.lists(st.sampled_from("abcde"), max_size=12)


@given(lists, lists)
def test_a_splice_makes_the_one_of_the_other(before: list[str], after: list[str]) -> None:
    """Replacing what the splice says in the older look gives the newer one."""
    start, gone, come = splice(before, after)
    assert before[:start] + come + before[start + gone :] == after


def test_digests_tell_copies_apart() -> None:
    """Equal copies have equal digests of 16 hex digits; order matters."""
    assert digest(["a", "b"]) == digest(("a", "b")) != digest(["b", "a"])
    assert len(digest([])) == 16


def test_a_window_without_samples_says_so() -> None:
    """Without samples there is neither a share nor a percentile, and with some they are exact."""
    assert WindowStats(0, 0, ()).success is None
    assert WindowStats(0, 0, ()).percentile(95) is None
    stats = WindowStats(3, 1, (3.0, 1.0, 2.0))
    assert (stats.success, stats.total) == (0.75, 4)
    assert (stats.percentile(50), stats.percentile(95)) == (2.0, 3.0)
