"""Stop conditions as they are written."""

from __future__ import annotations

import json
import re

import pytest

from chaos.errors import InvalidInput
from chaos.experiment.document import check, shipped
from chaos.experiment.positions import parse
from chaos.experiment.schema import schema
from chaos.experiment.stops import PATTERN, parse_stop
from chaos.experiment.thresholds import BadThreshold
from chaos.model.experiment import StopRule

TEXT = shipped()["network_congestion"].read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("join.success < 50% for 10 s", ("join.success", "<", 0.5, 10)),
        ("  leave.success<=0.9   for 2.5s ", ("leave.success", "<=", 0.9, 2.5)),
        ("edit_ack.p95 > 2s for 30 s", ("edit_ack.p95", ">", 2, 30)),
        ("join.p50 >= 300 ms for 600 s", ("join.p50", ">=", 0.3, 600)),
    ],
)
def test_what_it_means(text: str, rule: tuple[object, ...]) -> None:
    """Shares as 0..1, times in seconds; the schema's pattern takes it too."""
    found = parse_stop(text)
    assert (found.metric, found.op, found.value, found.for_s) == rule
    assert re.search(PATTERN, text)


@pytest.mark.parametrize(
    ("text", "at", "says", "hint"),
    [
        ("", 0, "begins with a metric", "join.success < 50%"),
        ("joins.success < 50% for 10 s", 0, "no metric 'joins.success'", "join.success"),
        ("ghosts > 3 for 10 s", 0, "known only after the run", "join.success"),
        ("join.success > 50% for 10 s", 13, "would stop a run that goes well", "did you mean <?"),
        ("join.p95 < 2s for 10 s", 9, "would stop a run that goes well", "did you mean >?"),
        ("join.success == 50% for 10 s", 13, "no comparison here", "< <= >= >"),
        ("join.success 50% for 10 s", 13, "a comparison is missing", ""),
        ("join.success < 150% for 10 s", 15, "more than everybody", ""),
        ("join.success < half for 10 s", 15, "'half' is no number", "99%"),
        ("join.p95 > 2 for 10 s", 13, "needs a unit", "ms or s"),
        ("join.success < 50%", 18, "for how long is missing", "for 10 s"),
        ("join.success < 50% for ten s", 23, "a number is missing", "for 10 s"),
        ("join.success < 50% for 10", 25, "is no unit here", "for 10 s"),
        ("join.success < 50% for 10 min", 26, "'min' is no unit here", "for 10 s"),
        ("join.success < 50% for 0.5 s", 23, "between 1 s and 600 s", ""),
    ],
)
def test_what_is_wrong_is_said_at_its_place(text: str, at: int, says: str, hint: str) -> None:
    """Message, character and hint; the schema's pattern refuses it too, but for lengths."""
    with pytest.raises(BadThreshold) as caught:
        parse_stop(text)
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.offset == at
    assert says == "between 1 s and 600 s" or not re.search(PATTERN, text)


def with_stop(value: object) -> str:
    return TEXT.replace('"seed": 4711,', f'"seed": 4711,\n      "stop": {json.dumps(value)},')


def test_it_stands_in_the_experiment_with_its_place() -> None:
    """File, line and column of the condition go with it into plan and verdict."""
    (rule,) = check(parse(with_stop(["join.success < 50% for 10 s"]), "f")).stop
    assert isinstance(rule, StopRule)
    assert rule.place is not None
    assert (rule.place.file, rule.place.line > 10, rule.place.col) == ("f", True, 16)


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (["join.success > 50% for 10 s"], "stop condition 'join.success > 50% for 10 s': > would stop"),
        ("join.success < 50% for 10 s", "stop must be a list, not a text"),
        ([7], "stop[0] must be a text, not a whole number"),
    ],
)
def test_a_wrong_one_is_a_problem_of_the_file(value: object, says: str) -> None:
    """With its line and column, as every other."""
    with pytest.raises(InvalidInput) as caught:
        check(parse(with_stop(value), "f"))
    (problem,) = caught.value.problems
    assert says in str(problem)
    assert problem.line


def test_the_schema_knows_it() -> None:
    """An editor completes the key and checks the words."""
    extension = schema()["properties"]["extensions"]["items"]["then"]["properties"]
    assert extension["stop"]["items"]["pattern"] == PATTERN
    assert "allow_all_users" in extension
