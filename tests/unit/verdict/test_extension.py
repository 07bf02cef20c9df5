"""Which objectives more load can still decide, and what looking at them more than once costs."""

from __future__ import annotations

import random

import pytest
from histories import Record, rule
from whole_runs import checks

from chaos.model.experiment import LOOKS, PhaseSpec
from chaos.model.verdict import Outcome
from chaos.verdict.extension import still_open
from chaos.verdict.judge import judge
from chaos.verdict.stats import ERROR, needed, wilson, z_of

LONGER = PhaseSpec(extend=30)


def joins(good: int, bad: int = 0) -> Record:
    """So many joins in the recovery phase, each answered at once or refused; nothing has ended yet."""
    record = Record(end=60, final_at=59)
    for number in range(good + bad):
        t = 21 + 0.05 * number
        outcome = "ok" if number < good else "fail"
        record.do("join", t, t + 0.02, outcome, user=f"u{number}", intended=t)
    return record


@pytest.mark.parametrize(
    ("text", "good", "bad", "says"),
    [
        ("join.success >= 99%", 0, 0, "no join in this phase"),
        ("join.success >= 99%", 29, 0, "29 of the 30"),
        ("join.success >= 99%", 60, 1, "chance alone could do it"),
        ("join.success >= 99%", 30, 0, ""),
        ("join.success >= 99%", 20, 20, ""),
    ],
)
def test_what_few_samples_leave_open_may_go_on(text: str, good: int, bad: int, says: str) -> None:
    """Too few, or short of the target by what may be chance: open, with the reason; passed or failed: not."""
    found = still_open(joins(good, bad).history(), checks(thresholds=(rule(text, "recovery"),), phases=LONGER))
    assert [says in one for one in found] == ([True] if says else [])


def test_what_is_not_proven_yet_may_go_on() -> None:
    """498 clean joins prove 99 % in four looks, where one look takes 268; nothing proves 100 %."""
    rules = (rule("join.success >= 99%", "recovery"), rule("join.success >= 100%", "run"))

    def open_after(good: int) -> list[str]:
        found = still_open(joins(good).history(), checks(thresholds=rules, phases=LONGER, assurance="proven"))
        return [one.split(" (")[0] for one in found]

    assert open_after(20) == [one.text for one in rules]
    assert open_after(497) == [rules[0].text]
    assert open_after(498) == []


def test_nothing_goes_on_where_the_experiment_does_not_say_so() -> None:
    """Without `extend`, and for a rule of another phase, too few samples are just inconclusive."""
    history = joins(3).history()
    after, before = rule("join.success >= 99%", "recovery"), rule("join.success >= 99%", "fault")
    assert still_open(history, checks(thresholds=(after,), phases=PhaseSpec())) == ()
    assert still_open(history, checks(thresholds=(before,), phases=LONGER)) == ()


def test_the_judge_uses_the_same_bounds_whether_or_not_it_was_extended() -> None:
    """With `extend` in the plan 268 clean joins prove nothing yet; without it they do."""
    known = {"thresholds": (rule("join.success >= 99%", "recovery"),), "assurance": "proven", "load": None}

    def outcome(phases: PhaseSpec) -> Outcome:
        (line,) = (one for one in judge(joins(268).history(), checks(phases=phases, **known)).checks if one.place)
        return line.outcome

    assert [outcome(PhaseSpec()), outcome(LONGER)] == [Outcome.PASS, Outcome.INCONCLUSIVE]
    assert needed(0.99, z=z_of(ERROR / LOOKS)) == 498


def test_looking_four_times_errs_no_more_often_than_once() -> None:
    """A share at its target, looked at after 150, 300, 450 and 600: with one look's bounds it is proven too often."""
    errs = {1: 0, LOOKS: 0}
    runs = 400
    for seed in range(runs):
        rng = random.Random(seed)
        good, looks = 0, []
        for n in range(1, 601):
            good += rng.random() < 0.9
            if n % 150 == 0:
                looks.append((good, n))
        for level in errs:
            errs[level] += any(wilson(good, n, z_of(ERROR / level)).low >= 0.9 for good, n in looks)
    assert errs[LOOKS] <= ERROR * runs < errs[1]
