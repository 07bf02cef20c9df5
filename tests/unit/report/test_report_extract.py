"""The story of a record."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chaos.errors import InvalidInput
from chaos.model.plan import Blast
from chaos.report.extract import blast_in_words, shown, story_of
from chaos.report.story import Story
from chaos.verdict.run import load_run
from tests.unit.report import recorded


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """The story of a small recorded run."""
    return story_of(load_run(recorded.write(tmp_path)))


def test_head(story: Story) -> None:
    """A story says which experiment ran on which stack with which seed, and when."""
    assert (story.title, story.stack, story.seed, story.file) == ("Made up", "made-up", 3, "made_up.json")
    assert story.stack_says == "2 regions, 2 nodes"
    assert story.run_id == recorded.NAME
    assert story.started == "2026-11-22T09:00:00Z"
    assert story.blast_radius == "all users of east; 50 % of the nodes of documents"


def test_phases_count_from_the_load(story: Story) -> None:
    """Phases are in seconds since the load began, and the closing mark is no phase."""
    assert [(phase.name, phase.start_s, phase.end_s) for phase in story.phases] == [
        ("warm-up", 0, 1),
        ("baseline", 1, 4),
        ("fault", 4, 8),
        ("recovery", 8, 11),
        ("final", 11, 12),
    ]


def test_fault_with_its_proofs(story: Story) -> None:
    """A fault carries when it acted, what proves its bite, and what proves its absence."""
    (fault,) = story.faults
    assert (fault.name, fault.says, fault.reach, fault.band) == ("slow east", "+120 ms", "east", "#d69e2e")
    assert (fault.on_s, fault.off_s, fault.duration_s, fault.heal_s) == (4.5, 7.0, 2.0, 0.5)
    assert (fault.bit, fault.evidence, fault.measured) == (True, "rtt 3 -> 243 ms", {"rtt_ms": 243.0})
    assert (fault.clean, fault.off_says) == (True, "rtt 3 ms")


def test_series_per_second_and_region(story: Story) -> None:
    """A series counts what was good and bad in each second, apart for each region and together."""
    together, east = story.of_flow("join"), story.of_flow("join", "east")
    assert [(p.ok, p.bad) for p in together[4:7]] == [(2, 0), (1, 1), (2, 0)]
    assert [p.p95_ms for p in east[3:7]] == [40.0, 1000.0, None, 1000.0]
    assert story.of_flow("leave") == ()
    assert story.regions == ("east", "north")


def test_figures_count_failures_as_slowest(story: Story) -> None:
    """Where so many got no answer that the p95 is one of them, it is infinite: nobody's number."""
    figure = story.figure("join", "fault", "east")
    assert figure is not None
    assert (figure.ok, figure.bad, figure.share) == (3, 1, 0.75)
    assert figure.p50_ms == pytest.approx(1000)
    assert figure.p95_ms == float("inf")


def test_second_without_operations_is_empty(tmp_path: Path) -> None:
    """A second in which nobody tried has no counts and no latency, but its place."""
    directory = recorded.write(tmp_path)
    story = story_of(load_run(directory))
    assert [p.t_s for p in story.of_flow("join")] == list(range(11))


def test_plan_lines(story: Story) -> None:
    """The plan's lines say what is hit by which carrier, and how it is taken back."""
    (line,) = story.plan
    assert line.target == "region=east: 1 link"
    assert (line.carrier, line.undo, line.duration_s) == ("link proxy", "lift the effect from the links", 2.0)


def test_damaged_record_is_told(tmp_path: Path) -> None:
    """A record that ends in the middle of an event says so in the report."""
    directory = recorded.write(tmp_path)
    log = directory / "events" / "load.msgpack"
    log.write_bytes(log.read_bytes()[:-3])
    notes = story_of(load_run(directory)).notes
    assert notes == ("The record load.msgpack ends in the middle of an event.",)


def test_plan_of_another_version(tmp_path: Path) -> None:
    """A plan that this version does not understand is bad input, with the place."""
    directory = recorded.write(tmp_path)
    record = load_run(directory)
    plan = json.loads((directory / "plan.json").read_text(encoding="utf-8"))
    record.plan.clear()
    record.plan.update(plan | {"unheard_of": 1})
    with pytest.raises(InvalidInput, match=r"plan\.json"):
        story_of(record)


def test_directory_as_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is shown as `runs/latest` while it is the latest, else relative to where one stands, else absolute."""
    run = tmp_path / "runs" / "a"
    run.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert shown(run) == "runs/a"
    (tmp_path / "runs" / "latest").symlink_to("a")
    assert shown(run) == "runs/latest"
    monkeypatch.chdir(run)
    elsewhere = tmp_path / "b"
    assert shown(elsewhere) == str(elsewhere)


def test_blast_of_nothing() -> None:
    """A plan that hits nothing says nobody."""
    assert blast_in_words(Blast(users={"east": 0.0})) == "nobody"
