"""Who watches a run: a live picture on a terminal, lines in a log, nobody where a machine reads.

A view is fed from several threads, never raises into the run, and never hides its own bug: that goes to the log
once, and to the reader as one line.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from chaos.model.view import Unwatched as QuietView
from chaos.model.view import View

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from rich.console import Console

__all__ = ["Guarded", "QuietView", "View", "view_for"]

log = logging.getLogger(__name__)


def view_for(console: Console, *, json: bool, env: Mapping[str, str]) -> View:
    """The view that fits: none for `--json`, live on a terminal that can move its cursor, else lines."""
    if json:
        return QuietView()
    steady = env.get("CI", "") not in {"", "0", "false"} or env.get("TERM") == "dumb"
    if console.is_terminal and not steady:
        from chaos.report.screen import LiveView  # noqa: PLC0415 - rich's live display only where it is shown

        return Guarded(LiveView(console), console)
    from chaos.report.lines import LineView  # noqa: PLC0415

    return Guarded(LineView(console), console)


class Guarded:
    """Passes calls on, one at a time; after a failure of the view the run goes on unwatched."""

    def __init__(self, view: View, console: Console) -> None:
        self._view = view
        self._console = console
        self._lock = threading.Lock()
        self._broken = False

    def begin(self, title: str, stack: str, seed: int) -> None:
        self._call("begin", title, stack, seed)

    def phase(self, name: str, seconds: float) -> None:
        self._call("phase", name, seconds)

    def fault(self, kind: str, data: dict[str, Any]) -> None:
        self._call("fault", kind, data)

    def second(self, data: dict[str, Any]) -> None:
        self._call("second", data)

    def say(self, text: str) -> None:
        self._call("say", text)

    def close(self) -> None:
        self._call("close")

    def _call(self, name: str, *arguments: Any) -> None:
        with self._lock:
            if self._broken and name != "close":
                return
            call: Callable[..., None] = getattr(self._view, name)
            try:
                call(*arguments)
            except Exception:
                log.exception("the view failed in %s", name)
                self._give_up()

    def _give_up(self) -> None:
        if self._broken:
            return
        self._broken = True
        try:
            self._view.close()
            self._console.print("the view of the run failed (its log says why); the run goes on", style="yellow")
        except Exception:
            log.exception("the view could not be closed")
