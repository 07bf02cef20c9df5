"""`--set NAME=VALUE`."""

from __future__ import annotations

import pytest

from chaos.errors import UsageError
from chaos.experiment.overrides import Overrides, apply, parse_sets, settings_of
from chaos.model.experiment import Experiment, LoadSpec
from chaos.model.stack import StackSpec

SPEC = StackSpec(stack="embedded", services={}, settings={"mutant": "", "secret": "x"})


def test_every_group_of_names_is_read() -> None:
    """Settings stay texts, load and phases get their types, and the last of two values counts."""
    read = parse_sets(
        ["embedded.mutant=ghost", "load.participants=40", "load.rejoin = 0.5", "phases.baseline=4", "seed=1", "seed=7"]
    )
    assert read == Overrides(
        {"embedded": {"mutant": "ghost"}}, {"participants": 40, "rejoin": 0.5}, {"baseline": 4.0}, 7
    )
    assert parse_sets([]) == Overrides()


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("nonsense", "--set nonsense: not NAME=VALUE", "for example --set load.participants=40"),
        ("=3", "--set =3: not NAME=VALUE", "for example --set load.participants=40"),
        ("sed=3", "--set sed=3: there is no 'sed'", "did you mean seed?"),
        ("x=3", "--set x=3: there is no 'x'", "names are seed, load.NAME, phases.NAME and STACK.SETTING"),
        ("load.partcipants=3", "--set load.partcipants=3: there is no load.partcipants", "did you mean participants?"),
        ("load.participants=many", "--set load.participants=many: input should be a valid integer", ""),
        ("phases.baseline=1", "--set phases.baseline=1: input should be greater than or equal to 2", ""),
        ("seed=-1", "--set seed=-1: a seed is a whole number, 0 or more", ""),
        ("seed=x", "--set seed=x: a seed is a whole number, 0 or more", ""),
    ],
)
def test_what_cannot_be_set_is_a_usage_error(text: str, message: str, hint: str) -> None:
    """With the nearest name, or what a value has to be."""
    with pytest.raises(UsageError) as caught:
        parse_sets([text])
    assert caught.value.message.startswith(message)
    assert caught.value.hint == hint


def test_settings_of_a_stack_are_merged_over_its_own() -> None:
    """What the command line does not name stays."""
    assert settings_of(SPEC, parse_sets(["embedded.mutant=ghost"])) == {"mutant": "ghost", "secret": "x"}
    assert settings_of(SPEC, Overrides()) == SPEC.settings


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("embeded.mutant=x", "--set embeded.mutant: there is no stack 'embeded'", "the stack here is embedded"),
        ("embedded.mutnat=x", "--set embedded.mutnat: stack embedded has no setting 'mutnat'", "did you mean mutant?"),
    ],
)
def test_settings_that_no_stack_has_are_usage_errors(text: str, message: str, hint: str) -> None:
    """A stack of another name, or a setting that the stack's file does not list."""
    with pytest.raises(UsageError) as caught:
        settings_of(SPEC, parse_sets([text]))
    assert caught.value.message.startswith(message)
    assert caught.value.hint.startswith(hint)


def test_a_stack_without_settings_says_so() -> None:
    """There is nothing to suggest then."""
    with pytest.raises(UsageError) as caught:
        settings_of(StackSpec(stack="a", services={}), parse_sets(["a.b=c"]))
    assert caught.value.hint == "it has no settings"


def test_values_of_a_load_must_go_together() -> None:
    """Fewer rooms than the file's workers can share are refused, in the words of the command line."""
    experiment = Experiment(file="e.json", title="t", document={}, load=LoadSpec(documents=1, workers=4))
    assert apply(experiment, parse_sets(["load.rooms=3"])).load == LoadSpec(documents=1, rooms=3, workers=4)
    with pytest.raises(UsageError, match=r"--set load.rooms=2: workers must be at most 3, not 4"):
        apply(experiment, parse_sets(["load.rooms=2"]))
