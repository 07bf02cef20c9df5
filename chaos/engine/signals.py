"""What ends a run early sets a flag and nothing else: no exception can land between a fault and the ledger's line."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

from chaos.errors import ChaosError, ExitCode, Interrupted, Stopped

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
        """Set by the first reason to end; everything that waits in a run waits on it."""
        self.abandon = threading.Event()
        """Set by a reason that leaves no time for the final reads either: a signal, a halt."""
        self.received: signal.Signals | None = None
        self.reason: ChaosError | None = None
        """What else ended the run: a halt outranks a stop condition."""
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

    def end(self, reason: ChaosError) -> None:
        """End the run from another thread: healed, and judged only if the reason is `Stopped`."""
        if self.reason is None or isinstance(self.reason, Stopped):
            self.reason = reason
        if not isinstance(reason, Stopped):
            self.abandon.set()
        self.stop.set()

    def check(self) -> None:
        """Raise what ends the run, if something does: `Interrupted` before anything else."""
        if self.received is not None:
            raise Interrupted(CODES[self.received])
        if self.reason is not None:
            raise self.reason

    def _note(self, number: int, _frame: FrameType | None) -> None:
        if self.received is None:
            self.received = signal.Signals(number)
        self.abandon.set()
        self.stop.set()
