"""A run as lines of a log: one per event, and how users fare every few seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.text import Text

from chaos.report import words
from chaos.report.feed import Feed, quantile, total
from chaos.report.glyphs import glyphs_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

SUMMARY_EVERY_S = 5


class LineView:
    """Prints as things happen; every line begins with the second of the load, where it runs already."""

    def __init__(self, console: Console, clock: Callable[[], float] | None = None) -> None:
        self._console = console
        self._signs = glyphs_for(console)
        self._feed = Feed(clock=clock) if clock else Feed()
        self._summed = 0

    def begin(self, title: str, stack: str, seed: int) -> None:
        facts = f" {self._signs.dot} ".join([f"stack {stack}", f"seed {seed}", "Ctrl-C stops and heals"])
        self._print(Text(self._signs.text(title), style="bold"))
        self._print(Text(self._signs.text(facts), style="dim"))

    def phase(self, name: str, seconds: float) -> None:
        self._feed.begin_phase(name, seconds)
        self._line(f"{name}, {words.seconds(seconds)}" if seconds else name, "bold")

    def fault(self, kind: str, data: dict[str, Any]) -> None:
        fault = self._feed.step_of_fault(kind, data)
        if kind == "intent":
            text = f"{fault.name}: {fault.says or 'about to begin'}"
            self._line(text + (f", {words.seconds(fault.duration)}" if fault.duration else ""))
        elif kind == "on":
            self._line(" ".join(filter(None, (fault.name, "is on", fault.where))), fault.band or "yellow")
        elif kind == "bite":
            word = "bit" if fault.bit else "did not bite"
            self._line(f"{fault.name} {word}: {fault.evidence}", "" if fault.bit else "red")
        elif kind == "off":
            self._line(f"{fault.name} is off")
        elif kind == "off-proof":
            clean = data.get("clean") is True
            says = str(data.get("says", ""))
            self._line(f"{fault.name} {'is gone' if clean else 'is STILL THERE'}: {says}", "" if clean else "bold red")

    def second(self, data: dict[str, Any]) -> None:
        self._feed.add_second(data)
        if self._feed.second - self._summed >= SUMMARY_EVERY_S:
            self._summed = self._feed.second
            summary = self.summary()
            if summary:
                self._line(summary, "dim")

    def say(self, text: str) -> None:
        self._line(text)

    def close(self) -> None:
        """Nothing is held open."""

    def summary(self) -> str:
        """The last seconds in a line: success and p95 per flow, and who is there; empty where nobody is."""
        parts = []
        for flow in self._feed.flows():
            tick = total(self._feed.row(flow, None, SUMMARY_EVERY_S))
            count = tick.ok + tick.bad
            if count:
                high = quantile(tick.ms, 0.95)
                shown = f" p95 {words.millis(high)}" if high is not None else ""
                parts.append(f"{flow.removesuffix('_ack')} {words.share(tick.ok / count)}{shown}")
        live = self._feed.live
        parts += [f"{live[name]} {name}" for name in ("participants", "editors", "offline") if live.get(name)]
        return f" {self._signs.dot} ".join(parts)

    def _line(self, text: str, style: str = "") -> None:
        when = f"{self._feed.second:>4} s  " if self._feed.second else "        "
        self._print(Text.assemble((when, "dim"), (self._signs.text(text), style)))

    def _print(self, text: Text) -> None:
        self._console.print(text, soft_wrap=True)
