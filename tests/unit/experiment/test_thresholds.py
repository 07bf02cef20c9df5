"""The words of a threshold."""

from __future__ import annotations

import re

import pytest

from chaos.experiment.thresholds import METRICS, PATTERN, PHASES, BadThreshold, Dimension, parse_threshold

GOOD = [
    ("join.success >= 99%", "join.success", ">=", 0.99),
    (" join.success>=99.5 % ", "join.success", ">=", 0.995),
    ("rejoin.success > .9", "rejoin.success", ">", 0.9),
    ("leave.success == 1", "leave.success", "==", 1.0),
    ("edit_ack.p95 < 500 ms", "edit_ack.p95", "<", 0.5),
    ("say.p50<=1.5s", "say.p50", "<=", 1.5),
    ("edits.lost == 0", "edits.lost", "==", 0.0),
    ("ghosts <= 3", "ghosts", "<=", 3.0),
    ("recovery < 15 s", "recovery", "<", 15.0),
    ("convergence <= 900 ms", "convergence", "<=", 0.9),
]
BAD = [
    ("", 0, "a threshold begins with a metric", "for example join.success >= 99%"),
    (">= 99%", 0, "a threshold begins with a metric", "for example join.success >= 99%"),
    ("join.sucess >= 99%", 0, "there is no metric 'join.sucess'", "did you mean join.success?"),
    (" join >= 99%", 1, "there is no metric 'join'", "did you mean join.success?"),
    ("join.p97 < 3 s", 0, "there is no metric 'join.p97'", "did you mean join.p99?"),
    ("ghost == 0", 0, "there is no metric 'ghost'", "did you mean ghosts?"),
    ("zzz == 0", 0, "there is no metric 'zzz'", "chaos list checks names them all"),
    ("join.success => 99%", 13, "'=>' is no comparison", "did you mean >=?"),
    ("join.success ≥ 99%", 13, "'≥' is no comparison", "did you mean >=?"),
    ("edits.lost = 0", 11, "'=' is no comparison", "did you mean ==?"),
    ("edits.lost != 0", 11, "'!=' is no comparison", "one of < <= == >= >"),
    ("join.success 99%", 13, "a comparison is missing here", "one of < <= == >= >"),
    ("join.success <= 99%", 13, "<= would pass when users suffer", "did you mean >=?"),
    ("edit_ack.p95 > 1 s", 13, "> would pass when users suffer", "did you mean <?"),
    ("ghosts >= 0", 7, ">= would pass when users suffer", "did you mean <=?"),
    ("edit_ack.p95 < 500", 18, "a latency needs a unit", "a time takes ms or s"),
    ("recovery < 15 min", 14, "'min' is no unit of a duration", "a time takes ms or s"),
    ("ghosts == 0%", 11, "'%' is no unit of a count", "a count takes no unit"),
    ("ghosts == 0.5", 10, "a count is a whole number", ""),
    ("join.success >= 99", 16, "99 is more than everybody", "did you mean 99%?"),
    ("join.success >= 101%", 16, "101% is more than everybody", ""),
    ("edit_ack.p95 <", 14, "a number is missing here", "a time takes ms or s"),
    ("edit_ack.p95 < fast", 15, "'fast' is no number", "a time takes ms or s"),
    ("edit_ack.p95 < 1,5 s", 15, "'1,5' is no number", "a time takes ms or s"),
    ("join.success >= 99% or more", 18, "'% or more' is no unit of a share", "a share is written as 99% or 0.99"),
]


@pytest.mark.parametrize(("text", "metric", "op", "value"), GOOD)
def test_a_rule_becomes_metric_comparison_and_value(text: str, metric: str, op: str, value: float) -> None:
    """Shares become 0..1, times become seconds, counts stay; the schema's pattern agrees."""
    threshold = parse_threshold(text, "recovery")
    assert (threshold.metric, threshold.op, threshold.value, threshold.phase) == (metric, op, value, "recovery")
    assert threshold.text == text.strip()
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(("text", "offset", "message", "hint"), BAD)
def test_what_is_no_rule_is_pointed_at(text: str, offset: int, message: str, hint: str) -> None:
    """The message says what is wrong, the offset where, the hint what was meant; the pattern refuses it too."""
    with pytest.raises(BadThreshold) as caught:
        parse_threshold(text, "recovery")
    assert (caught.value.offset, caught.value.message, caught.value.hint) == (offset, message, hint)
    assert not re.search(PATTERN, text)


@pytest.mark.parametrize("phase", PHASES)
def test_recovery_is_judged_after_the_heal_only(phase: str) -> None:
    """A time that begins with the heal has no meaning in the baseline or under the fault."""
    if phase in {"recovery", "run"}:
        assert parse_threshold("recovery < 9 s", phase).value == 9
    else:
        with pytest.raises(BadThreshold, match="known only after the heal"):
            parse_threshold("recovery < 9 s", phase)


EFFECTS = [
    ("say.p95.effect <= 1.5x", 1.5),
    (" say.p95.effect < 2 × ", 2.0),
    ("join.success.effect <= 1 point", 0.01),
    ("join.success.effect<=0.5points", 0.005),
]
NO_EFFECTS = [
    ("say.p95.effect <= 1.5", 21, "a ratio needs a unit", "how many times as long is written as 1.5x"),
    ("say.p95.effect <= 0.9x", 18, "0.9x would ask a fault to do good", "1x is: not slower at all"),
    ("say.p95.effect == 1x", 15, "an effect is known within an interval only", "did you mean <=?"),
    ("say.p95.effect >= 1x", 15, ">= would pass when users suffer", "did you mean <=?"),
    ("say.p99.effect <= 1x", 0, "there is no metric 'say.p99.effect'", "did you mean say.p95.effect?"),
    ("join.success.effect <= 1%", 24, "'%' is no unit of a difference", "a difference of shares is written as 1 point"),
]


@pytest.mark.parametrize(("text", "value"), EFFECTS)
def test_an_effect_is_a_ratio_or_points(text: str, value: float) -> None:
    """How many times as long, or how many points more in vain; under the fault or over the run."""
    assert parse_threshold(text, "fault").value == value
    assert re.search(PATTERN, text)
    with pytest.raises(BadThreshold, match="that of a fault"):
        parse_threshold(text, "recovery")


@pytest.mark.parametrize(("text", "offset", "message", "hint"), NO_EFFECTS)
def test_what_is_no_effect_is_pointed_at(text: str, offset: int, message: str, hint: str) -> None:
    """As with every rule: what is wrong, where, and what was meant."""
    with pytest.raises(BadThreshold) as caught:
        parse_threshold(text, "fault")
    assert (caught.value.offset, caught.value.message, caught.value.hint) == (offset, message, hint)
    assert not re.search(PATTERN, text)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_can_be_used(metric: str) -> None:
    """Each metric of the catalogue has a rule that is accepted, by the parser and by the pattern."""
    rule = {
        Dimension.SHARE: ">= 50%",
        Dimension.LATENCY: "< 1 s",
        Dimension.DURATION: "< 1 s",
        Dimension.COUNT: "== 0",
        Dimension.RATIO: "<= 1.5x",
        Dimension.POINTS: "<= 1 point",
    }[METRICS[metric]]
    assert parse_threshold(f"{metric} {rule}", "run").metric == metric
    assert re.search(PATTERN, f"{metric} {rule}")
