"""From a file or a name to an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest

import chaos
from chaos.errors import InvalidInput, UsageError
from chaos.experiment.document import copy_out, find, load, shipped
from chaos.experiment.overrides import parse_sets


def failure(name: str) -> str:
    with pytest.raises(InvalidInput) as caught:
        load(name)
    return caught.value.evidence[0]


def test_a_shipped_experiment_is_found_by_name_from_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a checkout around, the name alone is enough; inside one, messages show the short path."""
    monkeypatch.chdir(tmp_path)
    experiment = load("network_congestion")
    assert experiment.title == "Classes survive a congested region"
    assert Path(experiment.file).is_absolute()
    monkeypatch.chdir(shipped()["network_congestion"].parent.parent)
    assert load("network_congestion").file == "experiments/network_congestion.json"


def test_an_installed_package_brings_its_own_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The wheel holds them inside the package; a package without any has none."""
    monkeypatch.setattr(chaos, "__file__", str(tmp_path / "chaos" / "__init__.py"))
    assert shipped() == {}
    inside = tmp_path / "chaos" / "_experiments"
    inside.mkdir(parents=True)
    (inside / "one.json").write_text("{}")
    assert shipped() == {"one": inside / "one.json"}


def test_a_file_wins_over_a_shipped_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies here is what is meant."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "server_loss").write_text("{}")
    assert find("server_loss") == (Path("server_loss"), "server_loss")
    assert find("some/where.json")[0] == Path("some/where.json")


def test_a_name_that_nothing_has_gets_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Among the shipped ones and the files here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "morning.yaml").write_text("{}")
    assert failure("network_congestoin").endswith("(did you mean network_congestion?)")
    assert failure("morning").endswith("(did you mean morning.yaml?)")
    assert failure("").startswith("(no name): there is no such file")


def test_the_parts_of_an_experiment_are_typed() -> None:
    """Load, phases, seed, thresholds with their places, and injections with their arguments."""
    experiment = load("network_congestion")
    assert (experiment.stack, experiment.seed, experiment.load.participants) == ("embedded", 4711, 120)
    assert experiment.phases.recovery == 13
    first = experiment.thresholds[0]
    assert (first.text, first.phase, first.value) == ("join.success >= 99%", "baseline", 0.99)
    assert first.place is not None
    assert first.place.line > 1
    (injection,) = experiment.injections
    assert injection.fault == "congestion"
    assert injection.arguments["target"] == {"region": "cn-east", "kind": "access"}
    assert "fault" not in injection.arguments


def test_yaml_gives_the_same_as_json(tmp_path: Path) -> None:
    """JSON is YAML: the same text under the other name gives the same experiment, but for its file's name."""
    text = shipped()["server_loss"].read_text(encoding="utf-8")
    path = tmp_path / "server_loss.yaml"
    path.write_text(text, encoding="utf-8")
    as_yaml, as_json = load(path), load("server_loss")
    assert as_yaml.document == as_json.document
    assert [str(one.place).split(":")[-1] for one in as_yaml.thresholds] == [
        str(one.place).split(":")[-1] for one in as_json.thresholds
    ]


def test_the_command_line_changes_load_phases_and_seed_only() -> None:
    """The document stays as it was written, for it is what the toolkit runs and the record keeps."""
    plain = load("server_loss")
    changed = load("server_loss", parse_sets(["load.participants=40", "phases.baseline=4", "seed=7"]))
    assert (changed.load.participants, changed.phases.baseline, changed.seed) == (40, 4, 7)
    assert changed.load.rooms == plain.load.rooms
    assert changed.document == plain.document


def test_copy_out_starts_a_new_file(tmp_path: Path) -> None:
    """A shipped experiment becomes a file of one's own: into a folder, or under a name with or without suffix."""
    assert copy_out("server_loss", str(tmp_path)) == tmp_path / "server_loss.json"
    mine = copy_out("server_loss", str(tmp_path / "new" / "mine"))
    assert mine == tmp_path / "new" / "mine.json"
    assert load(mine).title == load("server_loss").title
    assert "$schema" not in mine.read_text(), "its path was that of the shipped file"


def test_copy_out_never_overwrites(tmp_path: Path) -> None:
    """A file that is there stays; an unknown name and an impossible place are said in words."""
    target = tmp_path / "mine.json"
    target.write_text("precious")
    with pytest.raises(UsageError, match="exists; it stays as it is"):
        copy_out("server_loss", str(target))
    assert target.read_text() == "precious"
    with pytest.raises(UsageError, match="no shipped experiment 'server_los'") as caught:
        copy_out("server_los", str(tmp_path / "x"))
    assert caught.value.hint == "did you mean server_loss?"
    with pytest.raises(UsageError, match="cannot be written"):
        copy_out("server_loss", str(target / "below.json"))
