"""The chart of one flow over time, and what all pictures of a run share: axis, fault bands, ticks, wider steps."""

from __future__ import annotations

import math
import re
import statistics
from typing import TYPE_CHECKING, NamedTuple

from chaos.report import svg, words
from chaos.report.story import Point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from chaos.model.verdict import CheckResult
    from chaos.report.story import Story

WIDTH = 960.0
LEFT = 132.0
RIGHT = 132.0
MOST_STEPS = 240
LOG_FROM = 40.0
"""Ratio of the largest to the smallest latency from which the axis is logarithmic."""
SPLIT_RATIO, SPLIT_SHARE = 1.5, 0.02
"""Regions are shown apart from this difference of their p95 or success during the fault."""


class Limit(NamedTuple):
    """A latency rule of a flow: drawn where it must hold."""

    ms: float
    start_s: float
    end_s: float


def time_axis(story: Story, left: float = LEFT, right: float = WIDTH - RIGHT) -> svg.Axis:
    """The run's time from edge to edge."""
    return svg.Axis(story.start_s, max(story.end_s, story.start_s + 1), left, right)


def binned(points: Sequence[Point], step: int) -> list[Point]:
    """Fewer, wider points: rates are averaged, p50 is the middle second's, p95 the worst second's."""
    if step <= 1:
        return list(points)
    groups: dict[int, list[Point]] = {}
    for point in points:
        groups.setdefault(int(point.t_s // step), []).append(point)
    out = []
    for index, group in sorted(groups.items()):
        middles = [p.p50_ms for p in group if p.p50_ms is not None]
        highs = [p.p95_ms for p in group if p.p95_ms is not None]
        middle = statistics.median(middles) if middles else None
        ok, bad = (round(sum(counts) / step) for counts in ([p.ok for p in group], [p.bad for p in group]))
        bad = bad or int(any(p.bad for p in group))
        out.append(Point(index * step, ok, bad, middle, max(highs, default=None)))
    return out


def step_of(story: Story) -> int:
    """Seconds per point, so that a long run stays a small file."""
    return max(1, math.ceil((story.end_s - story.start_s) / MOST_STEPS))


def splits(story: Story, flow: str) -> bool:
    """Whether the regions of a flow differed enough during the fault to be drawn apart."""
    figures = [story.figure(flow, "fault", region) for region in story.regions]
    known = [figure for figure in figures if figure is not None and figure.share is not None]
    if len(known) < 2:  # noqa: PLR2004 - one region cannot differ from itself
        return False
    shares = [figure.share or 0.0 for figure in known]
    highs = [figure.p95_ms for figure in known if figure.p95_ms]
    apart = bool(highs) and max(highs) > SPLIT_RATIO * min(highs)
    return apart or max(shares) - min(shares) > SPLIT_SHARE


def bands(story: Story, axis: svg.Axis, top: float, bottom: float) -> Markup:
    """Faults shaded in their colours, and where phases begin."""
    shaded = []
    for fault in story.faults:
        if fault.on_s is not None:
            x, end = axis(fault.on_s), axis(story.end_s if fault.off_s is None else fault.off_s)
            fill = svg.colour(fault.band)
            shaded.append(svg.rect(x, top, max(1.0, end - x), bottom - top, class_="band", fill=fill))
    marks = [svg.line(axis(p.start_s), top, axis(p.start_s), bottom, "mark") for p in story.phases[1:]]
    return svg.join([*shaded, *marks])


def ticks(story: Story, axis: svg.Axis, y: float) -> Markup:
    """The seconds along the bottom."""
    return svg.join(
        svg.text(svg.clock(tick), axis(tick), y, css="tick", anchor="middle")
        for tick in svg.time_ticks(story.start_s, story.end_s)
    )


def limits_of(story: Story, flow: str, checks: Sequence[CheckResult]) -> list[Limit]:
    """The latency rules that a verdict holds for a flow; their figures are seconds."""
    out = []
    for check in checks:
        name, _, what = check.id.partition(".")
        phase = story.phase(check.phase)
        value = check.figures.get("target")
        same = name.removesuffix("_ack") == flow.removesuffix("_ack") and re.fullmatch(r"p\d+", what)
        if same and phase and isinstance(value, int | float) and value > 0:
            out.append(Limit(value * 1000, phase.start_s, phase.end_s))
    return out


def flow_chart(story: Story, flow: str, checks: Sequence[CheckResult] = ()) -> Markup:
    """Rate of success and failure above, latency below, on one axis of time."""
    axis, step = time_axis(story, 52, WIDTH - 84), step_of(story)
    points = binned(story.of_flow(flow), step)
    apart = splits(story, flow)
    lines = [("p50", "p50", points), ("p95", "p95", points)]
    if apart:
        # A p50 over regions that differ jumps between them, and says nothing about either.
        lines = [
            (f"p95 {r}", f"p95 region-{i % 4}", binned(story.of_flow(flow, r), step))
            for i, r in enumerate(story.regions)
        ]
    limits = limits_of(story, flow, checks)
    parts = [bands(story, axis, 8, 220), _rates(points, axis, step), *_latencies(lines, limits, axis, step)]
    label = f"{words.FLOW_NAMES.get(flow, flow)}: successes and failures per second, latency over time"
    return svg.picture(WIDTH, 240, label, *parts, ticks(story, axis, 235))


def _rates(points: Sequence[Point], axis: svg.Axis, step: int) -> Markup:
    top, bottom = 14.0, 74.0
    most = svg.nice_top(max((p.ok + p.bad for p in points), default=1))
    rate = svg.Axis(0, most, 0, bottom - top)
    good, bad = [], []
    for p in points:
        x, wide = axis(p.t_s), round(max(0.6, axis(p.t_s + step) - axis(p.t_s) - 0.8), 1)
        good.append((x, round(bottom - rate(p.ok), 1), wide, rate(p.ok)))
        bad.append((x, round(bottom - rate(p.ok) - rate(p.bad), 1), wide, rate(p.bad)))
    return svg.join(
        [
            svg.text(f"{most:g}/s", 46, top + 8, css="tick", anchor="end"),
            svg.line(axis.start, bottom, axis.end, bottom, "base"),
            svg.tag("path", d=svg.bars(good), class_="ok"),
            svg.tag("path", d=svg.bars(bad), class_="bad"),
        ]
    )


def _latencies(
    lines: Sequence[tuple[str, str, Sequence[Point]]], limits: Sequence[Limit], axis: svg.Axis, step: int
) -> list[Markup]:
    top, bottom = 92.0, 218.0

    def value(point: Point, name: str) -> float | None:
        return point.p50_ms if name == "p50" else point.p95_ms

    values = [v for name, _, points in lines for p in points if (v := value(p, name)) is not None]
    values += [limit.ms for limit in limits]
    if not values:
        return [svg.text("no latency was measured", 60, 150, css="note")]
    log = max(values) > LOG_FROM * max(1e-3, min(values))
    low = 10.0 ** math.floor(math.log10(max(1e-3, min(values)))) if log else 0.0
    scale = svg.Axis(low, max(svg.nice_top(max(values)), low * 10), bottom, top, log=log)
    out = [_grid(scale, axis)]
    out += [
        svg.line(axis(limit.start_s), scale(limit.ms), axis(limit.end_s), scale(limit.ms), "limit") for limit in limits
    ]
    ends: list[tuple[float, str, str]] = []
    for name, css, points in lines:
        places = [(axis(p.t_s + step / 2), None if (v := value(p, name)) is None else scale(v)) for p in points]
        out.append(svg.tag("path", d=svg.path(places), class_=f"line {css}"))
        last = next((y for _, y in reversed(places) if y is not None), None)
        if last is not None:
            ends.append((last, name, css))
    return out + _labels(ends, axis.end + 6)


def _grid(scale: svg.Axis, axis: svg.Axis) -> Markup:
    if scale.log:
        marks = [10.0**power for power in range(round(math.log10(scale.low)), math.floor(math.log10(scale.high)) + 1)]
    else:
        marks = [scale.high * part for part in (0, 0.5, 1)]
    return svg.join(
        svg.join(
            [
                svg.line(axis.start, scale(mark), axis.end, scale(mark), "grid"),
                svg.text(words.millis(mark) if mark else "0", 46, scale(mark) + 4, css="tick", anchor="end"),
            ]
        )
        for mark in marks
    )


def _labels(ends: list[tuple[float, str, str]], x: float) -> list[Markup]:
    """Names at the ends of lines, pushed apart where they would touch; the lowest stays above the axis."""
    out, floor = [], 222.0
    for y, name, css in sorted(ends, reverse=True):
        floor = min(y + 4, floor - 12)
        out.append(svg.text(name, x, floor, css=f"end {css}"))
    return out
