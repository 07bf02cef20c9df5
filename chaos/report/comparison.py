"""Two runs against each other, for people and for programs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from chaos.model.verdict import Kind, Outcome
from chaos.report import words
from chaos.report.glyphs import glyphs_for
from chaos.report.json import finite
from chaos.report.terminal import COLOURS, make_console

if TYPE_CHECKING:
    from chaos.model.verdict import Verdict
    from chaos.verdict.run import RunRecord

FORMAT = "collab-chaos-comparison"
VERSION = 1
ORDER = (Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.FAIL)
"""Worst last: next to the prompt."""


def document(first: RunRecord, second: RunRecord, verdict: Verdict) -> str:
    """The comparison as indented JSON with a last newline."""
    plain: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "before": first.directory.name,
        "after": second.directory.name,
        "outcome": verdict.outcome.value,
        "exit_code": int(verdict.exit_code),
        "notes": list(notes(first, second)),
        "lines": [one.model_dump(mode="json") for one in verdict.checks],
    }
    return json.dumps(finite(plain), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def show(first: RunRecord, second: RunRecord, verdict: Verdict) -> None:
    """The comparison on stdout."""
    console = make_console()
    signs = glyphs_for(console)
    console.print(Text(signs.text(f"{first.directory.name} → {second.directory.name}"), style="bold"))
    for note in notes(first, second):
        console.print(Text(f"note: {note}", style="yellow"))
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for _ in range(3):
        table.add_column(overflow="fold")
    shared = _shared(verdict)
    for one in sorted(verdict.checks, key=lambda check: ORDER.index(check.outcome)):
        colour = COLOURS[one.outcome.value]
        figures = Text(signs.text(words.pretty(one.measured)), style="" if one.outcome is Outcome.PASS else colour)
        for reason in (one.reasons if one.kind is Kind.SLO else ()) if one.reasons != shared else ():
            figures.append(f"\n{signs.text(reason)}", style="dim")
        name = Text.assemble((f"{signs.mark(one.outcome)} ", f"bold {colour}"), signs.text(words.pretty(one.name)))
        table.add_row(name, Text(one.phase, style="dim"), figures)
    console.print(table)
    for reason in shared:
        console.print(Text(signs.text(reason), style="yellow"))
    what = {Outcome.PASS: "NO WORSE", Outcome.FAIL: "REGRESSION", Outcome.INCONCLUSIVE: "INCONCLUSIVE"}
    head = Text(what[verdict.outcome], style=f"bold {COLOURS[verdict.outcome.value]}")
    console.print(Text.assemble(head, f"  {verdict.says}  exit {int(verdict.exit_code)}"))


def _shared(verdict: Verdict) -> tuple[str, ...]:
    """The reasons that every line has that could not be compared: told once."""
    unsure: set[tuple[str, ...]] = {one.reasons for one in verdict.checks if one.outcome is Outcome.INCONCLUSIVE}
    return unsure.pop() if len(unsure) == 1 else ()


def notes(first: RunRecord, second: RunRecord) -> tuple[str, ...]:
    """What a reader should know: in what the two runs differ besides the stack."""
    found = []
    for name in ("title", "seed"):
        was, now = getattr(first, name), getattr(second, name)
        if was != now:
            found.append(f"{name} differs: {was} and {now}")
    loads = [_load(one) for one in (first, second)]
    if loads[0] != loads[1]:
        found.append("the loads differ, so their figures do not mean the same")
    return tuple(found)


def _load(record: RunRecord) -> Any:
    return record.plan["experiment"].get("load") if isinstance(record.plan.get("experiment"), dict) else None
