"""Plain tables and JSON on stdout."""

from __future__ import annotations

import json
import shutil
import textwrap
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def as_json(value: Any) -> None:
    """Print a value for a machine."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str = "none") -> None:
    """Print rows in aligned columns; the last column wraps to the terminal's width (80 where there is none)."""
    if not rows:
        click.echo(empty)
        return
    cells = [[_text(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]
    room = max(20, shutil.get_terminal_size((80, 24)).columns - sum(widths[:-1]) - 2 * len(widths[:-1]))
    click.secho(_line([column.upper() for column in columns], widths), bold=True)
    for line in cells:
        last = textwrap.wrap(line[-1], room) or [""]
        click.echo(_line([*line[:-1], last[0]], widths))
        for more in last[1:]:
            click.echo(" " * (sum(widths[:-1]) + 2 * len(widths[:-1])) + more)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_text, value))
    return "" if value is None else " ".join(str(value).split())
