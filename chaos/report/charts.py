"""The pictures of a run: a glance at everything, a chart per flow, a line of time per witness, an interval per rule."""

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

    from chaos.model.verdict import CheckResult, Witness
    from chaos.report.story import Story

WIDTH = 960.0
LEFT = 132.0
RIGHT = 132.0
MOST_STEPS = 240
SLOW, SLOWER = 2.0, 5.0
"""Times the baseline's p95, from which a second counts as slow and as much slower."""
LOG_FROM = 40.0
"""Ratio of the largest to the smallest latency from which the axis is logarithmic."""
SPLIT_RATIO, SPLIT_SHARE = 1.5, 0.02
"""Regions are shown apart from this difference of their p95 or success during the fault."""
MIN_DOT_GAP = 15.0


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


def _bands(story: Story, axis: svg.Axis, top: float, bottom: float) -> Markup:
    shaded = []
    for fault in story.faults:
        if fault.on_s is not None:
            x, end = axis(fault.on_s), axis(story.end_s if fault.off_s is None else fault.off_s)
            fill = svg.colour(fault.band)
            shaded.append(svg.rect(x, top, max(1.0, end - x), bottom - top, class_="band", fill=fill))
    marks = [svg.line(axis(p.start_s), top, axis(p.start_s), bottom, "mark") for p in story.phases[1:]]
    return svg.join([*shaded, *marks])


def _ticks(story: Story, axis: svg.Axis, y: float) -> Markup:
    return svg.join(
        svg.text(svg.clock(tick), axis(tick), y, css="tick", anchor="middle")
        for tick in svg.time_ticks(story.start_s, story.end_s)
    )


def glance(story: Story) -> Markup:
    """Phases, faults, and one strip per flow and region: what users felt in each second."""
    axis, y = time_axis(story), 20.0
    parts: list[Markup] = []
    for index, phase in enumerate(story.phases):
        x, end = axis(phase.start_s), axis(phase.end_s)
        parts.append(svg.rect(x + 0.5, y, end - x - 1, 18.0, class_=f"phase phase-{index % 2}", rx=2))
        if end - x > 7.0 * len(phase.name):
            parts.append(svg.text(phase.name, (x + end) / 2, y + 13, css="phase-name", anchor="middle"))
    parts.append(svg.text("phases", LEFT - 10, y + 13, css="row", anchor="end"))
    y += 26
    for fault in story.faults:
        parts.append(svg.text(fault.name or fault.fault, LEFT - 10, y + 12, css="row", anchor="end"))
        if fault.on_s is not None:
            x, end = axis(fault.on_s), axis(story.end_s if fault.off_s is None else fault.off_s)
            parts.append(svg.rect(x, y + 2, max(2.0, end - x), 12.0, fill=svg.colour(fault.band), rx=2))
            parts.append(svg.text(fault.evidence, end + 6, y + 12, css="note"))
        y += 20
    top = y = y + 6
    rows, y = _strips(story, axis, y)
    bands = _bands(story, axis, top - 2, y)
    head = svg.text("during the fault", WIDTH - RIGHT + 12, top - 8, css="note")
    return svg.picture(
        WIDTH, y + 24, "What users felt, second by second", bands, *parts, *rows, head, _ticks(story, axis, y + 16)
    )


def _strips(story: Story, axis: svg.Axis, y: float) -> tuple[list[Markup], float]:
    rows: list[Markup] = []
    step = step_of(story)
    for flow in story.flows:
        usual = _usual(story, flow)
        for index, region in enumerate(story.regions or ("",)):
            points = binned(story.of_flow(flow, region), step)
            if index == 0:
                rows.append(svg.text(flow.removesuffix("_ack"), 8, y + 11, css="flow"))
            rows.append(svg.text(region, LEFT - 10, y + 11, css="row", anchor="end"))
            rows.append(_strip(points, axis, y, step, usual))
            figure = story.figure(flow, "fault", region)
            if figure is not None:
                says = f"{words.share(figure.share)} · p95 {words.millis(figure.p95_ms)}"
                rows.append(svg.text(says, WIDTH - RIGHT + 12, y + 11, css="value"))
            y += 16
        y += 6
    return rows, y


def _usual(story: Story, flow: str) -> float:
    baseline = story.phase("baseline")
    points = story.of_flow(flow)
    if baseline is not None:
        points = tuple(p for p in points if baseline.start_s <= p.t_s < baseline.end_s) or points
    highs = [p.p95_ms for p in points if p.p95_ms is not None]
    return statistics.median(highs) if highs else math.inf


def level(point: Point, usual: float) -> str:
    """How a second felt: good, slow, slower, some (failed), failing; empty where nothing was tried."""
    total = point.ok + point.bad
    if not total:
        return ""
    if point.bad:
        return "failing" if 2 * point.bad >= total else "some"
    if point.p95_ms is None or point.p95_ms <= SLOW * usual:
        return "good"
    return "slow" if point.p95_ms <= SLOWER * usual else "slower"


def _strip(points: Sequence[Point], axis: svg.Axis, y: float, step: int, usual: float) -> Markup:
    runs: dict[str, list[tuple[float, float, float, float]]] = {}
    for point in points:
        name = level(point, usual)
        if name:
            x, end = axis(point.t_s), axis(point.t_s + step)
            runs.setdefault(name, []).append((x, y, round(max(0.6, end - x - 0.6), 1), 13))
    return svg.join(svg.tag("path", d=svg.bars(columns), class_=f"felt {name}") for name, columns in runs.items())


def limits_of(story: Story, flow: str, checks: Sequence[CheckResult]) -> list[Limit]:
    """The latency rules that a verdict holds for a flow."""
    out = []
    for check in checks:
        name, _, what = check.id.partition(".")
        phase = story.phase(check.phase)
        value = _target(check)
        if name.removesuffix("_ack") == flow.removesuffix("_ack") and re.fullmatch(r"p\d+", what) and phase and value:
            out.append(Limit(value, phase.start_s, phase.end_s))
    return out


def flow_chart(story: Story, flow: str, checks: Sequence[CheckResult] = ()) -> Markup:
    """Rate of success and failure above, latency below, on one axis of time."""
    axis, step = time_axis(story, 52, WIDTH - 84), step_of(story)
    points = binned(story.of_flow(flow), step)
    apart = splits(story, flow)
    lines = [("p50", "p50", points)] + ([] if apart else [("p95", "p95", points)])
    if apart:
        lines += [(f"p95 {r}", f"p95 region-{i % 4}", binned(story.of_flow(flow, r), step))
                  for i, r in enumerate(story.regions)]
    limits = limits_of(story, flow, checks)
    parts = [_bands(story, axis, 8, 220), _rates(points, axis, step), *_latencies(lines, limits, axis, step)]
    label = f"{words.FLOW_NAMES.get(flow, flow)}: successes and failures per second, latency over time"
    return svg.picture(WIDTH, 240, label, *parts, _ticks(story, axis, 235))


def _rates(points: Sequence[Point], axis: svg.Axis, step: int) -> Markup:
    top, bottom = 14.0, 74.0
    most = svg.nice_top(max((p.ok + p.bad for p in points), default=1))
    rate = svg.Axis(0, most, 0, bottom - top)
    good, bad = [], []
    for p in points:
        x, wide = axis(p.t_s), round(max(0.6, axis(p.t_s + step) - axis(p.t_s) - 0.8), 1)
        good.append((x, round(bottom - rate(p.ok), 1), wide, rate(p.ok)))
        bad.append((x, round(bottom - rate(p.ok) - rate(p.bad), 1), wide, rate(p.bad)))
    return svg.join([
        svg.text(f"{most:g}/s", 46, top + 8, css="tick", anchor="end"),
        svg.line(axis.start, bottom, axis.end, bottom, "base"),
        svg.tag("path", d=svg.bars(good), class_="ok"),
        svg.tag("path", d=svg.bars(bad), class_="bad"),
    ])


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
    out += [svg.line(axis(limit.start_s), scale(limit.ms), axis(limit.end_s), scale(limit.ms), "limit")
            for limit in limits]
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
        svg.join([
            svg.line(axis.start, scale(mark), axis.end, scale(mark), "grid"),
            svg.text(words.millis(mark) if mark else "0", 46, scale(mark) + 4, css="tick", anchor="end"),
        ])
        for mark in marks
    )


def _labels(ends: list[tuple[float, str, str]], x: float) -> list[Markup]:
    """Names at the ends of lines, pushed apart where they would touch; the lowest stays above the axis."""
    out, floor = [], 222.0
    for y, name, css in sorted(ends, reverse=True):
        floor = min(y + 4, floor - 12)
        out.append(svg.text(name, x, floor, css=f"end {css}"))
    return out


def witness_line(witness: Witness, story: Story) -> Markup:
    """The events of a witness as numbered dots on a line of time."""
    if not witness.events:
        return svg.join([])
    times = [event.t_s for event in witness.events]
    pad = max(0.5, (max(times) - min(times)) * 0.06)
    axis = svg.Axis(min(times) - pad, max(times) + pad, 10, 690)
    near: list[float] = []
    dots, height = [], 0
    for number, time in enumerate(times, 1):
        x = axis(time)
        stack = sum(1 for other in near if abs(other - x) < MIN_DOT_GAP)
        near.append(x)
        height = max(height, stack)
        last = "dot last" if number == len(times) else "dot"
        dots.append((x, stack, number, last))
    base = 26.0 + height * 18
    drawn = [
        svg.join([
            svg.tag("circle", cx=x, cy=base - 8 - stack * 18, r=8, class_=css),
            svg.text(str(number), x, base - 4 - stack * 18, css="dot-number", anchor="middle"),
        ])
        for x, stack, number, css in dots
    ]
    ticks = [svg.text(svg.clock(t), axis(t), base + 17, css="tick", anchor="middle")
             for t in svg.time_ticks(axis.low, axis.high, 8)]
    shaded = [svg.rect(axis(f.on_s), 2, axis(story.end_s if f.off_s is None else f.off_s) - axis(f.on_s), base - 2,
                       class_="band", fill=svg.colour(f.band)) for f in story.faults if f.on_s is not None]
    line = svg.line(10, base, 690, base, "base")
    return svg.picture(700, base + 22, witness.says, *shaded, line, *drawn, *ticks)


_INTERVAL = re.compile(r"(?P<value>[\d.]+) ?(?P<unit>%|ms|s) +\[(?P<low>[\d.]+), ?(?P<high>[\d.]+)\]")
_NUMBER = re.compile(r"(?P<number>\d[\d.]*) ?(?P<unit>%|ms|s)?")


def _target(check: CheckResult) -> float | None:
    found = _NUMBER.search(check.threshold) or re.search(r"(?:[<>=] ?)" + _NUMBER.pattern, check.name)
    return float(found["number"].rstrip(".")) if found else None


def interval(check: CheckResult) -> Markup | None:
    """The measured value and its interval against the target; None where the check has no interval."""
    found, target = _INTERVAL.search(check.measured), _target(check)
    if found is None or target is None:
        return None
    value, low, high = (float(found[name]) for name in ("value", "low", "high"))
    ends = [value, low, high, target]
    pad = (max(ends) - min(ends)) * 0.12 or 1.0
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, 4, 136)
    says = f"measured {found['value']} {found['unit']}, interval {found['low']} to {found['high']}, target {target:g}"
    return svg.picture(
        140, 16, says,
        svg.line(4, 8, 136, 8, "grid"),
        svg.rect(axis(low), 5, max(2.0, axis(high) - axis(low)), 6.0, class_="spread", rx=3),
        svg.line(axis(target), 0, axis(target), 16, "target"),
        svg.tag("circle", cx=axis(value), cy=8, r=4, class_="point"),
    )
