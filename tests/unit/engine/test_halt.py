"""The operator's emergency stop."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from chaos.engine import halt
from chaos.engine.signals import Shield
from chaos.errors import ExitCode, Halted, Interrupted, Refused, Stopped


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))


def test_no_run_begins_until_it_is_lifted() -> None:
    """The refusal says who halted and why; the first halt stands, and lifting says what stood."""
    halt.refuse_if_halted()
    halt.halt("live class")
    halt.halt("another reason")
    with pytest.raises(Refused, match="live class") as caught:
        halt.refuse_if_halted()
    assert caught.value.hint == "chaos halt --lift"
    stood = halt.lift()
    assert stood is not None
    assert stood.who == halt.who()
    assert halt.lift() is None
    halt.refuse_if_halted()


def test_a_halt_that_cannot_be_read_is_a_halt() -> None:
    """A damaged file lets nothing run."""
    halt.path().parent.mkdir()
    halt.path().write_text("{")
    with pytest.raises(Refused, match="halted by somebody"):
        halt.refuse_if_halted()


def test_a_run_in_progress_hears_of_it() -> None:
    """The watch tells once, with a failure that names the halt."""
    told: list[Halted] = []
    heard = threading.Event()

    def tell(error: Halted) -> None:
        told.append(error)
        heard.set()

    watch = halt.Watch(tell)
    watch.start()
    halt.halt("now")
    assert heard.wait(10)
    watch.end()
    assert len(told) == 1
    assert "now" in told[0].message
    assert told[0].exit_code == ExitCode.INCONCLUSIVE


def test_what_ends_a_run_has_an_order() -> None:
    """A halt outranks a stop condition, a signal outranks both; only a stop condition leaves time for final reads."""
    shield = Shield()
    shield.check()
    shield.end(Stopped("join.success < 50% for 10 s"))
    assert shield.stop.is_set()
    assert not shield.abandon.is_set()
    with pytest.raises(Stopped):
        shield.check()
    shield.end(Halted("halted"))
    shield.end(Stopped("again"))
    assert shield.abandon.is_set()
    with pytest.raises(Halted):
        shield.check()
    shield._note(15, None)
    with pytest.raises(Interrupted):
        shield.check()
