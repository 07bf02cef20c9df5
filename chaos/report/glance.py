"""A run at a glance: its phases, its faults, and what users of each flow and region felt in every second."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from chaos.report import charts, svg, words
from chaos.report.charts import LEFT, RIGHT, WIDTH

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markupsafe import Markup

    from chaos.report.story import Point, Story

SLOW, SLOWER = 2.0, 5.0
"""Times the baseline's p95, from which a second counts as slow and as much slower."""


def glance(story: Story) -> Markup:
    """Phases, faults, and one strip per flow and region: what users felt in each second."""
    axis, y = charts.time_axis(story), 20.0
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
    bands = charts.bands(story, axis, top - 2, y)
    head = svg.text("during the fault", WIDTH - RIGHT + 12, top - 8, css="note")
    return svg.picture(
        WIDTH,
        y + 24,
        "What users felt, second by second",
        bands,
        *parts,
        *rows,
        head,
        charts.ticks(story, axis, y + 16),
    )


def _strips(story: Story, axis: svg.Axis, y: float) -> tuple[list[Markup], float]:
    rows: list[Markup] = []
    step = charts.step_of(story)
    for flow in story.flows:
        usual = _usual(story, flow)
        for index, region in enumerate(story.regions or ("",)):
            points = charts.binned(story.of_flow(flow, region), step)
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
