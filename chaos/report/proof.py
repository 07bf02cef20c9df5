"""Small pictures beside a check: its witness as a line of time, its interval against its target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from chaos.report import svg

if TYPE_CHECKING:
    from markupsafe import Markup

    from chaos.model.verdict import CheckResult, Witness
    from chaos.report.story import Story

MIN_DOT_GAP = 15.0


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
        svg.join(
            [
                svg.tag("circle", cx=x, cy=base - 8 - stack * 18, r=8, class_=css),
                svg.text(str(number), x, base - 4 - stack * 18, css="dot-number", anchor="middle"),
            ]
        )
        for x, stack, number, css in dots
    ]
    ticks = [
        svg.text(svg.clock(t), axis(t), base + 17, css="tick", anchor="middle")
        for t in svg.time_ticks(axis.low, axis.high, 8)
    ]
    shaded = [
        svg.rect(
            axis(f.on_s),
            2,
            axis(story.end_s if f.off_s is None else f.off_s) - axis(f.on_s),
            base - 2,
            class_="band",
            fill=svg.colour(f.band),
        )
        for f in story.faults
        if f.on_s is not None
    ]
    line = svg.line(10, base, 690, base, "base")
    return svg.picture(700, base + 22, witness.says, *shaded, line, *drawn, *ticks)


def interval(check: CheckResult) -> Markup | None:
    """The measured value and its interval against the target; None where the check has no such figures."""
    found = [check.figures.get(name) for name in ("value", "low", "high", "target")]
    if not all(isinstance(figure, int | float) for figure in found):
        return None
    value, low, high, target = (float(figure) for figure in found if figure is not None)
    ends = [value, low, high, target]
    pad = (max(ends) - min(ends)) * 0.12 or 1.0
    axis = svg.Axis(min(ends) - pad, max(ends) + pad, 4, 136)
    says = f"measured {value:.4g}, interval {low:.4g} to {high:.4g}, target {target:.4g}"
    return svg.picture(
        140,
        16,
        says,
        svg.line(4, 8, 136, 8, "grid"),
        svg.rect(axis(low), 5, max(2.0, axis(high) - axis(low)), 6.0, class_="spread", rx=3),
        svg.line(axis(target), 0, axis(target), 16, "target"),
        svg.tag("circle", cx=axis(value), cy=8, r=4, class_="point"),
    )
