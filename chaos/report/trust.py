"""What `chaos trust` found, for people and for programs: the matrix mutant x check, clean runs, equals compared."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from chaos.model.verdict import Outcome
from chaos.report.glyphs import Glyphs, glyphs_for
from chaos.report.terminal import COLOURS, make_console
from chaos.verdict.checks import registry
from chaos.verdict.judge import EXIT_CODES

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Iterator, Sequence

    from rich.console import Console, RenderableType

    from chaos.trust.conclusion import Row, Trust
    from chaos.trust.same import Same

FORMAT = "collab-chaos-trust"
VERSION = 1
HALVES = {"M": "meetings", "D": "documents"}


def document(trust: Trust) -> str:
    """As indented JSON with a last newline."""
    plain: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "outcome": trust.outcome.value,
        "exit_code": int(EXIT_CODES[trust.outcome]),
        "mutants": [
            {"name": row.name, "wanted": row.wanted, "runs": row.runs, "caught": row.caught, "late": row.late,
             "failed": dict(row.failed)} for row in trust.rows
        ],
        "clean": {name: dict(counts) for name, counts in trust.clean.items()},
        "starved": {name: {outcome.value: n for outcome, n in counts.items()} for name, counts in trust.hungry.items()},
        "same": trust.same._asdict(),
        "surprises": list(trust.surprises),
        "made_by_other_code": trust.foreign,
        "problems": list(trust.problems),
        "doubts": list(trust.doubts),
    }  # fmt: skip
    return json.dumps(plain, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def show(trust: Trust, console: Console | None = None) -> None:
    """On stdout."""
    console = console or make_console()
    signs = glyphs_for(console)
    for part in _parts(trust, signs):
        console.print(part)


def _parts(trust: Trust, signs: Glyphs) -> Iterator[RenderableType]:
    for half, name in HALVES.items():
        rows = [row for row in trust.rows if (row.wanted[:1] if row.wanted in registry() else "M") == half]
        if rows:
            yield Text(f"mutants of {name}: how often each check failed, [n] where it must", style="bold")
            yield _matrix(rows, [check for check in registry() if check[:1] == half], signs)
    if trust.clean:
        yield from _clean(trust)
    if trust.same.pairs:
        yield from _same(trust.same, signs)
    for surprise in trust.surprises:
        yield Text(signs.text(surprise), style="dim")
    for words, colour in ((trust.problems, COLOURS["fail"]), (trust.doubts, COLOURS["inconclusive"])):
        for says in words:
            yield Text(signs.text(f"{signs.bad if words is trust.problems else signs.unknown} {says}"), style=colour)
    if trust.foreign:
        yield Text(f"note: {trust.foreign} of these runs were made by other code than this; --fresh makes all again")
    yield _last(trust)


def _matrix(rows: Sequence[Row], checks: Sequence[str], signs: Glyphs) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("")
    for check in checks:
        table.add_column(check, justify="right", no_wrap=True)
    table.add_column("of", justify="right")
    table.add_column("and", overflow="fold")
    for row in rows:
        rest = [f"{name} {count}" for name, count in sorted(row.failed.items())
                if name not in checks and name != row.wanted]  # fmt: skip
        if row.wanted not in checks:
            rest.insert(0, f"{row.wanted} [{row.caught}]")
        table.add_row(
            row.name, *(_cell(row, check, signs) for check in checks), str(row.runs), Text(", ".join(rest), style="dim")
        )
    return table


def _cell(row: Row, check: str, signs: Glyphs) -> Text:
    count = row.failed.get(check, 0)
    if check == row.wanted:
        return Text(f"[{count}]", style=f"bold {COLOURS['fail' if row.missed else 'pass']}")
    return Text(str(count) if count else signs.dot, style="" if count else "dim")


def _clean(trust: Trust) -> Iterator[RenderableType]:
    yield Text("clean stack", style="bold")
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    for name, counts in trust.clean.items():
        table.add_row(name, _counts(counts))
    yield table
    starved = sum(counts[Outcome.INCONCLUSIVE] for counts in trust.hungry.values())
    total = sum(counts.total() for counts in trust.hungry.values())
    yield Text(
        f"without their observations: {starved} of {total} passes of {len(trust.hungry)} checks became inconclusive"
    )


def _counts(counts: Counter[str]) -> Text:
    colours = {"pass": COLOURS["pass"], "inconclusive": COLOURS["inconclusive"]}
    parts = [(f"{count} {word}  ", colours.get(word, COLOURS["fail"])) for word, count in counts.items() if count]
    return Text.assemble(*parts)


def _same(same: Same, signs: Glyphs) -> Iterator[RenderableType]:
    yield Text("the same run twice, without a fault", style="bold")
    yield Text(f"false alarms: in {same.alarmed} of {same.pairs} comparisons, {len(same.alarms)} of {same.lines} lines")
    for alarm in same.alarms:
        yield Text(signs.text(f"  {alarm}"), style="dim")
    slower = ", ".join(f"{flow} {factor:g}×" for flow, factor in same.slower.items())
    failing = ", ".join(f"{flow} {100 * share:g} %" for flow, share in same.failing.items())
    yield Text(signs.text(f"smallest slow-down seen on this machine: {slower or 'none'}"))
    yield Text(signs.text(f"smallest share of failures seen: {failing or 'none'}"))


def _last(trust: Trust) -> Text:
    caught, runs = sum(row.caught for row in trust.rows), sum(row.runs for row in trust.rows)
    words = {Outcome.PASS: "TRUSTED", Outcome.FAIL: "NOT TRUSTED", Outcome.INCONCLUSIVE: "INCONCLUSIVE"}
    head = Text(words[trust.outcome], style=f"bold {COLOURS[trust.outcome.value]}")
    clean = sum(counts["pass"] for counts in trust.clean.values())
    total = sum(counts.total() for counts in trust.clean.values())
    says = f"  {caught} of {runs} mutants caught, {clean} of {total} clean runs passed"
    return Text.assemble(head, f"{says}  exit {int(EXIT_CODES[trust.outcome])}")
