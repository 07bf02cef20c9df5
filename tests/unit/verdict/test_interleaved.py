"""Windows with a fault against windows without it: what is measured, what is not blamed, what cannot be told."""

from __future__ import annotations

import random
from typing import Any

import pytest
from histories import NS, ORIGIN, Record, findings, rule
from whole_runs import checks

from chaos.faults.base import Injection
from chaos.faults.interleave import Interleave
from chaos.faults.targets import Aim
from chaos.model.event import Phase
from chaos.model.experiment import Threshold
from chaos.model.fault import Target
from chaos.model.verdict import CheckResult, Outcome
from chaos.verdict.effects import effects
from chaos.verdict.excuse import quiet
from chaos.verdict.flows import Unit
from chaos.verdict.judge import judge
from chaos.verdict.pairs import ALPHA, Pair, failing, slower
from chaos.verdict.stats import holm
from chaos.verdict.windows import interleaved, windows

PASS, FAIL, INCONCLUSIVE = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE
PAIRS, SETTLE_S, WINDOW_S, BEGIN_S = 8, 0.2, 1.0, 12.0


def drawn(seed: int) -> list[bool]:
    """In which windows the fault is on, as the fault itself draws it."""
    fault = Interleave(target=Target(), duration=2 * PAIRS * WINDOW_S, of="pause", settle=SETTLE_S)
    runtime: Any = None
    return [fault.is_on(Injection("r", Aim(), runtime, seed, 6, step=number)) for number in range(2 * PAIRS)]


# The statistics, on windows alone


def window(rng: random.Random, slow: float, lost: float = 0.0, n: int = 80) -> list[Unit]:
    """Operations with a heavy tail (lognormal, sigma 1), some of them in vain."""
    return [
        Unit(0, 0.02 * slow * rng.lognormvariate(0, 1), rng.random() >= lost, "cn-east", Phase.FAULT) for _ in range(n)
    ]


def paired(order: list[bool], rng: random.Random, *, slow: float = 1.0, drift: float = 0.0, n: int = 80) -> list[Pair]:
    """One flow's pairs; `slow`: while the fault is on; `drift`: by how much everything gets slower to the end."""
    made = [window(rng, (1 + drift * at / 15) * (slow if on else 1.0), 0.05, n) for at, on in enumerate(order)]
    pairs = []
    for at in range(0, 2 * PAIRS, 2):
        off, on = (made[at + 1], made[at]) if order[at] else (made[at], made[at + 1])
        pairs.append(Pair(off, on))
    return pairs


def alarm(flows: list[list[Pair]], margin: float) -> bool:
    lines = [line for pairs in flows for line in (slower(pairs, margin), failing(pairs, 0.0))]
    return min(holm([line.p for line in lines])) <= ALPHA


def test_equal_arms_raise_no_alarm() -> None:
    """300 runs of two flows with heavy tails and drift: even without any margin at most 5 % alarm, with it none."""
    alarms = {1.0: 0, 1.5: 0}
    for seed in range(300):
        rng = random.Random(seed)
        flows = [paired(drawn(seed), rng, drift=1.0, n=12) for _ in range(2)]
        for margin in alarms:
            alarms[margin] += alarm(flows, margin)
    assert 0 < alarms[1.0] <= 15
    assert alarms[1.5] <= alarms[1.0]


def test_a_true_slow_down_is_caught() -> None:
    """Twice as slow is shown to be slower in nearly every run, and in most to be beyond the margin of 1.5."""
    runs = [paired(drawn(seed), random.Random(seed), slow=2.0) for seed in range(30)]
    assert sum(slower(pairs, 1.0).p <= ALPHA for pairs in runs) >= 29
    assert sum(slower(pairs).p <= ALPHA for pairs in runs) > 15


def test_a_drift_fools_the_ordered_comparison_only() -> None:
    """A machine that gets three times as slow looks like a fault where all windows without it come first."""
    ordered = random_order = 0
    for seed in range(20):
        rng = random.Random(seed)
        made = [window(rng, 1 + 3.0 * at / 15) for at in range(2 * PAIRS)]
        ordered += (
            slower([Pair(first, second) for first, second in zip(made[:PAIRS], made[PAIRS:], strict=True)]).p <= ALPHA
        )
        random_order += slower(paired(drawn(seed), rng, drift=3.0)).p <= ALPHA
    assert ordered >= 10
    assert random_order <= 1


# The whole way, from a record


def run_of(*, slow: float = 1.0, elsewhere: float = 1.0, lost: float = 0.0, every: int = 1, held: int = 16) -> Record:
    """Ten messages a second through each region, with cn-east reached by a fault in windows from 12 s to 28 s.

    `held`: how many of the windows there were; `every`: only one of so many messages.
    """
    record, rng, order = Record(healed_at=29), random.Random(7), drawn(7)
    for tenth in range(20, 480, every):
        t = tenth / 10 + 0.05
        at = int((t - BEGIN_S) / WINDOW_S) if t >= BEGIN_S else -1
        on = 0 <= at < len(order) and order[at]
        for region, factor in (("cn-east", slow), ("cn-north", elsewhere)):
            took = 0.04 * (factor if on else 1.0) * rng.uniform(0.8, 1.25)
            fails = on and region == "cn-east" and rng.random() < lost
            done = t + (6 if fails else took)
            user = f"{region}-{tenth}"
            record.do("say", t, done, "info" if fails else "ok", user=user, region=region, key=region, intended=t)
            record.do("join", t, t + took, user=user, region=region, key=region, intended=t)
        record.fact("null", t, kind="ok", intended_ns=ORIGIN + round((t - 0.001) * NS))
    parts: dict[str, Any] = {"worker": "conductor", "key": "r.1"}
    shape = {"pairs": PAIRS, "settle_s": SETTLE_S}
    value = {"name": "slow", "fault": "interleave", "band": "#a16207", "says": "harm", "duration": 16, "windows": shape}
    record.add(10, "fault", "intent", value=value, **parts)
    record.add(10.1, "fault", "on", value={"reach": {"regions": ["cn-east"]}}, **parts)
    for number in range(-2, held):
        t = BEGIN_S + number * WINDOW_S
        on = order[number] if number >= 0 else number == -2
        record.add(t, "fault", "step", value={"step": number, "on": on, "took_s": 0.0}, **parts)
    record.add(BEGIN_S + held * WINDOW_S, "fault", "bite", value={"bit": True, "says": "x", "measured": {}}, **parts)
    record.add(28.6, "fault", "off", value={}, **parts)
    record.add(28.7, "fault", "off-proof", value={"clean": True, "says": "gone"}, **parts)
    return record


def judged(record: Record, *rules: Threshold) -> list[CheckResult]:
    return effects(record.history(), checks(thresholds=rules))


def effect(metric: str, value: float) -> Threshold:
    return rule(f"{metric} <= {value:g}", "fault")


def test_windows_are_told_exactly() -> None:
    """Eight of each kind, without what settles; what is shown before them is none."""
    fault = interleaved(run_of().history())
    assert fault is not None
    held = windows(fault)
    assert [one.on for one in held] == drawn(7)
    assert [(one.start_ns - ORIGIN) / NS for one in held] == [BEGIN_S + SETTLE_S + number for number in range(16)]
    assert {(one.end_ns - one.start_ns) / NS for one in held} == {WINDOW_S - SETTLE_S}


def test_an_effect_is_judged_in_three_ways() -> None:
    """Twice as slow passes at 3x, fails at 1.5x, and is undecided where its interval holds the rule."""
    record = run_of(slow=2.0)
    one, two, three = judged(record, *(effect("say.p95.effect", value) for value in (3.0, 1.5, 2.0)))
    assert [one.outcome, two.outcome, three.outcome] == [PASS, FAIL, INCONCLUSIVE]
    assert one.figures["low"] <= 2.0 <= one.figures["high"]
    assert one.figures["pairs"] == PAIRS
    assert three.reasons


def test_what_gets_lost_is_an_effect_in_points() -> None:
    """Three tenths unanswered while it is on is more than one point; elsewhere nothing is."""
    lost, none = judged(run_of(lost=0.3), effect("say.success.effect", 0.01), effect("join.success.effect", 0.01))
    assert (lost.outcome, none.outcome) == (FAIL, PASS)


def test_too_little_in_a_window_is_inconclusive() -> None:
    """A flow that nobody used, or too rarely, or in too few windows, has no effect to judge."""
    rules = effect("say.p95.effect", 3.0), effect("leave.p95.effect", 3.0)
    assert [one.outcome for one in judged(run_of(every=5), *rules)] == [INCONCLUSIVE] * 2
    assert [one.outcome for one in judged(run_of(held=13), *rules)] == [INCONCLUSIVE] * 2
    plain = judged(Record().fault(10, 20, regions=["cn-east"]), *rules)
    assert [one.outcome for one in plain] == [INCONCLUSIVE] * 2
    assert "interleave" in plain[0].reasons[0]


def test_the_unreached_are_compared_in_the_same_windows() -> None:
    """M12 passes when only the reached are slow, and fails when the others are slow with them."""
    assert findings("M12", run_of(slow=5.0)).outcome is PASS
    found = findings("M12", run_of(elsewhere=5.0))
    assert found.outcome is FAIL
    assert "off and on" in found.violations[0].says
    assert findings("M12", run_of(elsewhere=5.0, every=5)).outcome is INCONCLUSIVE


def test_all_of_it_counts_as_fault_for_what_is_timed() -> None:
    """The windows without the fault are excused as those with it, up to the grace after the heal."""
    history = run_of().history()
    bounds = checks().bounds
    assert not any(quiet(history, bounds, ORIGIN + t * NS, ORIGIN + t * NS) for t in range(11, 33))
    assert quiet(history, bounds, ORIGIN + 35 * NS, ORIGIN + 36 * NS)


@pytest.mark.parametrize(("held", "outcome"), [(16, PASS), (14, INCONCLUSIVE)])
def test_a_run_says_whether_its_windows_were_held(held: int, outcome: Outcome) -> None:
    """A line of validity, with the effects as figures; a missing pair makes the run inconclusive."""
    verdict = judge(run_of(slow=2.0, held=held).history(), checks(thresholds=(), load=None))
    (one,) = [one for one in verdict.checks if one.id == "windows"]
    assert one.outcome is outcome
    assert ("say.p95" in one.figures) == (outcome is PASS)
