"""A small hand for inline SVG: escaped tags, a time axis, paths with gaps. Pure; knows nothing of runs."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}\Z")
_MINUTES_FROM = 120
_TIME_STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600)


def tag(name: str, *children: str, **attributes: object) -> Markup:
    """An element; text and attributes are escaped, `Markup` children are not. `_` in attribute names becomes `-`."""
    parts = [
        f' {key.rstrip("_").replace("_", "-")}="{escape(_short(value))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    ]
    inside = Markup("").join(children)
    opening = f"<{name}{''.join(parts)}"
    return Markup(f"{opening}/>") if not inside else Markup(f"{opening}>{inside}</{name}>")  # noqa: S704 - escaped above


def join(parts: Iterable[Markup]) -> Markup:
    """Elements one after another."""
    return Markup("").join(parts)


def text(says: str, x: float, y: float, *, css: str = "", anchor: str = "") -> Markup:
    """A text at its base line; anchor is start (default), middle or end."""
    return tag("text", says, x=x, y=y, class_=css, text_anchor=anchor)


def rect(x: float, y: float, width: float, height: float, **attributes: object) -> Markup:
    """A rectangle; never of negative size."""
    return tag("rect", x=x, y=y, width=max(0.0, width), height=max(0.0, height), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    """A straight line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=css)


def colour(value: str) -> str:
    """The colour if it is `#rrggbb`, else a neutral amber; so nothing else can get into an attribute."""
    return value if _COLOUR.match(value) else "#d69e2e"


def _short(value: object) -> object:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else value


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps a value to a place, linearly or by its logarithm; values outside are clipped to the ends."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        value = min(max(value, self.low), self.high)
        low, high = self.low, self.high
        if self.log:
            value, low, high = math.log10(value), math.log10(low), math.log10(high)
        part = (value - low) / (high - low) if high > low else 0.0
        return round(self.start + part * (self.end - self.start), 1)


def time_ticks(start: float, end: float, most: int = 12) -> list[int]:
    """Whole seconds at which to mark the axis, at most about `most`."""
    span = max(1.0, end - start)
    step = next((step for step in _TIME_STEPS if span / step <= most), _TIME_STEPS[-1])
    first = math.ceil(start / step) * step
    return list(range(first, math.floor(end) + 1, step))


def clock(second: float) -> str:
    """`45 s`, `2:05`."""
    return f"{second:.0f} s" if abs(second) < _MINUTES_FROM else f"{int(second) // 60}:{int(second) % 60:02d}"


def nice_top(value: float) -> float:
    """The next of 1, 2, 2.5, 5 x 10^n at or above the value."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next((step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999), 10 * power)


def path(points: Sequence[tuple[float, float | None]]) -> str:
    """The `d` of a line through the points; a missing value leaves a gap, a lone point a short dash."""
    out, pen = [], False
    for index, (x, y) in enumerate(points):
        if y is None:
            pen = False
            continue
        out.append(f"{'L' if pen else 'M'}{x:g} {y:g}")
        alone = not pen and (index + 1 == len(points) or points[index + 1][1] is None)
        if alone:
            out.append("h1.5")
        pen = True
    return "".join(out)


def bars(columns: Iterable[tuple[float, float, float, float]]) -> str:
    """The `d` of filled bars given as (x, y, width, height); those without height are left out."""
    return "".join(f"M{x:g} {y:g}h{w:g}v{h:g}h-{w:g}z" for x, y, w, h in columns if h > 0)


def picture(width: float, height: float, label: str, *children: Markup) -> Markup:
    """The outer element; scales with its box and carries its meaning as a label."""
    return tag("svg", tag("title", label), *children, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=label)
