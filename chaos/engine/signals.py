"""A signal sets a flag and nothing else: no exception can land between a fault and the ledger's line about it."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from chaos.errors import ExitCode, Interrupted

if TYPE_CHECKING:
    from types import FrameType

CODES = {
    signal.SIGINT: ExitCode.INTERRUPTED,
    signal.SIGTERM: ExitCode.TERMINATED,
    signal.SIGHUP: ExitCode.HANGUP,
}


class Shield:
    """Turns SIGINT, SIGTERM and SIGHUP into a flag from `arm` to `disarm`. The first signal decides the exit code."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        """Set by the first signal; everything that waits in a run waits on it."""
        self.received: signal.Signals | None = None
        self._before: dict[signal.Signals, object] = {}

    def arm(self) -> None:
        """Take the signals over; again is no error, and needed after a library has set handlers of its own."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in CODES:
            before = signal.signal(number, self._note)
            # Bound methods are made anew at each look, so they are compared by value.
            if before != self._note:
                self._before.setdefault(number, before)

    def disarm(self) -> None:
        """Give the signals back as they were."""
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                signal.signal(number, before)  # type: ignore[arg-type]  # what signal.signal returned, it takes
            self._before.clear()

    def check(self) -> None:
        """Raise `Interrupted` if a signal came."""
        if self.received is not None:
            raise Interrupted(CODES[self.received])

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        self.stop.set()
