"""One test per exit code of `chaos run`, through the command line on real processes.

Exit code 1, a weakness with its witness, is shown by the mutants of `test_shipped_runs.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
SMALL = ("--set", "load.participants=48", "--set", "load.rooms=4", "--set", "phases.warm_up=2")
"""A smaller crowd: these tests are about the way out, not about the sample sizes."""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    return os.environ | {"COLLAB_CHAOS_STATE": str(tmp_path / "state"), "PYTHONPATH": str(ROOT), "CI": "true"}


def chaos(*words: str, env: dict[str, str], cwd: Path, timeout: float = 110) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "chaos", *words]
    return subprocess.run(command, capture_output=True, text=True, env=env, cwd=cwd, timeout=timeout, check=False)


def decided(words: tuple[str, ...], env: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A run with a verdict. On a machine that others keep busy a run may rightly prove nothing: then once more."""
    ended = chaos(*words, env=env, cwd=cwd)
    for _ in range(2):
        if ended.returncode == 3:
            ended = chaos(*words, env=env, cwd=cwd)
    return ended


def survivors(env: dict[str, str]) -> list[str]:
    """Command lines of processes that still carry this test's state directory in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("COLLAB_CHAOS_STATE") == env["COLLAB_CHAOS_STATE"]:
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def wait_gone(env: dict[str, str]) -> list[str]:
    """Whatever is left of a test's processes after at most ten seconds."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("COLLAB_CHAOS_STATE") == env["COLLAB_CHAOS_STATE"]:
                process.wait(timeout=10)
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess, psutil.TimeoutExpired):
            continue
    return survivors(env)


@pytest.mark.timeout(360)
def test_pass_is_0_and_json_is_the_verdict(env: dict[str, str], tmp_path: Path) -> None:
    """The clean stack passes a shipped experiment; stdout is the verdict document and nothing else."""
    ended = decided(("run", "network_congestion", "--json", "--seed", "7"), env, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    verdict = json.loads(ended.stdout)
    assert verdict["outcome"] == "pass"
    run = (tmp_path / "runs" / "latest").resolve()
    assert json.loads((run / "verdict.json").read_text()) == verdict
    assert {"plan.json", "experiment.json", "journal.json", "report.html"} <= {path.name for path in run.iterdir()}
    again = chaos("judge", str(run), "--json", env=env, cwd=tmp_path)
    assert json.loads(again.stdout)["checks"] == verdict["checks"]
    assert wait_gone(env) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "no-such-experiment"), "no-such-experiment"),
        (("run", "network_congestion", "--set", "embedded.mutant=moth"), "moth"),
        (("run", "network_congestion", "--set", "load.participnats=3"), "participants"),
        (("run", "network_congestion", "--stack", "nowhere"), "nowhere"),
        (("run", "--no-such-option"), "no-such-option"),
        (("run", "--replay", "no-such-run"), "no-such-run"),
        (("run", "network_congestion", "--replay", "latest"), "leave out network_congestion"),
    ],
)
def test_bad_input_is_2_and_touches_nothing(
    words: tuple[str, ...], says: str, env: dict[str, str], tmp_path: Path
) -> None:
    """Bad arguments are told with the word that is wrong; no run directory is made and nothing is started."""
    ended = chaos(*words, env=env, cwd=tmp_path)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr
    assert not (tmp_path / "runs").exists()
    assert survivors(env) == []


def test_a_stack_not_marked_staging_is_2(env: dict[str, str], tmp_path: Path) -> None:
    """A stack file without `environment: staging` is never attacked."""
    text = (ROOT / "chaos/stacks/embedded/stack.yaml").read_text()
    (tmp_path / "mine.yaml").write_text(text.replace("environment: staging", "environment: production"))
    ended = chaos("run", "network_congestion", "--stack", "mine.yaml", env=env, cwd=tmp_path)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "staging" in ended.stderr
    assert not (tmp_path / "runs").exists()


def test_a_stack_that_does_not_start_is_3_with_its_last_words(env: dict[str, str], tmp_path: Path) -> None:
    """The log lines of the node that failed are shown, and nothing stays behind."""
    text = (ROOT / "chaos/stacks/embedded/stack.yaml").read_text()
    (tmp_path / "broken.yaml").write_text(text.replace("chaos.stacks.embedded.store", "chaos.stacks.embedded.stove"))
    ended = chaos("run", "network_congestion", "--stack", "broken.yaml", env=env, cwd=tmp_path)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "stove" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert wait_gone(env) == []


def test_a_full_disk_is_3(env: dict[str, str], tmp_path: Path) -> None:
    """A run directory that cannot be written ends the run with a hint, before anything is started."""
    ended = chaos("run", "network_congestion", "--runs-dir", "/proc/runs", env=env, cwd=tmp_path)
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "--runs-dir" in ended.stderr
    assert survivors(env) == []


def started(words: tuple[str, ...], env: dict[str, str], cwd: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "chaos", *words]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=cwd, start_new_session=True
    )


@pytest.fixture
def running(env: dict[str, str], tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of its fault."""
    experiment = json.loads((ROOT / "experiments/server_loss.json").read_text())
    # Whether a busy machine meets the steady state is not the question here.
    del experiment["steady-state-hypothesis"]
    (tmp_path / "mine.json").write_text(json.dumps(experiment))
    process = started(("run", "mine.json", *SMALL), env, tmp_path)
    assert process.stdout is not None
    seen = ""
    for line in process.stdout:
        seen += line
        if "SIGKILL" in line:
            break
    else:
        pytest.fail(f"the fault was never announced:\n{seen}\n{process.communicate()[1]}")
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_128_and_more_and_everything_is_healed(
    number: signal.Signals, code: int, running: subprocess.Popen[str], env: dict[str, str], tmp_path: Path
) -> None:
    """Ctrl-C, SIGTERM and SIGHUP end a run healed; a second signal while it heals changes nothing."""
    running.send_signal(number)
    assert running.stdout is not None
    healing = any("is off" in line for line in running.stdout)
    assert healing, running.communicate()[1]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=30)
    assert running.returncode == code, out + err
    assert wait_gone(env) == []
    assert open_entries(tmp_path / "state") == []


def test_sigkill_leaves_nothing(running: subprocess.Popen[str], env: dict[str, str]) -> None:
    """Even without a chance to heal, the stack and the load end with the tool."""
    running.kill()
    running.wait(timeout=10)
    assert wait_gone(env) == []


def open_entries(state: Path) -> list[dict[str, Any]]:
    """Faults of the ledgers under a state directory that were begun and not healed."""
    entries: dict[str, dict[str, Any]] = {}
    for file in (state / "ledger").glob("*.jsonl"):
        for line in file.read_text().splitlines():
            said = json.loads(line)
            entries[said["fault"]] = said
    return [entry for entry in entries.values() if entry["step"] != "healed"]
