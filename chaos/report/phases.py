"""The phases of a run as lines of a terminal: how long, what users felt, what the faults did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from chaos.model.verdict import Outcome, Verdict
from chaos.report import words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from chaos.report.glyphs import Glyphs
    from chaos.report.story import FaultSpan, PhaseSpan, Story

SHOWN = ("warm-up", "baseline", "fault", "recovery")
FELT = (("join", "join"), ("edit_ack", "edit"), ("edit", "edit"))
NAME = 11
LONGEST_NAME = 20
WIDE = 100
"""Columns from which bars are longer and the warm-up is shown."""
GAP = "   "


def phase_rows(story: Story, verdict: Verdict, signs: Glyphs, width: int) -> Iterator[Text]:
    """A line per phase, per fault, for what users felt meanwhile, and for the heal."""
    yield from _Rows(story, verdict, signs, width).lines()


class _Rows:
    def __init__(self, story: Story, verdict: Verdict, signs: Glyphs, width: int) -> None:
        self.story, self.verdict, self.signs, self.width = story, verdict, signs, width
        self.bar = 16 if width >= WIDE else 12
        names = [len(fault.name or fault.fault) for fault in story.faults]
        self.name = min(LONGEST_NAME, max([NAME, *names]))
        self.shown = [p for p in story.phases if p.name in SHOWN and (p.name != "warm-up" or width >= WIDE)]
        self.scale = max((phase.seconds for phase in self.shown), default=0.0)

    def lines(self) -> Iterator[Text]:
        for phase in self.shown:
            if phase.name == "fault" and self.story.faults:
                for fault in self.story.faults:
                    name = fault.name or fault.fault
                    yield self._row(name, self._fault_bar(fault, phase), self._did(fault))
                yield self._row("", Text(), self._felt(phase))
                yield from self._heal()
            else:
                cells = self.signs.full * self._cells(phase.seconds)
                bar = Text.assemble((cells, "blue"), f" {words.seconds(phase.seconds)}")
                yield self._row(phase.name, bar, self._felt(phase))

    def _row(self, name: str, bar: Text, parts: Sequence[Text]) -> Text:
        name = self.signs.text(name)
        if len(name) > self.name:
            name = name[: self.name - 1] + "~"
        left = Text.assemble(f" {name:<{self.name}} ", bar)
        column = self.name + 2 + self.bar + 8
        left.append(" " * (column - left.cell_len))
        used = column
        for index, part in enumerate(parts):
            fits = used + len(GAP) + part.cell_len <= self.width
            if index:
                left.append(GAP if fits else "\n" + " " * column)
                used = used + len(GAP) if fits else column
            left.append_text(part)
            used += part.cell_len
        return left

    def _cells(self, seconds: float) -> int:
        return max(1, round(self.bar * seconds / self.scale)) if self.scale else 0

    def _fault_bar(self, fault: FaultSpan, phase: PhaseSpan) -> Text:
        """The phase's bar, filled in the fault's colour where it was on."""
        total = self._cells(phase.seconds)
        if fault.on_s is None or not phase.seconds:
            return Text.assemble((self.signs.light * total, "dim"), " never")
        off = phase.end_s if fault.off_s is None else fault.off_s
        first = min(total - 1, int(total * max(0.0, fault.on_s - phase.start_s) / phase.seconds))
        last = max(first + 1, min(total, round(total * (off - phase.start_s) / phase.seconds)))
        return Text.assemble(
            (self.signs.light * first, "dim"),
            (self.signs.full * (last - first), fault.band or "yellow"),
            (self.signs.light * (total - last), "dim"),
            f" {words.seconds(off - fault.on_s)}",
        )

    def _did(self, fault: FaultSpan) -> list[Text]:
        says = words.pretty(fault.says or fault.fault) + (f" on {fault.reach}" if fault.reach else "")
        word, style = "bite not measured", "yellow"
        if fault.bit is not None:
            word, style = ("bit", "green") if fault.bit else ("did not bite", "red")
        proof = f": {fault.evidence}" if fault.evidence else ""
        return [Text(self.signs.text(says)), Text(self.signs.text(word + proof), style=style)]

    def _heal(self) -> Iterator[Text]:
        injected = [fault for fault in self.story.faults if fault.on_s is not None]
        if not injected:
            return
        left = [fault for fault in injected if fault.off_s is None or fault.clean is False]
        slowest = max((fault.heal_s for fault in injected if fault.heal_s is not None), default=None)
        bar = Text() if slowest is None else Text.assemble((self.signs.full, "blue"), f" {words.seconds(slowest)}")
        says = Text("nothing left behind")
        if left:
            names = "; ".join(fault.off_says or fault.name for fault in left)
            says = Text(self.signs.text(f"still there: {names}"), style="bold magenta")
        elif any(fault.clean is None for fault in injected):
            says = Text("taken out; whether something is left was not measured", style="yellow")
        yield self._row("heal", bar, [says])

    def _felt(self, phase: PhaseSpan) -> list[Text]:
        parts = [self._came_back()] if phase.name == "recovery" else []
        for flow, word in FELT:
            figure = self.story.figure(flow, phase.name)
            if figure is not None and figure.share is not None:
                ok = f"{words.share(figure.share)}, " if figure.bad else ""
                parts.append(f"{word} {ok}p95 {words.millis(figure.p95_ms)}")
        return [Text(self.signs.text(part)) for part in parts if part] or [Text("? nothing measured", style="yellow")]

    def _came_back(self) -> str:
        check = next((c for c in self.verdict.checks if c.id == "recovery"), None)
        if check is None:
            return ""
        if check.outcome is Outcome.PASS and check.figures.get("recovery_s") == 0:
            return "back at once"
        word = {Outcome.PASS: "back after", Outcome.FAIL: "not back in time:"}.get(check.outcome, "back after ?")
        return f"{word} {words.pretty(check.measured)}".strip()
