"""Failures as a person meets them: words, a hint, the right exit code, and never a traceback."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from chaos.cli import looks
from chaos.cli.base import Command
from chaos.cli.main import main
from chaos.engine.ledger import Ledger
from chaos.errors import ChaosError, ExitCode, InvalidInput, Problem, StillDirty
from chaos.model.fault import Undo


def call(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="chaos")


def failing(error: BaseException) -> Result:
    @click.command(cls=Command)
    def command() -> None:
        raise error

    return CliRunner().invoke(command, [])


def leaves(kind: type[ChaosError] = ChaosError) -> list[type[ChaosError]]:
    return [kind, *(leaf for child in kind.__subclasses__() for leaf in leaves(child))]


def make(kind: type[ChaosError]) -> ChaosError:
    if kind is InvalidInput:
        return InvalidInput((Problem("a.json", 3, 7, "unknown key"),), hint="read the schema")
    if kind.__name__ == "Interrupted":
        return kind(ExitCode.TERMINATED)  # type: ignore[arg-type]
    return kind("it broke", hint="mend it", evidence=("the last line",))


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.__name__)
def test_every_failure_is_told_and_ends_with_its_exit_code(kind: type[ChaosError]) -> None:
    """Message, evidence and hint go to stderr, nothing to stdout."""
    error = make(kind)
    done = failing(error)
    assert done.exit_code == error.exit_code
    assert done.stdout == ""
    assert f"error: {error.message}" in done.stderr
    assert all(line in done.stderr for line in error.evidence)
    assert error.hint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bug_leaves_a_crash_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected exception is exit 5; its traceback is in the state directory only."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    done = failing(ZeroDivisionError("by\nnothing"))
    (crash,) = (tmp_path / "crashes").iterdir()
    assert done.exit_code == ExitCode.INTERNAL
    assert done.stderr == f"internal error: ZeroDivisionError: by nothing (details in {crash})\n"
    assert "Traceback" in crash.read_text()


def test_a_bug_on_a_full_disk_is_still_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When not even the crash file can be written, the line says so."""
    (tmp_path / "state").write_text("a file where the directory should be")
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))
    done = failing(ZeroDivisionError("by nothing"))
    assert done.exit_code == ExitCode.INTERNAL
    assert "the details could not be written" in done.stderr


def test_a_full_disk_is_no_bug() -> None:
    """ENOSPC from anywhere is a run that cannot be judged."""
    done = failing(OSError(errno.ENOSPC, "No space left on device"))
    assert done.exit_code == ExitCode.INCONCLUSIVE
    assert "No space left" in done.stderr


def test_ctrl_c_in_any_command_is_130() -> None:
    """Outside a run there is nothing to heal; the exit code is the shell's custom."""
    assert failing(KeyboardInterrupt()).exit_code == ExitCode.INTERRUPTED


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run",), "Missing argument 'EXPERIMENT'"),
        (("run", "nowhere/to/be/found.json"), "nowhere/to/be/found.json"),
        (("run", "network_congestoin"), "network_congestion"),
        (("run", "network_congestion", "server_loss"), "One experiment at a time"),
        (("run", "network_congestion", "--seed", "x"), "--seed"),
        (("run", "network_congestion", "--set", "nonsense"), "nonsense"),
        (("run", "network_congestion", "--dry", "actions"), "chaos plan"),
        (("run", "network_congestion", "--stack", "nowhere"), "nowhere"),
        (("plan", "nowhere.json"), "nowhere.json"),
        (("validate", "nowhere.json", "network_congestion"), "nowhere.json"),
        (("judge", "no-such-run"), "no run no-such-run"),
        (("report", "no-such-run"), "no run no-such-run"),
        (("new", "experiment", "x", "--from", "nothing"), "nothing"),
        (("stack", "up", "nowhere"), "nowhere"),
        (("stack", "down", "nowhere"), "nowhere"),
        (("stack", "logs", "store"), "chaos stack up"),
        (("list", "flaws"), "faults"),
    ],
)
def test_bad_arguments_are_usage_errors_that_help(
    words: tuple[str, ...], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit 2, the wrong word is named, no traceback, nothing on stdout, nothing written."""
    monkeypatch.chdir(tmp_path)
    done = call(*words)
    assert done.exit_code == ExitCode.USAGE, done.output
    assert says in done.stderr
    assert "Traceback" not in done.output
    assert done.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_broken_json_is_told_with_its_place(tmp_path: Path) -> None:
    """A syntax error is exit 2 with file:line:col, where the stock toolkit prints a traceback."""
    file = tmp_path / "broken.json"
    file.write_text('{"title": "x",\n "method": [,]}\n')
    done = call("run", str(file))
    assert done.exit_code == ExitCode.USAGE
    assert f"{file}:2:" in done.stderr


def test_validate_says_for_a_machine_what_it_says_for_people(tmp_path: Path) -> None:
    """`--json` holds each problem with its place, and the exit code stays 2."""
    file = tmp_path / "broken.json"
    file.write_text("{")
    done = call("validate", "--json", str(file), "network_congestion")
    said = json.loads(done.stdout)
    assert done.exit_code == ExitCode.USAGE
    assert said["valid"] is False
    assert said["problems"][0]["file"] == str(file)
    assert said["problems"][0]["line"] == 1


def test_heal_tells_what_it_could_not_take_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays dirty outranks all: exit 4, named, with the command to try again; stdout is still whole."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    undo = Undo(primitive="unknown.v9", arguments={}, says="lift")
    Ledger.create("r1").intent("r1.1", "delay", (undo,))
    done = call("heal", "--json", "--run", "r1")
    assert done.exit_code == StillDirty.exit_code
    assert "r1.1 (delay): unknown undo `unknown.v9`" in done.stderr
    assert "hint: chaos heal --run r1" in done.stderr
    assert len(json.loads(done.stdout)["left"]) == 1


def test_heal_with_nothing_to_heal_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without ledgers is clean."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    done = call("heal", "--json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"healed": [], "left": [], "in_progress": [], "notes": []})
    assert call("heal").stdout == "nothing was left behind\n"


def test_heal_of_an_unknown_run_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is healed for a name that nobody knows."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path))
    assert call("heal", "--run", "nothing").exit_code == ExitCode.USAGE
    assert call("heal", "--run", "nothing", "--all").exit_code == ExitCode.USAGE


def test_nothing_runs_while_halted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run is refused with the reason and the command that lifts the halt, and leaves no directory."""
    monkeypatch.setenv("COLLAB_CHAOS_STATE", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    assert call("halt", "--reason", "live class").exit_code == 0
    done = call("run", "network_congestion")
    assert done.exit_code == ExitCode.USAGE
    assert "live class" in done.stderr
    assert "hint: chaos halt --lift" in done.stderr
    assert not (tmp_path / "runs").exists()
    assert "live class" in call("halt", "--lift").stdout
    assert call("halt", "--lift").stdout == "nothing was halted\n"
    assert call("halt", "--lift", "--reason", "x").exit_code == ExitCode.USAGE


def test_the_policy_outranks_the_experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan shows what it says; a run that it forbids is refused with file:line:col, and is in the audit log."""
    monkeypatch.chdir(tmp_path)
    policy = tmp_path / "policy.yaml"
    policy.write_text(f"stacks: [staging-*]\nblast_radius:\n  users: 80%\naudit: {tmp_path}/audit.jsonl\n")
    monkeypatch.setenv("COLLAB_CHAOS_POLICY", str(policy))
    planned = call("plan", "network_congestion")
    assert planned.exit_code == 0
    assert "operator's policy: does not allow this run" in planned.stdout
    assert f"! {policy}:1:9: stacks: stack embedded is not among staging-*" in planned.stdout
    done = call("run", "network_congestion")
    assert done.exit_code == ExitCode.USAGE
    assert f"{policy}:1:9: stacks" in done.stderr
    assert "blast_radius" not in done.stderr
    (line,) = (tmp_path / "audit.jsonl").read_text().splitlines()
    said = json.loads(line)
    assert said["event"] == "refused"
    assert {"who", "when", "run", "why"} <= set(said)
    assert not (tmp_path / "runs").exists()


def test_a_policy_that_cannot_be_understood_lets_nothing_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its problems are told with their places."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("stacks: [embedded]\nhour: [always]\n")
    monkeypatch.setenv("COLLAB_CHAOS_POLICY", str(policy))
    done = call("run", "network_congestion")
    assert done.exit_code == ExitCode.USAGE
    assert f"{policy}:2:1: unknown key 'hour' (did you mean hours?)" in done.stderr


def test_doctor_survives_its_own_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that raises is a line of the table."""

    def broken() -> looks.Finding:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(looks, "_docker", broken)
    done = call("doctor")
    assert "could not look: RuntimeError: no such thing" in done.output
    assert "Traceback" not in done.output


def test_doctor_says_no_when_the_embedded_stack_cannot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run directory that cannot be made is a reason, and exit 3."""
    (tmp_path / "runs").write_text("a file where the directory should be")
    done = call("doctor", "--json", "--runs-dir", str(tmp_path / "runs" / "deeper"))
    found = {finding["what"]: finding["can"] for finding in json.loads(done.stdout)}
    assert found["run directory"] == "no"
    assert done.exit_code == ExitCode.INCONCLUSIVE
