"""All problems of a file at once, each with its place."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from chaos.errors import InvalidInput
from chaos.experiment.document import check, shipped
from chaos.experiment.ours import probe_modules
from chaos.experiment.positions import load_text, parse

GOLDEN = Path(__file__).parents[2] / "golden" / "validation"
FILE = shipped()["network_congestion"]
TEXT = FILE.read_text(encoding="utf-8")


def problems(text: str) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        check(parse(text, "f"))
    return [str(problem) for problem in caught.value.problems]


def where(text: str, part: str, inside: int = 0) -> str:
    """The place, as messages write it, of a part of the text."""
    before = text[: text.index(part) + inside]
    return f"f:{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


@pytest.mark.parametrize("name", ["many.json", "method.yaml"])
def test_every_problem_of_a_file_is_said_at_once(name: str) -> None:
    """The messages of two files full of mistakes are those of the golden text (REGOLD=1 writes it anew)."""
    with pytest.raises(InvalidInput) as caught:
        check(load_text(GOLDEN / name, name))
    said = "\n".join([str(caught.value), *caught.value.evidence]) + "\n"
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("REGOLD"):
        golden.write_text(said, encoding="utf-8")
    assert said == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("good", "bad", "at", "message"),
    [
        ('"method": [', '"methods": [', '"methods"', "unknown key 'methods' (did you mean method?)"),
        ('"always"', '"allways"', '"allways"', "strategy cannot be 'allways' (did you mean always?)"),
        ('"seed": 4711', '"seed": "4711"', '"4711"', "seed must be a whole number, not a text"),
        ('"rooms": 8', '"rooms": 0', '0,\n        "editors', "rooms must be at least 1, not 0"),
        ('"steady"', '"stedy"', '"stedy"', "profile cannot be 'stedy' (did you mean steady?)"),
        ('"fault": [', '"falt": [', '"falt"', "unknown key 'falt' (did you mean fault?)"),
        ('"recovery < 15 s"', '"recovery < 15"', '"recovery < 15"', None),
        ('"measured"', '"certain"', '"certain"', "assurance cannot be 'certain' (known: measured, proven)"),
        ('"congestion",', '"congetion",', '"congetion"', "there is no fault 'congetion' (did you mean congestion?)"),
        ('"duration": 10', '"duration": -1', "-1", "duration must be more than 0, not -1"),
        ('"kind": "access"', '"knd": "access"', '"knd"', "unknown key 'knd' (did you mean kind?)"),
        ('"success_rate"', '"sucess_rate"', '"sucess_rate"', "func cannot be 'sucess_rate' (did you mean success_rate?)"),  # noqa: E501
        ('"quantile": 0.95', '"quantil": 0.95', '"quantil"', "unknown key 'quantil' (did you mean quantile?)"),
        ('"type": "action"', '"type": "actoin"', '"actoin"', "type cannot be 'actoin' (did you mean action?)"),
    ],
)  # fmt: skip
def test_a_single_mistake_gives_a_single_problem_at_its_place(
    good: str, bad: str, at: str, message: str | None
) -> None:
    """One wrong word in a good experiment: its line and column, and the word that was meant."""
    text = TEXT.replace(good, bad, 1)
    said = problems(text)
    if message is None:
        at, inside = '"recovery < 15"', len('"recovery < 15')
        message = "threshold 'recovery < 15': a duration needs a unit (a time takes ms or s)"
    else:
        inside = 0
    assert f"{where(text, at, inside)}: {message}" in said
    assert len([one for one in said if "missing" not in one]) == 1


def document() -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(TEXT)
    return loaded


def said(changed: dict[str, Any]) -> str:
    return "\n".join(problems(json.dumps(changed)))


def test_a_fault_needs_a_recover_after_it() -> None:
    """The hypothesis is judged before rollbacks, so an injection that only a rollback heals is a problem."""
    changed = document()
    changed["method"].reverse()
    assert "nothing takes this fault back before the hypothesis is judged again" in said(changed)


def test_a_rollback_must_heal() -> None:
    """An interrupted method leaves its faults to the rollbacks."""
    changed = document()
    changed["rollbacks"] = []
    assert said(changed).endswith("no rollback heals (add an action chaos.actions.heal to rollbacks)")


def test_a_probe_that_answers_with_a_mapping_needs_a_target_in_its_tolerance() -> None:
    """The toolkit would break down, without rollbacks, when it compares a mapping with a range."""
    changed = document()
    probe = changed["steady-state-hypothesis"]["probes"][0]
    probe["provider"] |= {"module": "probes.join", "func": "join_once", "arguments": {"region": "cn-east"}}
    assert "this probe answers with a mapping: the tolerance must name a target" in said(changed)
    probe["tolerance"]["target"] = "ok"
    assert check(parse(json.dumps(changed), "f")).ours


def test_variables_are_filled_from_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fixed values, the environment and its defaults reach the plan in their types; a text may hold several."""
    changed = document()
    monkeypatch.setenv("CHAOS_TEST_LOSS", "0.05")
    changed["configuration"] = {
        "hold": 7,
        "area": "east",
        "loss": {"type": "env", "key": "CHAOS_TEST_LOSS", "env_var_type": "float"},
        "late": {"type": "env", "key": "CHAOS_TEST_NOT_THERE", "default": 30},
    }
    arguments = changed["method"][0]["provider"]["arguments"]
    arguments |= {"duration": "${hold}", "loss": "${loss}", "delay_ms": "${late}"}
    arguments["target"] = {"region": "cn-${area}", "kind": "access"}
    given = check(parse(json.dumps(changed), "f")).injections[0].arguments
    assert (given["duration"], given["loss"], given["delay_ms"]) == (7, 0.05, 30)
    assert given["target"]["region"] == "cn-east"


def test_a_variable_without_a_value_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, not in the environment, of the wrong type, or known only later: each says so."""
    monkeypatch.setenv("CHAOS_TEST_LOSS", "much")
    changed = document()
    changed["configuration"] = {
        "hold": {"type": "env", "key": "CHAOS_TEST_NOT_THERE"},
        "loss": {"type": "env", "key": "CHAOS_TEST_LOSS", "env_var_type": "float"},
        "late": {"type": "probe", "name": "x"},
    }
    arguments = changed["method"][0]["provider"]["arguments"]
    arguments |= {"duration": "${hold}", "loss": "${loss}", "delay_ms": "${late}", "jitter_ms": "${hodl}"}
    text = said(changed)
    assert "the environment has no 'CHAOS_TEST_NOT_THERE'" in text
    assert "the environment's CHAOS_TEST_LOSS is no float (it is 'much')" in text
    assert "configuration 'late' is known only once the run has begun" in text
    assert "configuration has no 'hodl' (did you mean hold?)" in text


def test_a_list_in_the_arguments_keeps_its_places() -> None:
    """Variables inside lists are filled too, and problems there point into the list."""
    changed = document()
    changed["method"][0]["provider"]["arguments"]["target"] = ["${area}"]
    assert "target must be a mapping, not a list" in said(changed)


@pytest.mark.parametrize("text", ["[1]", '"x"', "3", "null"])
def test_what_is_no_mapping_is_no_experiment(text: str) -> None:
    """Valid JSON that is no experiment is one problem."""
    (one,) = problems(text)
    assert one.startswith("f:1:1: an experiment is a mapping, not ")


def test_an_experiment_with_nothing_of_ours_is_not_checked() -> None:
    """Unknown keys, missing parts, a team's own `probes` package: the stock toolkit decides on it alone."""
    theirs = {
        "titel": "x",
        "extensions": 3,
        "method": [{"provider": {"type": "python", "module": "probes.database", "func": "f"}}],
    }
    experiment = check(parse(json.dumps(theirs), "f"))
    assert not experiment.ours
    assert experiment.document == theirs


@pytest.mark.parametrize("module", ["chaos.actions", "chaos.anything", "probes.slo", "probes"])
def test_a_provider_of_ours_makes_an_experiment_ours(module: str) -> None:
    """Without the extension too, so that its mistakes are found."""
    theirs = {"title": "x", "method": [{"provider": {"type": "python", "module": module, "func": "f"}}]}
    assert problems(json.dumps(theirs))


PROBE = {"type": "probe", "name": "n", "provider": {"type": "process", "path": "true"}}


def with_probe(**more: Any) -> str:
    changed = document()
    changed["steady-state-hypothesis"]["probes"].append({**PROBE, "tolerance": 0, **more})
    return json.dumps(changed)


@pytest.mark.parametrize(
    "more",
    [
        {"tolerance": {"type": "probe", **PROBE}},
        {"tolerance": {"type": "regex", "pattern": "^ok$"}},
        {"tolerance": {"type": "jsonpath", "path": "$.ok"}},
        {"tolerance": {"type": "range", "range": [1, 2.5]}},
        {"tolerance": [1, 2]},
        {"pauses": {"before": 1, "after": "${later}"}, "background": True, "controls": [{"ref": "collab-chaos"}]},
        {"ref": "another"},
        {"provider": {"type": "http", "url": "http://127.0.0.1:1", "timeout": 3, "expected_status": 200}},
    ],
)
def test_what_the_toolkit_offers_is_accepted(more: dict[str, Any]) -> None:
    """Every kind of tolerance, pauses, references to probes and controls, other providers."""
    assert check(parse(with_probe(**more), "f")).ours


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"tolerance": {"type": "probe"}}, "'provider' is missing in tolerance"),
        ({"tolerance": {"type": "regex"}}, "pattern must be a text, not null"),
        ({"provider": {"path": "true"}}, "'type' is missing in provider (python, process or http)"),
        ({"controls": [{"name": "x"}]}, "'provider' is missing in controls[0]"),
        ({"pauses": 3}, "pauses must be a mapping, not a whole number"),
    ],
)
def test_what_the_toolkit_would_refuse_is_said(more: dict[str, Any], expected: str) -> None:
    """With its place, and beside everything else that is wrong."""
    assert expected in "\n".join(problems(with_probe(**more)))


def test_parts_of_the_wrong_kind_hide_nothing_else() -> None:
    """Lists and mappings that are neither do not keep the rest from being looked at."""
    changed = document()
    changed |= {"extensions": {"name": "collab-chaos"}, "configuration": 3, "rollbacks": None, "method": [3]}
    changed["steady-state-hypothesis"] = []
    text = said(changed)
    for part in ("extensions", "configuration", "rollbacks", "method[0]", "steady-state-hypothesis"):
        assert f"{part} must be " in text


def test_the_extension_stands_once_and_its_parts_have_their_kinds() -> None:
    """A second one would be ignored, and thresholds that are no mapping cannot be read."""
    changed = document()
    changed["extensions"].append({"name": "collab-chaos"})
    changed["extensions"][0]["thresholds"] = ["join.success >= 99%"]
    changed["method"][0]["provider"]["arguments"] = 3
    text = said(changed)
    assert "a second extension 'collab-chaos' (put both into one)" in text
    assert "thresholds must be a mapping, not a list" in text
    assert "arguments must be a mapping, not a whole number" in text


def test_an_active_probe_may_stand_in_the_method() -> None:
    """There it has no tolerance, and its answer is kept in the journal."""
    changed = document()
    provider = {"type": "python", "module": "probes.join", "func": "join_once"}
    changed["method"].append({"type": "probe", "name": "n", "provider": provider})
    assert check(parse(json.dumps(changed), "f")).ours


def test_a_reason_allows_a_whole_service() -> None:
    """It is a text, kept for the plan and the record."""
    changed = document()
    changed["extensions"][0]["allow_whole_service"] = "the yearly drill"
    assert check(parse(json.dumps(changed), "f")).allow_whole_service == "the yearly drill"
    changed["extensions"][0]["allow_whole_service"] = " "
    assert "allow_whole_service is empty" in said(changed)


def test_an_effect_needs_a_fault_that_is_interleaved() -> None:
    """A rule on an effect is a problem without such a fault, at its own place; two such faults are one too many."""
    changed = document()
    changed["extensions"][0]["thresholds"]["fault"] = ["join.p95.effect <= 1.5x"]
    assert 'no fault of the method is interleaved (inject the fault "interleave"' in said(changed)
    arguments = changed["method"][0]["provider"]["arguments"]
    own = {"of": "congestion", "arguments": {"delay_ms": 30}, "duration": 20}
    arguments.clear()
    arguments |= {"fault": "interleave", "target": {"region": "cn-east"}, **own}
    thresholds = check(parse(json.dumps(changed), "f")).thresholds
    assert [one.value for one in thresholds if one.metric == "join.p95.effect"] == [1.5]
    changed["method"].insert(0, changed["method"][0])
    assert "a second fault that is interleaved (put it into an experiment of its own)" in said(changed)


def test_an_installation_without_probes_still_reads_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is suggested then, and a module that is not there is a problem like any other."""
    monkeypatch.setitem(sys.modules, "probes", None)
    monkeypatch.delitem(sys.modules, "probes.slo", raising=False)
    assert probe_modules() == []
    assert "there is no module 'probes.slo'" in "\n".join(problems(TEXT))
