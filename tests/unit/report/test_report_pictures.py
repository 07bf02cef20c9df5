"""The pictures of a report."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaos.model.verdict import Kind, Outcome, Witness
from chaos.report import charts, glance, html, proof, svg
from chaos.report.story import Point, Story
from tests.unit.report import sample


def test_tag_escapes() -> None:
    """Text and attributes cannot end the element they stand in."""
    assert str(svg.tag("text", '<b>"&', x='"><script>')) == (
        '<text x="&#34;&gt;&lt;script&gt;">&lt;b&gt;&#34;&amp;</text>'
    )


@pytest.mark.parametrize(("given_", "kept"), [("#a0B1c2", "#a0B1c2"), ("red", "#d69e2e"), ("#fff;x", "#d69e2e")])
def test_colour(given_: str, kept: str) -> None:
    """Only `#rrggbb` reaches an attribute as a colour."""
    assert svg.colour(given_) == kept


@given(st.floats(-1e6, 1e6), st.floats(0.001, 1e6), st.floats(0, 1000), st.booleans())
def test_axis_stays_inside(value: float, span: float, end: float, log: bool) -> None:
    """Whatever the value, its place lies between the ends of the axis."""
    axis = svg.Axis(0.001, 0.001 + span, 0.0, end, log=log)
    assert -0.1 <= axis(value) <= end + 0.1


@given(st.floats(0.0001, 1e7))
def test_nice_top_covers(value: float) -> None:
    """The top of an axis is at or just above what it must show."""
    assert value * 0.998 <= svg.nice_top(value) <= value * 2.51


def test_path_leaves_gaps() -> None:
    """A missing value breaks a line, and a lone value is still to be seen."""
    assert svg.path([(0, 1), (1, 2), (2, None), (3, 4)]) == "M0 1L1 2M3 4h1.5"


@pytest.mark.parametrize(("start", "end"), [(0, 5), (0, 61), (-3, 400), (0, 10_000)])
def test_few_ticks(start: float, end: float) -> None:
    """An axis carries at least two and at most thirteen marks, inside its span."""
    ticks = svg.time_ticks(start, end)
    assert 2 <= len(ticks) <= 13
    assert start <= ticks[0] <= ticks[-1] <= end


def test_binned_keeps_the_worst() -> None:
    """Wider steps average rates, keep the worst p95, and never hide a failure."""
    points = [Point(0, 10, 0, 5.0, 9.0), Point(1, 10, 1, 7.0, 90.0), Point(2, 4, 0)]
    assert charts.binned(points, 3) == [Point(0, 8, 1, 6.0, 90.0)]
    assert charts.binned(points, 1) == points


@pytest.mark.parametrize(
    ("point", "name"),
    [
        (Point(0, 0, 0), ""),
        (Point(0, 3, 0, 1, 20), "good"),
        (Point(0, 3, 0, 1, 21), "slow"),
        (Point(0, 3, 0, 1, 51), "slower"),
        (Point(0, 3, 1, 1, 1), "some"),
        (Point(0, 1, 1, 1, 1), "failing"),
        (Point(0, 3, 0), "good"),
    ],
)
def test_level(point: Point, name: str) -> None:
    """A second counts as slow against the baseline's p95 (here 10 ms), and as failing by its failures."""
    assert glance.level(point, 10.0) == name


def test_regions_apart_only_where_they_differ() -> None:
    """Regions are drawn apart when the fault hit one of them, and together when it made no difference."""
    story = sample.story()
    same = tuple(replace(f, ok=100, bad=0, p95_ms=40.0) for f in story.figures)
    assert charts.splits(story, "join")
    assert not charts.splits(replace(story, figures=same), "join")
    assert not charts.splits(replace(story, figures=()), "join")


def test_limit_of_a_latency_rule() -> None:
    """A latency rule is drawn at its target, in milliseconds, over its phase."""
    limits = charts.limits_of(sample.story(), "edit_ack", sample.checks())
    assert limits == [charts.Limit(500.0, 13, 33.4)]


def test_every_picture_is_well_formed() -> None:
    """Pictures are XML that any viewer takes, for a full story and for an empty one."""
    for story in (sample.story(), Story(run_id="x", title="x")):
        pictures = [glance.glance(story), *(charts.flow_chart(story, flow, sample.checks()) for flow in story.flows)]
        pictures += [proof.witness_line(w, story) for check in sample.checks() for w in check.witnesses]
        for picture in pictures:
            assert ET.fromstring(str(picture)).tag == "svg"  # noqa: S314 - our own text


def test_chart_without_latency() -> None:
    """A flow that never succeeded has bars and says that no latency was measured."""
    story = sample.story()
    failed = tuple(replace(s, points=tuple(Point(p.t_s, 0, 3) for p in s.points)) for s in story.series)
    assert "no latency was measured" in charts.flow_chart(replace(story, series=failed), "join")


def test_interval_needs_figures() -> None:
    """An interval is drawn only where value, bounds and target are numbers."""
    bare = sample.check("D1", "edits.lost == 0", Kind.SAFETY, "run", Outcome.PASS, "0 of 9")
    drawn = [proof.interval(check) is not None for check in sample.checks() if check.figures]
    assert proof.interval(bare) is None
    assert drawn == [True] * 4
    assert not proof.witness_line(Witness(says="nothing seen"), sample.story())


def test_long_run_stays_small() -> None:
    """Twenty minutes of five flows through two regions still fits in 300 KB."""
    story = sample.story()
    long = tuple(replace(s, points=tuple(replace(s.points[t % 47], t_s=t) for t in range(1200))) for s in story.series)
    text = html.render(replace(story, series=long), sample.verdict())
    assert len(text.encode()) <= 300_000
    assert "each cell is 5 s" in text


def test_hostile_texts_stay_texts() -> None:
    """Whatever a title or a name holds, no element or script comes of it."""
    evil = "</script><script>alert(1)</script><img src=x onerror=alert(1)>{{ 7*7 }}"
    story = sample.story()
    faults = tuple(replace(f, name=evil, evidence=evil, band=evil, measured={"x": evil}) for f in story.faults)
    text = html.render(replace(story, title=evil, faults=faults, file=evil, run_id=evil), sample.verdict())
    assert len(re.findall(r"<script", text)) == 1 + len(story.flows)
    assert "<img" not in text
    assert "{{ 7*7 }}" in text
