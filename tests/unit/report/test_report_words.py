"""How reports say things."""

from __future__ import annotations

import dataclasses

import pytest

from chaos.errors import ExitCode
from chaos.model.verdict import Kind, Outcome, Verdict
from chaos.report import words
from chaos.verdict.checks import registry
from tests.unit.report import sample


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "?"), (0.0, "0 %"), (0.962, "96.2 %"), (0.99999, "99.9 %"), (1.0, "100 %"), (0.5, "50 %")],
)
def test_share(value: float | None, text: str) -> None:
    """A share is a percentage that reads as 100 only when it is, and as `?` when there was nothing."""
    assert words.share(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "?"), (float("inf"), "no answer"), (4.21, "4.2 ms"), (41.4, "41 ms"), (1243.0, "1.24 s")],
)
def test_millis(value: float | None, text: str) -> None:
    """A latency has the unit that suits it, and words where it is no number."""
    assert words.millis(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.4, "0.4 s"), (20, "20 s"), (20.4, "20 s"), (125, "2 min 05 s")])
def test_seconds(value: float, text: str) -> None:
    """A length of time is as exact as it is short."""
    assert words.seconds(value) == text


def test_pretty() -> None:
    """Signs become typographic, numbers and units are set apart, names stay as they are."""
    assert words.pretty("join.success >= 99%") == "join.success ≥ 99 %"
    assert words.pretty("edit_ack.p95 <= 500ms") == "edit_ack.p95 ≤ 500 ms"
    assert words.pretty("edits.lost == 0") == "edits.lost = 0"
    assert words.pretty("recovery < 15s") == "recovery < 15 s"


def test_missing_data_is_said() -> None:
    """A check without a measured value says so; what was excused is counted."""
    nothing = sample.check("M3", "ghosts == 0", Kind.SAFETY, "run", Outcome.INCONCLUSIVE, "")
    excused = sample.check("M3", "ghosts == 0", Kind.SAFETY, "run", Outcome.PASS, "0 of 9", excused=4)
    assert words.measured(nothing) == "nothing measured"
    assert words.measured(excused) == "0 of 9, 4 excused"


def test_headline_of_a_failure() -> None:
    """A failure is told by what users lost: safety first, at most two things by name."""
    assert words.headline(sample.verdict()) == (
        "Acknowledged edits were lost. People who had gone stayed in the roster. And 1 thing more."
    )


def test_headline_of_an_objective() -> None:
    """A missed objective is told in words, with its phase."""
    slow = sample.check("join.p95", "join.p95 < 1s", Kind.SLO, "fault", Outcome.FAIL, "2 s")
    verdict = Verdict(outcome=Outcome.FAIL, exit_code=ExitCode.FAIL, checks=(slow,), says="1 failed")
    assert words.headline(verdict) == "Joining a meeting was too slow during the fault."


def test_headline_of_a_pass() -> None:
    """A pass claims no more than that the rules were met."""
    assert words.headline(sample.passed()).startswith("It held")


def test_headline_of_an_inconclusive_run() -> None:
    """An inconclusive run says why it proves nothing."""
    assert words.headline(sample.unclear()) == (
        "This run proves nothing yet: store pause did not bite: it answered in 1 ms all along."
    )


def test_nothing_judged() -> None:
    """A run without checks gives no verdict, and says so."""
    empty = Verdict(outcome=Outcome.INCONCLUSIVE, exit_code=ExitCode.INCONCLUSIVE, checks=(), says="nothing was judged")
    assert words.headline(empty) == "This run cannot give a verdict."


@pytest.mark.parametrize(
    ("code", "ending", "command"),
    [
        (ExitCode.FAIL, "FAIL", "chaos run experiments/network_congestion.json --seed 4711"),
        (ExitCode.DIRTY, "DIRTY", f"chaos heal --run {sample.story().run_id}"),
        (ExitCode.INTERNAL, "BUG", "chaos doctor"),
        (ExitCode.INTERRUPTED, "INTERRUPTED", "chaos run experiments/network_congestion.json --seed 4711"),
    ],
)
def test_ending_and_next_command(code: ExitCode, ending: str, command: str) -> None:
    """Whatever way a run ended, there is one next command to type."""
    verdict = sample.verdict().model_copy(update={"exit_code": code})
    assert words.ending(verdict) == ending
    assert words.next_step(verdict, sample.story())[0] == command


def test_a_run_that_can_be_replayed_is_replayed() -> None:
    """With all that the command line changed, which naming the experiment would leave out."""
    story = dataclasses.replace(sample.story(), replay="runs/20260314T090000Z-x-1f3a")
    failed = sample.verdict().model_copy(update={"exit_code": ExitCode.FAIL})
    assert words.next_step(failed, story)[0] == "chaos run --replay runs/20260314T090000Z-x-1f3a"


def test_next_command_of_pass_and_of_too_few_samples() -> None:
    """A pass leads on to other experiments, too few samples lead to the plan that counts them."""
    few = sample.check("join.p95", "join.p95 < 1s", Kind.SLO, "fault", Outcome.INCONCLUSIVE, "no samples")
    verdict = Verdict(outcome=Outcome.INCONCLUSIVE, exit_code=ExitCode.INCONCLUSIVE, checks=(few,), says="")
    assert words.next_step(verdict, sample.story())[0] == "chaos plan experiments/network_congestion.json"
    assert words.next_step(sample.passed(), sample.story())[0] == "chaos list experiments"


def test_every_check_says_what_its_failure_means_to_people() -> None:
    """A sentence for each, and for no two the same."""
    said = [words.BROKEN[name] for name in registry()]
    assert len(set(said)) == len(said)
    assert all(one[0].isupper() and one.endswith(".") for one in said)
