"""A signal is a flag, and the first one decides."""

from __future__ import annotations

import os
import signal

import pytest

from chaos.engine.signals import Shield
from chaos.errors import ExitCode, Interrupted


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, ExitCode.INTERRUPTED), (signal.SIGTERM, ExitCode.TERMINATED), (signal.SIGHUP, ExitCode.HANGUP)],
)
def test_a_signal_sets_the_flag_and_raises_nothing(number: signal.Signals, code: ExitCode) -> None:
    """The handler raises nothing where the signal lands; `check` raises where the run is ready for it."""
    shield = Shield()
    before = signal.getsignal(number)
    shield.arm()
    try:
        shield.check()
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), signal.SIGTERM)
        assert shield.stop.is_set()
        with pytest.raises(Interrupted) as caught:
            shield.check()
        assert caught.value.exit_code is code
    finally:
        shield.disarm()
    assert signal.getsignal(number) == before


def test_armed_again_after_a_library_took_the_signal() -> None:
    """Arming twice takes a signal back from whoever set it in between, and still restores the first handler."""
    shield = Shield()
    first = signal.getsignal(signal.SIGTERM)
    shield.arm()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    shield.arm()
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        assert shield.stop.is_set()
    finally:
        shield.disarm()
    assert signal.getsignal(signal.SIGTERM) == first
