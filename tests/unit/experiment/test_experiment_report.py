"""Pydantic's errors in our words, at their places."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from chaos.experiment.positions import parse
from chaos.experiment.report import Report, kind
from chaos.experiment.suggest import did_you_mean, nearest


class Inner(BaseModel):
    """A part of a model."""

    model_config = ConfigDict(extra="forbid")
    size: int = Field(1, lt=5)


class Outer(BaseModel):
    """A model with everything that can be refused."""

    model_config = ConfigDict(extra="forbid")
    inner: Inner | None = None
    colour: Literal["red", "green"] = "red"
    number: int | Literal["auto"] = "auto"
    many: tuple[float, ...] = ()
    text: str = Field("abc", min_length=2)
    even: int = 0
    grid: list[Inner] = Field(default_factory=list)
    must: bool

    @field_validator("even")
    @classmethod
    def _even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("odd numbers are odd")
        return value

    @model_validator(mode="after")
    def _fits(self) -> Outer:
        if self.text == "bad":
            raise ValueError("the text 'bad' is bad")
        if self.text == "worse":
            raise ValueError("nothing fits")
        return self


def said(text: str) -> list[str]:
    located = parse(text, "f")
    report = Report(located)
    assert report.model((), Outer, located.data) is None
    return sorted(map(str, report.problems))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{}", ["f:1:1: 'must' is missing"]),
        ('{"must": 1}', ["f:1:10: must must be true or false, not 1"]),
        ('{"must": true, "colour": "rde"}', ["f:1:26: colour cannot be 'rde' (did you mean red?)"]),
        ('{"must": true, "inner": {"size": 9}}', ["f:1:34: inner.size must be less than 5, not 9"]),
        ('{"must": true, "inner": {"sice": 9}}', ["f:1:26: unknown key 'sice' (did you mean size?)"]),
        ('{"must": true, "grid": [{"size": 9}]}', ["f:1:34: grid.0.size must be less than 5, not 9"]),
        ('{"must": true, "grid": [{"sice": 1}]}', ["f:1:26: unknown key 'sice' (did you mean size?)"]),
        ('{"must": true, "inner": []}', ["f:1:25: inner must be a mapping, not a list"]),
        ('{"must": true, "many": [1, "x"]}', ['f:1:28: many.1 must be a number, not "x"']),
        ('{"must": true, "text": "a"}', ["f:1:24: text: String should have at least 2 characters"]),
        ('{"must": true, "text": "bad"}', ["f:1:24: the text 'bad' is bad"]),
        ('{"must": true, "text": "worse"}', ["f:1:1: nothing fits"]),
        ('{"must": true, "even": 3}', ["f:1:24: odd numbers are odd"]),
        (
            '{"text": "bad", "colour": 3}',
            ["f:1:1: 'must' is missing", "f:1:27: colour cannot be 3 (known: green, red)"],
        ),
    ],
)  # fmt: skip
def test_each_error_of_a_model_is_said_once_and_placed(text: str, expected: list[str]) -> None:
    """Wrong types, bounds, words, unknown and missing keys, nested ones, and what only the model itself refuses."""
    assert said(text) == expected


def test_members_of_a_union_are_not_part_of_the_place() -> None:
    """Both members refuse the value; both messages point at the value itself."""
    assert {one.split(": ")[0] for one in said('{"must": true, "number": "x"}')} == {"f:1:26"}


def test_a_good_mapping_becomes_the_model() -> None:
    """Without a problem."""
    report = Report(parse("{}", "f"))
    assert report.model((), Outer, {"must": True, "inner": {"size": 2}}) == Outer(must=True, inner=Inner(size=2))
    assert report.problems == []


@pytest.mark.parametrize(
    ("value", "words"),
    [({}, "a mapping"), ([], "a list"), ("", "a text"), (True, "true or false"), (1, "a whole number"),
     (1.5, "a number"), (None, "null"), (b"", "bytes")],
)  # fmt: skip
def test_kinds_have_words(value: Any, words: str) -> None:
    """The file format's, not Python's."""
    assert kind(value) == words


def test_suggestions_are_near_or_few() -> None:
    """The nearest name in either case; else all of a few names, and nothing where there are many."""
    assert nearest("JOIN", ["join", "leave"]) == "join"
    assert nearest("x", ["join"]) is None
    assert did_you_mean("jion", ["join"]) == "did you mean join?"
    assert did_you_mean("x", ["join", "leave"]) == "known: join, leave"
    assert did_you_mean("x", [f"name{number}" for number in range(40)]) == ""
    assert did_you_mean("x", []) == ""
