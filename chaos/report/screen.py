"""A run as a live picture on a terminal: phases, faults, users per flow and region, the last events.

Calls only change the feed; the picture is drawn from it by rich's own thread, at most `FPS` times a second.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.text import Text

from chaos.report import words
from chaos.report.feed import Feed, Tick, quantile, total
from chaos.report.glyphs import glyphs_for

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console, RenderableType

    from chaos.report.feed import Fault, Phase

log = logging.getLogger(__name__)

FPS = 4
WINDOW_S = 5
"""Seconds behind the figures beside a sparkline."""
EVENTS = 6
LEAST_EVENTS = 2
FLOW = 8
FIGURES = 16
LOWEST_MS, PER_LEVEL = 4.0, 2.2
"""A sparkline's lowest bar is below 4 ms; each level is 2.2 times slower, the eighth from about 1 s."""
PLANNED = ("warm-up", "baseline", "fault", "recovery", "final")


class LiveView:
    """Draws until closed, and then leaves nothing: the verdict takes its place."""

    def __init__(self, console: Console, clock: Callable[[], float] | None = None) -> None:
        self._console = console
        self._signs = glyphs_for(console)
        self._feed = Feed(clock=clock) if clock else Feed()
        self._lock = threading.Lock()
        self._failed = False
        self._live = Live(
            get_renderable=self._safely_drawn,
            console=console,
            refresh_per_second=FPS,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._closed = False

    def begin(self, title: str, stack: str, seed: int) -> None:
        with self._lock:
            self._feed.title, self._feed.stack, self._feed.seed = title, stack, seed
        self._live.start()

    def phase(self, name: str, seconds: float) -> None:
        with self._lock:
            self._feed.begin_phase(name, seconds)

    def fault(self, kind: str, data: dict[str, Any]) -> None:
        with self._lock:
            fault = self._feed.step_of_fault(kind, data)
            told = {
                "on": " ".join(filter(None, (fault.name, "is on", fault.where))),
                "bite": f"{fault.name} {'bit' if fault.bit else 'did not bite'}: {fault.evidence}",
                "off": f"{fault.name} is off",
                "off-proof": f"{fault.name} {'is gone' if data.get('clean') is True else 'is STILL THERE'}",
            }.get(kind)
            if told:
                self._feed.happen(f"{self._feed.second:>4} s  {told}")

    def second(self, data: dict[str, Any]) -> None:
        with self._lock:
            self._feed.add_second(data)

    def say(self, text: str) -> None:
        with self._lock:
            self._feed.happen(f"{self._feed.second:>4} s  {text}")

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._live.stop()

    def _safely_drawn(self) -> RenderableType:
        # Called by rich's thread: an exception there would end the thread with a traceback over the picture.
        try:
            return self.draw()
        except Exception:
            if not self._failed:
                self._failed = True
                log.exception("the live view cannot be drawn")
            return Text("the live view cannot be drawn (its log says why); the run goes on", style="yellow")

    def draw(self) -> RenderableType:
        """The picture now, no wider and no higher than the console."""
        width, height = self._console.size
        with self._lock:
            lines = list(self._lines(width))
            room = max(LEAST_EVENTS, min(EVENTS, height - len(lines) - 3))
            happened = list(self._feed.happenings)[-room:]
        lines += [Text(f" {self._signs.text(text)}", style="dim") for text in happened]
        lines += [Text()] * (room - len(happened))
        lines.append(Text(" Ctrl-C stops and heals", style="cyan"))
        for line in lines:
            line.truncate(width - 1)
            line.no_wrap = True
        return Group(*lines[: max(1, height - 1)])

    def _lines(self, width: int) -> Iterator[Text]:
        feed, dot = self._feed, f" {self._signs.dot} "
        yield Text(self._signs.text(feed.title), style="bold")
        live = [f"{count} {name}" for name, count in feed.live.items() if count or name != "offline"]
        facts = [f"stack {feed.stack}", f"seed {feed.seed}", *live]
        yield Text(f" {self._signs.text(dot.join(facts))}", style="dim")
        yield Text()
        yield from self._phases(width)
        for fault in feed.faults.values():
            yield self._fault(fault)
        yield Text()
        yield from self._users(width)
        yield Text()

    def _phases(self, width: int) -> Iterator[Text]:
        """What is over, what is on with its progress, what is to come."""
        begun = self._feed.phases
        if not begun:
            yield Text(" starting the stack", style="dim")
            return
        now = begun[-1]
        line = Text(" ")
        for name in PLANNED:
            if name == now.name:
                line.append(f"{name}  ", style="bold")
            else:
                style = "green dim" if any(phase.name == name for phase in begun) else "dim"
                line.append(f"{name}  ", style=style)
        yield line
        yield self._bar(now, max(10, min(width - 20, 76)))

    def _bar(self, phase: Phase, size: int) -> Text:
        """The phase's progress; where a fault was on it has the fault's colour."""
        spent = max(0.0, self._feed.clock() - phase.began)
        whole = max(phase.seconds, spent, 0.1) if phase.seconds else 0.0
        if not whole:
            return Text.assemble(" ", (self._signs.light * size, "dim"), f" {words.seconds(spent)}")
        bar = Text(" ")
        for cell in range(size):
            at = phase.began + (cell + 0.5) / size * whole
            done = at <= phase.began + spent
            bar.append(self._signs.full if done else self._signs.light, self._colour_at(at) if done else "dim")
        return bar.append(f" {words.seconds(spent)} of {words.seconds(phase.seconds)}")

    def _colour_at(self, at: float) -> str:
        colours = [f.band for f in self._feed.faults.values() if f.on and f.on <= at and (not f.off or at < f.off)]
        return (colours[-1] or "yellow") if colours else "blue"

    def _fault(self, fault: Fault) -> Text:
        state = "off" if fault.off else f"on {fault.where}".rstrip() if fault.on else "coming"
        proof = ""
        if fault.bit is not None:
            proof = f"   {'bit' if fault.bit else 'did not bite'}: {fault.evidence}"
        now = state.startswith("on")
        block = (self._signs.full + " ", fault.band or "yellow") if now else (f"{self._signs.light} ", "dim")
        says = self._signs.text(f"{fault.name} {state}   {fault.says}{proof}")
        return Text.assemble(" ", block, (says, "" if now else "dim"))

    def _users(self, width: int) -> Iterator[Text]:
        """A row per flow: success, p95 and a sparkline for each region, or for all where they do not fit."""
        flows = self._feed.flows()
        if not flows:
            yield Text(" nobody is there yet", style="dim")
            return
        regions: list[str | None] = list(self._feed.regions())
        least = FIGURES + 10
        if (width - FLOW - 2) // least < len(regions):
            regions = [None]
        cell = (width - FLOW - 2) // len(regions)
        spark = min(40, cell - FIGURES - 2)
        head = Text(" " * (FLOW + 1))
        for region in regions:
            title = region or "all regions"
            head.append(f"{self._signs.text(title):<{spark}}{'ok':>8}{'p95':>8}  ", style="dim")
        yield head
        for flow in flows:
            row = Text(f" {flow.removesuffix('_ack'):<{FLOW}}")
            for region in regions:
                row.append_text(self._spark(self._feed.row(flow, region, spark), spark))
                row.append_text(self._figures(total(self._feed.row(flow, region, WINDOW_S))))
            yield row

    def _spark(self, ticks: list[Tick], size: int) -> Text:
        """Height is the second's p95 (logarithmic, the same scale everywhere), colour is success."""
        text = Text(" " * (size - len(ticks)))
        for tick in ticks:
            count = tick.ok + tick.bad
            if not count:
                text.append(" ")
            elif 2 * tick.bad >= count:
                text.append(self._signs.failing, style="bold red")
            else:
                text.append(self._signs.sparks[level(tick)], style="yellow" if tick.bad else "green")
        return text

    def _figures(self, tick: Tick) -> Text:
        count = tick.ok + tick.bad
        if not count:
            return Text(f"{'-':>8}{'':{FIGURES - 6}}", style="dim")
        high = quantile(tick.ms, 0.95)
        share = words.share(tick.ok / count)
        text = Text(f"{share:>8}", style="red" if tick.bad else "")
        return text.append(f"{words.millis(high):>8}  ", style="")


def level(tick: Tick) -> int:
    """Which of eight bars stands for the p95 of a second."""
    high, bar, edge = quantile(tick.ms, 0.95) or 0.0, 0, LOWEST_MS
    while high > edge and bar < 7:  # noqa: PLR2004 - eight bars
        bar, edge = bar + 1, edge * PER_LEVEL
    return bar
