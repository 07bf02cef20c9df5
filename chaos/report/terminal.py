"""The verdict on a terminal: what happened, every rule with its figures, and the next command."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TextIO

from rich.console import Console, Group
from rich.text import Text

from chaos.model.verdict import CheckResult, Kind, Outcome, Verdict
from chaos.report import words
from chaos.report.glyphs import Glyphs, glyphs_for
from chaos.report.phases import phase_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions, RenderableType, RenderResult

    from chaos.errors import ChaosError
    from chaos.model.verdict import Witness
    from chaos.report.story import Story

COLOURS = {"pass": "green", "fail": "red", "inconclusive": "yellow", "dirty": "magenta"}
WITNESSES = 2
"""Witnesses of one check shown here; the report shows all."""
OFF_TTY_WIDTH = 120
LEAST_GAP = 6


def make_console(stream: TextIO | None = None, *, stderr: bool = False) -> Console:
    """A console that honours NO_COLOR, COLUMNS and the stream's encoding; 120 columns where there is no terminal."""
    file = stream or (sys.stderr if stderr else sys.stdout)
    wide = None if file.isatty() or os.environ.get("COLUMNS") else OFF_TTY_WIDTH
    return Console(file=file, width=wide, highlight=False, markup=False, emoji=False)


def render(verdict: Verdict, story: Story, *, failures_last: bool | None = None) -> RenderableType:
    """The verdict block. Failures come first on a terminal, last in a log (not a terminal, or CI is set)."""
    return _Block(verdict, story, failures_last=failures_last)


def print_verdict(verdict: Verdict, story: Story, console: Console | None = None) -> None:
    """The verdict block on stdout."""
    (console or make_console()).print(render(verdict, story))


def print_error(error: ChaosError, console: Console) -> None:
    """What happened, its evidence, and what to do next; no traceback."""
    signs = glyphs_for(console)
    head = Text.assemble((f"{signs.bad} ", "bold red"), (signs.text(error.message), "bold"))
    console.print(_hang(head, 0, 2))
    for line in error.evidence:
        console.print(_hang(Text(signs.text(line), style="dim"), 4, 2))
    if error.hint:
        console.print(_hang(Text.assemble(("  hint  ", "cyan"), signs.text(error.hint)), 0, 8))


class _Block:
    """Laid out only when printed, so that width and encoding are those of the console."""

    def __init__(self, verdict: Verdict, story: Story, *, failures_last: bool | None) -> None:
        self.verdict = verdict
        self.story = story
        self.failures_last = failures_last

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        last = self.failures_last
        if last is None:
            last = not console.is_terminal or bool(os.environ.get("CI"))
        signs, width = glyphs_for(console), options.max_width
        yield _title(self.story, signs, width)
        yield from phase_rows(self.story, self.verdict, signs, width)
        yield Text()
        yield from _checks(self.verdict, self.story, signs, width, failures_last=last)
        yield Text()
        yield from _ending(self.verdict, self.story, signs, width)


def _title(story: Story, signs: Glyphs, width: int) -> RenderableType:
    dot = f" {signs.dot} "
    facts = [f"stack {story.stack}" if story.stack else "", story.stack_says, f"seed {story.seed}"]
    title, right = Text(signs.text(story.title), style="bold"), signs.text(dot.join(filter(None, facts)))
    if title.cell_len + len(right) + 3 > width:
        return Group(title, Text(f" {right}", style="dim"))
    return Text.assemble(title, " " * (width - title.cell_len - len(right)), (right, "dim"))


def _checks(
    verdict: Verdict, story: Story, signs: Glyphs, width: int, *, failures_last: bool
) -> Iterator[RenderableType]:
    single: list[CheckResult] = []
    held: list[CheckResult] = []
    for check in words.in_order(verdict.checks, failures_last=failures_last):
        quiet = check.kind is Kind.VALIDITY and check.outcome is Outcome.PASS
        (held if quiet else single).append(check)
    names = [len(signs.text(words.rule(check))) for check in single]
    column = min(max(names, default=0), max(24, width * 2 // 5))
    blocks = [_check(check, story, signs, width, column) for check in single]
    if held:
        facts = f" {signs.dot} ".join(signs.text(words.pretty(check.name)) for check in held)
        line = Text.assemble((f"{signs.ok} ", "green"), ("valid", "bold"), (f"  {facts}", "dim"))
        blocks.insert(0 if failures_last else len(blocks), [_hang(line, 1, 2)])
    for block in blocks:
        yield from block


def _check(check: CheckResult, story: Story, signs: Glyphs, width: int, column: int) -> list[RenderableType]:
    colour = COLOURS[check.outcome.value]
    broken = check.outcome is not Outcome.PASS
    name = Text(signs.text(words.rule(check)), style="bold" if broken else "")
    figures = signs.text(words.measured(check))
    line = Text.assemble((f"{signs.mark(check.outcome)} ", f"bold {colour}"), name)
    line.append(" " * max(2, column - name.cell_len + 2))
    line.append(figures, style=colour if broken else "")
    shown = _place(check, story, width - line.cell_len - 3)
    if shown:
        line.append(" " * (width - line.cell_len - 1 - len(shown)) + signs.text(shown), style="dim")
    rows = [_hang(line, 1, column + 4 if column + 30 < width else 4)]
    details = [signs.text(reason) for reason in check.reasons]
    if broken and check.place and not shown:
        details.append(signs.text(f"at {check.place}"))
    rows += [_hang(Text(detail, style="dim"), 3, 2) for detail in details]
    if check.outcome is Outcome.FAIL:
        rows += [row for witness in check.witnesses[:WITNESSES] for row in _witness(witness, signs)]
        more = len(check.witnesses) - WITNESSES
        if more > 0:
            rows.append(Text(f"     and {words.count(more, 'more witness', 'more witnesses')} in the report", "dim"))
    return rows


def _place(check: CheckResult, story: Story, room: int) -> str:
    """`file:line` if there is room, else `:line` for a rule of the run's own file that did not fail, else nothing."""
    if check.place is None:
        return ""
    if len(str(check.place)) <= room:
        return str(check.place)
    short = f":{check.place.line}"
    own = check.outcome is not Outcome.FAIL and check.place.file == story.file and check.place.line
    return short if own and len(short) <= room else ""


def _witness(witness: Witness, signs: Glyphs) -> Iterator[RenderableType]:
    yield _hang(Text(signs.text(witness.says), style="red"), 3, 2)
    for event in witness.events:
        yield _hang(Text.assemble((f"{event.t_s:7.2f} s  ", "dim"), signs.text(event.says)), 5, 11)


def _hang(text: Text, left: int, hang: int) -> RenderableType:
    """The text with a hanging indent: `left` columns before the first line, `hang` more before the others."""
    return _Hanging(text, left, hang)


class _Hanging:
    def __init__(self, text: Text, left: int, hang: int) -> None:
        self.text, self.left, self.hang = text, left, hang

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - self.left
        if self.text.cell_len <= room:
            yield Text(" " * self.left).append_text(self.text)
            return
        first = self.text.wrap(console, max(10, room))[0]
        first.rstrip()
        yield Text(" " * self.left).append_text(first)
        rest = self.text[len(first.plain) :]
        rest = rest[len(rest.plain) - len(rest.plain.lstrip()) :]
        for line in rest.wrap(console, max(10, room - self.hang)):
            line.rstrip()
            yield Text(" " * (self.left + self.hang)).append_text(line)


def _ending(verdict: Verdict, story: Story, signs: Glyphs, width: int) -> Iterator[RenderableType]:
    word = words.ending(verdict)
    colour = COLOURS[words.tone(verdict)]
    report = f"report {story.directory}/report.html" if story.directory else ""
    tail = f"exit {int(verdict.exit_code)}"
    head = Text.assemble((word, f"bold {colour}"), "  ", signs.text(verdict.says))
    report = signs.text(report)
    gap = width - head.cell_len - len(report) - len(tail)
    if report and gap >= LEAST_GAP:
        yield Text.assemble(head, " " * (gap // 2), report, " " * (gap - gap // 2), (tail, "bold"))
    else:
        yield Text.assemble(head, " " * max(2, width - head.cell_len - len(tail)), (tail, "bold"))
        if report:
            yield Text(report, overflow="fold")
    command, why = words.next_step(verdict, story)
    yield _hang(Text.assemble(("next  ", "dim"), (signs.text(command), "cyan"), (f"   {why}", "dim")), 0, 6)
