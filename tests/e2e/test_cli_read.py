"""Commands that only read: for people a table, for machines JSON; and stacks that live until `down`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.cli.commands.list import KINDS
from chaos.cli.main import main
from chaos.model.event import Type
from chaos.record import Recorder

STOCK = '{"title": "t", "description": "d", "method": [], "rollbacks": []}'


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="chaos")


@pytest.mark.parametrize("kind", KINDS)
def test_list_shows_every_kind(kind: str) -> None:
    """Each kind has entries, the same for people and for machines."""
    rows = json.loads(call("list", kind, "--json").stdout)
    table = call("list", kind).stdout
    assert rows
    for row in rows:
        assert str(row.get("name") or row["id"]) in table
    assert max(map(len, table.splitlines())) <= 80


def test_plan_shows_what_a_run_would_do_and_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets, carriers, undo, durations, blast radius and samples, from the files alone."""
    monkeypatch.chdir(tmp_path)
    text = call("plan", "network_congestion").stdout
    for word in ("congestion", "target", "links", "undo", "blast radius", "samples", "nothing was touched"):
        assert word in text
    plan = json.loads(call("plan", "network_congestion", "--json", "--seed", "7").stdout)
    assert plan["seed"] == 7
    assert plan["injections"][0]["undo"]
    assert "staging-only" not in json.dumps(plan)
    assert "load played by" not in text
    assert "load played by 3 workers" in call("plan", "network_congestion", "--set", "load.workers=3").stdout
    assert list(tmp_path.iterdir()) == []


def test_there_is_no_plan_for_an_experiment_of_the_toolkit(tmp_path: Path) -> None:
    """The error says what the toolkit offers instead."""
    file = tmp_path / "theirs.json"
    file.write_text(STOCK)
    done = call("plan", str(file))
    assert done.exit_code == 2
    assert "--dry" in done.stderr


def test_two_records_are_compared_and_exported(tmp_path: Path) -> None:
    """Compared with itself a run has nothing that is worse; exported, each line is an event, as many as it says."""
    directory = tmp_path / "runs" / "mine"
    directory.mkdir(parents=True)
    plan = {"experiment": {"title": "t", "load": None, "thresholds": []}, "spec": {"stack": "s", "bounds": {}}}
    (directory / "plan.json").write_text(json.dumps(plan))
    with Recorder(directory / "events" / "load.msgpack", "load") as recorder:
        for op in range(100):
            recorder.record(Type.INVOKE, "say", op=op, t_ns=op * 10**8)
            recorder.record(Type.OK, "say", op=op, t_ns=op * 10**8 + 10**7)
    where = ("--runs-dir", str(tmp_path / "runs"))
    rows = [json.loads(line) for line in call("export", "mine", *where).stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(200))
    told = call("compare", "mine", "mine", *where)
    assert told.exit_code == 3, told.output
    assert "nothing to compare" in told.stdout
    document = json.loads(call("compare", "mine", "mine", "--json", *where).stdout)
    assert document["exit_code"] == 3
    assert call("compare", "mine", "yours", *where).exit_code == 2
    assert call("compare", "mine", "mine", "--margin", "0.5", *where).exit_code == 2


def test_schema_is_json_for_an_editor(tmp_path: Path) -> None:
    """Printed or written, it is the same schema, and knows the faults."""
    printed = json.loads(call("schema").stdout)
    assert call("schema", "--out", str(tmp_path / "schema.json")).exit_code == 0
    assert json.loads((tmp_path / "schema.json").read_text()) == printed
    assert "server_loss" in json.dumps(printed)


def test_new_experiment_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy is written once; the second time it is a usage error and the file stays."""
    monkeypatch.chdir(tmp_path)
    assert call("new", "experiment", "mine", "--from", "server_loss").exit_code == 0
    (tmp_path / "mine.json").write_text("edited")
    done = call("new", "experiment", "mine", "--from", "server_loss")
    assert done.exit_code == 2
    assert (tmp_path / "mine.json").read_text() == "edited"


def test_a_stack_lives_from_up_to_down() -> None:
    """`up` starts every node and returns; `ps` and `logs` see it; after `down` nothing runs."""
    up = json.loads(call("stack", "up", "--json").stdout)
    try:
        (seen,) = json.loads(call("stack", "ps", "--json").stdout)
        assert {node["state"] for node in seen["nodes"]} == {"up"}
        assert len(seen["nodes"]) == 11
        assert call("stack", "logs", "store").stdout
        assert "no node `sotre`" in call("stack", "logs", "sotre").stderr
    finally:
        down = call("stack", "down")
    assert down.stdout == f"{up['id']} is down\n"
    assert call("stack", "ps").stdout == "no stack runs\n"
